// @ts-check
// Work that the server does in the background.

import { get, post } from "./api.js";

/** @typedef {import("./types.js").Job} Job */

const SHORT_MS = 250;
const LONG_MS = 1000;

/**
 * Start work and hear of it until it ends. Aborting cancels it on the server too.
 * @param {string} path
 * @param {unknown} body
 * @param {AbortSignal} signal
 * @param {(job: Job) => void} heard
 * @returns {Promise<Job>}
 */
export async function run(path, body, signal, heard) {
  const { job: id } = await post(path, body);
  signal.addEventListener("abort", () => void cancel(id).catch(() => undefined));
  if (signal.aborted) void cancel(id).catch(() => undefined);
  for (let round = 0; ; round += 1) {
    /** @type {Job} */
    const job = await get(`jobs/${id}`, signal);
    heard(job);
    if (job.state !== "running") return job;
    await new Promise((resolve) => setTimeout(resolve, round < 40 ? SHORT_MS : LONG_MS));
    signal.throwIfAborted();
  }
}

/** @param {string} id */
export const cancel = (id) => post(`jobs/${id}/cancel`, {}, true);
