// @ts-check
// Short messages: seen at the foot of the page, and read out.

import { html, signal } from "./lib.js";
import { Icon } from "./icons.js";

/** @typedef {{id: number, text: string, bad: boolean,
 *   action: {label: string, run: () => void} | null}} Note */

/** @type {import("../vendor/signals.js").Signal<Note[]>} */
const notes = signal([]);
const spoken = signal("");
const SHOWN_MS = 7000;
let last = 0;

/** @param {number} id */
function dismiss(id) {
  notes.value = notes.value.filter((note) => note.id !== id);
}

/** Take away what offers to undo: it would undo something else now. */
export function forgetOffers() {
  notes.value = notes.value.filter((note) => note.action === null);
}

/**
 * Read out, and not shown: for what is seen anyway.
 * @param {string} text
 */
export function announce(text) {
  spoken.value = spoken.value === text ? `${text}\u00a0` : text; // the same again is news too
}

/**
 * @param {string} text
 * @param {{bad?: boolean, action?: {label: string, run: () => void}}} [options]
 */
export function note(text, { bad = false, action } = {}) {
  last += 1;
  const id = last;
  notes.value = [...notes.value.slice(-2), { id, text, bad, action: action ?? null }];
  if (!bad) announce(text);
  setTimeout(() => dismiss(id), bad ? SHOWN_MS * 2 : SHOWN_MS);
}

export function Notes() {
  return html`<div class="notes">
    ${notes.value.map(
      (one) => html`<div
        key=${one.id}
        class=${one.bad ? "note bad" : "note"}
        role=${one.bad ? "alert" : undefined}
        data-testid=${one.bad ? "error" : "note"}
      >
        ${one.bad && html`<${Icon} name="alert" />`}
        <span>${one.text}</span>
        ${
          one.action &&
          html`<button
          class="plain"
          onClick=${() => {
            one.action?.run();
            dismiss(one.id);
          }}
        >
          ${one.action.label}
        </button>`
        }
        <button class="plain icon-only" aria-label="Dismiss" onClick=${() => dismiss(one.id)}>
          <${Icon} name="close" />
        </button>
      </div>`,
    )}
    <div class="unseen" role="status" aria-live="polite" data-testid="announcement">
      ${spoken.value}
    </div>
  </div>`;
}
