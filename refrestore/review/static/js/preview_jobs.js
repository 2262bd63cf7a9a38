// @ts-check
import { run } from "./jobs.js";
import { useCallback, useEffect, useRef, useState } from "./lib.js";
import { sentenceOf } from "./store.js";
import { duration, stageWords } from "./words.js";

/** @typedef {import("./types.js").StillResult} StillResult */
/** @typedef {import("./types.js").LoopResult} LoopResult */

/** Ask for previews, of which only the last one asked for matters. */
export function usePreview() {
  const [still, setStill] = useState(/** @type {StillResult | null} */ (null));
  const [loop, setLoop] = useState(/** @type {LoopResult | null} */ (null));
  const [busy, setBusy] = useState("");
  const [error, setError] = useState("");
  const abort = useRef(new AbortController());
  const last = useRef(/** @type {Promise<unknown>} */ (Promise.resolve()));

  const want = useCallback(
    /** @param {number} at @param {number | null} person @param {number} seconds */
    async (at, person, seconds) => {
      abort.current.abort();
      const mine = new AbortController();
      abort.current = mine;
      setBusy("Waiting…");
      await last.current.catch(() => undefined);
      if (mine.signal.aborted) return;
      const body = { at, identity: person, seconds, strength: null };
      const work = run("previews", body, mine.signal, (job) => {
        const done = job.total ? ` ${job.done} of ${job.total}` : "";
        setBusy(`${stageWords(job.stage)}${done} · ${duration(job.seconds)}`);
      });
      last.current = work;
      try {
        const job = await work;
        if (mine.signal.aborted) return;
        setError(job.state === "done" ? "" : (job.sentence ?? "The preview was stopped."));
        if (job.state === "done" && seconds) setLoop(job.result);
        if (job.state === "done" && !seconds) {
          setStill(job.result);
          setLoop(null);
        }
      } catch (problem) {
        if (mine.signal.aborted) return;
        setError(sentenceOf(problem));
      }
      if (abort.current === mine) setBusy("");
    },
    [],
  );
  const stop = useCallback(() => {
    abort.current.abort();
    setBusy("");
  }, []);
  useEffect(() => {
    addEventListener("pagehide", stop);
    return () => {
      removeEventListener("pagehide", stop);
      stop();
    };
  }, []);
  return { still, loop, busy, error, want, stop, dropLoop: () => setLoop(null) };
}
