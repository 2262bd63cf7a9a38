// @ts-check
// Thousands of tiles of one size, of which only those in sight are in the document. Rows are equally
// high, so where a tile lies is arithmetic, also for the rubber band over tiles not in sight.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";
import { pressed } from "./keys.js";

const GAP = 8;
const OVERSCAN = 3;
const BAND_PX = 6;
const EDGE_PX = 48;

/** @typedef {{columns: number, side: number, row: number, first: number, last: number}} Layout */
/** @typedef {{x: number, y: number}} Point */

/**
 * @param {HTMLElement} box
 * @param {number} count
 * @param {number} least width of a tile
 * @param {number} caption height under the picture
 * @returns {Layout}
 */
function measure(box, count, least, caption) {
  const width = box.clientWidth;
  const columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  const side = (width - GAP * (columns - 1)) / columns;
  const row = Math.round(side + caption + GAP);
  const top = box.getBoundingClientRect().top;
  const rows = Math.ceil(count / columns);
  const from = Math.max(0, Math.floor(-top / row) - OVERSCAN);
  const to = Math.min(rows, Math.ceil((innerHeight - top) / row) + OVERSCAN);
  return { columns, side, row, first: from * columns, last: Math.max(0, to * columns) };
}

/**
 * @param {Layout} layout
 * @param {number} count
 * @param {Point} a
 * @param {Point} b
 */
function under(layout, count, a, b) {
  const { columns, side, row } = layout;
  const pitch = side + GAP;
  const [left, right] = [Math.min(a.x, b.x), Math.max(a.x, b.x)];
  const [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)];
  const hit = [];
  for (let line = Math.max(0, Math.floor((top + GAP) / row)); line * row < bottom; line += 1)
    for (let column = 0; column < columns; column += 1) {
      const index = line * columns + column;
      const inside = column * pitch < right && column * pitch + side > left;
      if (inside && index < count) hit.push(index);
      if (index >= count) return hit;
    }
  return hit;
}

/**
 * @template {{id: number}} T
 * @param {{
 *   items: T[],
 *   chosen: Set<number>,
 *   onChosen: (ids: Set<number>) => void,
 *   onOpen: (item: T) => void,
 *   tile: (item: T, state: {chosen: boolean, active: boolean}) => unknown,
 *   described: (item: T) => string,
 *   label: string,
 *   least?: number,
 *   caption?: number,
 * }} props
 */
export function Grid(props) {
  const { items, chosen, onChosen, onOpen, tile, described, label } = props;
  const { least = 108, caption = 24 } = props;
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [layout, setLayout] = useState(/** @type {Layout | null} */ (null));
  const [active, setActive] = useState(0);
  const anchor = useRef(0);
  const count = items.length;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    let asked = 0;
    const update = () => {
      asked = 0;
      const next = measure(element, count, least, caption);
      setLayout((old) => (old && JSON.stringify(old) === JSON.stringify(next) ? old : next));
    };
    const later = () => (asked ||= requestAnimationFrame(update));
    update();
    const observer = new ResizeObserver(later);
    observer.observe(element);
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    return () => {
      cancelAnimationFrame(asked);
      observer.disconnect();
      removeEventListener("scroll", later);
      removeEventListener("resize", later);
    };
  }, [count, least, caption]);

  useEffect(() => {
    if (active >= count) setActive(Math.max(0, count - 1));
  }, [count]);

  /** @param {number} index */
  const show = (index) => {
    if (!layout || !box.current) return;
    const top =
      box.current.getBoundingClientRect().top + Math.floor(index / layout.columns) * layout.row;
    const [above, below] = [160, 96]; // what stays at the window's top and foot
    if (top < above) scrollBy(0, top - above);
    else if (top + layout.row > innerHeight - below)
      scrollBy(0, top + layout.row - innerHeight + below);
  };

  /** @param {number} from @param {number} to */
  const between = (from, to) =>
    items.slice(Math.min(from, to), Math.max(from, to) + 1).map((item) => item.id);

  /** @param {number} index */
  const toggle = (index) => {
    const item = items[index];
    if (!item) return;
    const next = new Set(chosen);
    if (!next.delete(item.id)) next.add(item.id);
    anchor.current = index;
    onChosen(next);
  };

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (!layout || !count) return;
    const page = layout.columns * Math.max(1, Math.floor((innerHeight - 200) / layout.row));
    /** @type {Record<string, number>} */
    const steps = {
      arrowright: 1,
      arrowleft: -1,
      arrowdown: layout.columns,
      arrowup: -layout.columns,
      pagedown: page,
      pageup: -page,
      home: -count,
      end: count,
    };
    const key = pressed(event).replace("shift+", "");
    const step = steps[key];
    if (step !== undefined) {
      const next = Math.min(count - 1, Math.max(0, active + step));
      setActive(next);
      show(next);
      if (event.shiftKey) onChosen(new Set(between(anchor.current, next)));
      else anchor.current = next;
    } else if (key === "space") toggle(active);
    else if (key === "ctrl+a") onChosen(new Set(items.map((item) => item.id)));
    else if (key === "enter" && items[active]) onOpen(items[active]);
    else return;
    event.preventDefault();
  };

  /** @param {MouseEvent} event @param {number} index */
  const onClick = (event, index) => {
    const item = items[index];
    if (!item) return;
    setActive(index);
    const touch = event instanceof PointerEvent && event.pointerType !== "mouse";
    if (event.shiftKey) onChosen(new Set([...chosen, ...between(anchor.current, index)]));
    else if (event.ctrlKey || event.metaKey || touch) toggle(index);
    else {
      const only = chosen.size === 1 && chosen.has(item.id);
      onChosen(new Set(only ? [] : [item.id]));
      anchor.current = index;
    }
  };

  const band = useBand(box, layout, items, chosen, onChosen);
  const shown = layout ? items.slice(layout.first, layout.last) : [];
  const first = layout?.first ?? 0;
  return html`<div
    ref=${box}
    class="grid"
    role="listbox"
    aria-multiselectable="true"
    aria-label=${label}
    aria-activedescendant=${items[active] ? `tile-${items[active].id}` : undefined}
    tabindex="0"
    data-testid="tracks"
    style=${{ height: layout ? `${Math.ceil(count / layout.columns) * layout.row}px` : "0" }}
    onKeyDown=${onKeyDown}
    ...${band.handlers}
  >
    ${shown.map((item, place) => {
      const index = first + place;
      const [line, column] = layout
        ? [Math.floor(index / layout.columns), index % layout.columns]
        : [0, 0];
      const side = layout?.side ?? 0;
      return html`<div
        key=${item.id}
        id=${`tile-${item.id}`}
        class=${`tile ${chosen.has(item.id) ? "chosen" : ""} ${index === active ? "active" : ""}`}
        role="option"
        aria-selected=${chosen.has(item.id)}
        aria-label=${described(item)}
        aria-setsize=${count}
        aria-posinset=${index + 1}
        data-testid="track"
        data-track=${item.id}
        style=${{
          width: `${side}px`,
          transform: `translate(${column * (side + GAP)}px, ${line * (layout?.row ?? 0)}px)`,
        }}
        onClick=${(/** @type {MouseEvent} */ event) => !band.moved.current && onClick(event, index)}
        onDblClick=${() => onOpen(item)}
      >
        ${tile(item, { chosen: chosen.has(item.id), active: index === active })}
      </div>`;
    })}
    ${band.shape && html`<div class="band" style=${band.shape}></div>`}
  </div>`;
}

/**
 * A rubber band, by the mouse; near the window's edge it scrolls.
 * @param {{current: HTMLDivElement | null}} box
 * @param {Layout | null} layout
 * @param {{id: number}[]} items
 * @param {Set<number>} chosen
 * @param {(ids: Set<number>) => void} onChosen
 */
function useBand(box, layout, items, chosen, onChosen) {
  const [shape, setShape] = useState(/** @type {Record<string, string> | null} */ (null));
  const moved = useRef(false);
  const drag = useRef(
    /** @type {{from: Point, base: Set<number>, screen: Point, frame: number} | null} */ (null),
  );

  /** @param {Point} screen @returns {Point} */
  const inside = (screen) => {
    const frame = /** @type {HTMLElement} */ (box.current).getBoundingClientRect();
    return { x: screen.x - frame.left, y: screen.y - frame.top };
  };

  const draw = () => {
    const now = drag.current;
    if (!now || !layout) return;
    const to = inside(now.screen);
    setShape({
      left: `${Math.min(now.from.x, to.x)}px`,
      top: `${Math.min(now.from.y, to.y)}px`,
      width: `${Math.abs(now.from.x - to.x)}px`,
      height: `${Math.abs(now.from.y - to.y)}px`,
    });
    const hit = under(layout, items.length, now.from, to).map((index) => items[index]?.id ?? 0);
    onChosen(new Set([...now.base, ...hit]));
  };

  const scroll = () => {
    const now = drag.current;
    if (!now) return;
    const { y } = now.screen;
    const by = y < EDGE_PX ? y - EDGE_PX : Math.max(0, y - innerHeight + EDGE_PX);
    if (by) {
      scrollBy(0, by / 2);
      draw();
    }
    now.frame = requestAnimationFrame(scroll);
  };

  const end = () => {
    if (drag.current) cancelAnimationFrame(drag.current.frame);
    drag.current = null;
    setShape(null);
    setTimeout(() => (moved.current = false)); // after the click that ends a drag
  };

  return {
    shape,
    moved,
    handlers: {
      onPointerDown: (/** @type {PointerEvent} */ event) => {
        if (event.pointerType !== "mouse" || event.button !== 0) return;
        const screen = { x: event.clientX, y: event.clientY };
        const more = event.ctrlKey || event.metaKey || event.shiftKey;
        drag.current = {
          from: inside(screen),
          base: new Set(more ? chosen : []),
          screen,
          frame: 0,
        };
      },
      onPointerMove: (/** @type {PointerEvent} */ event) => {
        const now = drag.current;
        if (!now) return;
        const start = inside({ x: event.clientX, y: event.clientY });
        const far = Math.hypot(start.x - now.from.x, start.y - now.from.y) > BAND_PX;
        if (!moved.current && !far) return;
        if (!moved.current) {
          moved.current = true;
          box.current?.setPointerCapture(event.pointerId);
          now.frame = requestAnimationFrame(scroll);
        }
        now.screen = { x: event.clientX, y: event.clientY };
        draw();
      },
      onPointerUp: end,
      onPointerCancel: end,
    },
  };
}
