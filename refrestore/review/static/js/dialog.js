// @ts-check
// One dialog at a time, as a question that is answered by a promise.

import { html, signal, useLayoutEffect, useRef } from "./lib.js";

/** @typedef {{label: string, value: string, kind?: "main" | "danger"}} Choice */
/** @typedef {(answer: any) => void} Done */
/**
 * @typedef {object} Question
 * @property {string} title
 * @property {((done: Done) => unknown)} body
 * @property {Choice[]} [choices]
 * @property {string} [testid]
 * @property {boolean} [wide]
 */

/** @type {import("../vendor/signals.js").Signal<(Question & {done: Done}) | null>} */
const open = signal(null);

// A question belongs to the view that asked it.
window.addEventListener("hashchange", () => open.value?.done(null));

/**
 * @param {Question} question
 * @returns {Promise<any>} the choice's value or what the body gave; null when it was dismissed
 */
export function ask(question) {
  open.value?.done(null);
  return new Promise((resolve) => {
    open.value = {
      ...question,
      done: (answer) => {
        open.value = null;
        resolve(answer);
      },
    };
  });
}

/**
 * @param {string} title
 * @param {string} sentence
 * @param {string} yes
 * @returns {Promise<boolean>}
 */
export async function sure(title, sentence, yes) {
  const answer = await ask({
    title,
    body: () => html`<p>${sentence}</p>`,
    choices: [
      { label: "Cancel", value: "no" },
      { label: yes, value: "yes", kind: "main" },
    ],
    testid: "confirm-dialog",
  });
  return answer === "yes";
}

/** @param {{question: Question & {done: Done}}} props */
function Shown({ question }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    const first = dialog.current?.querySelector("[data-first], button.main");
    if (first instanceof HTMLElement) first.focus();
    if (first instanceof HTMLInputElement) first.select();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return html`<dialog
    ref=${dialog}
    class=${question.wide ? "wide" : ""}
    aria-labelledby="dialog-title"
    data-testid=${question.testid ?? "dialog"}
    onCancel=${(/** @type {Event} */ event) => {
      event.preventDefault();
      question.done(null);
    }}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
      if (event.repeat && event.key === "Enter") event.preventDefault();
    }}
    onClick=${(/** @type {MouseEvent} */ event) => {
      if (event.target === dialog.current) question.done(null);
    }}
  >
    <div class="dialog-inner">
      <h2 id="dialog-title">${question.title}</h2>
      ${question.body(question.done)}
      ${
        question.choices &&
        html`<div class="choices">
        ${question.choices.map(
          (choice) => html`<button
            class=${choice.kind ?? ""}
            data-testid=${`choose-${choice.value}`}
            onClick=${() => question.done(choice.value)}
          >
            ${choice.label}
          </button>`,
        )}
      </div>`
      }
    </div>
  </dialog>`;
}

export function DialogHost() {
  const question = open.value;
  return question && html`<${Shown} key=${question.title} question=${question} />`;
}
