// @ts-check
// Nothing may move under a pointer that is pressed: what is dragged would be dropped elsewhere.

let pressed = false;
/** @type {(() => void)[]} */
const waiting = [];

function release() {
  pressed = false;
  for (const go of waiting.splice(0)) go();
}

addEventListener("pointerdown", () => (pressed = true), true);
// A drag ends the pointer's events with pointercancel: then dragend, or drop, is its release.
addEventListener("pointerup", release, true);
addEventListener("pointercancel", (event) => event.pointerType !== "mouse" && release(), true);
addEventListener("dragend", release, true);
addEventListener("blur", release);

/** @returns {Promise<void>} when no pointer is pressed and nothing is dragged */
export function atRest() {
  return pressed ? new Promise((go) => waiting.push(go)) : Promise.resolve();
}
