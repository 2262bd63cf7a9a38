// @ts-check
import { Banners, HistoryPanel, TopBar } from "./chrome.js";
import { DialogHost } from "./dialog.js";
import { Draw } from "./draw.js";
import { Icon } from "./icons.js";
import { html, render } from "./lib.js";
import { Notes } from "./notes.js";
import { People } from "./people.js";
import { PersonView } from "./person.js";
import { Preview } from "./preview.js";
import { Profiles } from "./profiles.js";
import { Render } from "./render.js";
import { route } from "./router.js";
import { failure, gone, phase, start } from "./store.js";
import { TimelineView } from "./timeline.js";

function View() {
  const { view, id } = route.value;
  if (view === "people" && id !== null) return html`<${PersonView} id=${id} />`;
  if (view === "timeline") return html`<${TimelineView} />`;
  if (view === "draw") return html`<${Draw} />`;
  if (view === "preview") return html`<${Preview} />`;
  if (view === "profiles") return html`<${Profiles} />`;
  if (view === "render") return html`<${Render} />`;
  return html`<${People} />`;
}

/** @param {{title: string, sentence: string, testid: string}} props */
function Instead({ title, sentence, testid }) {
  return html`<main class="page">
    <div class="empty" role="alert" data-testid=${testid}>
      <${Icon} name="alert" />
      <h1>${title}</h1>
      <p>${sentence}</p>
    </div>
  </main>`;
}

function App() {
  if (phase.value === "locked")
    return html`<${Instead}
      testid="locked"
      title="This tab is not let in"
      sentence=${`${failure.value} Each address works once; Enter in refrestore's terminal prints another.`}
    />`;
  if (phase.value === "failed")
    return html`<${Instead} testid="failed" title="It cannot be shown" sentence=${failure.value} />`;
  if (phase.value === "loading")
    return html`<main class="page" aria-busy="true">
      ${
        gone.value !== null &&
        html`<${Instead}
        testid="gone"
        title="refrestore does not answer"
        sentence="Is it still running? This page goes on by itself as soon as it is."
      />`
      }
    </main>`;
  return html`
    <button class="skip" onClick=${() => document.getElementById("content")?.focus()}>
      To the content
    </button>
    <${TopBar} />
    <${Banners} />
    <div class="frame">
      <div id="content" tabindex="-1"><${View} /></div>
      <${HistoryPanel} />
    </div>
    <${Notes} />
    <${DialogHost} />
  `;
}

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
void start();
