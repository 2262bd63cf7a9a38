// @ts-check
// What is around every view: where one is, undo, history, help.

import { complain, redo, undo } from "./actions.js";
import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { Icon } from "./icons.js";
import { HELP, useKeys } from "./keys.js";
import { html, signal, useEffect, useState } from "./lib.js";
import { go, route } from "./router.js";
import { gone, jobs, pending, poll, project, version } from "./store.js";
import { nextTheme, theme } from "./theme.js";
import { percent } from "./words.js";

const VIEWS = /** @type {const} */ ([
  ["people", "People"],
  ["timeline", "Timeline"],
  ["preview", "Preview"],
  ["profiles", "Profiles"],
  ["render", "Render"],
]);

const historyOpen = signal(false);

function help() {
  void ask({
    title: "Keys",
    wide: true,
    testid: "help",
    body: () => html`<div class="help">
      ${HELP.map(
        ([where, keys]) => html`<section>
          <h3>${where}</h3>
          <dl>
            ${keys.map(
              ([key, what]) => html`<div>
                <dt><kbd>${key}</kbd></dt>
                <dd>${what}</dd>
              </div>`,
            )}
          </dl>
        </section>`,
      )}
    </div>`,
    choices: [{ label: "Close", value: "close", kind: "main" }],
  });
}

function useGlobalKeys() {
  useKeys({
    "ctrl+z": () => void undo(),
    "ctrl+shift+z": () => void redo(),
    "ctrl+y": () => void redo(),
    "?": help,
    h: () => (historyOpen.value = !historyOpen.value),
    escape: () => (historyOpen.value = false),
    ...Object.fromEntries(VIEWS.map(([view], index) => [String(index + 1), () => go(view)])),
  });
}

function Saved() {
  const words = gone.value !== null ? "Not connected" : pending.value ? "Saving…" : "Saved";
  return html`<span class="saved quiet" data-testid="saved">
    ${words === "Saved" && html`<${Icon} name="check" />`}${words}
  </span>`;
}

/** How far a render is, wherever one looks. */
function Running() {
  const job = jobs.value.find((one) => one.kind === "render" && one.state === "running");
  if (!job) return null;
  return html`<span class="count" title="Rendering">
    ${job.total ? percent(job.done / job.total) : "…"}
  </span>`;
}

/** Its people are right: the queue may render it. */
async function confirmFilm() {
  try {
    await post("confirm");
    location.href = "../../";
  } catch (error) {
    complain(error);
  }
}

/** The way back to the other films, where there are any. */
function Queued() {
  const state = project.value?.queued;
  if (!state) return null;
  return html`<a class="row" href="../../" data-testid="films"><${Icon} name="back" />Films</a>
    ${
      state === "review" &&
      html`<button class="main" data-testid="confirm-film" onClick=${() => void confirmFilm()}>
      <${Icon} name="check" />Render it
    </button>`
    }`;
}

export function TopBar() {
  useGlobalKeys();
  const film = project.value;
  const themeWords = { auto: "as the system", light: "light", dark: "dark" }[theme.value];
  return html`<header class="top">
    <div class="brand">
      <strong>refrestore</strong>
      <span class="quiet film-name" title=${film?.folder_name}>${film?.video.name}</span>
    </div>
    <nav aria-label="Views">
      ${VIEWS.map(
        ([view, words]) => html`<a
          key=${view}
          href=${`#/${view}`}
          aria-current=${route.value.view === view ? "page" : undefined}
          data-testid=${`view-${view}`}
        >
          ${words}${view === "render" && html`<${Running} />`}
        </a>`,
      )}
    </nav>
    <${Queued} />
    <div class="tools" role="toolbar" aria-label="Edits">
      <${Saved} />
      <button
        class="plain icon-only"
        disabled=${!film?.can_undo}
        aria-label=${film?.can_undo ? `Undo: ${film.can_undo}` : "Nothing to undo"}
        title=${film?.can_undo ? `Undo: ${film.can_undo} (Ctrl Z)` : "Nothing to undo"}
        data-testid="undo"
        onClick=${() => void undo()}
      >
        <${Icon} name="undo" />
      </button>
      <button
        class="plain icon-only"
        disabled=${!film?.can_redo}
        aria-label=${film?.can_redo ? `Redo: ${film.can_redo}` : "Nothing to redo"}
        title=${film?.can_redo ? `Redo: ${film.can_redo} (Ctrl Shift Z)` : "Nothing to redo"}
        data-testid="redo"
        onClick=${() => void redo()}
      >
        <${Icon} name="redo" />
      </button>
      <button
        class="plain icon-only"
        aria-label="History"
        title="History (H)"
        aria-expanded=${historyOpen.value}
        data-testid="history"
        onClick=${() => (historyOpen.value = !historyOpen.value)}
      >
        <${Icon} name="history" />
      </button>
      <button
        class="plain icon-only"
        aria-label=${`Colours: ${themeWords}`}
        title=${`Colours: ${themeWords}`}
        data-testid="theme"
        onClick=${nextTheme}
      >
        <${Icon} name=${{ auto: "auto", light: "sun", dark: "moon" }[theme.value]} />
      </button>
      <button
        class="plain icon-only"
        aria-label="Keys"
        title="Keys (?)"
        data-testid="help-button"
        onClick=${help}
      >
        <${Icon} name="help" />
      </button>
    </div>
  </header>`;
}

export function Banners() {
  return html`<div class="banners">
    ${
      gone.value !== null &&
      html`<div class="banner" role="alert" data-testid="gone">
      <${Icon} name="alert" />
      <span>refrestore does not answer. Is it still running? Nothing is lost; trying again.</span>
      <button onClick=${() => void poll()}>Try now</button>
    </div>`
    }
    ${
      project.value?.writable === false &&
      html`<div class="banner" role="status">
      <${Icon} name="alert" />
      <span>This project cannot be written to: look, but edits are refused.</span>
    </div>`
    }
  </div>`;
}

/** @param {string} time */
function when(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}

export function HistoryPanel() {
  const [edits, setEdits] = useState(/** @type {import("./types.js").LogEntry[]} */ ([]));
  const shown = historyOpen.value;
  useEffect(() => {
    if (shown) get("log").then((answer) => setEdits(answer.edits), complain);
  }, [shown, version.value]);
  if (!shown) return null;
  const film = project.value;
  return html`<aside class="history" aria-label="History" data-testid="history-panel">
    <div class="section-line">
      <h2>History</h2>
      <span class="spring"></span>
      <button
        class="plain icon-only"
        aria-label="Close the history"
        onClick=${() => (historyOpen.value = false)}
      >
        <${Icon} name="close" />
      </button>
    </div>
    <div class="row">
      <button disabled=${!film?.can_undo} onClick=${() => void undo()}>
        <${Icon} name="undo" />Undo
      </button>
      <button disabled=${!film?.can_redo} onClick=${() => void redo()}>
        <${Icon} name="redo" />Redo
      </button>
    </div>
    ${!edits.length && html`<p class="quiet">No edits yet. Each one is kept and can be undone.</p>`}
    <ol>
      ${edits.map(
        (one) => html`<li key=${one.id} class=${one.undone ? "undone" : ""} data-testid="log-entry">
          <span>${one.words}</span>
          <time class="quiet" datetime=${one.time}>
            ${one.undone ? "undone · " : ""}${when(one.time)}
          </time>
        </li>`,
      )}
    </ol>
  </aside>`;
}
