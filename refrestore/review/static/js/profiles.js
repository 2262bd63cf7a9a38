// @ts-check
// People kept for other films, and more photos of them.

import { complain } from "./actions.js";
import { get } from "./api.js";
import { Picture } from "./face.js";
import { Icon } from "./icons.js";
import { html, useEffect, useState } from "./lib.js";
import { newPerson } from "./new_person.js";
import { PhotoChoice, PhotoList, useDropping, usePhotos } from "./photos.js";
import { project, version } from "./store.js";
import { counted } from "./words.js";

/** @typedef {import("./types.js").Profile} Profile */

/** @param {{profile: Profile, changed: () => void}} props */
function ProfileCard({ profile, changed }) {
  const path = `profiles/${encodeURIComponent(profile.name)}/photos`;
  const { photos, add } = usePhotos(() => path, changed);
  const { over, handlers } = useDropping(add);

  return html`<li
    class=${`profile ${over ? "over" : ""}`}
    data-testid="profile"
    data-profile=${profile.name}
    ...${handlers}
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
      <${PhotoChoice} add=${add} over=${over} words="Add photos: drop them here, or choose" />
      <${PhotoList} photos=${photos} />
    </div>
  </li>`;
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
      <span class="spring"></span>
      <button class="main" data-testid="new-person-button" onClick=${() => void newPerson(null).then(load)}>
        <${Icon} name="plus" />New person from photos
      </button>
    </div>
    ${
      profiles?.length === 0 &&
      html`<div class="empty" data-testid="empty">
      <${Icon} name="person" />
      <h2>No profiles yet</h2>
      <p>
        Make a new person from photos, or open
        ${" "}<a href="#/people">somebody with close-ups</a> and press “Save as profile”. In every
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
