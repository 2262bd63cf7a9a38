// @ts-check
// Two videos that show the same frame at the same time, over and over.

import { useEffect, useRef, useState } from "./lib.js";

/** Seconds the two may be apart before one is put right: less than a frame. */
const DRIFT = 0.02;

/**
 * @param {string} key of what is played; another one starts anew
 * @param {number} fps
 */
export function useLoop(key, fps) {
  const videos = useRef(/** @type {Record<string, HTMLVideoElement | null>} */ ({}));
  const [playing, setPlaying] = useState(true);
  const [slow, setSlow] = useState(false);

  const both = () => Object.values(videos.current).filter((one) => one !== null);
  /** @param {number} seconds */
  const seek = (seconds) => both().forEach((one) => (one.currentTime = seconds));

  useEffect(() => {
    const { before, after } = videos.current;
    if (!key || !before || !after) return undefined;
    let over = false;
    const again = () => {
      seek(0);
      if (!over && playing) void play();
    };
    const play = () => Promise.all([before.play(), after.play()]).catch(() => undefined);
    const follow = () => {
      if (over) return;
      if (Math.abs(after.currentTime - before.currentTime) > DRIFT && !before.ended)
        after.currentTime = before.currentTime;
      requestAnimationFrame(follow);
    };
    for (const one of [before, after]) one.playbackRate = slow ? 0.25 : 1;
    before.addEventListener("ended", again);
    if (playing) {
      if (before.ended) seek(0);
      void play();
      requestAnimationFrame(follow);
    } else {
      before.pause();
      after.pause();
      after.currentTime = before.currentTime;
    }
    return () => {
      over = true;
      before.removeEventListener("ended", again);
    };
  }, [key, playing, slow]);

  return {
    playing,
    slow,
    setSlow,
    setPlaying,
    /** @param {"before" | "after"} side */
    ref: (side) => (/** @type {HTMLVideoElement | null} */ element) => {
      videos.current[side] = element;
    },
    /** @param {number} by frames */
    step: (by) => {
      setPlaying(false);
      const { before } = videos.current;
      if (!before) return;
      const end = Math.max(0, before.duration - 0.5 / fps);
      seek(Math.min(end, Math.max(0, before.currentTime + by / fps)));
    },
  };
}
