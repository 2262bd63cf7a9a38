// @ts-check
// Before and after in one place, divided by a line that can be moved; near and far, panned.

import { Icon } from "./icons.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";
import { percent } from "./words.js";

/** @typedef {{zoom: number | "fit", x: number, y: number}} View a zoom of 1 is a pixel of the screen
 *   a pixel of the picture, whose x and y lie in the middle */
/** @typedef {"both" | "before" | "after" | "beside"} Show */
/** @typedef {{width: number, height: number}} Size */

const NEAREST = 8;

/** @param {Size} stage @param {Size} picture */
function fitZoom(stage, picture) {
  return Math.min(stage.width / picture.width, stage.height / picture.height) || 1;
}

/**
 * Where the picture lies on the stage: never so that it leaves an edge open that it could fill.
 * @param {View} view
 * @param {Size} stage
 * @param {Size} picture
 * @param {number} ratio screen pixels a CSS pixel
 */
export function place(view, stage, picture, ratio) {
  const fit = fitZoom(stage, picture);
  const scale = view.zoom === "fit" ? fit : view.zoom / ratio;
  /** Between two screen pixels the picture would be blurred. @param {number} edge */
  const whole = (edge) => Math.round(edge * ratio) / ratio;
  /** @param {number} at @param {number} room @param {number} size */
  const along = (at, room, size) =>
    whole(
      size * scale <= room
        ? (room - size * scale) / 2
        : Math.min(0, Math.max(room - size * scale, room / 2 - at * scale)),
    );
  return {
    scale,
    left: along(view.zoom === "fit" ? picture.width / 2 : view.x, stage.width, picture.width),
    top: along(view.zoom === "fit" ? picture.height / 2 : view.y, stage.height, picture.height),
  };
}

/** @param {{current: HTMLElement | null}} box @returns {Size} */
function useSize(box) {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const update = () => setSize({ width: element.clientWidth, height: element.clientHeight });
    update();
    const observer = new ResizeObserver(update);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return size;
}

/**
 * @param {{
 *   picture: Size,
 *   view: View,
 *   onView: (view: View) => void,
 *   show: Show,
 *   layer: (side: "before" | "after") => unknown,
 *   busy: string,
 *   ready: boolean,
 * }} props `layer` draws one side, as large as the picture
 */
export function Compare({ picture, view, onView, show, layer, busy, ready }) {
  const stage = useRef(/** @type {HTMLDivElement | null} */ (null));
  const room = useSize(stage);
  const [split, setSplit] = useState(0.5);
  const beside = show === "beside";
  const half = beside ? { width: room.width / 2 - 1, height: room.height } : room;
  const lying = place(view, half, picture, devicePixelRatio);
  const pannable =
    lying.scale * picture.width > half.width + 1 || lying.scale * picture.height > half.height + 1;
  const drag = useRef(
    /** @type {{what: "line" | "pan", x: number, y: number, view: View} | null} */ (null),
  );

  /** What is in the middle now, also where the view is fitted. @returns {View} */
  const here = () => ({
    zoom: lying.scale * devicePixelRatio,
    x: (half.width / 2 - lying.left) / lying.scale,
    y: (half.height / 2 - lying.top) / lying.scale,
  });
  /** @param {PointerEvent} event */
  const onPointerDown = (event) => {
    if (event.button !== 0 || !stage.current) return;
    const frame = stage.current.getBoundingClientRect();
    const near = Math.abs(event.clientX - frame.left - split * room.width) < 24;
    const line = show === "both" && (near || !pannable);
    drag.current = {
      what: line ? "line" : "pan",
      x: event.clientX,
      y: event.clientY,
      view: here(),
    };
    stage.current.setPointerCapture(event.pointerId);
    if (line) onPointerMove(event);
  };
  /** @param {PointerEvent} event */
  const onPointerMove = (event) => {
    const now = drag.current;
    if (!now || !stage.current) return;
    const frame = stage.current.getBoundingClientRect();
    if (now.what === "line")
      setSplit(Math.min(1, Math.max(0, (event.clientX - frame.left) / frame.width)));
    else if (pannable)
      onView({
        zoom: now.view.zoom,
        x: now.view.x - (event.clientX - now.x) / lying.scale,
        y: now.view.y - (event.clientY - now.y) / lying.scale,
      });
  };
  /** @param {KeyboardEvent} event */
  const onStageKey = (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (!by || !pannable || event.target !== stage.current) return;
    const step = 40 / lying.scale;
    const from = here();
    onView({ ...from, x: from.x + (by[0] ?? 0) * step, y: from.y + (by[1] ?? 0) * step });
    event.preventDefault();
  };
  /** @param {KeyboardEvent} event */
  const onLineKey = (event) => {
    const by = event.shiftKey ? 0.1 : 0.02;
    const next = { ArrowLeft: split - by, ArrowRight: split + by, Home: 0, End: 1 }[event.key];
    if (next === undefined) return;
    setSplit(Math.min(1, Math.max(0, next)));
    event.preventDefault();
  };
  useEffect(() => {
    const element = stage.current;
    if (!element) return undefined;
    /** @param {WheelEvent} event */
    const onWheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const from = here();
      const zoom = Number(from.zoom) * 1.0015 ** -event.deltaY;
      onView(
        zoom <= fitZoom(half, picture) * devicePixelRatio
          ? { ...from, zoom: "fit" }
          : { ...from, zoom: Math.min(NEAREST, zoom) },
      );
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  });

  const sheet = {
    width: `${picture.width}px`,
    height: `${picture.height}px`,
    transform: `translate(${lying.left}px, ${lying.top}px) scale(${lying.scale})`,
  };
  /** @param {"before" | "after"} side */
  const shown = (side) => beside || show === "both" || show === side;
  const names = ["stage", beside && "beside", pannable && "pannable", lying.scale >= 6 && "coarse"];
  const clip = show === "both" ? `inset(0 ${(1 - split) * 100}% 0 0)` : "none";
  return html`<div
    ref=${stage}
    class=${names.filter(Boolean).join(" ")}
    tabindex="0"
    role="group"
    aria-label="Picture; arrows pan it when it is larger than its place"
    aria-busy=${Boolean(busy)}
    data-testid="stage"
    style=${{ aspectRatio: `${picture.width * (beside ? 2 : 1)} / ${picture.height}` }}
    onPointerDown=${onPointerDown}
    onPointerMove=${onPointerMove}
    onPointerUp=${() => (drag.current = null)}
    onPointerCancel=${() => (drag.current = null)}
    onKeyDown=${onStageKey}
    onDblClick=${() => onView({ ...here(), zoom: view.zoom === "fit" ? 1 : "fit" })}
  >
    <div class="layer after" hidden=${!shown("after")}>
      <div class="sheet" style=${sheet}>${layer("after")}</div>
      <span class="side-name">After</span>
    </div>
    <div class="layer before" hidden=${!shown("before")} style=${{ clipPath: clip }}>
      <div class="sheet" style=${sheet}>${layer("before")}</div>
      <span class="side-name">Before</span>
    </div>
    ${
      show === "both" &&
      ready &&
      html`<div
      class="divider"
      role="slider"
      tabindex="0"
      aria-label="Before and after"
      aria-orientation="horizontal"
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${Math.round(split * 100)}
      aria-valuetext=${`${percent(split)} before, ${percent(1 - split)} after`}
      data-testid="preview-slider"
      style=${{ left: `${split * 100}%` }}
      onKeyDown=${onLineKey}
    >
      <span class="grip"><${Icon} name="split" /></span>
    </div>`
    }
    ${busy && html`<div class="busy" role="status" data-testid="preview-busy">${busy}</div>`}
  </div>`;
}
