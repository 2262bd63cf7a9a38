// @ts-check
// A frame of the film with the faces that are known, on which a box can be drawn.

import { html, useRef } from "./lib.js";

/** @typedef {[number, number, number, number]} Box left, top, right, bottom in pixels of the film */

const GRIP_PX = 22; // of the screen, around the corner that resizes
const LEAST_PX = 8; // of the screen: less is a click
const FIRST = 0.25; // of the picture's height: the box that Enter makes

/** @param {Box} box @param {{width: number, height: number}} picture @returns {Box} */
function inside([x0, y0, x1, y1], { width, height }) {
  const [w, h] = [Math.min(width, x1 - x0), Math.min(height, y1 - y0)];
  const [x, y] = [Math.min(Math.max(0, x0), width - w), Math.min(Math.max(0, y0), height - h)];
  return [x, y, x + w, y + h];
}

/**
 * @param {{
 *   src: string,
 *   picture: {width: number, height: number},
 *   known: import("./types.js").KnownFace[],
 *   box: Box | null,
 *   setBox: (box: Box | null) => void,
 * }} props
 */
export function DrawStage({ src, picture, known, box, setBox }) {
  const stage = useRef(/** @type {HTMLDivElement | null} */ (null));
  const drag = useRef(
    /** @type {{what: "new" | "move" | "size", x: number, y: number, box: Box} | null} */ (null),
  );
  const { width, height } = picture;

  /** Where a pointer is on the film, and pixels of the film a pixel of the screen.
   * @param {PointerEvent} event */
  const spot = (event) => {
    const frame = /** @type {HTMLElement} */ (stage.current).getBoundingClientRect();
    const scale = width / frame.width;
    const x = Math.min(width, Math.max(0, (event.clientX - frame.left) * scale));
    const y = Math.min(height, Math.max(0, (event.clientY - frame.top) * scale));
    return { x, y, scale };
  };
  /** @param {PointerEvent} event */
  const onPointerDown = (event) => {
    if (event.button !== 0) return;
    const { x, y, scale } = spot(event);
    const near = (/** @type {number} */ a, /** @type {number} */ b) =>
      Math.abs(a - b) < GRIP_PX * scale;
    const held = box && x > box[0] && x < box[2] && y > box[1] && y < box[3];
    const what = box && near(x, box[2]) && near(y, box[3]) ? "size" : held ? "move" : "new";
    drag.current = { what, x, y, box: box && what !== "new" ? box : [x, y, x, y] };
    /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId);
  };
  /** @param {PointerEvent} event */
  const onPointerMove = (event) => {
    const from = drag.current;
    if (!from) return;
    const { x, y, scale } = spot(event);
    const [x0, y0, x1, y1] = from.box;
    if (from.what === "move") {
      const [dx, dy] = [x - from.x, y - from.y];
      setBox(inside([x0 + dx, y0 + dy, x1 + dx, y1 + dy], picture));
    } else if (Math.hypot(x - from.x, y - from.y) > LEAST_PX * scale || from.what === "size")
      setBox([Math.min(x0, x), Math.min(y0, y), Math.max(x0 + 1, x), Math.max(y0 + 1, y)]);
  };
  const release = () => (drag.current = null);
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (event.target !== stage.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    const side = height * FIRST;
    if (event.key === "Escape" && box) setBox(null);
    else if ((event.key === "Enter" || event.key === " ") && !box)
      setBox([(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2]);
    else if (by && box) {
      const [dx, dy] = [(by[0] ?? 0) * (height / 100), (by[1] ?? 0) * (height / 100)];
      const [x0, y0, x1, y1] = box;
      setBox(
        event.shiftKey
          ? [x0, y0, Math.min(width, Math.max(x0 + 8, x1 + dx)), Math.min(height, Math.max(y0 + 8, y1 + dy))]
          : inside([x0 + dx, y0 + dy, x1 + dx, y1 + dy], picture),
      );
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  /** @param {number[]} edges */
  const at = ([x0 = 0, y0 = 0, x1 = 0, y1 = 0]) => ({
    left: `${(x0 / width) * 100}%`,
    top: `${(y0 / height) * 100}%`,
    width: `${((x1 - x0) / width) * 100}%`,
    height: `${((y1 - y0) / height) * 100}%`,
  });
  return html`<div
    ref=${stage}
    class="draw-stage"
    tabindex="0"
    role="group"
    aria-label="Picture. Enter makes a box; arrows move it, with Shift they change its size; Escape takes it away"
    data-testid="draw-stage"
    style=${{ aspectRatio: `${width} / ${height}`, "--shape": width / height }}
    onPointerDown=${onPointerDown}
    onPointerMove=${onPointerMove}
    onPointerUp=${release}
    onPointerCancel=${release}
    onKeyDown=${onKeyDown}
  >
    <img src=${src} alt="The film at this moment" draggable=${false} data-testid="draw-picture" />
    ${known.map(
      (face) => html`<span
        key=${face.track}
        class="known-face"
        style=${at(face.box)}
        data-testid="known-face"
        data-identity=${face.identity}
      >
        <b>${face.name}</b>
      </span>`,
    )}
    ${
      box &&
      html`<span class="drawn-box" style=${at(box)} data-testid="drawn-box"><i></i></span>`
    }
  </div>`;
}
