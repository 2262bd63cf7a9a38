// @ts-check
// Everybody in the film: look, name, merge, leave alone.

import { edit, merge, setState } from "./actions.js";
import { PersonCard } from "./card.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { computed, html, signal, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";
import { announce } from "./notes.js";
import { go } from "./router.js";
import { byId, identities, project } from "./store.js";
import { SuggestionStrip } from "./suggestions.js";
import { counted, duration } from "./words.js";

/** @typedef {import("./types.js").Card} Card */

/** @type {[string, string, (card: Card) => boolean][]} */
const FILTERS = [
  ["all", "Everybody", () => true],
  ["restore", "To restore", (card) => card.state === "restore"],
  ["ignore", "Left alone", (card) => card.state === "ignore"],
  ["not_a_face", "Not a face", (card) => card.state === "not_a_face"],
  ["unnamed", "Without a name", (card) => !card.named && card.state !== "not_a_face"],
  [
    "bare",
    "Without close-ups",
    (card) => card.close_ups.used === 0 && !card.profile && card.state === "restore",
  ],
];

const filter = signal("all");
const search = signal("");
/** @type {import("../vendor/signals.js").Signal<Set<number>>} */
export const chosen = signal(new Set());
/** The card that the arrow keys start from. */
const current = signal(0);

const CARD_PX = { least: 208, row: 326 }; // with the gap, as in people.css
const AT_A_TIME = 4;
const FACES_FIRST_MS = 300;

/** @type {Set<() => void> | null} cards still to be built; null once there were enough of them */
let waiting = new Set();

/** As many cards as a window shows, and a row more. */
const first = () =>
  Math.floor(innerWidth / CARD_PX.least) * (1 + Math.ceil(innerHeight / CARD_PX.row));

/**
 * Tell the style how wide a card is: those not looked at yet take the place they will need.
 * @param {HTMLElement | null} list
 */
function tellWidth(list) {
  if (!list) return undefined;
  const tell = () => {
    const [width] = getComputedStyle(list).gridTemplateColumns.split(" ");
    list.style.setProperty("--card", width ?? "");
  };
  tell();
  const observer = new ResizeObserver(tell);
  observer.observe(list);
  return () => observer.disconnect();
}

function buildSome() {
  for (const build of [...(waiting ?? [])].slice(0, AT_A_TIME)) build();
  if (waiting?.size) soon();
  else waiting = null;
}

/** Go on when the browser has nothing better to do; Safari does not say when. */
function soon() {
  if ("requestIdleCallback" in window) requestIdleCallback(buildSome, { timeout: FACES_FIRST_MS });
  else setTimeout(buildSome);
}

/**
 * A card; on the first view, until there is time for it, an empty place of its size.
 * @param {{place: number, card: Card}} props and all of a card's
 */
function Place({ place, ...props }) {
  const [built, setBuilt] = useState(!waiting || place < first());
  useEffect(() => {
    if (built) return undefined;
    const build = () => {
      waiting?.delete(build);
      setBuilt(true);
    };
    if (waiting) waiting.add(build);
    else build();
    return () => waiting?.delete(build);
  }, []);
  return built
    ? html`<${PersonCard} ...${props} />`
    : html`<li class="card" data-identity=${props.card.id}></li>`;
}

const shown = computed(() => {
  const fits = FILTERS.find(([key]) => key === filter.value)?.[2] ?? (() => true);
  const words = search.value.trim().toLowerCase();
  return identities.value.filter((card) => fits(card) && card.name.toLowerCase().includes(words));
});

const picked = computed(() => [...chosen.value].filter((id) => byId.value.has(id)));

/** @param {number} id */
function toggle(id) {
  const next = new Set(chosen.value);
  if (!next.delete(id)) next.add(id);
  chosen.value = next;
  announce(`${counted(next.size, "person", "people")} selected`);
}

const clear = () => (chosen.value = new Set());

/** @param {number} id */
function focusCard(id) {
  current.value = id;
  const face = document.querySelector(`[data-identity="${id}"] .card-face`);
  if (face instanceof HTMLElement) face.focus();
  else if (waiting) {
    for (const build of waiting) build();
    requestAnimationFrame(() => focusCard(id));
  }
}

/** @param {string} key */
function step(key) {
  const cards = [...document.querySelectorAll(".cards > li")].filter(
    (card) => card instanceof HTMLElement,
  );
  const here = cards.findIndex((card) => Number(card.dataset.identity) === current.value);
  const top = cards[0]?.offsetTop;
  const columns = Math.max(1, cards.filter((card) => card.offsetTop === top).length);
  const by = { arrowright: 1, arrowleft: -1, arrowdown: columns, arrowup: -columns }[key] ?? 0;
  const there = cards[here < 0 ? 0 : Math.min(cards.length - 1, Math.max(0, here + by))];
  if (there) focusCard(Number(there.dataset.identity));
}

/** Those selected, or else the one that has the focus. */
function meant() {
  if (picked.value.length) return picked.value;
  const inside = document.activeElement?.closest(".cards > li");
  return inside instanceof HTMLElement ? [Number(inside.dataset.identity)] : [];
}

/** @param {import("./types.js").State} state */
async function settle(state) {
  const ids = meant();
  if (!ids.length) return;
  if (state === "not_a_face")
    await edit(
      [{ do: "not_a_face", identities: ids }],
      `${counted(ids.length, "person", "people")}: not a face.`,
    );
  else await setState(ids, state);
  clear();
}

async function mergeChosen() {
  if (picked.value.length < 2) return;
  await merge(picked.value);
  clear();
}

function useCardKeys() {
  const search_ = () => document.getElementById("search")?.focus();
  const arrows = ["arrowleft", "arrowright", "arrowup", "arrowdown"];
  useKeys({
    ...Object.fromEntries(arrows.map((key) => [key, () => step(key)])),
    space: () => meant().length && toggle(current.value),
    "ctrl+a": () => {
      chosen.value = new Set(shown.value.map((card) => card.id));
    },
    escape: clear,
    m: () => void mergeChosen(),
    n: () => {
      const name = document.querySelector(`[data-identity="${current.value}"] .name`);
      if (name instanceof HTMLElement) name.click();
    },
    r: () => void settle("restore"),
    l: () => void settle("ignore"),
    x: () => void settle("not_a_face"),
    "/": search_,
  });
}

function Filters() {
  return html`<div class="filters">
    <div class="segments" role="radiogroup" aria-label="Show">
      ${FILTERS.map(([key, words, fits]) => {
        const count = identities.value.filter(fits).length;
        return html`<button
          key=${key}
          role="radio"
          aria-checked=${filter.value === key}
          data-testid=${`filter-${key}`}
          disabled=${count === 0 && filter.value !== key}
          onClick=${() => (filter.value = key)}
        >
          ${words} <span class="count">${count}</span>
        </button>`;
      })}
    </div>
    <label class="search">
      <${Icon} name="search" />
      <input
        id="search"
        type="search"
        placeholder="Search by name"
        aria-label="Search by name"
        data-testid="search"
        value=${search.value}
        onInput=${(/** @type {any} */ event) => (search.value = event.target.value)}
      />
    </label>
  </div>`;
}

function ChosenBar() {
  const ids = picked.value;
  if (!ids.length) return null;
  return html`<div class="actions" role="toolbar" aria-label="For the selected people">
    <strong data-testid="selected-count">${counted(ids.length, "person", "people")} selected</strong>
    <button
      class="main"
      disabled=${ids.length < 2}
      data-testid="merge"
      title="M"
      onClick=${() => void mergeChosen()}
    >
      <${Icon} name="merge" />Merge
    </button>
    <button data-testid="restore" title="R" onClick=${() => void settle("restore")}>
      <${Icon} name="check" />Restore
    </button>
    <button data-testid="leave-alone" title="L" onClick=${() => void settle("ignore")}>
      <${Icon} name="pause" />Leave alone
    </button>
    <button data-testid="not-a-face" title="X" onClick=${() => void settle("not_a_face")}>
      <${Icon} name="ban" />Not a face
    </button>
    <button class="plain icon-only" aria-label="Clear the selection" onClick=${clear}>
      <${Icon} name="close" />
    </button>
  </div>`;
}

function Summary() {
  const film = project.value;
  if (!film) return null;
  const restore = identities.value.filter((card) => card.state === "restore");
  const bare = restore.filter((card) => !card.close_ups.used && !card.profile).length;
  return html`<p class="quiet summary">
    ${counted(identities.value.length, "person", "people")} in ${duration(film.video.seconds)} of
    film, ${restore.length} to restore${bare ? `, ${bare} of them without close-ups` : ""}.
  </p>`;
}

/** @param {{cards: Card[], before: number, label: string}} props `before`: cards above these */
function Cards({ cards, before, label }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => tellWidth(list.current), []);
  return html`<ul
    class="cards"
    ref=${list}
    aria-label=${label}
    onFocusIn=${(/** @type {FocusEvent} */ event) => {
      const card = event.target instanceof Element ? event.target.closest("li") : null;
      if (card) current.value = Number(card.dataset.identity);
    }}
  >
    ${cards.map(
      (card, place) => html`<${Place}
        key=${card.id}
        place=${before + place}
        card=${card}
        chosen=${chosen.value.has(card.id)}
        choosing=${chosen.value.size > 0}
        current=${current.value === card.id}
        onToggle=${toggle}
        onOpen=${() => go(`people/${card.id}`)}
      />`,
    )}
  </ul>`;
}

export function People() {
  useCardKeys();
  useEffect(() => {
    document.title = `People · ${project.value?.name ?? ""}`;
    setTimeout(soon, FACES_FIRST_MS);
  }, []);
  const cards = shown.value;
  const sure = cards.filter((card) => !card.provisional);
  const blurred = cards.filter((card) => card.provisional);
  if (!cards.some((card) => card.id === current.value)) current.value = cards[0]?.id ?? 0;
  return html`<main class="page" data-testid="people">
    <div class="title-line">
      <h1>People</h1>
      <${Summary} />
    </div>
    <${SuggestionStrip} />
    <${Filters} />
    ${
      cards.length === 0 &&
      html`<div class="empty" data-testid="empty">
      <${Icon} name="person" />
      <h2>${identities.value.length ? "Nobody fits that" : "Nobody was found in this film"}</h2>
      <p>
        ${
          identities.value.length
            ? "Choose Everybody, or search for another name."
            : html`The scan saw no faces large enough to follow.${" "}
                <a href="#/draw">Draw one on a frame</a>, and it is followed from there.`
        }
      </p>
    </div>`
    }
    <${Cards} cards=${sure} before=${0} label="People, the longest on screen first" />
    ${
      blurred.length > 0 &&
      html`<section data-testid="blurred">
        <h2>Only seen blurred</h2>
        <p class="quiet">
          None of their appearances is clear enough to say who they are. Photos of them make them
          people like the others.
        </p>
        <${Cards} cards=${blurred} before=${sure.length} label="People only seen blurred" />
      </section>`
    }
    <${ChosenBar} />
  </main>`;
}
