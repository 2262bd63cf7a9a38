"""The pictures of the review page in the documents: the demo film's people, and one of them.

    python benchmarks/review_pictures.py [-o docs] [--work FOLDER]

Makes the demo film in WORK (or takes the one of an earlier run), finds its people, names some, and
writes `review-people.jpg` and `review-person.jpg` as a real Chromium shows them at 1280 x 800.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from refrestore.config import RuntimeSettings
from refrestore.evaluate.demo.show import scan_demo
from refrestore.project import Project
from refrestore.review.review_settings import ReviewSettings
from refrestore.review.server import prepared

SIZE = {"width": 1280, "height": 800}
QUALITY = 82

NAMES = ("Robin", "Alex", "Kim", "Jo")
"""Given to the first of those who have close-ups; the others stay unnamed."""

ALL_LOADED = """async () => {
  const seen = () => [...document.images].filter((one) => {
    const { top, bottom } = one.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  await Promise.all(seen().map((one) => one.decode()));
}"""


def reviewed(project: Path) -> int:
    """Name some, leave alone who has no close-ups; return somebody with near and far tracks."""
    with Project.open(project) as opened:
        bare = [one.id for one in opened.identities() if not one.references]
        opened.set_states(bare, "ignore")
        people = [one for one in opened.identities() if one.references]
        for person, name in zip(people, NAMES, strict=False):
            if person.name != name:
                opened.rename(person.id, name)
        return max(people, key=lambda one: (len(one.tracks), one.references)).id


@contextmanager
def page_of(project: Path, home: Path) -> Iterator[str]:
    """Serve the page; yield its address."""
    settings = ReviewSettings(
        project=project,
        port=0,
        runtime=RuntimeSettings(profiles_dir=home / "profiles", device="cpu"),
        open_browser=False,
    )
    with prepared(settings) as running, running.beside():
        yield running.new_address()


def take(page: Page, target: Path) -> None:
    page.evaluate(ALL_LOADED)
    page.wait_for_timeout(500)
    page.mouse.move(640, 795)
    page.screenshot(path=target, type="jpeg", quality=QUALITY)
    print(f"{target}: {target.stat().st_size // 1000} kB")


def pictures(browser: Browser, url: str, person: int, docs: Path) -> None:
    for scheme, name in (("light", "people"), ("dark", "person")):
        context = browser.new_context(viewport=SIZE, color_scheme=scheme)
        page = context.new_page()
        if name == "people":
            page.goto(url)
            state = context.storage_state()
        else:
            context.add_cookies(state["cookies"])
            page.goto(f"{url.split('?', maxsplit=1)[0]}#/people/{person}")
            page.get_by_test_id("track").first.wait_for()
        page.get_by_test_id(name).wait_for()
        take(page, docs / f"review-{name}.jpg")
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    parser.add_argument("--work", type=Path, help="Folder of the demo film and its project.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        home = Path(temporary)
        project = scan_demo(arguments.work or home / "demo").project
        person = reviewed(project)
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next((path for name in names if (path := shutil.which(name))), None)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        options = ["--no-sandbox"] if root else []
        browser = playwright.chromium.launch(executable_path=found, args=options)
        with page_of(project, home) as url:
            pictures(browser, url, person, arguments.output)
        browser.close()


if __name__ == "__main__":
    main()
