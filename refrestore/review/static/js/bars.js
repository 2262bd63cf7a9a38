// @ts-check
// Who is on screen when, as a bar of the film on which a moment can be chosen.

import { html, useMemo, useRef, useState } from "./lib.js";
import { project } from "./store.js";
import { clock } from "./words.js";

/** @typedef {[number, number]} Span seconds */

/**
 * One path for all spans: a long film has thousands, and they need not be elements.
 * @param {Span[]} spans
 * @param {number} least seconds that can still be seen
 */
function outline(spans, least) {
  return spans
    .map(
      ([start, end]) =>
        `M${start.toFixed(3)} 0H${Math.max(end, start + least).toFixed(3)}V1H${start.toFixed(3)}Z`,
    )
    .join("");
}

/**
 * The film's moment under a place on screen.
 * @param {MouseEvent} event
 * @param {Span} range
 */
function momentAt(event, [from, to]) {
  const frame = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
  const share = (event.clientX - frame.left) / frame.width;
  return from + Math.min(1, Math.max(0, share)) * (to - from);
}

/** The middle of the longest appearance. @param {import("./types.js").Card} card */
export function middle(card) {
  const longest = [...card.appearances].sort((a, b) => b[1] - b[0] - (a[1] - a[0]))[0];
  return longest ? (longest[0] + longest[1]) / 2 : 0;
}

/** @returns {Span} */
export function filmRange() {
  return project.value?.range ?? [0, 1];
}

/**
 * @param {{
 *   spans: Span[],
 *   label: string,
 *   at?: number | null,
 *   cuts?: boolean,
 *   tone?: string,
 *   onPick: (seconds: number) => void,
 *   live?: boolean,
 *   testid?: string,
 * }} props `live` picks at every step of the arrow keys too, not only at Enter
 */
export function Bars(props) {
  const { spans, label, at = null, cuts = true, tone = "", onPick, live = false, testid } = props;
  const range = filmRange();
  const [from, to] = range;
  const length = Math.max(to - from, 1e-3);
  const film = project.value;
  const [hover, setHover] = useState(/** @type {number | null} */ (null));
  const [cursor, setCursor] = useState(/** @type {number | null} */ (null));
  const dragging = useRef(false);
  const now = live ? (at ?? from) : (cursor ?? at ?? spans[0]?.[0] ?? from);
  const path = useMemo(() => outline(spans, length / 1500), [spans, length]);
  const lines = useMemo(
    () => (film?.shots ?? []).map((cut) => `M${cut.toFixed(3)} 0V1`).join(""),
    [film?.shots],
  );
  const share = (/** @type {number} */ seconds) =>
    `${(((seconds - from) / length) * 100).toFixed(4)}%`;

  /** @param {number} seconds */
  const step = (seconds) => {
    const next = Math.min(to, Math.max(from, seconds));
    if (live) onPick(next);
    else setCursor(next);
  };
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const frame = 1 / (film?.video.fps || 25);
    const by = event.shiftKey ? 1 : event.ctrlKey || event.metaKey ? 0 : frame;
    if (event.key === "ArrowRight") step(by ? now + by : after(spans, now));
    else if (event.key === "ArrowLeft") step(by ? now - by : before(spans, now));
    else if (event.key === "PageDown") step(after(spans, now));
    else if (event.key === "PageUp") step(before(spans, now));
    else if (event.key === "Home") step(from);
    else if (event.key === "End") step(to);
    else if (event.key === "Enter") onPick(now);
    else return;
    event.preventDefault();
  };
  const on = spans.some(([start, end]) => now >= start && now <= end);
  return html`<div
    class=${`bars ${tone}`}
    role="slider"
    tabindex="0"
    aria-label=${label}
    aria-valuemin=${from}
    aria-valuemax=${to}
    aria-valuenow=${Number(now.toFixed(3))}
    aria-valuetext=${`${clock(now)}${spans.length && !on ? ", not on screen" : ""}`}
    data-testid=${testid}
    onKeyDown=${onKeyDown}
    onPointerDown=${(/** @type {PointerEvent} */ event) => {
      if (event.button !== 0) return;
      if (live) {
        dragging.current = true;
        /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId);
        onPick(momentAt(event, range));
      }
    }}
    onPointerMove=${(/** @type {PointerEvent} */ event) => {
      setHover(momentAt(event, range));
      if (dragging.current) onPick(momentAt(event, range));
    }}
    onPointerUp=${() => (dragging.current = false)}
    onPointerLeave=${() => setHover(null)}
    onClick=${(/** @type {MouseEvent} */ event) => {
      if (!live) onPick(momentAt(event, range));
    }}
    onBlur=${() => setCursor(null)}
  >
    <svg viewBox=${`${from} 0 ${length} 1`} preserveAspectRatio="none" aria-hidden="true">
      <path class="span" d=${path} />
      ${cuts && html`<path class="cuts" d=${lines} />`}
    </svg>
    ${
      (at !== null || cursor !== null) &&
      html`<span class="cursor" style=${{ left: share(now) }}></span>`
    }
    ${
      hover !== null &&
      html`<span class="hover" style=${{ left: share(hover) }}><b>${clock(hover)}</b></span>`
    }
  </div>`;
}

/** @param {Span[]} spans @param {number} now */
function after(spans, now) {
  return spans.find(([start]) => start > now + 1e-3)?.[0] ?? now;
}

/** @param {Span[]} spans @param {number} now */
function before(spans, now) {
  return spans.findLast(([start]) => start < now - 1e-3)?.[0] ?? now;
}

/** Marks of time that fit: about ten, at round distances. */
export function Axis() {
  const [from, to] = filmRange();
  const rounds = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const step = rounds.find((one) => (to - from) / one <= 10) ?? 7200;
  const marks = [];
  for (let mark = Math.ceil(from / step) * step; mark < to; mark += step) marks.push(mark);
  return html`<div class="axis" aria-hidden="true">
    ${marks.map(
      (mark) => html`<span style=${{ left: `${((mark - from) / (to - from)) * 100}%` }}>
        ${clock(mark).replace(/\.0$/, "")}
      </span>`,
    )}
  </div>`;
}
