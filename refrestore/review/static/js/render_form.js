// @ts-check
// What can be chosen before a render: no more than a user cannot do without.

import { get } from "./api.js";
import { Axis, Bars, filmRange } from "./bars.js";
import { Icon } from "./icons.js";
import { html, useEffect, useState } from "./lib.js";
import { identities, project, version } from "./store.js";
import { StageChoice, needsLicence, useStages } from "./stage_choice.js";
import { TimeField } from "./time_field.js";
import { counted } from "./words.js";

/** @typedef {{name: string, scale: 1 | 2 | 4, crf: number | null, codec: string | null,
 *   start: number | null, end: number | null, second_stage: string | null,
 *   fidelity: number | null, licence_accepted: boolean}} Settings */

const QUALITIES = /** @type {const} */ ([
  [null, "Good, as usual"],
  [14, "Very high, for editing (large file)"],
  [18, "High"],
  [24, "Smaller file"],
]);

const CODECS = /** @type {const} */ ([
  [null, "H.264, plays everywhere"],
  ["libx265", "H.265, smaller and slower"],
  ["prores_ks", "ProRes, for editing (name it .mov)"],
]);

/**
 * @param {Settings} now
 * @param {boolean} busy every render makes the next estimate better
 */
function useEstimate(now, busy) {
  const [estimate, setEstimate] = useState(
    /** @type {import("./types.js").Estimate | null} */ (null),
  );
  useEffect(() => {
    const abort = new AbortController();
    const query = new URLSearchParams({ scale: String(now.scale) });
    if (now.start !== null) query.set("start", String(now.start));
    if (now.end !== null) query.set("end", String(now.end));
    const timer = setTimeout(
      () =>
        get(`renders/estimate?${query}`, abort.signal).then(setEstimate, (error) => {
          if (error.name === "AbortError") return;
          setEstimate(null);
        }),
      300,
    );
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [now.scale, now.start, now.end, busy, version.value]);
  return estimate;
}

/** @param {{now: Settings, set: (change: Partial<Settings>) => void}} props */
function RangeChoice({ now, set }) {
  const [from, to] = filmRange();
  const part = now.start !== null || now.end !== null;
  /** @type {[number, number][]} */
  const span = [[now.start ?? from, now.end ?? to]];
  return html`<fieldset class="choice">
    <legend>What</legend>
    <div class="segments" role="radiogroup" aria-label="What to render">
      <button
        type="button"
        role="radio"
        aria-checked=${!part}
        data-testid="range-all"
        onClick=${() => set({ start: null, end: null })}
      >
        The whole film
      </button>
      <button
        type="button"
        role="radio"
        aria-checked=${part}
        data-testid="range-part"
        onClick=${() => !part && set({ start: from, end: to })}
      >
        A part
      </button>
    </div>
    ${
      part &&
      html`<div class="row">
        <${TimeField}
          label="From"
          testid="range-start"
          value=${now.start ?? from}
          set=${(/** @type {number} */ start) => set({ start: Math.min(Math.max(from, start), to) })}
        />
        <${TimeField}
          label="To"
          testid="range-end"
          value=${now.end ?? to}
          set=${(/** @type {number} */ end) => set({ end: Math.min(Math.max(from, end), to) })}
        />
      </div>
      <${Bars}
        spans=${span}
        label="The part; Enter or a press moves the nearer end"
        onPick=${(/** @type {number} */ at) => {
          const [start, end] = span[0] ?? [from, to];
          set(Math.abs(at - start) < Math.abs(at - end) ? { start: at } : { end: at });
        }}
      />
      <${Axis} />`
    }
  </fieldset>`;
}

/** @param {{now: Settings, set: (change: Partial<Settings>) => void}} props */
function SizeChoice({ now, set }) {
  const video = project.value?.video;
  return html`<fieldset class="choice">
    <legend>Size</legend>
    <div class="segments" role="radiogroup" aria-label="Size">
      ${
        /** @type {const} */ ([1, 2, 4]).map(
          (scale) => html`<button
          key=${scale}
          type="button"
        role="radio"
          aria-checked=${now.scale === scale}
          data-testid=${`scale-${scale}`}
          onClick=${() => set({ scale })}
        >
          ${scale === 1 ? "As it is" : `${scale} times`}
          ${video && html`<span class="count">${video.width * scale} × ${video.height * scale}</span>`}
        </button>`,
        )
      }
    </div>
  </fieldset>`;
}

/** @param {{now: Settings, set: (change: Partial<Settings>) => void, busy: boolean,
 *   resumable: boolean, begin: () => void}} props */
export function Form({ now, set, busy, resumable, begin }) {
  const estimate = useEstimate(now, busy);
  const stages = useStages();
  const restore = identities.value.filter((card) => card.state === "restore");
  const bare = restore.filter((card) => !card.close_ups.used && !card.profile);
  const alone = identities.value.length - restore.length;
  return html`<form
    class="render-form"
    onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}
  >
    <label class="field">
      <span>Name of the new film</span>
      <input
        value=${now.name}
        required
        data-testid="output-name"
        spellcheck=${false}
        onInput=${(/** @type {any} */ event) => set({ name: event.target.value })}
      />
    </label>
    <${RangeChoice} now=${now} set=${set} />
    <${SizeChoice} now=${now} set=${set} />
    <div class="row wide">
      <label class="field">
        <span>Quality</span>
        <select
          data-testid="quality"
          onChange=${(/** @type {any} */ event) =>
            set({ crf: QUALITIES[event.target.selectedIndex]?.[0] ?? null })}
        >
          ${QUALITIES.map(([crf, words]) => html`<option selected=${crf === now.crf}>${words}</option>`)}
        </select>
      </label>
      <label class="field">
        <span>Format</span>
        <select
          data-testid="codec"
          onChange=${(/** @type {any} */ event) =>
            set({ codec: CODECS[event.target.selectedIndex]?.[0] ?? null })}
        >
          ${CODECS.map(([codec, words]) => html`<option selected=${codec === now.codec}>${words}</option>`)}
        </select>
      </label>
    </div>
    <${StageChoice} now=${now} set=${set} stages=${stages} />
    <div class="go">
      <button
        type="button"
        class="main large"
        data-testid="render"
        disabled=${
          busy || !now.name.trim() || !project.value?.video.found || needsLicence(now, stages)
        }
        onClick=${() => begin()}
      >
        <${Icon} name="film" />${resumable ? "Render, going on where it stopped" : "Render"}
      </button>
      <p class="quiet" data-testid="estimate" role="status">${estimate?.sentence ?? ""}</p>
    </div>
    <p class="quiet">
      ${counted(restore.length, "person", "people")} restored${
        bare.length ? `, ${bare.length} of them without close-ups and so hardly touched` : ""
      }${alone ? `; ${counted(alone, "person", "people")} left alone` : ""}. Sound and everything
      else is kept.
    </p>
  </form>`;
}
