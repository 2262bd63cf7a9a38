"""Projects, made up and of a real small film, and real servers over HTTP."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.degrade import Degradation
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
from refrestore.project import Project, VideoSource
from refrestore.review.review_settings import ReviewSettings
from refrestore.review.server import Running, prepared
from refrestore.scan.scan import scan
from refrestore.types import Faces, Geometry, Reference, Shot, Track

MOVES = (
    CameraMove(CameraView(0.11, 0.37, 1.0), CameraView(0.13, 0.38, 1.0), 0.56),
    CameraMove(CameraView(0.20, 0.33, 0.5), CameraView(0.22, 0.33, 0.5), 0.56, far=True),
)
FAR_AWAY = Degradation(blur=1.0, shrink=2.0, noise=2.0, quality=85)
"""Leaves clearly less of a face than its close-up shows."""


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def face_table(first: int, stop: int, left: float, rng: np.random.Generator) -> Faces:
    count = stop - first
    box = np.tile(np.array([left, 50, left + 40, 90], np.float32), (count, 1))
    return Faces(
        frame=np.arange(first, stop),
        box=box + rng.uniform(-1, 1, box.shape).astype(np.float32),
        keypoints=rng.uniform(50, 90, (count, 5, 2)),
        score=np.ones(count),
        pose=rng.normal(0, 30, (count, 3)),
    )


def made_up(
    folder: Path,
    people: int = 4,
    tracks: int = 12,
    length: int = 20,
    blurred: Sequence[int] = (),
) -> Path:
    """Write a project: track t is person t % people's, one after another in time.

    Of `blurred` people (from 0) no track is clear.
    """
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(people, 512))
    folder.parent.mkdir(parents=True, exist_ok=True)
    video = VideoSource(
        folder.parent / "film.mp4",
        "f" * 16,
        Geometry(640, 360),
        Fraction(0),
        Fraction(25),
        tracks * length,
        Fraction(tracks * length, 25),
    )
    with Project.create(folder, video) as project, project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, tracks * length, Fraction(0)))
        groups: list[list[int]] = [[] for _ in range(people)]
        for number in range(tracks):
            person = number % people
            first, stop = number * length, (number + 1) * length
            embedding = unit(centres[person] + 10 * unit(rng.normal(size=512)))
            track = Track(number + 1, 0, first, stop, embedding, 0.8, 0.7, 40.0, person in blurred)
            writer.add_track(track, face_table(first, stop, 100 + person, rng))
            colour = rng.integers(0, 255, 3)
            writer.add_thumbnail(track.id, np.full((128, 128, 3), colour, np.uint8))
            groups[person].append(track.id)
            if number < 3 * people and person not in blurred:
                writer.add_reference(
                    track.id,
                    Reference(
                        np.full((512, 512, 3), colour, np.uint8),
                        rng.uniform(0, 512, (468, 2)).astype(np.float32),
                        embedding,
                        rng.normal(0, 20, 3).astype(np.float32),
                        0.5,
                        0.5 + number / 1000,
                        200.0,
                        f"film.mp4 at {first / 25:.3f} s",
                        first,
                    ),
                )
        writer.set_identities(groups)
    return folder


class Page:
    """What the page's scripts do, over HTTP."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.page_state = running.page_state
        self.base = running.base
        self.port = running.listener.getsockname()[1]
        session = running.session
        self.cookie = f"{session.cookie_name}={session.cookie}"
        self.http = self.client()

    def client(self) -> httpx.Client:
        headers = {"Cookie": self.cookie, "X-Refrestore": "1"}
        return httpx.Client(base_url=self.base, headers=headers, timeout=240)

    def get(self, path: str) -> Any:
        answer = self.http.get(f"/api/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, expect: int = 200) -> Any:
        answer = self.http.post(f"/api/{path}", json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def edit(self, *edits: dict[str, Any], expect: int = 200, version: str | None = None) -> Any:
        version = version or self.get("version")["version"]
        return self.post("edits", {"version": version, "edits": list(edits)}, expect)

    def undo(self) -> Any:
        return self.post("undo", {"version": self.get("version")["version"]})

    def card(self, number: int) -> Any:
        return next(c for c in self.get("identities")["identities"] if c["id"] == number)

    def finished(self, job: int) -> Any:
        end = time.monotonic() + 240
        while time.monotonic() < end:
            said = self.get(f"jobs/{job}")
            if said["state"] != "running":
                return said
            time.sleep(0.1)
        raise AssertionError(f"job {job} never ended")


@contextmanager
def served(project: Path, home: Path, **settings: Any) -> Iterator[Page]:
    """Serve a project's page; profiles are kept in `home`."""
    chosen = ReviewSettings(
        project=project,
        port=settings.pop("port", 0),
        runtime=RuntimeSettings(profiles_dir=home / "profiles", device="cpu"),
        open_browser=False,
        **settings,
    )
    with prepared(chosen) as running, running.beside():
        page = Page(running)
        try:
            yield page
        finally:
            page.http.close()


Serve = Callable[..., Page]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that serves a project's page until the test ends."""
    with ExitStack() as stack:
        yield lambda project, **settings: stack.enter_context(served(project, tmp_path, **settings))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Return the page of a made-up project; a test leaves it as it was."""
    home = tmp_path_factory.mktemp("shared")
    with served(made_up(home / "work" / "project"), home) as page:
        yield page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_up(tmp_path / "work" / "project")


@pytest.fixture
def page(serve: Serve, folder: Path) -> Page:
    return serve(folder)


@dataclass(frozen=True)
class Scanned:
    film: Path
    project: Path


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Return a film of real faces and its scanned project; not to be changed."""
    folder = tmp_path_factory.mktemp("film")
    film = folder / "film.mp4"
    make_demo_film(film, moves=MOVES, far=FAR_AWAY, size=(250, 186))
    scan(film, folder / "project", settings=ScanSettings(), runtime=RuntimeSettings())
    return Scanned(film, folder / "project")


@pytest.fixture
def real(scanned: Scanned, tmp_path: Path, serve: Serve) -> Page:
    """Return the page of a copy of the real project."""
    shutil.copy(scanned.film, tmp_path / "film.mp4")
    shutil.copytree(scanned.project, tmp_path / "project")
    return serve(tmp_path / "project")


@pytest.fixture
def make() -> Callable[..., Path]:
    return made_up
