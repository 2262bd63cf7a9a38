// @ts-check
import { complain, link } from "./actions.js";
import { Refusal, get } from "./api.js";
import { ask, sure } from "./dialog.js";
import { Picture } from "./face.js";
import { Icon } from "./icons.js";
import { html } from "./lib.js";
import { newPerson } from "./new_person.js";
import { note } from "./notes.js";
import { ProfileName, profileName } from "./profile_name.js";
import { change } from "./store.js";
import { counted } from "./words.js";

/** @typedef {import("./types.js").Card} Card */
/** @typedef {import("./types.js").Profile} Profile */

const PHOTOS = Symbol("photos");

/** @param {Card} card @param {Profile} profile */
const said = (card, profile) =>
  card.not_profiles.includes(profile.name)
    ? "Somebody else, you said"
    : counted(profile.references, "close-up");

/** @param {Card} card */
export async function chooseProfile(card) {
  /** @type {Profile[]} */
  let profiles;
  try {
    profiles = (await get("profiles")).profiles;
  } catch (error) {
    complain(error);
    return;
  }
  const name = await ask({
    title: `Which profile is ${card.name}?`,
    wide: true,
    testid: "profile-picker",
    body: (done) => html`
      <div class="picks" role="group" aria-label="Profiles">
        ${profiles.map(
          (one) => html`<button
            key=${one.name}
            class="pick plain"
            disabled=${!one.fits}
            data-testid="pick-profile"
            data-profile=${one.name}
            onClick=${() => done(one.name)}
          >
            <${Picture} src=${one.cover} />
            <span>
              ${one.name}
              <small class="quiet">${one.sentence ?? said(card, one)}</small>
            </span>
          </button>`,
        )}
        ${
          !profiles.length &&
          html`<p class="quiet">There are no profiles yet: make one from photos.</p>`
        }
      </div>
      <div class="choices">
        <button onClick=${() => done(null)}>Cancel</button>
        <button data-testid="pick-photos" onClick=${() => done(PHOTOS)}>
          <${Icon} name="upload" />New from photos…
        </button>
      </div>
    `,
  });
  if (name === PHOTOS) await newPerson(card);
  else if (typeof name === "string") await link(card.id, name);
}

/** @param {Card} card */
export async function saveAsProfile(card) {
  let name = profileName(card);
  const answer = await ask({
    title: `Save ${card.name} as a profile`,
    testid: "save-profile-dialog",
    body: (done) => html`
      <p class="quiet">
        A profile keeps ${counted(card.close_ups.used, "close-up")} for other films of the same
        person.
      </p>
      <${ProfileName}
        name=${name}
        typed=${(/** @type {string} */ value) => (name = value)}
        entered=${() => done("save")}
      />
    `,
    choices: [
      { label: "Cancel", value: "cancel" },
      { label: "Save", value: "save", kind: "main" },
    ],
  });
  const trimmed = name.trim();
  if (answer === "save" && trimmed) await save(card, trimmed);
}

/**
 * @param {Card} card
 * @param {string} name
 */
async function save(card, name) {
  try {
    const there = (await get("profiles")).profiles.some(
      (/** @type {Profile} */ one) => one.name === name,
    );
    const sentence = `There is a profile ${name} already. Add these close-ups to it?`;
    if (there && !(await sure("Add to the profile?", sentence, "Add"))) return;
    await change("profiles", { name, identity: card.id, add: there }, false);
    note(`${card.name} is saved as the profile ${name}.`);
  } catch (error) {
    if (error instanceof Refusal && error.confirm) note(error.message, { bad: true });
    else complain(error);
  }
}
