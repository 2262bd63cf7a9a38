// @ts-check
import { sized } from "./api.js";
import { ask } from "./dialog.js";
import { Picture } from "./face.js";
import { html, useState } from "./lib.js";
import { identities } from "./store.js";
import { duration } from "./words.js";

/**
 * Ask who. Typing searches, arrows go through the faces, Enter takes one.
 * @param {string} title
 * @param {number} without who cannot be meant
 * @param {boolean} [fresh] whether somebody new can be
 * @returns {Promise<number | "new" | null>}
 */
export function pickPerson(title, without, fresh = true) {
  return ask({
    title,
    wide: true,
    testid: "picker",
    body: (done) => html`<${Picker} without=${without} fresh=${fresh} done=${done} />`,
  });
}

/** @param {{without: number, fresh: boolean, done: (answer: number | "new" | null) => void}} props */
function Picker({ without, fresh, done }) {
  const [words, setWords] = useState("");
  const [at, setAt] = useState(0);
  const found = identities.value.filter(
    (card) =>
      card.id !== without &&
      card.state !== "not_a_face" &&
      card.name.toLowerCase().includes(words.trim().toLowerCase()),
  );
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const next = Math.min(found.length - 1, Math.max(0, at + step));
      setAt(next);
      document.getElementById(`pick-${found[next]?.id}`)?.scrollIntoView({ block: "nearest" });
    }
    const one = found[at];
    if (event.key === "Enter" && one) done(one.id);
  };
  return html`
    <input
      type="search"
      data-first
      placeholder="Search by name"
      aria-label="Search by name"
      role="combobox"
      aria-expanded="true"
      aria-controls="picks"
      aria-activedescendant=${found[at] ? `pick-${found[at].id}` : undefined}
      data-testid="picker-search"
      value=${words}
      onInput=${(/** @type {any} */ event) => {
        setWords(event.target.value);
        setAt(0);
      }}
      onKeyDown=${onKeyDown}
    />
    <div class="picks" id="picks" role="listbox" aria-label="People">
      ${found.map(
        (card, index) => html`<div
          key=${card.id}
          id=${`pick-${card.id}`}
          class=${`pick ${index === at ? "active" : ""}`}
          role="option"
          aria-selected=${index === at}
          data-testid="pick"
          data-identity=${card.id}
          onClick=${() => done(card.id)}
        >
          <${Picture} src=${sized(card.cover, 112)} />
          <span>${card.name}<small class="quiet">${duration(card.seconds)}</small></span>
        </div>`,
      )}
      ${!found.length && html`<p class="quiet">Nobody of that name.</p>`}
    </div>
    <div class="choices">
      <button onClick=${() => done(null)}>Cancel</button>
      ${
        fresh &&
        html`<button data-testid="pick-new" onClick=${() => done("new")}>A new person</button>`
      }
    </div>
  `;
}
