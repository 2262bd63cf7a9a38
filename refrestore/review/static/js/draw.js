// @ts-check
// A face that the scan missed: a box on one frame, from where it is followed both ways.

import { complain, undo } from "./actions.js";
import { get, post } from "./api.js";
import { Bars, filmRange } from "./bars.js";
import { DrawStage } from "./draw_stage.js";
import { Icon } from "./icons.js";
import { cancel } from "./jobs.js";
import { computed, html, signal, useEffect, useState } from "./lib.js";
import { note } from "./notes.js";
import { pickPerson } from "./picker.js";
import { drawAddress, route, settle } from "./router.js";
import { byId, jobs, project, refreshJobs, sentenceOf, version } from "./store.js";
import { TimeField } from "./time_field.js";
import { counted, duration, stageWords } from "./words.js";

/** @typedef {import("./draw_stage.js").Box} Box */
/** @typedef {import("./types.js").KnownFace} KnownFace */
/** @typedef {import("./types.js").Job} Job */

/** The last job that was begun here; one that runs is shown wherever it was begun. */
const begun = signal("");

const shown = computed(() => {
  const drawings = jobs.value.filter((job) => job.kind === "draw");
  return drawings.find((job) => job.state === "running" || job.id === begun.value) ?? null;
});

/** Who is known at a moment. @param {number} at */
function useKnown(at) {
  const [known, setKnown] = useState(/** @type {KnownFace[]} */ ([]));
  useEffect(() => {
    const abort = new AbortController();
    get(`moment?at=${at}`, abort.signal).then(
      (answer) => setKnown(answer.faces),
      (error) => {
        if (error.name !== "AbortError") sentenceOf(error);
      },
    );
    return () => abort.abort();
  }, [at, version.value]);
  return known;
}

/** Say once what came of it. @param {Job | null} job */
function useOutcome(job) {
  const [running, setRunning] = useState("");
  useEffect(() => {
    if (job?.state === "running") setRunning(job.id);
    else if (job && job.id === running) {
      setRunning("");
      if (job.state === "done")
        note("The face is drawn.", { action: { label: "Undo", run: () => void undo() } });
    }
  }, [job?.id, job?.state]);
}

/** @param {{job: Job}} props */
function Outcome({ job }) {
  if (job.state === "running")
    return html`<div class="row" role="status" data-testid="drawing">
      <span>
        ${stageWords(job.stage)}${job.done ? `, ${counted(job.done, "frame")} looked at` : ""} ·${" "}
        ${duration(job.seconds)}
      </span>
      <button
        data-testid="stop-drawing"
        onClick=${() => void cancel(job.id).then(refreshJobs).catch(complain)}
      >
        <${Icon} name="close" />Stop
      </button>
    </div>`;
  if (job.state === "failed")
    return html`<p class="warning" role="alert" data-testid="draw-error">${job.sentence}</p>`;
  if (job.state === "cancelled") return html`<p class="quiet">Stopped; nothing was changed.</p>`;
  /** @type {import("./types.js").DrawResult} */
  const drawn = job.result;
  const card = byId.value.get(drawn.identity);
  const met = drawn.met.flatMap((id) => byId.value.get(id) ?? []);
  return html`<p data-testid="drawn">
    Followed for ${duration(drawn.end - drawn.start)}, as${" "}
    ${
      card
        ? html`<a href=${`#/people/${card.id}`} data-testid="drawn-person">${card.name}</a>`
        : "somebody who was taken back"
    }.
    ${
      met.length > 0 &&
      html` Where that ends ${met.map((one) => html`<a href=${`#/people/${one.id}`}>${one.name}</a> `)}
        is seen in its place: merge them if they are one person.`
    }
  </p>`;
}

/** @param {{box: Box, begin: (who: {identity?: number, name?: string}) => void}} props */
function Whose({ box, begin }) {
  const [name, setName] = useState("");
  const fresh = () => begin(name.trim() ? { name: name.trim() } : {});
  const known = async () => {
    const who = await pickPerson("Whose face is this?", -1, false);
    if (typeof who === "number") begin({ identity: who });
  };
  return html`<div class="row wide" data-testid="whose">
    <label class="field">
      <span>Name, if you know it</span>
      <input
        data-testid="drawn-name"
        maxlength="120"
        value=${name}
        onInput=${(/** @type {any} */ event) => setName(event.target.value)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && fresh()}
      />
    </label>
    <button class="main" data-testid="draw-new" onClick=${fresh}>
      <${Icon} name="plus" />A new person
    </button>
    <button data-testid="draw-known" onClick=${() => void known()}>
      <${Icon} name="person" />Somebody here
    </button>
    <span class="quiet">
      ${Math.round(box[2] - box[0])} × ${Math.round(box[3] - box[1])} px
    </span>
  </div>`;
}

export function Draw() {
  const asked = Number(route.value.query.get("at") ?? filmRange()[0]);
  const at = Number.isFinite(asked) ? asked : 0;
  const film = project.value;
  const known = useKnown(at);
  const [box, setBox] = useState(/** @type {Box | null} */ (null));
  const job = shown.value;
  useOutcome(job);
  useEffect(() => {
    document.title = `Draw a face · ${film?.name ?? ""}`;
    void refreshJobs().catch(complain);
  }, []);
  useEffect(() => setBox(null), [at]);

  /** @param {number} to */
  const goTo = (to) => {
    const [from, end] = filmRange();
    settle(drawAddress(Math.min(end, Math.max(from, to))));
  };
  /** @param {number} frames */
  const step = (frames) => goTo(at + frames / (film?.video.fps || 25));
  /** @param {{identity?: number, name?: string}} who */
  const begin = async (who) => {
    try {
      const { job: id } = await post("drawings", { at, box, ...who });
      begun.value = id;
      setBox(null);
      await refreshJobs();
    } catch (error) {
      complain(error);
    }
  };
  if (!film?.video.found)
    return html`<main class="page" data-testid="draw">
      <div class="empty" data-testid="empty">
        <${Icon} name="film" />
        <h2>The film is not where it was</h2>
        <p>${film?.video.sentence ?? "A face is drawn on one of its frames."}</p>
      </div>
    </main>`;
  return html`<main class="page" data-testid="draw">
    <div class="title-line">
      <h1>Draw a face</h1>
      <p class="quiet summary">
        Drag a box around a face that is not outlined: it is followed from there, back and forth.
      </p>
      <span class="spring"></span>
      <${TimeField} label="Moment" name="moment" testid="moment" value=${at} set=${goTo} />
    </div>
    <div class="preview-main">
      <${DrawStage}
        src=${`api/pictures/${film.scan.id}/moment.jpg?at=${at}`}
        picture=${film.video}
        known=${known}
        box=${box}
        setBox=${setBox}
      />
      <div class="scrub">
        <button class="plain icon-only" aria-label="A frame back" onClick=${() => step(-1)}>
          <${Icon} name="back" />
        </button>
        <${Bars} spans=${[]} at=${at} live=${true} label="Moment of the film" testid="scrub" onPick=${goTo} />
        <button class="plain icon-only" aria-label="A frame on" onClick=${() => step(1)}>
          <${Icon} name="forward" />
        </button>
      </div>
      ${box && job?.state !== "running" && html`<${Whose} box=${box} begin=${begin} />`}
      ${job && !(box && job.state !== "running") && html`<${Outcome} job=${job} />`}
    </div>
  </main>`;
}
