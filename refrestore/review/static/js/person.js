// @ts-check
// One person: who it is, what is done with the face, the tracks and the close-ups.

import { complain, edit, link, merge, notProfile, setState } from "./actions.js";
import { get, sized } from "./api.js";
import { Axis, Bars, middle } from "./bars.js";
import { NameField, ProfileLine, Readiness } from "./card.js";
import { CloseUps } from "./close_ups.js";
import { Picture } from "./face.js";
import { Icon } from "./icons.js";
import { useKeys } from "./keys.js";
import { html, useEffect, useState } from "./lib.js";
import { newPerson } from "./new_person.js";
import { pickPerson } from "./picker.js";
import { chooseProfile, saveAsProfile } from "./profile_dialogs.js";
import { go, previewAddress } from "./router.js";
import { identities, version } from "./store.js";
import { Strength } from "./strength.js";
import { Tracks } from "./tracks.js";
import { STATES, counted, duration } from "./words.js";

/** @typedef {import("./types.js").Person} PersonData */
/** @typedef {import("./types.js").Card} Card */

/** @param {number} id */
function usePerson(id) {
  const [person, setPerson] = useState(/** @type {PersonData | null} */ (null));
  const [lost, setLost] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    get(`identities/${id}`, abort.signal).then(
      (found) => {
        setPerson(found);
        setLost(false);
      },
      (error) => {
        if (error.name === "AbortError") return;
        if (error.status === 404) setLost(true);
        else complain(error);
      },
    );
    return () => abort.abort();
  }, [id, version.value]);
  return { person: person?.identity.id === id ? person : null, lost };
}

/** @param {{card: Card}} props */
function StateChoice({ card }) {
  /** @param {import("./types.js").State} state */
  const set = (state) => {
    if (state === card.state) return;
    if (state === "not_a_face")
      void edit([{ do: "not_a_face", identities: [card.id] }], `${card.name}: not a face.`);
    else void setState([card.id], state);
  };
  return html`<div class="segments" role="radiogroup" aria-label="What to do">
    ${Object.entries(STATES).map(
      ([state, words]) => html`<button
        key=${state}
        role="radio"
        aria-checked=${card.state === state}
        data-testid=${`state-${state}`}
        onClick=${() => set(/** @type {any} */ (state))}
      >
        ${words}
      </button>`,
    )}
  </div>`;
}

/** @param {{card: Card}} props */
function ProfileChoice({ card }) {
  const likely = card.likely_profile;
  return html`<div class="profile-choice">
    ${
      card.profile &&
      html`<${ProfileLine} card=${card} />
        <button class="plain" data-testid="unlink" onClick=${() => void link(card.id, null)}>
          Unlink
        </button>`
    }
    ${
      !card.profile &&
      likely &&
      html`<div class="row">
        <${ProfileLine} card=${card} />
        <button data-testid="link-likely" onClick=${() => void link(card.id, likely.name)}>
          Link to ${likely.name}
        </button>
        <button data-testid="deny-likely" onClick=${() => void notProfile(card.id, likely.name)}>
          Not ${likely.name}
        </button>
      </div>`
    }
    ${
      !card.profile &&
      html`<button data-testid="link" onClick=${() => void chooseProfile(card)}>
      <${Icon} name="link" />Link to a profile…
    </button>`
    }
    <button
      class=${card.wanted ? "main" : ""}
      data-testid="person-photos"
      onClick=${() => void newPerson(card)}
    >
      <${Icon} name="upload" />Add photos…
    </button>
    <button
      data-testid="save-profile"
      disabled=${card.close_ups.used === 0}
      title=${card.close_ups.used ? "" : "There are no close-ups to save"}
      onClick=${() => void saveAsProfile(card)}
    >
      <${Icon} name="keep" />Save as profile…
    </button>
  </div>`;
}

/** @param {Card} card */
async function mergeWith(card) {
  const other = await pickPerson(`Who is the same person as ${card.name}?`, card.id, false);
  if (typeof other === "number") await merge([card.id, other], card.id);
}

/** @param {{card: Card}} props */
function Head({ card }) {
  return html`<header class="person-head">
    <${Picture} src=${sized(card.cover, 256)} />
    <div class="person-words">
      <h1><${NameField} card=${card} big=${true} /></h1>
      <p class="quiet">
        ${duration(card.seconds)} on screen · ${counted(card.faces, "face")} ·
        ${" "}${counted(card.tracks, "track")}
      </p>
      <${Readiness} card=${card} />
      ${card.wanted && html`<p class="advice" data-testid="wanted">${card.wanted}</p>`}
      <${ProfileChoice} card=${card} />
    </div>
    <div class="person-acts">
      <${StateChoice} card=${card} />
      <${Strength} id=${card.id} name=${card.name} strength=${card.strength} />
      <div class="row">
        <button data-testid="merge-with" onClick=${() => void mergeWith(card)}>
          <${Icon} name="merge" />Merge with…
        </button>
        <button
          data-testid="preview-person"
          onClick=${() => go(previewAddress(middle(card), card.id))}
        >
          <${Icon} name="film" />Preview
        </button>
      </div>
    </div>
  </header>`;
}

/** @param {{id: number}} props */
export function PersonView({ id }) {
  const { person, lost } = usePerson(id);
  const place = identities.value.findIndex((card) => card.id === id);
  const card = identities.value[place] ?? person?.identity;
  const neighbour = (/** @type {number} */ by) => {
    const next = identities.value[place + by];
    if (place >= 0 && next) go(`people/${next.id}`);
  };
  useKeys({
    "[": () => neighbour(-1),
    "]": () => neighbour(1),
    n: () => /** @type {HTMLElement | null} */ (document.querySelector(".name.big"))?.click(),
  });
  useEffect(() => scrollTo(0, 0), [id]);
  useEffect(() => {
    document.title = card?.name ?? "Person";
  }, [card?.name]);
  if (lost || (!card && place < 0))
    return html`<main class="page">
      <div class="empty">
        <${Icon} name="person" />
        <h2>This person is not here any more</h2>
        <p>Merged with somebody, or all tracks were moved. <a href="#/people">To everybody</a></p>
      </div>
    </main>`;
  if (!card) return html`<main class="page" aria-busy="true"></main>`;
  return html`<main class="page" data-testid="person" data-identity=${id}>
    <nav class="crumbs" aria-label="Other people">
      <a href="#/people"><${Icon} name="back" />People</a>
      <span class="spring"></span>
      <button
        class="plain icon-only"
        aria-label="Person before"
        title="["
        disabled=${place <= 0}
        onClick=${() => neighbour(-1)}
      >
        <${Icon} name="back" />
      </button>
      <span class="quiet">${place + 1} of ${identities.value.length}</span>
      <button
        class="plain icon-only"
        aria-label="Person after"
        title="]"
        disabled=${place < 0 || place >= identities.value.length - 1}
        onClick=${() => neighbour(1)}
      >
        <${Icon} name="forward" />
      </button>
    </nav>
    <${Head} key=${id} card=${card} />
    <${Bars}
      spans=${card.appearances}
      label=${`Appearances of ${card.name}`}
      testid="appearances"
      onPick=${(/** @type {number} */ at) => go(previewAddress(at, id))}
    />
    <${Axis} />
    ${
      person &&
      html`<div class="person-body" key=${id}>
      <${Tracks} person=${person} />
      <aside>
        <${CloseUps} person=${person} />
        ${
          person.log.length > 0 &&
          html`<section class="log" aria-label="Edits">
          <h2>Edits</h2>
          <ul>
            ${person.log.map((words) => html`<li>${words}</li>`)}
          </ul>
        </section>`
        }
      </aside>
    </div>`
    }
  </main>`;
}
