// @ts-check
// What the page knows, and how it keeps up with the server.

import { Refusal, get, post } from "./api.js";
import { batch, computed, signal } from "./lib.js";
import { atRest } from "./pointer.js";

/** @typedef {import("./types.js").Card} Card */

/** @type {import("../vendor/signals.js").Signal<import("./types.js").Project | null>} */
export const project = signal(null);
/** @type {import("../vendor/signals.js").Signal<Card[]>} */
export const identities = signal([]);
/** @type {import("../vendor/signals.js").Signal<import("./types.js").Suggestions | null>} */
export const suggestions = signal(null);
/** @type {import("../vendor/signals.js").Signal<import("./types.js").Job[]>} */
export const jobs = signal([]);

/** Of the last reading; every edit says which one it was made on. */
export const version = signal("");
/** @type {import("../vendor/signals.js").Signal<"loading" | "ready" | "locked" | "failed">} */
export const phase = signal("loading");
/** The sentence of a reading that was refused. */
export const failure = signal("");
/** @type {import("../vendor/signals.js").Signal<number | null>} seconds to the next try */
export const gone = signal(null);
export const pending = signal(0);

export const byId = computed(() => new Map(identities.value.map((card) => [card.id, card])));

/** Everything the film's people share with each other; the longest on screen first. */
async function read() {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const [about, people] = await Promise.all([get("project"), get("identities")]);
    if (about.version !== people.version) continue; // an edit came between the two
    batch(() => {
      project.value = about;
      identities.value = people.identities;
      version.value = about.version;
      phase.value = "ready";
      gone.value = null;
    });
    return;
  }
}

async function readSuggestions() {
  try {
    const found = await get("suggestions");
    await atRest(); // they move the cards that come after them
    suggestions.value = found;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}

/** @type {Promise<void> | null} */
let reading = null;

/** The server is busy enough with the first faces. */
const FACES_FIRST_MS = 400;
/** @type {number | undefined} */
let suggesting;

/** Read everything anew; calls that come while one is under way share the next one. */
async function refresh() {
  while (reading) await reading;
  reading = read();
  try {
    await reading;
  } finally {
    reading = null;
  }
  clearTimeout(suggesting);
  suggesting = setTimeout(readSuggestions, suggestions.value ? 0 : FACES_FIRST_MS);
}

export async function refreshJobs() {
  jobs.value = (await get("jobs")).jobs;
}

/**
 * @param {unknown} error
 * @returns {string} what to show of it; empty when the page as a whole already shows it
 */
export function sentenceOf(error) {
  if (!(error instanceof Refusal)) throw error;
  if (error.status === 401) {
    failure.value = error.message;
    phase.value = "locked";
    return "";
  }
  if (error.status === 0) {
    gone.value = gone.value ?? 1;
    return "";
  }
  return error.message;
}

let jobsVersion = "";
let wait = 1;
/** @type {number | undefined} */
let timer;

async function look() {
  const now = await get("version");
  if (gone.value !== null || now.version !== version.value) await refresh();
  const running = jobs.value.some((job) => job.state === "running");
  if (running || String(now.jobs_version) !== jobsVersion) {
    jobsVersion = String(now.jobs_version);
    await refreshJobs();
  }
  gone.value = null;
}

/** Ask each second whether anything changed; less and less often while nobody answers. */
export async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    if (phase.value === "ready" && pending.value === 0) await look();
    wait = 1;
  } catch (error) {
    sentenceOf(error);
    if (gone.value !== null) {
      wait = Math.min(wait * 2, 16);
      gone.value = wait;
    }
  }
  if (phase.value !== "locked") timer = setTimeout(poll, wait * 1000);
}

/** Another tab may have been let in meanwhile, and with it this browser. */
function knock() {
  if (document.hidden || phase.value !== "locked") return;
  phase.value = "loading";
  void start();
}

export async function start() {
  document.removeEventListener("visibilitychange", knock);
  document.addEventListener("visibilitychange", knock);
  try {
    await refresh();
  } catch (error) {
    const sentence = sentenceOf(error);
    if (sentence) {
      failure.value = sentence;
      phase.value = "failed";
      return;
    }
    if (phase.value === "locked") return;
    wait = Math.min(wait * 2, 16);
    gone.value = wait;
    setTimeout(start, wait * 1000);
    return;
  }
  document.addEventListener("visibilitychange", () => void poll());
  await poll();
}

/** @type {Promise<unknown>} */
let queue = Promise.resolve();

/**
 * Post a change on the version that was last read, one after the other, and read again.
 * @template T
 * @param {string} path
 * @param {Record<string, unknown>} body
 * @param {boolean} [versioned] whether it is refused where somebody else was faster
 * @returns {Promise<T>}
 */
export function change(path, body, versioned = true) {
  const turn = queue.then(async () => {
    pending.value += 1;
    try {
      const answer = await post(path, versioned ? { ...body, version: version.value } : body);
      if (answer.version) version.value = answer.version;
      await refresh();
      return answer;
    } catch (error) {
      if (error instanceof Refusal && error.stale) await refresh();
      throw error;
    } finally {
      pending.value -= 1;
    }
  });
  queue = turn.catch(() => undefined);
  return turn;
}
