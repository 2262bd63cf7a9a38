// @ts-check
// People kept for other films, and more photos of them.

import { complain } from "./actions.js";
import { Refusal, get, upload } from "./api.js";
import { Picture } from "./face.js";
import { Icon } from "./icons.js";
import { html, useEffect, useRef, useState } from "./lib.js";
import { announce } from "./notes.js";
import { project, version } from "./store.js";
import { counted } from "./words.js";

/** @typedef {import("./types.js").Profile} Profile */
/** @typedef {{file: File, state: "checking" | "added" | "asked" | "refused" | "left",
 *   words: string}} Photo */

/** @param {{profile: Profile, changed: () => void}} props */
function ProfileCard({ profile, changed }) {
  const [photos, setPhotos] = useState(/** @type {Photo[]} */ ([]));
  const [over, setOver] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));

  /** @param {File} file @param {Partial<Photo>} news */
  const put = (file, news) => {
    setPhotos((old) => old.map((one) => (one.file === file ? { ...one, ...news } : one)));
    if (news.words) announce(`${file.name}: ${news.words}`);
  };
  /** @param {File} file @param {boolean} [force] */
  const send = async (file, force = false) => {
    try {
      const path = `profiles/${encodeURIComponent(profile.name)}/photos${force ? "?force=1" : ""}`;
      const answer = await upload(path, file);
      put(file, { state: "added", words: answer.sentence });
      changed();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      put(file, { state: error.confirm ? "asked" : "refused", words: error.message });
      if (error.status === 0 || error.status === 401) complain(error);
    }
  };
  /** @param {Iterable<File>} files */
  const add = async (files) => {
    const fresh = [...files].map((file) => ({
      file,
      state: /** @type {const} */ ("checking"),
      words: "",
    }));
    setPhotos((old) => [...fresh, ...old]);
    for (const { file } of fresh) await send(file); // one after the other: each is compared with all
  };

  return html`<li
    class=${`profile ${over ? "over" : ""}`}
    data-testid="profile"
    data-profile=${profile.name}
    onDragOver=${(/** @type {DragEvent} */ event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(true);
    }}
    onDragLeave=${() => setOver(false)}
    onDrop=${(/** @type {DragEvent} */ event) => {
      event.preventDefault();
      setOver(false);
      void add(event.dataTransfer?.files ?? []);
    }}
  >
    <${Picture} src=${profile.cover} alt="" />
    <div class="profile-words">
      <h2>${profile.name}</h2>
      <p class="quiet">
        ${counted(profile.references, "close-up")}${
          profile.pixels ? `, up to ${Math.round(profile.pixels)} px` : ""
        }
      </p>
      ${
        profile.sentence &&
        html`<p class=${profile.fits ? "quiet" : "warning"}>${profile.sentence}</p>`
      }
      <button class="drop-zone" data-testid="add-photos" onClick=${() => input.current?.click()}>
        <${Icon} name="upload" />${over ? "Let go to add" : "Add photos: drop them here, or choose"}
      </button>
      <input
        ref=${input}
        type="file"
        accept="image/*,.heic,.heif"
        multiple
        hidden
        data-testid="photo-input"
        onChange=${(/** @type {any} */ event) => {
          void add(event.target.files);
          event.target.value = "";
        }}
      />
      ${
        photos.length > 0 &&
        html`<ul class="photos">
        ${photos.map((photo) => html`<${PhotoLine} photo=${photo} send=${send} put=${put} />`)}
      </ul>`
      }
    </div>
  </li>`;
}

/** @param {{photo: Photo, send: (file: File, force: boolean) => void,
 *   put: (file: File, news: Partial<Photo>) => void}} props */
function PhotoLine({ photo, send, put }) {
  const url = useObjectUrl(photo.file);
  return html`<li class=${photo.state} data-testid="photo" data-state=${photo.state}>
    <${Picture} src=${url} />
    <span>
      <b>${photo.file.name}</b>
      <span>${photo.state === "checking" ? "Checking…" : photo.words}</span>
      ${
        photo.state === "asked" &&
        html`<span class="row">
        <button
          data-testid="add-anyway"
          onClick=${() => {
            put(photo.file, { state: "checking", words: "" });
            send(photo.file, true);
          }}
        >
          Add all the same
        </button>
        <button
          class="main"
          onClick=${() => put(photo.file, { state: "left", words: "Not added." })}
        >
          Don't add
        </button>
      </span>`
      }
    </span>
  </li>`;
}

/** @param {File} file */
function useObjectUrl(file) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return url;
}

export function Profiles() {
  const [profiles, setProfiles] = useState(/** @type {Profile[] | null} */ (null));
  const load = () =>
    get("profiles").then(
      (answer) => setProfiles(answer.profiles),
      (error) => complain(error),
    );
  useEffect(() => {
    document.title = `Profiles · ${project.value?.name ?? ""}`;
    void load();
  }, [version.value]);
  return html`<main class="page" data-testid="profiles">
    <div class="title-line">
      <h1>Profiles</h1>
      <p class="quiet summary">
        People kept for other films. Photos are checked: is it the same person?
      </p>
    </div>
    ${
      profiles?.length === 0 &&
      html`<div class="empty" data-testid="empty">
      <${Icon} name="person" />
      <h2>No profiles yet</h2>
      <p>
        Open <a href="#/people">somebody with close-ups</a> and press “Save as profile”. In another
        film the same person is then recognised, and restored from these close-ups too.
      </p>
    </div>`
    }
    <ul class="profiles">
      ${profiles?.map(
        (one) =>
          html`<${ProfileCard} key=${one.name} profile=${one} changed=${() => void load()} />`,
      )}
    </ul>
  </main>`;
}
