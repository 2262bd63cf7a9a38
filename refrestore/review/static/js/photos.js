// @ts-check
// Photos on their way to the server: dropped or chosen, files or folders, one line each.

import { complain } from "./actions.js";
import { Refusal, upload } from "./api.js";
import { Picture } from "./face.js";
import { Icon } from "./icons.js";
import { html, useEffect, useRef, useState } from "./lib.js";
import { announce } from "./notes.js";

/** @typedef {{file: File, state: "checking" | "added" | "refused", words: string,
 *   number?: number}} Photo */

/** @typedef {() => string | null | Promise<string | null>} Path where photos are sent; null for
 *   nowhere any more */

/** What programs keep beside photos, as `media.stills` has it; none is one. */
const BESIDE = /(^\.|\.(aae|db|ini|xmp)$)/i;

const CONFLICT = 409;

/** What an album says when it takes no more; of a profile the same number is about one photo. */
const isFull = (/** @type {string} */ path, /** @type {Refusal} */ error) =>
  path.startsWith("albums/") && error.status === CONFLICT;

/**
 * @param {Path} path
 * @param {File} file
 * @returns {Promise<(Partial<Photo> & {full?: boolean}) | null>} what became of it; null for nothing
 */
async function sent(path, file) {
  let where = /** @type {string | null} */ ("");
  /** @type {Partial<Photo> & {full?: boolean}} */
  let news;
  try {
    where = await path();
    if (where === null) return null;
    const answer = await upload(where, file);
    news = { state: "added", words: answer.sentence, number: answer.photo };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 0 || error.status === 401) complain(error);
    news = { state: "refused", words: error.message, full: isFull(where ?? "", error) };
  }
  announce(`${file.name}: ${news.words}`);
  return news;
}

/**
 * Photos that are under way or have arrived, the newest first.
 * @param {Path} path
 * @param {() => void} [changed] called after each that was added
 */
export function usePhotos(path, changed = () => undefined) {
  const [photos, setPhotos] = useState(/** @type {Photo[]} */ ([]));
  const turn = useRef(Promise.resolve());
  /** @param {File} file @param {Partial<Photo>} news */
  const put = (file, news) =>
    setPhotos((old) => old.map((one) => (one.file === file ? { ...one, ...news } : one)));
  /** @param {Iterable<File>} files */
  const add = (files) => {
    const fresh = [...files].filter((file) => !BESIDE.test(file.name));
    setPhotos((old) => [
      ...fresh.map((file) => ({ file, state: /** @type {const} */ ("checking"), words: "" })),
      ...old,
    ]);
    // One after the other: each is compared with all before it.
    turn.current = turn.current.then(async () => {
      for (const [place, file] of fresh.entries()) {
        const heard = await sent(path, file);
        if (heard === null) return;
        const { full, ...news } = heard;
        for (const one of full ? fresh.slice(place) : [file]) put(one, news);
        if (full) return;
        if (news.state === "added") changed();
      }
    });
  };
  return { photos, setPhotos, add };
}

/** @param {FileSystemEntry} entry @returns {Promise<File[]>} */
async function filesOf(entry) {
  if (entry.isFile)
    return new Promise((resolve) =>
      /** @type {FileSystemFileEntry} */ (entry).file(
        (file) => resolve([file]),
        () => resolve([]),
      ),
    );
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  /** @type {File[]} */
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} a hundred at a time; none at the end */
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return found;
    for (const one of some.sort((a, b) => a.name.localeCompare(b.name)))
      found.push(...(await filesOf(one)));
  }
}

/** @param {DragEvent} event */
export const bringsFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

/**
 * The files that were dropped; those of folders too.
 * @param {DragEvent} event
 * @returns {Promise<File[]>}
 */
export async function dropped(event) {
  // Asked for before anything is waited for: afterwards the browser has forgotten them.
  const items = [...(event.dataTransfer?.items ?? [])];
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = await Promise.all(
    entries.map((one) => (one instanceof File ? [one] : one ? filesOf(one) : [])),
  );
  return found.flat();
}

/**
 * What makes an element take dropped photos.
 * @param {(files: File[]) => void} add
 */
export function useDropping(add) {
  const [over, setOver] = useState(false);
  return {
    over,
    handlers: {
      onDragOver: (/** @type {DragEvent} */ event) => {
        if (!bringsFiles(event)) return;
        event.preventDefault();
        setOver(true);
      },
      onDragLeave: () => setOver(false),
      onDrop: (/** @type {DragEvent} */ event) => {
        event.preventDefault();
        setOver(false);
        void dropped(event).then(add);
      },
    },
  };
}

/**
 * Where photos are chosen.
 * @param {{add: (files: Iterable<File>) => void, over: boolean, words: string,
 *   folders?: boolean}} props
 */
export function PhotoChoice({ add, over, words, folders = false }) {
  const files = useRef(/** @type {HTMLInputElement | null} */ (null));
  const folder = useRef(/** @type {HTMLInputElement | null} */ (null));
  const taken = (/** @type {any} */ event) => {
    add([...event.target.files]);
    event.target.value = "";
  };
  return html`<div class="photo-choice">
    <button class="drop-zone" data-testid="add-photos" onClick=${() => files.current?.click()}>
      <${Icon} name="upload" />${over ? "Let go to add" : words}
    </button>
    <input
      ref=${files}
      type="file"
      accept="image/*,.heic,.heif"
      multiple
      hidden
      data-testid="photo-input"
      onChange=${taken}
    />
    ${
      folders &&
      html`<button data-testid="add-folder" onClick=${() => folder.current?.click()}>
        Choose a folder
      </button>
      <input
        ref=${folder}
        type="file"
        webkitdirectory
        hidden
        data-testid="folder-input"
        onChange=${taken}
      />`
    }
  </div>`;
}

/** @param {{photos: Photo[]}} props */
export function PhotoList({ photos }) {
  if (!photos.length) return null;
  return html`<ul class="photos">
    ${photos.map((photo) => html`<${PhotoLine} photo=${photo} />`)}
  </ul>`;
}

/** @param {{photo: Photo}} props */
function PhotoLine({ photo }) {
  const url = useObjectUrl(photo.file);
  return html`<li class=${photo.state} data-testid="photo" data-state=${photo.state}>
    <${Picture} src=${url} />
    <span>
      <b>${photo.file.name}</b>
      <span>${photo.state === "checking" ? "Checking…" : photo.words}</span>
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
