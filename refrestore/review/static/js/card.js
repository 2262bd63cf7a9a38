// @ts-check
import { merge, rename } from "./actions.js";
import { sized } from "./api.js";
import { Picture, useLongPress } from "./face.js";
import { Icon } from "./icons.js";
import { html, useLayoutEffect, useRef, useState } from "./lib.js";
import { newPerson } from "./new_person.js";
import { bringsFiles, dropped } from "./photos.js";
import { STATES, counted, duration, percent, readiness } from "./words.js";

/** @typedef {import("./types.js").Card} Card */

const DRAGGED = "text/x-refrestore-person";

const BADGES = { ignore: "Left alone", not_a_face: STATES.not_a_face };

/**
 * A name that becomes a field when it is pressed. Enter keeps, Escape does not.
 * @param {{card: Card, tab?: number, big?: boolean}} props
 */
export function NameField({ card, tab = 0, big = false }) {
  const [typing, setTyping] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const dropped = useRef(false);
  useLayoutEffect(() => {
    if (typing) field.current?.select(); // before the next key can come
  }, [typing]);
  const close = () => {
    setTyping(false);
    requestAnimationFrame(() => button.current?.focus());
  };
  if (!typing)
    return html`<button
      ref=${button}
      class=${`name plain ${card.named ? "" : "unnamed"} ${big ? "big" : ""}`}
      tabindex=${tab}
      aria-label=${`${card.name}: change the name`}
      title=${card.name}
      data-testid="name"
      onClick=${() => {
        dropped.current = false;
        setTyping(true);
      }}
    >
      <span>${card.name}</span><${Icon} name="pencil" />
    </button>`;
  return html`<input
    ref=${field}
    class=${`name-field ${big ? "big" : ""}`}
    value=${card.named ? card.name : ""}
    placeholder=${card.name}
    aria-label=${`Name of ${card.name}`}
    maxlength="80"
    autocomplete="off"
    spellcheck=${false}
    data-testid="name-field"
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      if (event.key === "Enter") event.preventDefault(); // or it presses what a question focuses
      if (event.key === "Escape") dropped.current = true;
      if (event.key === "Escape" || event.key === "Enter") close();
    }}
    onBlur=${(/** @type {any} */ event) => {
      setTyping(false);
      if (!dropped.current) void rename(card.id, event.target.value);
    }}
  />`;
}

/** @param {{card: Card}} props */
export function Readiness({ card }) {
  const filled = { none: 0, some: 2, good: 4 }[card.readiness];
  return html`<div class="readiness" data-testid="readiness">
    <span class=${`meter ${card.readiness}`} aria-hidden="true">
      ${[0, 1, 2, 3].map((step) => html`<i class=${step < filled ? "on" : ""}></i>`)}
    </span>
    <span class="quiet">${readiness(card)}</span>
  </div>`;
}

/** @param {{card: Card}} props */
export function ProfileLine({ card }) {
  if (card.profile) {
    const { name, certainty, found } = card.profile;
    return html`<div class="profile-line" data-testid="profile-line">
      <${Icon} name="link" />
      <span>${name}</span>
      ${certainty !== null && html`<span class="quiet">${percent(certainty)} sure</span>`}
      ${!found && html`<span class="warning">not found</span>`}
    </div>`;
  }
  if (card.likely_profile)
    return html`<div class="profile-line quiet">
      <${Icon} name="link" />
      <span>${card.likely_profile.name}?</span>
      <span>${card.likely_profile.similarity.toFixed(2)} alike</span>
    </div>`;
  return null;
}

/** @param {Card} card */
function described(card) {
  const parts = [
    card.name,
    `${duration(card.seconds)} on screen`,
    counted(card.faces, "face"),
    readiness(card),
    card.profile ? `profile ${card.profile.name}` : "",
    card.state === "restore" ? STATES.restore : BADGES[card.state],
  ];
  return parts.filter(Boolean).join(", ");
}

/**
 * Dragging a card onto another asks whether the two are one; photos become the person's.
 * @param {Card} card
 */
function useDragging(card) {
  const { id } = card;
  const [over, setOver] = useState(/** @type {"" | "Merge" | "Add photos"} */ (""));
  const ours = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes(DRAGGED);
  return {
    over,
    handlers: {
      draggable: matchMedia("(pointer: fine)").matches,
      onDragStart: (/** @type {DragEvent} */ event) => {
        const picture = /** @type {HTMLElement} */ (event.currentTarget).querySelector(".picture");
        event.dataTransfer?.setData(DRAGGED, String(id));
        if (picture) event.dataTransfer?.setDragImage(picture, 40, 40);
      },
      onDragOver: (/** @type {DragEvent} */ event) => {
        if (!ours(event) && !bringsFiles(event)) return;
        event.preventDefault();
        setOver(ours(event) ? "Merge" : "Add photos");
      },
      onDragLeave: (/** @type {DragEvent} */ event) => {
        const inside = /** @type {HTMLElement} */ (event.currentTarget);
        if (!inside.contains(/** @type {Node | null} */ (event.relatedTarget))) setOver("");
      },
      onDrop: (/** @type {DragEvent} */ event) => {
        setOver("");
        if (bringsFiles(event)) {
          event.preventDefault();
          void dropped(event).then((files) => newPerson(card, files));
        }
        if (!ours(event)) return;
        event.preventDefault();
        const other = Number(event.dataTransfer?.getData(DRAGGED));
        if (other && other !== id) void merge([id, other], id);
      },
    },
  };
}

/**
 * @param {{card: Card, chosen: boolean, choosing: boolean, current: boolean,
 *   onToggle: (id: number) => void, onOpen: () => void}} props
 */
export function PersonCard({ card, chosen, choosing, current, onToggle, onOpen }) {
  const { over, handlers } = useDragging(card);
  const press = useLongPress(() => onToggle(card.id));
  const tab = current ? 0 : -1;
  const classes = ["card", `is-${card.state}`, chosen && "chosen", choosing && "choosing"];
  return html`<li
    class=${[...classes, over && "over"].filter(Boolean).join(" ")}
    data-testid="card"
    data-identity=${card.id}
    ...${handlers}
    ...${press}
  >
    <a
      class="card-face"
      href=${`#/people/${card.id}`}
      tabindex=${tab}
      draggable=${false}
      aria-label=${described(card)}
      onClick=${(/** @type {MouseEvent} */ event) => {
        event.preventDefault();
        if (event.ctrlKey || event.metaKey || event.shiftKey) onToggle(card.id);
        else onOpen();
      }}
    >
      <${Picture} src=${sized(card.cover, 256)} />
      ${card.state !== "restore" && html`<span class="badge">${BADGES[card.state]}</span>`}
      ${over && html`<span class="drop-words">${over}</span>`}
    </a>
    <label class="tick" title="Select">
      <input
        type="checkbox"
        tabindex=${tab}
        checked=${chosen}
        aria-label=${`Select ${card.name}`}
        data-testid="select"
        onChange=${() => onToggle(card.id)}
      />
    </label>
    <div class="card-words">
      <${NameField} card=${card} tab=${tab} />
      <div class="quiet">${duration(card.seconds)} · ${counted(card.faces, "face")}</div>
      <${Readiness} card=${card} />
      <${ProfileLine} card=${card} />
      ${card.wanted && html`<p class="advice" data-testid="wanted">${card.wanted}</p>`}
      <button
        class=${card.wanted ? "" : "plain"}
        tabindex=${tab}
        aria-label=${`Add photos of ${card.name}`}
        data-testid="card-photos"
        onClick=${() => void newPerson(card)}
      >
        <${Icon} name="upload" />Add photos
      </button>
    </div>
  </li>`;
}
