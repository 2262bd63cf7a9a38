// @ts-check
// The whole film, or a part of it: how far it is, what came out.

import { complain } from "./actions.js";
import { Refusal, post } from "./api.js";
import { sure } from "./dialog.js";
import { Icon } from "./icons.js";
import { cancel } from "./jobs.js";
import { computed, html, signal, useEffect, useState } from "./lib.js";
import { announce } from "./notes.js";
import { Form } from "./render_form.js";
import { jobs, project, refreshJobs } from "./store.js";
import { duration, percent, stageWords } from "./words.js";

/** @typedef {import("./render_form.js").Settings} Settings */

/** @type {import("../vendor/signals.js").Signal<Settings | null>} once they were changed here */
const settings = signal(null);

const latest = computed(() => jobs.value.find((job) => job.kind === "render") ?? null);

/** @returns {Settings} */
function initial() {
  return {
    name: project.value?.output_name ?? "restored.mp4",
    scale: 1,
    crf: null,
    codec: null,
    start: null,
    end: null,
    second_stage: null,
    fidelity: null,
    licence_accepted: false,
  };
}

/** @param {Settings} now @param {boolean} [overwrite] */
async function begin(now, overwrite = false) {
  try {
    await post("renders", { ...now, overwrite });
    announce("The render has begun.");
    await refreshJobs();
  } catch (error) {
    if (!(error instanceof Refusal) || error.confirm !== "overwrite") return complain(error);
    if (await sure("Replace the file?", error.message, "Replace it")) return begin(now, true);
  }
  return undefined;
}

/** @param {string} id */
async function stop(id) {
  try {
    await cancel(id);
    await refreshJobs();
  } catch (error) {
    complain(error);
  }
}

/** @param {{job: import("./types.js").Job}} props */
function Progress({ job }) {
  const [stopping, setStopping] = useState(false);
  const share = job.total ? job.done / job.total : 0;
  const running = job.state === "running";
  const words = {
    running: stopping ? "Stopping after these frames…" : stageWords(job.stage),
    done: "Done",
    failed: "It stopped",
    cancelled: "Cancelled; what was made is kept",
  }[job.state];
  return html`<section
    class=${`progress ${job.state}`}
    aria-label="Render"
    data-testid="progress"
    data-state=${job.state}
  >
    <div class="section-line">
      <h2>${words}</h2>
      <span class="spring"></span>
      ${
        running &&
        html`<button
        data-testid="cancel"
        disabled=${stopping}
        onClick=${() => {
          setStopping(true);
          void stop(job.id);
        }}
      >
        <${Icon} name="close" />Cancel
      </button>`
      }
    </div>
    ${
      job.state !== "done" &&
      html`<div
        class="bar"
        role="progressbar"
        aria-label="Render"
        aria-valuemin="0"
        aria-valuemax="100"
        aria-valuenow=${Math.round(share * 100)}
      >
        <i style=${{ width: `${share * 100}%` }}></i>
      </div>
      <p class="quiet" data-testid="progress-words">
        ${job.total ? `Frame ${job.done} of ${job.total} · ${percent(share)}` : ""}
        ${running && job.remaining !== null ? ` · about ${duration(job.remaining)} left` : ""}
        ${running ? ` · ${duration(job.seconds)} so far` : ""}
      </p>`
    }
    ${job.sentence && html`<p class=${job.state === "failed" ? "warning" : ""}>${job.sentence}</p>`}
    ${running && html`<${Latest} job=${job} />`}
    ${job.state === "done" && job.result && html`<${Result} result=${job.result} />`}
  </section>`;
}

/**
 * The last frame that was made; the one before stays until the next is there.
 * @param {{job: import("./types.js").Job}} props
 */
function Latest({ job }) {
  const [src, setSrc] = useState("");
  useEffect(() => {
    if (!job.frames_shown) return; // segments kept from an earlier render are done, not shown
    const next = `api/jobs/${job.id}/frame.jpg?n=${job.frames_shown}`;
    const image = new Image();
    image.onload = () => setSrc(next);
    image.src = next;
  }, [job.frames_shown]);
  return html`<div class="latest" data-testid="latest-frame">
    ${
      src
        ? html`<img src=${src} alt=${`Frame ${job.done}, restored`} />`
        : html`<p class="quiet">The first frame appears here.</p>`
    }
  </div>`;
}

/** @param {{result: import("./types.js").RenderResult}} props */
function Result({ result }) {
  return html`<p>
      <strong data-testid="output">${result.output}</strong> is beside the project.
      ${" "}<a href=${result.page} target="_blank" rel="noopener" data-testid="report">
        Open the report in a tab
      </a>
    </p>
    <iframe class="report" src=${result.page} sandbox="" title="Report of the render"></iframe>`;
}

/** @param {Settings} one @param {Settings} other */
const same = (one, other) =>
  /** @type {(keyof Settings)[]} */ (Object.keys(one)).every((key) => one[key] === other[key]);

export function Render() {
  const job = latest.value;
  const now = settings.value ?? job?.order ?? initial();
  const stopped = job?.state === "cancelled" || job?.state === "failed";
  useEffect(() => {
    document.title = `Render · ${project.value?.name ?? ""}`;
    void refreshJobs().catch(complain);
  }, []);
  return html`<main class="page" data-testid="render-view">
    <div class="title-line"><h1>Render</h1></div>
    ${
      !project.value?.video.found &&
      html`<p class="warning"><${Icon} name="alert" />${project.value?.video.sentence}</p>`
    }
    <div class="render-body">
      <${Form}
        now=${now}
        busy=${job?.state === "running"}
        resumable=${stopped && job?.order && same(now, job.order)}
        begin=${() => void begin(now)}
        set=${(/** @type {Partial<Settings>} */ change) => {
          settings.value = { ...now, ...change };
        }}
      />
      <div class="render-side">
        ${
          job
            ? html`<${Progress} key=${job.id} job=${job} />`
            : html`<div class="empty small">
              <${Icon} name="film" />
              <p>
                Nothing was rendered yet. A render can be cancelled and goes on where it stopped;
                the film itself is never changed.
              </p>
            </div>`
        }
      </div>
    </div>
  </main>`;
}
