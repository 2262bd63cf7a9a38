// @ts-check
// One moment of the film as the render will make it.

import { Bars, filmRange, middle } from "./bars.js";
import { Compare } from "./compare.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { html, useEffect, useMemo, useRef, useState } from "./lib.js";
import { useLoop } from "./loop.js";
import { usePreview } from "./preview_jobs.js";
import { Faces, LoopBar, ZoomBar } from "./preview_parts.js";
import { previewAddress, route, settle } from "./router.js";
import { byId, identities, project } from "./store.js";
import { TimeField } from "./time_field.js";

/** @typedef {import("./compare.js").View} View */

const LOOP_SECONDS = 2;
const SETTLED_MS = 350;

/** @type {Record<import("./compare.js").Show, string>} */
const SHOWS = { both: "Both", before: "Before", after: "After", beside: "Side by side" };

/** What to ask for: from the address, or else the middle of the first person to be restored. */
function useMoment() {
  const { query } = route.value;
  const person = query.has("person") ? Number(query.get("person")) : null;
  const asked = query.get("at");
  const first = identities.value.find((card) => card.state === "restore") ?? identities.value[0];
  const card = person === null ? first : byId.value.get(person);
  const at = asked === null ? (card ? middle(card) : filmRange()[0]) : Number(asked);
  return { at: Number.isFinite(at) ? at : 0, person };
}

/** What the pictures depend on besides the moment; undo and other windows change it too. */
const recipeNow = () =>
  identities.value
    .map((card) => [card.id, card.state, card.strength, card.profile?.name, card.close_ups.used])
    .join(";");

export function Preview() {
  const { at, person } = useMoment();
  const film = project.value;
  const fps = film?.video.fps || 25;
  const card = person === null ? undefined : byId.value.get(person);
  const { still, loop, busy, error, want, stop, dropLoop } = usePreview();
  const [view, setView] = useState(/** @type {View} */ ({ zoom: "fit", x: 0, y: 0 }));
  const [show, setShow] = useState(/** @type {import("./compare.js").Show} */ ("both"));
  const player = useLoop(loop?.after ?? "", fps);
  const picture = loop ??
    still ?? { width: film?.video.width ?? 16, height: film?.video.height ?? 9 };
  const timer = useRef(0);
  const found = film?.video.found ?? false;
  const moment = `${at} ${person}`;
  const asked = useRef(moment);

  useEffect(() => {
    document.title = `Preview · ${film?.name ?? ""}`;
    if (!found) return undefined;
    clearTimeout(timer.current);
    const seconds = loop && asked.current === moment ? LOOP_SECONDS : 0;
    asked.current = moment;
    timer.current = setTimeout(() => void want(at, person, seconds), still ? SETTLED_MS : 0);
    return () => clearTimeout(timer.current);
  }, [moment, found, recipeNow()]);

  /** @param {number} to */
  const goTo = (to) => {
    const [from, end] = filmRange();
    settle(previewAddress(Math.min(end, Math.max(from, to)), person));
  };
  const askLoop = () => void want(at, person, LOOP_SECONDS);
  /** @param {number} by */
  const step = (by) => (loop ? player.step(by) : goTo(at + by / fps));
  /** @param {number} factor */
  const nearer = (factor) =>
    setView((old) => {
      const from = old.zoom === "fit" ? 1 : old.zoom * factor;
      const middleOf = old.zoom === "fit" ? { x: picture.width / 2, y: picture.height / 2 } : old;
      return from < 0.2
        ? { ...old, zoom: "fit" }
        : { zoom: Math.min(8, from), x: middleOf.x, y: middleOf.y };
    });
  const oneToOne = () => {
    const face = still?.boxes.find((one) => one.identity === person) ?? still?.boxes[0];
    const [x0, y0, x1, y1] = face?.box ?? [0, 0, picture.width, picture.height];
    setView({ zoom: 1, x: (x0 + x1) / 2, y: (y0 + y1) / 2 });
  };
  /** @param {import("./types.js").FaceBox} face */
  const jump = ({ box: [x0, y0, x1, y1] }) => {
    const zoom =
      Math.min(4, Math.max(1, (innerHeight * 0.3) / Math.max(1, y1 - y0))) * devicePixelRatio;
    setView({ zoom, x: (x0 + x1) / 2, y: (y0 + y1) / 2 });
  };
  const turn = () => setShow(show === "both" ? "before" : show === "before" ? "after" : "both");
  useKeys({
    f: () => setView({ zoom: "fit", x: 0, y: 0 }),
    o: oneToOne,
    "+": () => nearer(1.25),
    "=": () => nearer(1.25),
    "-": () => nearer(0.8),
    b: turn,
    ",": () => step(-1),
    ".": () => step(1),
    l: () => (loop ? dropLoop() : askLoop()),
    space: () => loop && player.setPlaying(!player.playing),
    escape: stop,
  });
  const waiting = Boolean(busy) && !loop && !(still && Math.abs(still.time - at) <= 1 / fps);
  const filmed = film && found ? `api/pictures/${film.scan.id}/moment.jpg?at=${at}` : "";
  const layer = useMemo(
    () => (/** @type {"before" | "after"} */ side) =>
      loop
        ? html`<video
            key=${loop[side]}
            ref=${player.ref(side)}
            src=${loop[side]}
            muted
            playsinline
            preload="auto"
            aria-label=${side === "before" ? "Before" : "After"}
          ></video>`
        : !still || waiting
        ? filmed &&
          html`<img
            key="filmed"
            src=${filmed}
            alt="As filmed; being restored"
            draggable=${false}
            data-testid="preview-filmed"
          />`
        : html`<img
            key=${side}
            src=${still[side]}
            alt=${side === "before" ? "As filmed" : "Restored"}
            draggable=${false}
            data-testid=${`preview-${side}`}
          />`,
    [loop, still, waiting, filmed],
  );
  return html`<main class="page preview" data-testid="preview">
    <div class="title-line">
      <h1>Preview</h1>
      ${
        card &&
        html`<p class="summary">
        <a href=${`#/people/${card.id}`}>${card.name}</a>
        <button class="plain" onClick=${() => settle(previewAddress(at))}>Anybody</button>
      </p>`
      }
      <span class="spring"></span>
      <${TimeField} label="Moment" name="moment" testid="moment" value=${at} set=${goTo} />
    </div>
    ${
      !found
        ? html`<div class="empty" data-testid="empty">
          <${Icon} name="film" />
          <h2>The film is not where it was</h2>
          <p>${film?.video.sentence ?? "Previews and renders need it."}</p>
        </div>`
        : html`<div class="preview-body">
          <div class="preview-main">
            <div class="stage-bar">
              <div class="segments" role="radiogroup" aria-label="What to show">
                ${Object.entries(SHOWS).map(
                  ([key, words]) => html`<button
                    key=${key}
                    role="radio"
                    aria-checked=${show === key}
                    data-testid=${`show-${key}`}
                    onClick=${() => setShow(/** @type {any} */ (key))}
                  >
                    ${words}
                  </button>`,
                )}
              </div>
              <${ZoomBar} view=${view} setView=${setView} oneToOne=${oneToOne} />
              <span class="spring"></span>
              <${LoopBar}
                loop=${loop}
                player=${player}
                askLoop=${askLoop}
                dropLoop=${dropLoop}
                busy=${busy}
              />
            </div>
            <${Compare}
              picture=${picture}
              view=${view}
              onView=${setView}
              show=${show}
              layer=${layer}
              busy=${busy}
              ready=${Boolean(loop ?? still)}
            />
            ${error && html`<p class="warning" role="alert" data-testid="preview-error">${error}</p>`}
            <div class="scrub">
              <button
                class="plain icon-only"
                aria-label="A frame back"
                title=","
                onClick=${() => step(-1)}
              >
                <${Icon} name="back" />
              </button>
              <${Bars}
                spans=${card?.appearances ?? []}
                at=${at}
                live=${true}
                label="Moment of the film"
                testid="scrub"
                onPick=${goTo}
              />
              <button
                class="plain icon-only"
                aria-label="A frame on"
                title="."
                onClick=${() => step(1)}
              >
                <${Icon} name="forward" />
              </button>
            </div>
          </div>
          <${Faces}
            still=${still}
            at=${at}
            person=${person}
            jump=${jump}
          />
        </div>`
    }
  </main>`;
}
