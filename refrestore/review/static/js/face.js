// @ts-check
import { sized } from "./api.js";
import { html, useLayoutEffect, useRef, useState } from "./lib.js";
import { Icon } from "./icons.js";

/**
 * Somebody's face with the name under it.
 * @param {{card: import("./types.js").Card | undefined, size?: "small" | "large"}} props
 */
export function Face({ card, size = "small" }) {
  if (!card) return null;
  return html`<figure class=${`face ${size}`}>
    <${Picture} src=${sized(card.cover, size === "large" ? 256 : 112)} />
    <figcaption class=${card.named ? "" : "quiet"} title=${card.name}>${card.name}</figcaption>
  </figure>`;
}

/**
 * A picture that comes when it is near, and a silhouette where there is none.
 * @param {{src: string | null | undefined, alt?: string}} props
 */
export function Picture({ src, alt = "" }) {
  const [missing, setMissing] = useState("");
  const image = useRef(/** @type {HTMLImageElement | null} */ (null));
  useLayoutEffect(() => {
    const now = image.current;
    return () => {
      // Scrolled past before it came: nobody waits for it, and those in sight should not have to.
      if (now && !now.complete) now.removeAttribute("src");
    };
  }, []);
  if (!src || missing === src)
    return html`<span class="picture none"><${Icon} name="person" /></span>`;
  return html`<img
    ref=${image}
    class="picture"
    src=${src}
    alt=${alt}
    loading="lazy"
    decoding="async"
    draggable=${false}
    onError=${() => setMissing(src)}
  />`;
}

const LONG_MS = 450;

/**
 * A long press of a finger; what follows from it (click, menu) is swallowed.
 * @param {() => void} run
 */
export function useLongPress(run) {
  const timer = useRef(0);
  const held = useRef(false);
  const stop = () => clearTimeout(timer.current);
  return {
    onPointerDown: (/** @type {PointerEvent} */ event) => {
      held.current = false;
      if (event.pointerType === "mouse") return;
      timer.current = setTimeout(() => {
        held.current = true;
        run();
      }, LONG_MS);
    },
    onPointerUp: stop,
    onPointerCancel: stop,
    onPointerLeave: stop,
    onContextMenu: (/** @type {Event} */ event) => held.current && event.preventDefault(),
    onClickCapture: (/** @type {Event} */ event) => {
      if (!held.current) return;
      held.current = false;
      event.preventDefault();
      event.stopPropagation();
    },
  };
}
