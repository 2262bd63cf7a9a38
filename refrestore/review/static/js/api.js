// @ts-check
// One way to the server. Whatever goes wrong becomes a Refusal with a sentence to show.

/** What the server, or the lack of one, said to a request. */
export class Refusal extends Error {
  /**
   * @param {number} status 0 when there was no answer
   * @param {string} sentence
   * @param {{confirm?: string, version?: string}} [more] the flag that would make it pass; the
   *   version there is where the request was made on an older one
   */
  constructor(status, sentence, { confirm, version } = {}) {
    super(sentence);
    this.status = status;
    this.confirm = confirm ?? null;
    this.stale = status === 409 && version !== undefined;
  }
}

/**
 * @param {string} path below api/, which of several films has its own
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(`api/${path}`, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "refrestore does not answer.");
  }
  let body;
  try {
    body = await response.json();
  } catch {
    body = {};
  }
  if (response.ok) return body;
  const sentence = typeof body.error === "string" ? body.error : `Error ${response.status}.`;
  throw new Refusal(response.status, sentence, body);
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export const get = (path, signal) => request(path, signal ? { signal } : {});

/**
 * @param {string} path
 * @param {unknown} [body]
 * @param {boolean} [keepalive]
 */
export const post = (path, body = {}, keepalive = false) =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Refrestore": "1" },
    body: JSON.stringify(body),
    keepalive, // outlives the page
  });

/**
 * What browsers do not know for a picture: what phones write.
 * @param {string} name
 */
const typeByName = (name) => (/\.hei[cf]$/i.test(name) ? "image/heic" : "image/unknown");

/**
 * @param {string} path
 * @param {File} file
 */
export const upload = (path, file) =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": file.type || typeByName(file.name), "X-Refrestore": "1" },
    body: file,
  });

/**
 * The same close-up in another size; other pictures as they are.
 * @param {string | null | undefined} url
 * @param {112 | 256 | 512} size
 */
export function sized(url, size) {
  if (!url || !/\/close-ups\//.test(url)) return url ?? "";
  return `${url.split("?")[0]}?size=${size}`;
}
