// @ts-check
// Where a profile gets its name: the one field of both dialogs that make one.

import { html } from "./lib.js";

/** @typedef {import("./types.js").Card} Card */

/**
 * @param {Card | null} card
 * @returns {string} what the profile of a card's person is to be called
 */
export const profileName = (card) => card?.profile?.name ?? (card?.named ? card.name : "");

/** @param {{name: string, typed: (name: string) => void, entered: () => void}} props */
export const ProfileName = ({ name, typed, entered }) => html`<label class="field">
  <span>Name</span>
  <input
    data-first
    data-testid="profile-name"
    maxlength="80"
    value=${name}
    onInput=${(/** @type {any} */ event) => typed(event.target.value)}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && entered()}
  />
</label>`;
