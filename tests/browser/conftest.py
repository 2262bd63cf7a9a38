"""A real Chromium on the review page of the demo film's project.

Every page is watched: an error in its console, a refusal by its Content-Security-Policy and a
request to anywhere but its own server fail the test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)
from playwright.sync_api import Error as BrowserError

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.demo import MOVES, make_demo_film
from refrestore.profiles import ProfileStore
from refrestore.project import Project
from refrestore.review.review_settings import ReviewSettings
from refrestore.review.server import prepared
from refrestore.scan.scan import scan

PATIENCE_MS = 120_000
"""As long as a busy machine may take for what a test waits for."""

SHORTENED = {0: 0.5, 1: 0.8, 2: 0.5, 3: 0.5, 4: 0.4, 5: 0.4}
"""Shots of the demo film and how many seconds of each: close-ups of six people, one far shot."""

WIDE = 0.56
"""A moment of the far shot, seconds: near its cut, where few neighbours are restored with it."""

REPORTS_REFUSALS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} refuses ${event.blockedURI}`))
"""


def _executable() -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    return None


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Return the machine's Chromium, or else the one that Playwright downloads.

    Not for the session: as long as it lives, no test elsewhere may run an event loop.
    """
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=_executable(), args=["--no-sandbox"] if root else []
            )
        except BrowserError as error:
            cause = error.message.splitlines()[0]
            reason = f"there is no Chromium that starts: `make browser` ({cause})"
            if os.environ.get("REFRESTORE_REQUIRE_SHARED") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A browser's window on one server, and what went wrong in it."""

    context: BrowserContext
    base: str
    allowed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(REPORTS_REFUSALS)
        self.context.on("console", self._said)
        self.context.on("weberror", lambda error: self.wrong.append(f"error: {error.error}"))
        self.context.on("request", self._asked)

    def allow(self, *words: str) -> None:
        """Expect console errors with these words: the server is to refuse something."""
        self.allowed += words

    def _said(self, message: ConsoleMessage) -> None:
        expected = any(words in message.text for words in self.allowed)
        if message.type in ("error", "warning") and not expected:
            self.wrong.append(f"{message.type}: {message.text} {message.location}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(self.base).netloc:
            self.wrong.append(f"request: {request.url}")


class Review:
    """The page as a user has it, and the project behind it."""

    def __init__(self, watched: Watched, url: str, project: Path, store: ProfileStore) -> None:
        self.watched, self.url, self.folder, self.store = watched, url, project, store
        self.base = watched.base
        self.page = self.tab(url)

    def tab(self, url: str | None = None) -> Page:
        """Open one more tab; by the address with the token if it is the first."""
        page = self.watched.context.new_page()
        page.goto(url or f"{self.base}/")
        page.get_by_test_id("people").wait_for()
        return page

    def go(self, view: str) -> None:
        """Go to a view by its address."""
        self.page.evaluate("hash => { location.hash = hash }", f"#/{view}")

    def card(self, identity: int) -> Locator:
        return self.page.locator(f'[data-testid="card"][data-identity="{identity}"]')

    def track(self, track: int) -> Locator:
        return self.page.locator(f'[data-testid="track"][data-track="{track}"]')

    def done(self, words: str = "") -> None:
        """Wait for a note with these words, and until everything is saved."""
        expect(self.page.get_by_test_id("note").filter(has_text=words).last).to_be_visible()
        expect(self.page.get_by_test_id("saved")).to_contain_text("Saved")

    def undo_all(self) -> None:
        """Press Ctrl Z until there is nothing left to undo."""
        button = self.page.get_by_test_id("undo")
        for _ in range(50):
            expect(self.page.get_by_test_id("saved")).to_contain_text("Saved")
            if button.is_disabled():
                return
            what = button.get_attribute("aria-label") or ""
            self.page.keyboard.press("Control+z")
            expect(self.page.get_by_test_id("announcement")).to_contain_text("Undone")
            with Project.open(self.folder) as project:
                left = len(project.undoable())
            expect(button).to_be_enabled() if left else expect(button).to_be_disabled()
            assert what
        raise AssertionError("There was always one thing more to undo.")

    def state(self) -> dict[str, Any]:
        """Return everything that a user's edits change."""
        return state(self.folder)

    def people(self) -> dict[int, Any]:
        with Project.open(self.folder) as project:
            return {one.id: one for one in project.identities()}

    def json(self, path: str) -> Any:
        """Return what the server says to this browser."""
        answer = self.watched.context.request.get(urljoin(f"{self.base}/", path))
        assert answer.ok, answer.text()
        return answer.json()

    def picture(self, url: str) -> np.ndarray:
        """Return a picture of the page, (H, W, 3) RGB."""
        import cv2

        body = self.watched.context.request.get(urljoin(f"{self.base}/", url)).body()
        decoded = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None, url
        return decoded[..., ::-1]


def state(folder: Path) -> dict[str, Any]:
    """Return everything in a project that a user's edits change."""
    with Project.open(folder) as project:
        return {
            "identities": project.identities(),
            "tracks": project.identity_of_track(),
            "distinct": project.distinct(),
            "settled": project.settled_tracks(),
            "close-ups": [(one.id, one.used) for one in project.close_ups()],
        }


@dataclass(frozen=True)
class Scanned:
    """A film and its project."""

    film: Path
    project: Path

    def copied(self, folder: Path) -> Scanned:
        """Return a copy that a test may change."""
        folder.mkdir(parents=True, exist_ok=True)
        made = Scanned(folder / self.film.name, folder / self.project.name)
        shutil.copy(self.film, made.film)
        shutil.copytree(self.project, made.project)
        return made


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Return the demo film, shortened, and its project; not to be changed."""
    moves = [replace(MOVES[shot], seconds=seconds) for shot, seconds in SHORTENED.items()]
    folder = tmp_path_factory.mktemp("demo")
    made = Scanned(folder / "film.mp4", folder / "project")
    make_demo_film(made.film, moves=moves)
    scan(made.film, made.project, settings=ScanSettings(), runtime=RuntimeSettings())
    return made


Open = Callable[[Scanned], Review]


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that serves a project and opens its page."""
    with ExitStack() as stack:
        yield lambda scanned: stack.enter_context(served(chromium, scanned, tmp_path))


@pytest.fixture
def review(opened: Open, demo: Scanned, tmp_path: Path) -> Review:
    """Return the page of a copy of the demo film's project."""
    return opened(demo.copied(tmp_path / "demo"))


@contextmanager
def served(chromium: Browser, scanned: Scanned, home: Path) -> Iterator[Review]:
    settings = ReviewSettings(
        project=scanned.project,
        port=0,
        runtime=RuntimeSettings(profiles_dir=home / "profiles", device="cpu"),
        open_browser=False,
    )
    with (
        prepared(settings) as running,
        running.beside(),
        window(chromium, running.base) as watched,
    ):
        store = ProfileStore(home / "profiles")
        yield Review(watched, running.new_address(), scanned.project, store)


@contextmanager
def window(chromium: Browser, base: str) -> Iterator[Watched]:
    """Open a window without memory; at the end nothing may have gone wrong in it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    watched = Watched(context, base)
    try:
        yield watched
    finally:
        context.close()
    assert watched.wrong == []


@pytest.fixture
def browse(chromium: Browser) -> Callable[[str], Any]:
    """Return a function that opens one more window; a context manager."""
    return lambda base: window(chromium, base)
