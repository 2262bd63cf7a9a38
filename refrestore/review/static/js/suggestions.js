// @ts-check
// Questions that looking answers: the same person? somebody else? somebody known?

import { edit, keepTracks, link, mergeNow, moveTracks, notProfile } from "./actions.js";
import { Face, Picture } from "./face.js";
import { Icon } from "./icons.js";
import { computed, html, signal } from "./lib.js";
import { byId, suggestions } from "./store.js";

const STORED = "refrestore.later";

/** @type {import("../vendor/signals.js").Signal<Set<string>>} put off until the tab is closed */
const later = signal(new Set(JSON.parse(sessionStorage.getItem(STORED) ?? "[]")));

/** @param {string} key */
function putOff(key) {
  later.value = new Set([...later.value, key]);
  sessionStorage.setItem(STORED, JSON.stringify([...later.value]));
}

function askAgain() {
  later.value = new Set();
  sessionStorage.removeItem(STORED);
}

/**
 * @typedef {object} Asked
 * @property {string} key
 * @property {unknown} faces
 * @property {string} sentence
 * @property {string} yes
 * @property {string} no
 * @property {() => unknown} onYes
 * @property {() => unknown} onNo
 */

/** @param {number} id */
const named = (id) => byId.value.get(id)?.name ?? `person ${id}`;

/** @returns {Asked[]} */
function allAsked() {
  const found = suggestions.value;
  if (!found) return [];
  const known = (/** @type {number[]} */ ...ids) => ids.every((id) => byId.value.has(id));
  return [
    ...found.merges
      .filter(({ one, other }) => known(one, other))
      .map(({ one, other, similarity }) => ({
        key: `merge ${one} ${other}`,
        faces: html`<${Face} card=${byId.value.get(one)} size="large" />
          <${Face} card=${byId.value.get(other)} size="large" />`,
        sentence: `These two are ${similarity.toFixed(2)} alike: same person?`,
        yes: "Yes, merge",
        no: "No",
        onYes: () => mergeNow(claim(one, other)),
        onNo: () =>
          edit([{ do: "distinct", identities: [one, other] }], "Two people; not asked again."),
      })),
    ...found.tracks
      .filter(({ holder, nearer }) => known(holder, nearer))
      .map(({ track, holder, nearer, similarity, thumb }) => ({
        key: `track ${track} ${holder} ${nearer}`,
        faces: html`<figure class="face large">
            <${Picture} src=${thumb} />
            <figcaption class="quiet">of ${named(holder)}</figcaption>
          </figure>
          <${Face} card=${byId.value.get(nearer)} size="large" />`,
        sentence:
          `This track of ${named(holder)} is nearer to ${named(nearer)} ` +
          `(${similarity.toFixed(2)} alike). Move it?`,
        yes: "Yes, move",
        no: "No, keep",
        onYes: () => moveTracks([track], nearer),
        onNo: () => keepTracks([track]),
      })),
    ...found.profiles
      .filter(({ identity }) => known(identity))
      .map(({ identity, name, similarity, cover }) => ({
        key: `profile ${identity} ${name}`,
        faces: html`<${Face} card=${byId.value.get(identity)} size="large" />
          <figure class="face large">
            <${Picture} src=${cover} />
            <figcaption class="quiet">profile ${name}</figcaption>
          </figure>`,
        sentence:
          `${named(identity)} and the profile ${name} are ${similarity.toFixed(2)} alike: ` +
          "same person?",
        yes: "Yes, link",
        no: "No",
        onYes: () => link(identity, name),
        onNo: () => notProfile(identity, name),
      })),
  ];
}

/**
 * The named one keeps its name.
 * @param {number} one
 * @param {number} other
 */
function claim(one, other) {
  const first = byId.value.get(one)?.named || !byId.value.get(other)?.named;
  return first ? [one, other] : [other, one];
}

const asked = computed(() => allAsked().filter((one) => !later.value.has(one.key)));

/** @param {{one: Asked}} props */
function Question({ one }) {
  return html`<li class="question" data-testid="suggestion" data-key=${one.key}>
    <div class="pair">${one.faces}</div>
    <p>${one.sentence}</p>
    <div class="answers">
      <button class="main" data-testid="suggestion-yes" onClick=${one.onYes}>${one.yes}</button>
      <button data-testid="suggestion-no" onClick=${one.onNo}>${one.no}</button>
      <button class="plain" data-testid="suggestion-later" onClick=${() => putOff(one.key)}>
        Later
      </button>
    </div>
  </li>`;
}

export function SuggestionStrip() {
  const questions = asked.value;
  if (!questions.length)
    return later.value.size && allAsked().length
      ? html`<p class="quiet later">
          <button class="plain" onClick=${askAgain}>
            <${Icon} name="history" />Ask again what was put off
          </button>
        </p>`
      : null;
  return html`<section class="suggestions" aria-label="Suggestions" data-testid="suggestions">
    <h2>To look at <span class="count">${questions.length}</span></h2>
    <ul>
      ${questions.slice(0, 30).map((one) => html`<${Question} key=${one.key} one=${one} />`)}
    </ul>
  </section>`;
}
