// @ts-check
import { signal } from "./lib.js";

const STORED = "refrestore.theme";

/** @typedef {"auto" | "light" | "dark"} Theme */

/** @type {Theme[]} */
const THEMES = ["auto", "light", "dark"];

const kept = /** @type {Theme} */ (localStorage.getItem(STORED) ?? "auto");

export const theme = signal(THEMES.includes(kept) ? kept : "auto");

function show() {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  localStorage.setItem(STORED, theme.value);
  show();
}

show();
