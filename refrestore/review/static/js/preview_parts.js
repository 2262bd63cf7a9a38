// @ts-check
// What is above the preview's picture, and beside it.

import { Icon } from "./icons.js";
import { html } from "./lib.js";
import { drawAddress } from "./router.js";
import { byId } from "./store.js";
import { Strength } from "./strength.js";
import { clock, counted } from "./words.js";

/** @typedef {import("./compare.js").View} View */
/** @typedef {import("./types.js").FaceBox} FaceBox */
/** @typedef {import("./types.js").StillResult} StillResult */
/** @typedef {import("./types.js").LoopResult} LoopResult */

/** @param {{view: View, setView: (view: View) => void, oneToOne: () => void}} props */
export function ZoomBar({ view, setView, oneToOne }) {
  const other = view.zoom !== "fit" && view.zoom !== 1;
  return html`<div class="segments" role="radiogroup" aria-label="Size">
    <button
      role="radio"
      aria-checked=${view.zoom === "fit"}
      data-testid="fit"
      title="F"
      onClick=${() => setView({ zoom: "fit", x: 0, y: 0 })}
    >
      Fit
    </button>
    <button
      role="radio"
      aria-checked=${view.zoom === 1}
      data-testid="one-to-one"
      title="O"
      onClick=${oneToOne}
    >
      100 %
    </button>
    ${
      other &&
      html`<button role="radio" aria-checked="true">${Math.round(Number(view.zoom) * 100)} %</button>`
    }
  </div>`;
}

/** @param {{loop: LoopResult | null, player: ReturnType<typeof import("./loop.js").useLoop>,
 *   askLoop: () => void, dropLoop: () => void, busy: string}} props */
export function LoopBar({ loop, player, askLoop, dropLoop, busy }) {
  if (!loop)
    return html`<button data-testid="loop" title="L" disabled=${Boolean(busy)} onClick=${askLoop}>
      <${Icon} name="play" />Two-second loop
    </button>`;
  return html`<div class="row" data-testid="loop-bar">
    <button
      class="icon-only"
      aria-label=${player.playing ? "Pause" : "Play"}
      onClick=${() => player.setPlaying(!player.playing)}
    >
      <${Icon} name=${player.playing ? "pause" : "play"} />
    </button>
    <label class="check">
      <input type="checkbox" checked=${player.slow} onChange=${() => player.setSlow(!player.slow)} />
      Slow
    </label>
    <button onClick=${dropLoop}>Still</button>
  </div>`;
}

/** @param {{still: StillResult | null, at: number, person: number | null,
 *   jump: (face: FaceBox) => void}} props */
export function Faces({ still, at, person, jump }) {
  const asked = (/** @type {FaceBox} */ face) => Number(face.identity === person);
  const boxes = [...(still?.boxes ?? [])].sort((a, b) => asked(b) - asked(a));
  return html`<aside class="preview-faces" aria-label="Faces of this moment">
    <h2>Faces <span class="count">${still ? boxes.length : ""}</span></h2>
    ${still && !boxes.length && html`<p class="quiet">Nobody is on screen here.</p>`}
    <ul>
      ${boxes.map((face) => {
        const card = face.identity === null ? undefined : byId.value.get(face.identity);
        return html`<li key=${`${face.identity} ${face.box}`}>
          <button class="plain jump" data-testid="face-jump" onClick=${() => jump(face)}>
            <${Crop} face=${face} still=${still} />
            <span>
              ${card?.name ?? face.name}
              <small class="quiet">${Math.round(face.box[2] - face.box[0])} px</small>
            </span>
          </button>
          ${
            card &&
            card.state === "restore" &&
            html`<${Strength} id=${card.id} name=${card.name} strength=${card.strength} />`
          }
          ${
            face.reason &&
            html`<p class="quiet" data-testid="left-alone">Left alone: ${face.reason}</p>`
          }
          ${
            card &&
            card.state === "restore" &&
            !card.close_ups.used &&
            !card.profile &&
            html`<p class="quiet">No close-ups: hardly touched.</p>`
          }
        </li>`;
      })}
    </ul>
    <p>
      <a href=${`#/${drawAddress(at)}`} data-testid="draw-here">Draw a face that is missing</a>
    </p>
    ${
      still &&
      html`<p class="quiet">
      ${counted(still.faces, "face")} restored at ${clock(still.time)}. A strength takes effect in
      the render too.
    </p>`
    }
  </aside>`;
}

const CROP_PX = 56;

/**
 * The face cut out of the restored picture.
 * @param {{face: FaceBox, still: StillResult | null}} props
 */
function Crop({ face: { box }, still }) {
  if (!still) return null;
  const [x0, y0, x1, y1] = box;
  const side = Math.max(x1 - x0, y1 - y0) * 1.3;
  const [left, top] = [side / 2 - (x0 + x1) / 2, side / 2 - (y0 + y1) / 2];
  const scale = CROP_PX / Math.max(1, side);
  return html`<span class="picture crop" aria-hidden="true">
    <img
      src=${still.after}
      alt=""
      draggable=${false}
      style=${{
        width: `${still.width}px`,
        height: `${still.height}px`,
        transform: `scale(${scale}) translate(${left}px, ${top}px)`,
      }}
    />
  </span>`;
}
