// @ts-check
// The whole film, a row a person.

import { sized } from "./api.js";
import { Axis, Bars, filmRange } from "./bars.js";
import { Picture } from "./face.js";
import { html, useEffect, useState } from "./lib.js";
import { go, previewAddress } from "./router.js";
import { identities, project } from "./store.js";
import { counted, duration } from "./words.js";

const ZOOMS = [1, 2, 4, 8, 16, 32];

/** @param {import("./types.js").Card} card */
function tone(card) {
  if (card.state !== "restore") return "idle";
  return card.close_ups.used || card.profile ? "" : "bare";
}

export function TimelineView() {
  const [zoom, setZoom] = useState(1);
  const [all, setAll] = useState(false);
  useEffect(() => {
    document.title = `Timeline · ${project.value?.name ?? ""}`;
  }, []);
  const people = identities.value.filter((card) => all || card.state !== "not_a_face");
  const hidden = identities.value.length - people.length;
  const [from, to] = filmRange();
  const shots = (project.value?.shots.filter((cut) => cut > from).length ?? 0) + 1;
  return html`<main class="page" data-testid="timeline">
    <div class="title-line">
      <h1>Timeline</h1>
      <p class="quiet summary">
        ${duration(to - from)}, ${counted(shots, "shot")}. Press a bar to preview that moment. Somebody
        is missing? <a href="#/draw">Draw a face</a>.
      </p>
      <label class="zoom">
        <span>Zoom</span>
        <input
          type="range"
          min="0"
          max=${ZOOMS.length - 1}
          value=${ZOOMS.indexOf(zoom)}
          aria-valuetext=${`${zoom} times`}
          onInput=${(/** @type {any} */ event) => setZoom(ZOOMS[Number(event.target.value)] ?? 1)}
        />
      </label>
    </div>
    <ul class="legend quiet" aria-label="Colours">
      <li><i class="swatch"></i>restored from close-ups</li>
      <li><i class="swatch bare"></i>no close-ups, hardly touched</li>
      <li><i class="swatch idle"></i>left alone</li>
    </ul>
    <div class="timeline-scroll">
      <div class="timeline" style=${{ width: `${zoom * 100}%` }}>
        <div class="timeline-row head"><span class="who"></span><${Axis} /></div>
        ${people.map(
          (card) => html`<div class="timeline-row" key=${card.id} data-testid="timeline-row">
            <a class="who" href=${`#/people/${card.id}`}>
              <${Picture} src=${sized(card.cover, 112)} />
              <span>${card.name}<small class="quiet">${duration(card.seconds)}</small></span>
            </a>
            <${Bars}
              spans=${card.appearances}
              tone=${tone(card)}
              label=${`${card.name}: ${counted(card.appearances.length, "appearance")}; Enter previews`}
              onPick=${(/** @type {number} */ at) => go(previewAddress(at, card.id))}
            />
          </div>`,
        )}
      </div>
    </div>
    ${
      (hidden > 0 || all) &&
      html`<label class="check">
      <input type="checkbox" checked=${all} onChange=${() => setAll(!all)} />
      Show what is not a face too
    </label>`
    }
  </main>`;
}
