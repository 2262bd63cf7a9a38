// @ts-check
import { edit } from "./actions.js";
import { html, useEffect, useRef, useState } from "./lib.js";
import { percent } from "./words.js";

const SETTLED_MS = 500;

/**
 * How strongly somebody is restored; kept when the slider rests.
 * @param {{id: number, name: string, strength: number}} props
 */
export function Strength({ id, name, strength }) {
  const [value, setValue] = useState(strength);
  const timer = useRef(0);
  useEffect(() => setValue(strength), [strength]);
  /** @param {any} event */
  const onInput = (event) => {
    const next = Number(event.target.value) / 100;
    setValue(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(async () => {
      const said = `${name}: strength ${percent(next)}.`;
      const done = await edit([{ do: "strength", identity: id, strength: next }], said);
      if (!done) setValue(strength);
    }, SETTLED_MS);
  };
  return html`<label class="strength">
    <span>Strength</span>
    <input
      type="range"
      min="0"
      max="100"
      step="5"
      value=${Math.round(value * 100)}
      aria-label=${`Strength of restoring ${name}`}
      aria-valuetext=${percent(value)}
      data-testid="strength"
      onInput=${onInput}
    />
    <output>${percent(value)}</output>
  </label>`;
}
