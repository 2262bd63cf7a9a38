// @ts-check
// A person's tracks: look through them, pick out those that are somebody else.

import { keepTracks, moveTracks, notAFace, useCloseUps } from "./actions.js";
import { Picture } from "./face.js";
import { Grid } from "./grid.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { html, signal, useEffect, useMemo, useState } from "./lib.js";
import { announce } from "./notes.js";
import { pickPerson } from "./picker.js";
import { go, previewAddress } from "./router.js";
import { clock, counted, duration } from "./words.js";

/** @typedef {import("./types.js").Track} Track */

/** @type {Record<string, {words: string, order: (a: Track, b: Track) => number}>} */
const ORDERS = {
  sharp: { words: "Sharpest", order: (a, b) => b.quality - a.quality },
  odd: {
    words: "Least alike",
    order: (a, b) => (a.similarity ?? 2) - (b.similarity ?? 2),
  },
  time: { words: "In time", order: (a, b) => a.start - b.start },
};

const order = signal("sharp");

/** Cosine below which a track deserves a look, as a word in the grid; no more than a hint. */
const UNLIKE = 0.2;

/**
 * It begins with what the tile shows: who speaks to the machine says what they see.
 * @param {Track} track
 */
function describe(track) {
  const alike = track.similarity === null ? "" : ` ${track.similarity.toFixed(2)} like the others`;
  const size = `${Math.round(track.size)} pixels`;
  return `${clock(track.start)}${alike}, to ${clock(track.end)}, ${size}, track ${track.id}`;
}

/** @param {Track} track */
function tile(track) {
  const odd = track.similarity !== null && track.similarity < UNLIKE && !track.settled;
  return html`<${Picture} src=${track.thumb} />
    <span class="tile-tick" aria-hidden="true"><${Icon} name="check" /></span>
    <span class="tile-words">
      <span>${clock(track.start)}</span>
      ${
        track.similarity !== null &&
        html`<span class=${odd ? "warning" : "quiet"} title="How like the person's other tracks">
        ${track.similarity.toFixed(2)}
      </span>`
      }
    </span>`;
}

/** @param {{person: import("./types.js").Person}} props */
export function Tracks({ person }) {
  const [chosen, setChosen] = useState(/** @type {Set<number>} */ (new Set()));
  const id = person.identity.id;
  useEffect(() => setChosen(new Set()), [id]);
  const sort = ORDERS[order.value] ?? ORDERS.sharp;
  const items = useMemo(
    () => [...person.tracks].sort(/** @type {any} */ (sort).order),
    [person.tracks, sort],
  );
  const ids = items.map((track) => track.id).filter((one) => chosen.has(one));
  const closeUps = person.references.filter((one) => chosen.has(one.track));

  /** @param {Set<number>} next */
  const choose = (next) => {
    setChosen(next);
    if (next.size !== chosen.size) announce(`${counted(next.size, "track")} selected`);
  };
  /** @param {Promise<unknown>} done */
  const after = async (done) => {
    if (await done) setChosen(new Set());
  };
  const acts = {
    move: async () => {
      if (!ids.length) return;
      const title = `Move ${counted(ids.length, "track")} to`;
      const to = await pickPerson(title, id);
      if (to !== null) await after(moveTracks(ids, to));
    },
    fresh: () => ids.length && after(moveTracks(ids, "new")),
    ban: () => ids.length && after(notAFace(ids)),
    keep: () => ids.length && after(keepTracks(ids)),
    use: () => {
      const off = closeUps.filter((one) => !one.used).map((one) => one.id);
      if (off.length) void useCloseUps(off, true);
    },
    drop: () => {
      const on = closeUps.filter((one) => one.used).map((one) => one.id);
      if (on.length) void useCloseUps(on, false);
    },
    /** @param {Track | undefined} track */
    preview: (track) => track && go(previewAddress((track.start + track.end) / 2, id)),
  };
  const firstChosen = items.find((track) => chosen.has(track.id));
  useKeys({
    v: () => void acts.move(),
    s: () => void acts.fresh(),
    x: () => void acts.ban(),
    k: () => void acts.keep(),
    u: acts.use,
    d: acts.drop,
    p: () => acts.preview(firstChosen ?? items[0]),
    "ctrl+a": () => choose(new Set(items.map((track) => track.id))),
    escape: () => setChosen(new Set()),
  });

  return html`<section class="tracks" aria-label="Tracks">
    <div class="section-line">
      <h2>Tracks <span class="count">${items.length.toLocaleString("en")}</span></h2>
      <div class="segments" role="radiogroup" aria-label="Order">
        ${Object.entries(ORDERS).map(
          ([key, { words }]) => html`<button
            key=${key}
            role="radio"
            aria-checked=${order.value === key}
            data-testid=${`order-${key}`}
            onClick=${() => (order.value = key)}
          >
            ${words}
          </button>`,
        )}
      </div>
      <button
        class="plain"
        data-testid="select-all"
        onClick=${() => choose(new Set(items.map((track) => track.id)))}
      >
        Select all
      </button>
    </div>
    <${Grid}
      items=${items}
      chosen=${chosen}
      onChosen=${choose}
      onOpen=${acts.preview}
      tile=${tile}
      described=${describe}
      label=${`Tracks of ${person.identity.name}`}
    />
    ${
      ids.length > 0 &&
      html`<${ChosenTracks}
      tracks=${items.filter((track) => chosen.has(track.id))}
      closeUps=${closeUps}
      acts=${acts}
      all=${ids.length === items.length}
      clear=${() => setChosen(new Set())}
    />`
    }
  </section>`;
}

/** @param {{tracks: Track[], closeUps: import("./types.js").CloseUp[], acts: any, all: boolean,
 *   clear: () => void}} props */
function ChosenTracks({ tracks, closeUps, acts, all, clear }) {
  const used = closeUps.filter((one) => one.used).length;
  const seconds = tracks.reduce((sum, track) => sum + track.seconds, 0);
  return html`<div class="actions" role="toolbar" aria-label="For the selected tracks">
    <strong data-testid="selected-count">
      ${counted(tracks.length, "track")} <small class="quiet">${duration(seconds)}</small>
    </strong>
    <button class="main" data-testid="move" title="V" onClick=${acts.move}>
      <${Icon} name="move" />Move to…
    </button>
    <button data-testid="new-person" title="S" disabled=${all} onClick=${acts.fresh}>
      <${Icon} name="split" />New person
    </button>
    <button data-testid="not-a-face" title="X" onClick=${acts.ban}>
      <${Icon} name="ban" />Not a face
    </button>
    <button data-testid="keep" title="K" onClick=${acts.keep}>
      <${Icon} name="keep" />Keep
    </button>
    ${
      closeUps.length > 0 &&
      html`<button
      data-testid=${used ? "drop-close-ups" : "use-close-ups"}
      title=${used ? "D" : "U"}
      onClick=${used ? acts.drop : acts.use}
    >
      <${Icon} name="eye" />${used ? "Don't use as close-ups" : "Use as close-ups"}
    </button>`
    }
    <button data-testid="preview-track" title="P" onClick=${() => acts.preview(tracks[0])}>
      <${Icon} name="film" />Preview
    </button>
    <button class="plain icon-only" aria-label="Clear the selection" onClick=${clear}>
      <${Icon} name="close" />
    </button>
  </div>`;
}
