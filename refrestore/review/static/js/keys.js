// @ts-check
// Keys that work wherever the focus is, except while somebody types or a dialog is open.

import { useEffect, useRef } from "./lib.js";

/** @typedef {Record<string, (event: KeyboardEvent) => void>} Bindings */

/** @type {{current: Bindings}[]} */
const layers = [];

/**
 * "ctrl+shift+z", "m", "?", "escape": what was pressed; the Command key counts as Ctrl.
 * @param {KeyboardEvent} event
 */
export function pressed(event) {
  const key = event.key === " " ? "space" : event.key.toLowerCase();
  const letter = /^[a-z]$/.test(key);
  return [
    event.ctrlKey || event.metaKey ? "ctrl+" : "",
    event.shiftKey && (letter || key.length > 1) ? "shift+" : "",
    key,
  ].join("");
}

/** @param {EventTarget | null} target */
export function types(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

window.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  const key = pressed(event);
  const typing = types(event.target);
  const range = event.target instanceof HTMLInputElement && event.target.type === "range";
  if (typing && !(range && key.length === 1) && !(range && key.startsWith("ctrl+"))) return;
  for (const layer of [...layers].reverse()) {
    const run = layer.current[key];
    if (run) {
      event.preventDefault();
      run(event);
      return;
    }
  }
});

/**
 * Bind keys as long as the component is there; the latest to come is asked first.
 * @param {Bindings} bindings
 */
export function useKeys(bindings) {
  const layer = useRef(bindings);
  layer.current = bindings;
  useEffect(() => {
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
    };
  }, []);
}

/** @type {[string, [string, string][]][]} what the help sheet shows */
export const HELP = [
  [
    "Everywhere",
    [
      ["Ctrl Z", "Undo"],
      ["Ctrl Shift Z", "Redo"],
      ["1 … 5", "People, Timeline, Preview, Profiles, Render"],
      ["H", "History"],
      ["?", "This sheet"],
      ["Esc", "Clear the selection, close"],
    ],
  ],
  [
    "People",
    [
      ["Arrows", "From face to face"],
      ["Enter", "Open"],
      ["Space", "Select"],
      ["Ctrl A", "Select all that are shown"],
      ["M", "Merge the selected"],
      ["N", "Name"],
      ["R, L, X", "Restore, leave alone, not a face"],
      ["/", "Search"],
    ],
  ],
  [
    "One person",
    [
      ["Arrows", "From track to track, with Shift selecting"],
      ["Space", "Select"],
      ["Ctrl A", "Select all"],
      ["V", "Move to another person"],
      ["S", "Split off as a new person"],
      ["X", "Not a face"],
      ["K", "Keep: rightly here"],
      ["U, D", "Use, don't use as close-ups"],
      ["P", "Preview that moment"],
      ["N", "Name"],
      ["[ and ]", "Person before, person after"],
    ],
  ],
  [
    "Preview",
    [
      ["Left, Right", "Move the slider that has the focus; pan the picture"],
      ["F, O", "Whole picture, one to one"],
      ["+ and −", "Nearer, farther"],
      ["B", "Before, after, both"],
      [", and .", "A frame back, a frame on"],
      ["L", "Two-second loop"],
      ["Space", "Play, pause the loop"],
    ],
  ],
  [
    "Draw a face",
    [
      ["Enter", "A box on the picture that has the focus"],
      ["Arrows", "Move the box, with Shift change its size"],
      ["Esc", "Take the box away"],
    ],
  ],
];
