// @ts-check
import { html, useEffect, useState } from "./lib.js";
import { clock, parseClock } from "./words.js";

/**
 * A moment of the film that can be typed; what is no moment is put back.
 * @param {{
 *   value: number,
 *   label: string,
 *   testid: string,
 *   set: (seconds: number) => void,
 *   name?: string,
 * }} props `name` is the class of the label
 */
export function TimeField({ value, label, testid, set, name = "field short" }) {
  const shown = clock(value, 2);
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  const take = () => {
    const parsed = parseClock(text);
    if (parsed === null) setText(shown);
    else if (text !== shown) set(parsed);
  };
  return html`<label class=${name}>
    <span>${label}</span>
    <input
      value=${text}
      size="8"
      inputmode="decimal"
      data-testid=${testid}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)}
      onBlur=${take}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && take()}
    />
  </label>`;
}
