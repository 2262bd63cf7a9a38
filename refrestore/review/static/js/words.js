// @ts-check
// Numbers as people read them.

/**
 * A moment: 83.46 is "1:23.5", with two digits "1:23.46".
 * @param {number} seconds
 * @param {1 | 2} [digits]
 */
export function clock(seconds, digits = 1) {
  const unit = 10 ** digits;
  const parts = Math.round(Math.max(0, seconds) * unit);
  const whole = Math.floor(parts / unit);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = `${String(whole % 60).padStart(2, "0")}.${String(parts % unit).padStart(digits, "0")}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/**
 * "1:23.5", "83.5" or "1:02:03" as seconds; null if it is no moment.
 * @param {string} text
 */
export function parseClock(text) {
  const parts = text.trim().replace(",", ".").split(":");
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d*)?$/.test(part))) return null;
  return parts.reduce((sum, part) => sum * 60 + Number(part), 0);
}

/**
 * A length of time: "4.2 s", "3 min 05 s", "1 h 12 min".
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 99.95) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** @param {number} share 0 to 1 */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** @type {Record<string, string>} */
const STAGES = {
  waiting: "Waiting",
  read: "Reading the film",
  follow: "Following the face",
  refine: "Following the faces",
  restore: "Restoring",
  render: "Rendering",
  encode: "Writing",
};

/** What a job does now. @param {string} stage */
export const stageWords = (stage) => STAGES[stage] ?? "Working";

/** @type {Record<import("./types.js").State, string>} */
export const STATES = {
  restore: "Restore",
  ignore: "Leave alone",
  not_a_face: "Not a face",
};

/**
 * How good somebody's close-ups are, in words.
 * @param {import("./types.js").Card} card
 */
export function readiness(card) {
  const { used, largest_px: largest } = card.close_ups;
  if (!used) return "No close-ups";
  return `${counted(used, "close-up")}${largest ? ` · ${Math.round(largest)} px` : ""}`;
}
