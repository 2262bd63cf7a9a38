// @ts-check
// What somebody is restored from, laid out by where the face looks, with the gaps marked.

import { useCloseUps } from "./actions.js";
import { sized } from "./api.js";
import { Picture } from "./face.js";
import { Icon } from "./icons.js";
import { html, useState } from "./lib.js";
import { go, previewAddress } from "./router.js";
import { clock, counted } from "./words.js";

/** @typedef {import("./types.js").CloseUp} CloseUp */

/** The map's reach and the poses' limits, in degrees, as `refrestore/project/gaps.py` has them. */
const YAW = 80;
const PITCH = 40;
const [TURNED, SIDE, TILTED] = [20, 50, 15];

/** @type {Record<string, [number, number, number, number]>} yaw from, to; pitch from, to */
const POSES = {
  "left profile": [-YAW, -SIDE, -PITCH, PITCH],
  "left three-quarter": [-SIDE, -TURNED, -PITCH, PITCH],
  up: [-TURNED, TURNED, TILTED, PITCH],
  front: [-TURNED, TURNED, -TILTED, TILTED],
  down: [-TURNED, TURNED, -PITCH, -TILTED],
  "right three-quarter": [TURNED, SIDE, -PITCH, PITCH],
  "right profile": [SIDE, YAW, -PITCH, PITCH],
};

/** @param {number} yaw */
const across = (yaw) => ((Math.min(YAW, Math.max(-YAW, yaw)) + YAW) / (2 * YAW)) * 100;
/** @param {number} pitch */
const down = (pitch) => ((PITCH - Math.min(PITCH, Math.max(-PITCH, pitch))) / (2 * PITCH)) * 100;

/** @param {CloseUp} one */
function poseOf({ yaw, pitch }) {
  if (Math.abs(yaw) >= SIDE) return yaw > 0 ? "right profile" : "left profile";
  if (Math.abs(yaw) >= TURNED) return yaw > 0 ? "right three-quarter" : "left three-quarter";
  if (Math.abs(pitch) >= TILTED) return pitch > 0 ? "up" : "down";
  return "front";
}

/** The poses that the server's sentences name as missing. @param {string[]} gaps */
function missing(gaps) {
  return Object.keys(POSES).filter((pose) =>
    gaps.some(
      (gap) => gap.startsWith(`No ${pose} `) || gap.startsWith(`Nothing near this ${pose} `),
    ),
  );
}

/** @param {CloseUp} one */
function described(one) {
  const from = one.at === null ? one.source : `at ${clock(one.at)}`;
  const what = `Close-up ${one.id}, ${poseOf(one)}, ${Math.round(one.pixels)} pixels, ${from}`;
  return `${what}, ${one.used ? "used" : "not used"}`;
}

/** @param {CloseUp} one */
const ours = (one) => one.source === "video";

/** @param {{person: import("./types.js").Person}} props */
export function CloseUps({ person }) {
  const { references, identity } = person;
  const [lit, setLit] = useState(/** @type {number | null} */ (null));
  const used = references.filter((one) => one.used).length;
  const sorted = [...references].sort((a, b) => b.pixels - a.pixels);
  const toggle = (/** @type {CloseUp} */ one) => ours(one) && void useCloseUps([one.id], !one.used);
  const gaps = missing(identity.gaps);
  return html`<section class="close-ups" aria-label="Close-ups" data-testid="close-ups">
    <div class="section-line">
      <h2>Close-ups <span class="count">${used} of ${references.length} used</span></h2>
    </div>
    <div class="pose-map" role="group" aria-label="Close-ups by where the face looks">
      ${Object.entries(POSES).map(
        ([pose, [left, right, low, high]]) => html`<div
          key=${pose}
          class=${`pose ${gaps.includes(pose) ? "gap" : ""}`}
          style=${{
            left: `${across(left)}%`,
            width: `${across(right) - across(left)}%`,
            top: `${down(high)}%`,
            height: `${down(low) - down(high)}%`,
          }}
        >
          <span>${pose}${gaps.includes(pose) ? ": missing" : ""}</span>
        </div>`,
      )}
      ${references.map(
        (one) => html`<button
          key=${one.id}
          class=${`dot plain ${one.used ? "" : "unused"} ${lit === one.id ? "lit" : ""}`}
          style=${{ left: `${across(one.yaw)}%`, top: `${down(one.pitch)}%` }}
          aria-label=${described(one)}
          aria-pressed=${one.used}
          title=${described(one)}
          onClick=${() => toggle(one)}
          onPointerEnter=${() => setLit(one.id)}
          onPointerLeave=${() => setLit(null)}
        >
          <${Picture} src=${sized(one.url, 112)} />
        </button>`,
      )}
      ${!references.length && html`<p class="nothing quiet">No close-ups of ${identity.name}</p>`}
    </div>
    ${
      identity.gaps.length > 0 &&
      html`<ul class="gaps" data-testid="gaps">
      ${identity.gaps.map((gap) => html`<li><${Icon} name="alert" />${gap}</li>`)}
    </ul>`
    }
    <ul class="close-up-list">
      ${sorted.map(
        (one) => html`<li
          key=${one.id}
          class=${`${one.used ? "" : "unused"} ${lit === one.id ? "lit" : ""}`}
          data-testid="close-up"
          data-close-up=${one.id}
          onPointerEnter=${() => setLit(one.id)}
          onPointerLeave=${() => setLit(null)}
        >
          <${Picture} src=${sized(one.url, 112)} alt=${described(one)} />
          <label class="tick" title=${one.used ? "Don't use" : "Use"}>
            <input
              type="checkbox"
              checked=${one.used}
              disabled=${!ours(one)}
              aria-label=${`Use close-up ${one.id}`}
              data-testid="use-close-up"
              onChange=${() => toggle(one)}
            />
          </label>
          <span class="quiet">${Math.round(one.pixels)} px</span>
          ${
            one.at === null
              ? html`<span class="quiet source">${one.source.replace(/^profile /, "")}</span>`
              : html`<a
                href=${`#/${previewAddress(one.at, identity.id)}`}
                title="Preview that moment"
                onClick=${(/** @type {Event} */ event) => {
                  event.preventDefault();
                  go(previewAddress(one.at ?? 0, identity.id));
                }}
              >
                ${clock(one.at)}
              </a>`
          }
        </li>`,
      )}
    </ul>
    ${
      references.length > 0 &&
      used === 0 &&
      html`<p class="warning">
      None of ${counted(references.length, "close-up")} is used: ${identity.name} will hardly be
      touched.
    </p>`
    }
  </section>`;
}
