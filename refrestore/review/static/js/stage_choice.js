// @ts-check
// Who draws what no close-up shows: the restorers that are installed, and what their licences allow.

import { get } from "./api.js";
import { html, useEffect, useState } from "./lib.js";

/** @typedef {import("./render_form.js").Settings} Settings */
/** @typedef {import("./types.js").Stages} Stages */

const NONE = "none";

/** @returns {Stages} */
export function useStages() {
  const [stages, setStages] = useState(/** @type {Stages} */ ({ stages: [], given: null }));
  useEffect(() => {
    const abort = new AbortController();
    get("renders/stages", abort.signal).then(setStages, () => undefined);
    return () => abort.abort();
  }, []);
  return stages;
}

/** @param {Settings} now @param {Stages} known */
const chosen = (now, known) => known.stages.find((one) => one.name === now.second_stage);

/** Whether a licence is to be accepted first.
 * @param {Settings} now @param {Stages} known */
export const needsLicence = (now, known) =>
  Boolean(chosen(now, known)?.restricted) && !now.licence_accepted;

/** @param {{now: Settings, set: (change: Partial<Settings>) => void, stages: Stages}} props */
export function StageChoice({ now, set, stages }) {
  if (!stages.stages.length && !stages.given) return null;
  const stage = chosen(now, stages);
  const choices = [
    [null, stages.given && stages.given !== NONE ? stages.given : "As usual"],
    [NONE, "Nothing: it stays as soft as it was"],
    ...stages.stages.map((one) => [one.name, one.about]),
  ];
  return html`<fieldset class="choice">
    <legend>What no close-up shows is drawn by</legend>
    <label class="field">
      <select
        data-testid="second-stage"
        aria-label="What no close-up shows is drawn by"
        onChange=${(/** @type {any} */ event) =>
          set({
            second_stage: choices[event.target.selectedIndex]?.[0] ?? null,
            fidelity: null,
            licence_accepted: false,
          })}
      >
        ${choices.map(
          ([name, words]) => html`<option selected=${name === now.second_stage}>${words}</option>`,
        )}
      </select>
    </label>
    ${stage && html`<p class="quiet" data-testid="stage-licence">Licence: ${stage.licence}.</p>`}
    ${
      stage?.restricted &&
      html`<label class="agree">
        <input
          type="checkbox"
          data-testid="accept-licence"
          checked=${now.licence_accepted}
          onChange=${(/** @type {any} */ event) => set({ licence_accepted: event.target.checked })}
        />
        I keep to this licence
      </label>`
    }
    ${
      stage?.fidelity &&
      html`<label class="field">
        <span>Draws freely, or stays near the input</span>
        <input
          type="range"
          min="0"
          max="1"
          step="0.1"
          data-testid="fidelity"
          value=${now.fidelity ?? 0.5}
          onInput=${(/** @type {any} */ event) => set({ fidelity: Number(event.target.value) })}
        />
      </label>`
    }
  </fieldset>`;
}
