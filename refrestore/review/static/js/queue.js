// @ts-check
// The films of a queue: how far each is, and the way into its review.

import { Refusal, get, post } from "./api.js";
import { Icon } from "./icons.js";
import { html, render, signal } from "./lib.js";
import { counted, percent } from "./words.js";

/** @typedef {import("./types.js").QueuedFilm} Film */

const EVERY_MS = 1000;

/** @type {Record<Film["state"], string>} */
const WORDS = {
  waiting: "To be scanned",
  scanning: "Scanning",
  review: "Waits for your review",
  ready: "To be rendered",
  rendering: "Rendering",
  done: "Done",
  failed: "Failed",
};

/** @type {Film["state"][]} */
const ORDER = ["review", "failed", "rendering", "scanning", "ready", "waiting", "done"];

/** @type {import("../vendor/signals.js").Signal<import("./types.js").Queue | null>} */
const queue = signal(null);
const sentence = signal("");
/** @type {import("../vendor/signals.js").Signal<Film["state"] | null>} */
const chosen = signal(null);

async function look() {
  try {
    queue.value = await get(chosen.value ? `queue?state=${chosen.value}` : "queue");
    sentence.value = "";
    document.title = `Films · ${queue.value?.name}`;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    sentence.value = error.message;
  }
}

async function poll() {
  if (!document.hidden) await look();
  setTimeout(poll, EVERY_MS);
}

/** @param {"confirm" | "retry"} what @param {number} film */
async function turn(what, film) {
  try {
    await post(`queue/${what}`, { film });
    await look();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    sentence.value = error.message;
  }
}

/** @param {{film: Film}} props */
function Progress({ film }) {
  if (film.stage === null) return null;
  const share = film.total ? Math.min(1, film.done / film.total) : 0;
  return html`<div
      class="bar"
      role="progressbar"
      aria-label=${film.name}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${Math.round(share * 100)}
    >
      <i style=${{ width: `${share * 100}%` }}></i>
    </div>
    <small class="count">
      ${film.stage} ${film.done}${film.total ? ` of ${film.total} · ${percent(share)}` : ""}
    </small>`;
}

/** @param {{film: Film}} props */
function Line({ film }) {
  const people = film.people.join(", ") + (film.more_people ? ` and ${film.more_people} more` : "");
  return html`<li data-testid="film" data-film=${film.film} data-state=${film.state}>
    <div>
      <strong>${film.name}</strong>
      <div class=${film.state === "failed" ? "warning" : "quiet"}>${WORDS[film.state]}</div>
    </div>
    <div>
      ${film.sentence && html`<p class="warning">${film.sentence}</p>`}
      ${!film.sentence && people && html`<p class="quiet">${people}</p>`}
      <${Progress} film=${film} />
    </div>
    <div class="row">
      ${
        film.scanned &&
        html`<a data-testid="open" href=${`films/${film.film}/`}>
        ${film.state === "review" ? "Review" : "Look at it"}
      </a>`
      }
      ${
        film.state === "review" &&
        html`<button data-testid="confirm" onClick=${() => void turn("confirm", film.film)}>
        <${Icon} name="check" />Render it
      </button>`
      }
      ${
        film.state === "failed" &&
        html`<button data-testid="retry" onClick=${() => void turn("retry", film.film)}>
        Try again
      </button>`
      }
    </div>
  </li>`;
}

/** @param {Film["state"] | null} state */
function choose(state) {
  chosen.value = state;
  void look();
}

/** @param {{counts: import("./types.js").Queue["counts"], all: number}} props */
function States({ counts, all }) {
  return html`<div class="segments" role="radiogroup" aria-label="Show">
    <button
      role="radio"
      aria-checked=${chosen.value === null}
      onClick=${() => choose(null)}
    >
      All <span class="count">${all}</span>
    </button>
    ${ORDER.map((state) => {
      const count = counts[state] ?? 0;
      return (
        count > 0 &&
        html`<button
        key=${state}
        role="radio"
        aria-checked=${chosen.value === state}
        data-testid=${`state-${state}`}
        onClick=${() => choose(state)}
      >
        ${WORDS[state]} <span class="count">${count}</span>
      </button>`
      );
    })}
  </div>`;
}

function App() {
  const films = queue.value?.films ?? [];
  const counts = queue.value?.counts ?? {};
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const wanted = chosen.value === null ? all : (counts[chosen.value] ?? 0);
  return html`<main class="page" data-testid="queue" aria-busy=${queue.value === null}>
    <div class="title-line">
      <h1>Films</h1>
      <p class="quiet summary">${queue.value && counted(all, "film")}</p>
    </div>
    ${sentence.value && html`<p class="warning" role="alert" data-testid="sentence">${sentence.value}</p>`}
    <div class="filters"><${States} counts=${counts} all=${all} /></div>
    <ul class="films">
      ${films.map((film) => html`<${Line} key=${film.film} film=${film} />`)}
    </ul>
    ${
      wanted > films.length &&
      html`<p class="quiet">And ${counted(wanted - films.length, "film")} more.</p>`
    }
  </main>`;
}

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
void poll();
