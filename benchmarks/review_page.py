"""How fast the review page is on a large project: first view, and scrolling with the mouse wheel.

    python benchmarks/review_page.py [-o benchmarks/review_page.json] [--keep FOLDER]

The project is made up: 2,000 tracks of 100 people, one of whom has 1,010 tracks; the pictures are
cut from the two photos of the demo film. `refrestore review` is started on it and a real Chromium
opens it at 1280 x 800, without a GPU. `first_view` is the time from the navigation to the frame in
which every card in the window has its face painted, in the browser's own clock: `cold` is the first
view after a start of the server, by the one-time address and with nothing cached in the browser
(the server begins with the first faces when it starts), `again` a reload;
`server_cpu_ms` is what the server computed for a cold one, which other load does not change.
`scrolling` notes what `requestAnimationFrame` sees while the wheel turns: milliseconds between
frames, and tasks of over 50 ms. `person_view` is the time from a press on a card to the frame in
which the tracks in the window are painted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.demo import group_photo, portrait_photo
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.project import Project, VideoSource
from refrestore.types import Faces, Geometry, ImageArray, Reference, Shot, Track

TRACKS, PEOPLE, OF_THE_FIRST, LENGTH = 2000, 100, 1010, 50
WITH_CLOSE_UPS, CLOSE_UPS = 80, 5
COLD_STARTS = 5
NOTCH_PX, NOTCHES, NOTCH_MS = 120, 120, 16
"""A notch of a wheel, how many, and the pause between them: some 60 a second, a fast turn."""

PAINTED = """([selector, picture]) => new Promise((done) => {
  const look = () => {
    const seen = [...document.querySelectorAll(selector)].filter((one) => {
      const { top, bottom } = one.getBoundingClientRect();
      return bottom > 0 && top < innerHeight;
    });
    const faces = seen.map((one) => one.querySelector(picture));
    const all = seen.length && faces.every((one) => one && one.complete && one.naturalWidth);
    if (!all) return requestAnimationFrame(look);
    return Promise.all(faces.map((one) => one.decode())).then(() =>
      requestAnimationFrame(() => requestAnimationFrame((now) => done([now, seen.length]))));
  };
  look();
})"""

RECORD = """() => {
  const frames = [], tasks = [];
  let last = 0, on = true;
  const observer = new PerformanceObserver((list) => {
    for (const one of list.getEntries()) tasks.push(one.duration);
  });
  observer.observe({ entryTypes: ["longtask"] });
  const note = (now) => {
    if (last) frames.push(now - last);
    last = now;
    if (on) requestAnimationFrame(note);
  };
  requestAnimationFrame(note);
  window.stopRecording = () => {
    on = false;
    observer.disconnect();
    return { frames, tasks, nodes: document.querySelectorAll("*").length, at: scrollY };
  };
}"""


def heads() -> list[ImageArray]:
    """Return square pictures of the people in the demo film's photos, with room around."""
    models = load_face_models(load_face_pack(RuntimeSettings(device="cpu")), "cpu", threads=1)
    cut = []
    for photo in (group_photo(), portrait_photo()):
        found = models.detector.detect([photo], [0], ScanSettings().detect_size)
        for left, top, right, bottom in found.box:
            x, y, half = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top)
            edges = np.array([y - half, y + half, x - half, x + half]).round().astype(int)
            room = int(half)
            padded = cv2.copyMakeBorder(photo, room, room, room, room, cv2.BORDER_REFLECT)
            rows, columns = slice(*(edges[:2] + room)), slice(*(edges[2:] + room))
            cut.append(np.asarray(padded[rows, columns], np.uint8))
    return cut


def varied(head: ImageArray, side: int, rng: np.random.Generator) -> ImageArray:
    """Return a picture of a head as another track would have it."""
    height = head.shape[0]
    room = int(0.25 * height)
    top, left = rng.integers(0, room, 2)
    part = head[top : height - room + top, left : height - room + left]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    lit = np.clip(part * rng.uniform(0.6, 1.3), 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(lit, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def faces_of(first: int, stop: int, rng: np.random.Generator) -> Faces:
    count = stop - first
    return Faces(
        frame=np.arange(first, stop),
        box=np.tile(np.array([100, 50, 160, 120], np.float32), (count, 1)),
        keypoints=np.full((count, 5, 2), 100.0),
        score=np.ones(count),
        pose=rng.normal(0, 30, (count, 3)),
    )


def make_project(folder: Path) -> None:
    """Write the project: as many tracks at once as there are lanes, ten shots a minute."""
    rng = np.random.default_rng(0)
    pictures = heads()
    owners = [0] * OF_THE_FIRST + [1 + t % (PEOPLE - 1) for t in range(TRACKS - OF_THE_FIRST)]
    owners = [owners[i] for i in rng.permutation(TRACKS)]
    centres = [unit(rng.normal(size=512)) for _ in range(PEOPLE)]
    frames = TRACKS * LENGTH
    duration = Fraction(frames, 25)
    film = VideoSource(
        folder.parent / "film.mp4",
        "f" * 16,
        Geometry(1280, 720),
        Fraction(0),
        Fraction(25),
        frames,
        duration,
    )
    groups: list[list[int]] = [[] for _ in range(PEOPLE)]
    with Project.create(folder, film) as project, project.begin_scan(ScanSettings()) as writer:
        for shot, first in enumerate(range(0, frames, 150)):
            stop = min(frames, first + 150)
            writer.add_shot(Shot(shot, first, stop, Fraction(first, 25)))
        for number, owner in enumerate(owners, start=1):
            first = (number - 1) * LENGTH
            embedding = unit(centres[owner] + 0.8 * unit(rng.normal(size=512)))
            quality = float(rng.uniform(0.2, 0.9))
            shape = (first // 150, first, first + LENGTH, embedding, 0.8, quality, 60.0)
            writer.add_track(
                Track(number, *shape, weak=False), faces_of(first, first + LENGTH, rng)
            )
            head = pictures[owner % len(pictures)]
            writer.add_thumbnail(number, varied(head, 128, rng))
            if owner < WITH_CLOSE_UPS and len(groups[owner]) < CLOSE_UPS:
                at = f"film.mp4 at {first / 25:.3f} s"
                writer.add_reference(number, close_up(head, embedding, first, at, rng))
            groups[owner].append(number)
        writer.set_identities(groups)


def close_up(
    head: ImageArray, embedding: np.ndarray, frame: int, source: str, rng: np.random.Generator
) -> Reference:
    return Reference(
        image=varied(head, 512, rng),
        landmarks=rng.uniform(100, 400, (468, 2)).astype(np.float32),
        embedding=embedding,
        pose=rng.normal(0, 20, 3).astype(np.float32),
        sharpness=0.5,
        quality=float(rng.uniform(0.3, 0.8)),
        native_size=200.0,
        source=source,
        frame=frame,
    )


@contextmanager
def serving(project: Path, home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run the command; yield the address it prints and its process."""
    command = [sys.executable, "-m", "refrestore", "review", str(project), "--no-browser"]
    command += ["--port", "0", "--device", "cpu", "--profiles-dir", str(home / "profiles")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def first_view(page: Page) -> tuple[float, int]:
    now, cards = page.evaluate(PAINTED, [".cards > li", "img.picture, span.picture"])
    return round(now), cards


def cpu_ms(server: psutil.Process) -> float:
    times = server.cpu_times()
    return 1000 * (times.user + times.system)


def scrolled(page: Page) -> dict[str, Any]:
    """Turn the wheel over what is shown; return what was seen."""
    page.mouse.move(500, 500)
    page.wait_for_timeout(500)
    page.evaluate(RECORD)
    for notch in range(NOTCHES):
        page.mouse.wheel(0, NOTCH_PX if notch < 0.8 * NOTCHES else -NOTCH_PX)
        page.wait_for_timeout(NOTCH_MS)
    seen = page.evaluate("() => window.stopRecording()")
    frames = np.array(seen["frames"])
    return {
        "frames": len(frames),
        "p50_ms": round(float(np.percentile(frames, 50)), 1),
        "p95_ms": round(float(np.percentile(frames, 95)), 1),
        "longest_ms": round(float(frames.max()), 1),
        "frames_over_50_ms": int((frames > 50).sum()),
        "long_tasks": len(seen["tasks"]),
        "longest_task_ms": round(max(seen["tasks"], default=0)),
        "dom_nodes": seen["nodes"],
        "scrolled_to_px": round(seen["at"]),
    }


def measured(browser: Browser, project: Path, home: Path) -> dict[str, Any]:
    cold, computed = [], []
    for start in range(COLD_STARTS):
        with serving(project, home) as (url, server):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            idle = cpu_ms(server)
            page.goto(url, wait_until="commit")
            page.wait_for_url(url.split("?")[0])
            cold.append(first_view(page))
            computed.append(cpu_ms(server) - idle)
            if start < COLD_STARTS - 1:
                context.close()
                continue
            again = []
            for _ in range(COLD_STARTS):
                page.reload(wait_until="commit")
                again.append(first_view(page)[0])
            people = scrolled(page)
            page.evaluate("() => scrollTo(0, 0)")
            page.locator('[data-testid="card"]').first.wait_for()
            page.evaluate("() => { window.pressed = performance.now(); }")
            page.locator('[data-testid="card"] .card-face').first.click()
            now, tiles = page.evaluate(PAINTED, [".tile", "img.picture"])
            pressed = page.evaluate("() => window.pressed")
            person = scrolled(page)
            memory = server.memory_info().rss
            context.close()
    times = [time for time, _ in cold]
    return {
        "first_view_ms": {
            "cold": {"median": round(median(times)), "all": times},
            "server_cpu_ms": round(median(computed)),
            "again": {"median": round(median(again)), "all": again},
            "cards_in_window": cold[0][1],
        },
        "person_view_ms": {"time": round(now - pressed), "tracks_in_window": tiles},
        "scrolling": {"people": people, f"person_of_{OF_THE_FIRST}_tracks": person},
        "server_memory_mb": round(memory / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--keep", type=Path, help="Keep the made-up project here, or use it.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        home = Path(temporary)
        project = (arguments.keep or home) / "project"
        if not project.exists():
            make_project(project)
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next((path for name in names if (path := shutil.which(name))), None)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if root else []
        )
        before = os.getloadavg()[0]
        result = {
            "command": "python benchmarks/review_page.py -o benchmarks/review_page.json",
            "date": date.today().isoformat(),
            "machine": {
                "processor": platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "chromium": browser.version,
                "playwright": version("playwright"),
                "load_before": round(before, 2),
            },
            "project": {"tracks": TRACKS, "people": PEOPLE, "frames": TRACKS * LENGTH},
            **measured(browser, project, home),
        }
        result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
        browser.close()
    text = json.dumps(result, indent=1) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
