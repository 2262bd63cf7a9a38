// @ts-check
// What a user does to people and tracks: asked about where needed, said in words, undone in one go.

import { Refusal } from "./api.js";
import { ask, sure } from "./dialog.js";
import { Face } from "./face.js";
import { html } from "./lib.js";
import { announce, forgetOffers, note } from "./notes.js";
import { byId, change, identities, project, sentenceOf } from "./store.js";
import { STATES, counted } from "./words.js";

/** @typedef {import("./types.js").Edit} Edit */
/** @typedef {import("./types.js").Edited} Edited */
/** @typedef {import("./types.js").State} State */

/** @param {unknown} error */
export function complain(error) {
  if (error instanceof Refusal && error.stale) {
    note("Changed in another window; look again.", { bad: true });
    return;
  }
  const unheard = error instanceof Refusal && error.status === 0;
  const sentence = sentenceOf(error) || (unheard ? "That was not saved: no answer." : "");
  if (sentence) note(sentence, { bad: true });
}

/**
 * Make edits, all or none. What needs insisting on is asked about first.
 * @param {Edit[]} edits
 * @param {string} said shown when it is done; empty says nothing
 * @returns {Promise<Edited | null>} null when it was not done
 */
export async function edit(edits, said) {
  /** @type {Edited} */
  let answer;
  try {
    answer = await change("edits", { edits });
  } catch (error) {
    if (!(error instanceof Refusal) || error.confirm !== "force") {
      complain(error);
      return null;
    }
    if (!(await sure("Do it all the same?", error.message, "Do it all the same"))) return null;
    return edit(
      edits.map((one) => (one.do === "merge" || one.do === "move" ? { ...one, force: true } : one)),
      said,
    );
  }
  forgetOffers();
  if (said) note(said, { action: { label: "Undo", run: () => void undo() } });
  return answer;
}

export async function undo() {
  const what = project.value?.can_undo;
  if (!what) return;
  try {
    await change("undo", {});
    forgetOffers();
    announce(`Undone: ${what}`);
  } catch (error) {
    complain(error);
  }
}

export async function redo() {
  const what = project.value?.can_redo;
  if (!what) return;
  try {
    await change("redo", {});
    forgetOffers();
    announce(`Done again: ${what}`);
  } catch (error) {
    complain(error);
  }
}

/** @param {number} id */
const nameOf = (id) => byId.value.get(id)?.name ?? `person ${id}`;

/**
 * The one whose name stays: a named one before an unnamed, then the one longest on screen.
 * @param {number[]} ids
 */
function byClaim(ids) {
  const order = new Map(identities.value.map((card, index) => [card.id, index]));
  const rank = (/** @type {number} */ id) =>
    (byId.value.get(id)?.named ? 0 : 1e6) + (order.get(id) ?? 1e5);
  return [...ids].sort((a, b) => rank(a) - rank(b));
}

/**
 * @param {number[]} ids
 * @param {number} [keeper] whose name stays, where somebody said so
 */
export async function merge(ids, keeper) {
  const order = byClaim(ids);
  if (order.length < 2) return;
  const wish = keeper !== undefined && byId.value.get(keeper)?.named ? keeper : order[0];
  let kept = wish ?? ids[0] ?? 0;
  const named = order.filter((id) => byId.value.get(id)?.named);
  const answer = await ask({
    title: order.length === 2 ? "Are these one person?" : `Are these ${order.length} one person?`,
    testid: "merge-dialog",
    body: () => html`
      <div class="pair">
        ${order.slice(0, 8).map((id) => html`<${Face} card=${byId.value.get(id)} size="large" />`)}
        ${order.length > 8 && html`<span class="quiet">and ${order.length - 8} more</span>`}
      </div>
      ${
        named.length > 1
          ? html`<label class="field">
            <span>Keep the name</span>
            <select
              data-testid="merge-name"
              onChange=${(/** @type {any} */ event) => (kept = Number(event.target.value))}
            >
              ${named.map(
                (id) => html`<option value=${id} selected=${id === kept}>${nameOf(id)}</option>`,
              )}
            </select>
          </label>`
          : html`<p class="quiet">The name will be ${nameOf(kept)}. Undo takes it back.</p>`
      }
    `,
    choices: [
      { label: "Cancel", value: "cancel" },
      { label: "Merge", value: "merge", kind: "main" },
    ],
  });
  if (answer !== "merge") return;
  await mergeNow([kept, ...order.filter((id) => id !== kept)]);
}

/** @param {number[]} ids the first keeps its name */
export function mergeNow(ids) {
  const names = ids.slice(1).map(nameOf).join(", ");
  return edit([{ do: "merge", identities: ids }], `Merged ${names} into ${nameOf(ids[0] ?? 0)}.`);
}

/**
 * Name somebody. Another of that name may be the same person: that is asked.
 * @param {number} id
 * @param {string} typed
 */
export async function rename(id, typed) {
  const name = typed.trim().replace(/\s+/g, " ");
  const card = byId.value.get(id);
  if (!card || name === card.name || (!name && !card.named)) return;
  if (!name) {
    await edit([{ do: "rename", identity: id, name: "" }], `${card.name} has no name any more.`);
    return;
  }
  const same = identities.value.find(
    (one) => one.id !== id && one.name.toLowerCase() === name.toLowerCase(),
  );
  if (same) {
    const answer = await ask({
      title: `${same.name} is here already. The same person?`,
      testid: "same-name-dialog",
      body: () => html`<div class="pair">
        <${Face} card=${card} size="large" />
        <${Face} card=${same} size="large" />
      </div>`,
      choices: [
        { label: "Cancel", value: "cancel" },
        { label: "No, keep both", value: "both" },
        { label: "Yes, merge", value: "merge", kind: "main" },
      ],
    });
    if (answer === "merge") await mergeNow([same.id, id]);
    if (answer !== "both") return;
  }
  await edit([{ do: "rename", identity: id, name }], `${card.name} is now ${name}.`);
}

/**
 * @param {number[]} ids
 * @param {State} state
 */
export function setState(ids, state) {
  const who = ids.length === 1 ? nameOf(ids[0] ?? 0) : counted(ids.length, "person", "people");
  return edit([{ do: "state", identities: ids, state }], `${who}: ${STATES[state].toLowerCase()}.`);
}

/**
 * @param {number[]} tracks
 * @param {number | "new"} to
 */
export async function moveTracks(tracks, to) {
  const where = to === "new" ? "a new person" : nameOf(to);
  return edit(
    [{ do: "move", tracks, to }],
    `Moved ${counted(tracks.length, "track")} to ${where}.`,
  );
}

/** @param {number[]} tracks */
export function notAFace(tracks) {
  return edit(
    [{ do: "not_a_face", tracks }],
    tracks.length === 1 ? "Not a face." : `${counted(tracks.length, "track")}: not a face.`,
  );
}

/** @param {number[]} tracks */
export function keepTracks(tracks) {
  return edit(
    [{ do: "keep", tracks }],
    `${counted(tracks.length, "track")} rightly here; not doubted again.`,
  );
}

/**
 * @param {number[]} ids
 * @param {boolean} use
 */
export function useCloseUps(ids, use) {
  const what = counted(ids.length, "close-up");
  return edit(
    [use ? { do: "use", close_ups: ids } : { do: "drop", close_ups: ids }],
    use ? `Using ${what}.` : `Not using ${what}.`,
  );
}

/**
 * @param {number} id
 * @param {string | null} profile
 */
export function link(id, profile) {
  return edit(
    [{ do: "link", identity: id, profile }],
    profile ? `${nameOf(id)} is linked to ${profile}.` : `${nameOf(id)} is linked to no profile.`,
  );
}

/**
 * @param {number} id
 * @param {string} profile
 */
export function notProfile(id, profile) {
  return edit(
    [{ do: "not_profile", identity: id, profile }],
    `${nameOf(id)} is not the profile ${profile}; not asked again.`,
  );
}
