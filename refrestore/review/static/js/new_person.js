// @ts-check
// A profile made of photos, for somebody who is never seen well in the film, or not in it yet.

import { complain, undo } from "./actions.js";
import { Refusal, post } from "./api.js";
import { ask } from "./dialog.js";
import { html, useEffect, useRef, useState } from "./lib.js";
import { note } from "./notes.js";
import { PhotoChoice, PhotoList, useDropping, usePhotos } from "./photos.js";
import { ProfileName, profileName } from "./profile_name.js";
import { change } from "./store.js";
import { counted } from "./words.js";

/** @typedef {import("./types.js").Card} Card */
/** @typedef {{profile: import("./types.js").Profile, version: string,
 *   refused: {photo: number, sentence: string}[]}} Saved */

/**
 * Ask for photos and a name, and make a profile of them.
 * @param {Card | null} card who is to be linked to it
 * @param {File[]} [files] dropped already
 * @returns {Promise<unknown>}
 */
export const newPerson = (card, files = []) =>
  ask({
    title: card ? `Photos of ${card.name}` : "New person from photos",
    wide: true,
    testid: "new-person",
    body: (done) => html`<${Album} card=${card} files=${files} done=${done} />`,
  });

/**
 * @param {Saved} saved
 * @param {Card | null} card
 */
function said(saved, card) {
  const { name, references } = saved.profile;
  const profile = `${name} is a profile of ${counted(references, "close-up")}`;
  return card ? `${profile}, linked to ${card.name}.` : `${profile}.`;
}

/** @param {{card: Card | null, files: File[], done: (answer: unknown) => void}} props */
function Album({ card, files, done }) {
  const [name, setName] = useState(profileName(card));
  const [asked, setAsked] = useState(""); // the name of a profile that is there already
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  const [saved, setSaved] = useState(/** @type {Saved | null} */ (null));
  const album = useRef(/** @type {number | null} */ (null));

  const left = useRef(false);
  useEffect(
    () => () => {
      left.current = true;
    },
    [],
  );

  const path = async () => {
    if (left.current) return null;
    album.current ??= (await post("albums")).album;
    return `albums/${album.current}/photos`;
  };
  const { photos, setPhotos, add } = usePhotos(path);
  const { over, handlers } = useDropping(add);
  useEffect(() => {
    if (files.length) add(files);
  }, []);

  const usable = photos.filter((one) => one.state === "added").length;
  const checking = photos.some((one) => one.state === "checking");
  const wanted = name.trim();
  const label = usable ? `Make a profile of ${counted(usable, "photo")}` : "Make a profile";
  const again = asked !== "" && asked === wanted;

  const make = async () => {
    if (!usable || checking || !wanted || busy) return;
    setBusy(true);
    setTrouble("");
    try {
      const body = { name: wanted, album: album.current, add: again };
      /** @type {Saved} */
      const answer = await change("profiles", card ? { ...body, identity: card.id } : body, false);
      note(said(answer, card), card ? { action: { label: "Undo", run: () => void undo() } } : {});
      if (!answer.refused.length) {
        done("made");
        return;
      }
      const reasons = new Map(answer.refused.map((one) => [one.photo, one.sentence]));
      setPhotos((old) =>
        old.map((one) => {
          const words = reasons.get(one.number ?? -1);
          return words ? { ...one, state: /** @type {const} */ ("refused"), words } : one;
        }),
      );
      setSaved(answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.confirm === "add") setAsked(wanted);
      else if (error.status === 0 || error.status === 401) complain(error);
      else setTrouble(error.message);
    } finally {
      setBusy(false);
    }
  };

  if (saved)
    return html`<p data-testid="made">${said(saved, card)}</p>
      <${PhotoList} photos=${photos} />
      <div class="choices">
        <button class="main" data-testid="close-album" onClick=${() => done("made")}>Close</button>
      </div>`;
  return html`<div class=${`album ${over ? "over" : ""}`} ...${handlers}>
    <p class="quiet">
      ${
        card?.wanted ??
        "Add 3 to 5 sharp photos of one person, of different days if there are such. Of several faces the clearly largest is taken."
      }
    </p>
    <${ProfileName} name=${name} typed=${setName} entered=${() => void make()} />
    <${PhotoChoice}
      add=${add}
      over=${over}
      words="Drop photos or a folder here, or choose"
      folders=${true}
    />
    <${PhotoList} photos=${photos} />
    ${trouble && html`<p class="warning" role="alert" data-testid="album-trouble">${trouble}</p>`}
    ${
      again &&
      html`<p class="warning" role="alert" data-testid="album-asks">
      There is a profile ${wanted} already. Add these photos to it, or choose another name.
    </p>`
    }
    <div class="choices">
      <button onClick=${() => done(null)}>Cancel</button>
      <button
        class="main"
        data-testid="make-profile"
        disabled=${!usable || checking || !wanted || busy}
        onClick=${() => void make()}
      >
        ${again ? `Add to ${wanted}` : label}
      </button>
    </div>
  </div>`;
}
