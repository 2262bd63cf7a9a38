// @ts-check
import { signal } from "./lib.js";

/** @typedef {{view: string, id: number | null, query: URLSearchParams}} Route */

/** @returns {Route} */
function read() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = ""] = path.split("/");
  return {
    view: view || "people",
    id: /^\d+$/.test(id) ? Number(id) : null,
    query: new URLSearchParams(query),
  };
}

export const route = signal(read());

window.addEventListener("hashchange", () => {
  route.value = read();
});

/** @param {string} to such as "people/3" */
export function go(to) {
  location.hash = `#/${to}`;
}

/**
 * Change the address without a step in the browser's history.
 * @param {string} to
 */
export function settle(to) {
  history.replaceState(null, "", `#/${to}`);
  route.value = read();
}

/** @param {number} at seconds */
export const drawAddress = (at) => `draw?at=${at.toFixed(3)}`;

/**
 * @param {number} at seconds
 * @param {number | null} [identity]
 */
export function previewAddress(at, identity = null) {
  return `preview?at=${at.toFixed(3)}${identity === null ? "" : `&person=${identity}`}`;
}
