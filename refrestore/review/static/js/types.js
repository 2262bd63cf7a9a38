// @ts-check
// What the server says and hears, as types only.

/** @typedef {"restore" | "ignore" | "not_a_face"} State */

/**
 * @typedef {object} Project
 * @property {string} version
 * @property {string} name
 * @property {string} folder_name
 * @property {{name: string, width: number, height: number, seconds: number, frames: number,
 *   fps: number, found: boolean, sentence: string | null}} video
 * @property {{id: number, recogniser: string, started: string}} scan
 * @property {number} identities
 * @property {number} tracks
 * @property {number} faces
 * @property {boolean} writable
 * @property {string | null} can_undo
 * @property {string | null} can_redo
 * @property {string} pack
 * @property {string} output_name
 * @property {QueuedFilm["state"] | null} queued how far a queue is with this film, if it is in one
 * @property {number[]} shots seconds of the cuts
 * @property {[number, number]} range seconds from the first frame
 */

/**
 * @typedef {object} Card
 * @property {number} id
 * @property {string} name
 * @property {boolean} named
 * @property {boolean} provisional only seen blurred
 * @property {State} state
 * @property {number} seconds
 * @property {number} faces
 * @property {number} tracks
 * @property {string | null} cover
 * @property {{used: number, total: number, largest_px: number | null}} close_ups
 * @property {string[]} gaps
 * @property {"good" | "some" | "none"} readiness
 * @property {string | null} wanted which photos would help somebody without close-ups
 * @property {{name: string, certainty: number | null, found: boolean} | null} profile
 * @property {{name: string, similarity: number} | null} likely_profile
 * @property {string[]} not_profiles of whom somebody said that they are somebody else's
 * @property {number} strength 0 to 1
 * @property {[number, number][]} appearances seconds
 */

/**
 * @typedef {object} Track
 * @property {number} id
 * @property {number} start
 * @property {number} end
 * @property {number} seconds
 * @property {number} shot
 * @property {number} size pixels
 * @property {number} faces
 * @property {number} quality 0 to 1
 * @property {number | null} similarity cosine to the person's other tracks
 * @property {boolean} settled
 * @property {string} thumb
 */

/**
 * @typedef {object} CloseUp
 * @property {number} id
 * @property {number} track
 * @property {number | null} at seconds
 * @property {number} pixels
 * @property {number} yaw degrees, right in the picture is positive
 * @property {number} pitch degrees, up is positive
 * @property {number} quality 0 to 1
 * @property {boolean} used
 * @property {string} url
 * @property {string} source
 */

/** @typedef {{version: string, identity: Card, tracks: Track[], references: CloseUp[],
 *   log: string[]}} Person */

/**
 * @typedef {object} Suggestions
 * @property {string} version
 * @property {{one: number, other: number, similarity: number}[]} merges
 * @property {{track: number, holder: number, nearer: number, similarity: number,
 *   thumb: string}[]} tracks
 * @property {{identity: number, name: string, similarity: number,
 *   cover: string | null}[]} profiles
 */

/** @typedef {{id: number, time: string, words: string, undone: boolean}} LogEntry */

/** @typedef {{name: string, references: number, pixels: number | null, cover: string | null,
 *   fits: boolean, sentence: string | null}} Profile */

/** @typedef {{identity: number | null, name: string, box: [number, number, number, number],
 *   strength: number, reason: string | null}} FaceBox */

/** @typedef {{time: number, width: number, height: number, before: string, after: string,
 *   boxes: FaceBox[], faces: number}} StillResult */

/** @typedef {{start: number, end: number, before: string, after: string, width: number,
 *   height: number}} LoopResult */

/** @typedef {{track: number, identity: number, name: string,
 *   box: [number, number, number, number]}} KnownFace in pixels of the film */

/** @typedef {{identity: number, track: number, first: number, stop: number, start: number,
 *   end: number, references: number, met: number[]}} DrawResult `met`: who is seen where it ends */

/** @typedef {{output: string, report: string, page: string, summary: unknown}} RenderResult */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {"preview" | "loop" | "draw" | "render"} kind
 * @property {"running" | "done" | "failed" | "cancelled"} state
 * @property {string} stage
 * @property {number} done
 * @property {number | null} total
 * @property {number} frames_shown how many frames of a render can have been looked at
 * @property {number} seconds
 * @property {number | null} remaining
 * @property {string | null} sentence
 * @property {any} result
 * @property {import("./render_form.js").Settings | null} order what a render was asked for
 * @property {string} started
 */

/** @typedef {{name: string, about: string, licence: string, restricted: boolean,
 *   fidelity: boolean}} Stage a restorer of faces that is installed */

/** @typedef {{stages: Stage[], given: string | null}} Stages */

/** @typedef {{seconds: number | null, faces: number, frames: number, sentence: string,
 *   measured: boolean}} Estimate */

/**
 * @typedef {{do: "merge", identities: number[], force?: boolean}
 *   | {do: "split", identity: number, tracks: number[]}
 *   | {do: "move", tracks: number[], to: number | "new", force?: boolean}
 *   | {do: "not_a_face", tracks?: number[], identities?: number[]}
 *   | {do: "rename", identity: number, name: string}
 *   | {do: "state", identities: number[], state: State}
 *   | {do: "link", identity: number, profile: string | null}
 *   | {do: "not_profile", identity: number, profile: string}
 *   | {do: "distinct", identities: number[]}
 *   | {do: "keep", tracks: number[]}
 *   | {do: "use", close_ups: number[]}
 *   | {do: "drop", close_ups: number[]}
 *   | {do: "strength", identity: number, strength: number}} Edit
 */

/**
 * @typedef {object} QueuedFilm
 * @property {number} film
 * @property {string} name
 * @property {"waiting" | "scanning" | "review" | "ready" | "rendering" | "done" | "failed"} state
 * @property {number} priority
 * @property {string | null} stage
 * @property {number} done
 * @property {number | null} total
 * @property {string | null} sentence
 * @property {string[]} people
 * @property {number} more_people
 * @property {boolean} scanned
 */

/** @typedef {{name: string, counts: Partial<Record<QueuedFilm["state"], number>>,
 *   films: QueuedFilm[]}} Queue films that want something of a person come first */

/** @typedef {{version: string, created: number[], said: string[]}} Edited */

export {};
