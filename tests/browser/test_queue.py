"""Two films in a queue: one is reviewed and confirmed while the other renders."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import expect

import refrestore.batch.runner as runners
from refrestore.batch.order import FilmToAdd, Order
from refrestore.batch.queue import Queue
from refrestore.batch.runner import Runner
from refrestore.config import RuntimeSettings
from refrestore.errors import Stopped
from refrestore.project import Project
from refrestore.review.review_settings import ReviewSettings
from refrestore.review.server import prepared
from tests.batch.tiny import Silent, Tiny
from tests.review.conftest import made_up

PATIENCE = 120


class Waiting(Tiny):
    """Renders until it is told that this is enough; the projects are there already."""

    enough = threading.Event()

    def render(self, film, progress, announce):
        progress("render", 3, 10)
        assert self.enough.wait(PATIENCE)
        return super().render(film, progress, announce)


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """Return a queue of two scanned films, and let it be worked off."""
    monkeypatch.setattr(runners, "IDLE_SECONDS", 0.05)
    out, ended = tmp_path / "out", threading.Event()
    entries = [
        FilmToAdd(tmp_path / name, out / name, Path(made_up(out / f"{name}.refrestore")))
        for name in ("one.mp4", "two.mp4")
    ]

    def look() -> None:
        if ended.is_set():
            raise Stopped(signal.SIGINT)

    def work() -> None:
        with suppress(Stopped):
            Runner(queue, Waiting(tmp_path), Silent(), look=look).run()

    with Queue(tmp_path / "films.queue", make=True) as queue:
        queue.add(entries, Order(out, {}))
        thread = threading.Thread(target=work)
        thread.start()
        yield queue
        ended.set()
        Waiting.enough.set()
        thread.join()


def test_one_film_is_reviewed_while_another_renders(browse, queue, tmp_path) -> None:
    settings = ReviewSettings(
        project=queue.path,
        port=0,
        runtime=RuntimeSettings(profiles_dir=tmp_path / "profiles", device="cpu"),
        open_browser=False,
    )
    with prepared(settings) as running, running.beside(), browse(running.base) as watched:
        page = watched.context.new_page()
        page.goto(running.new_address())

        def film(number: int):
            return page.locator(f'[data-testid="film"][data-film="{number}"]')

        for number in (1, 2):
            expect(film(number)).to_have_attribute("data-state", "review")
        film(1).get_by_test_id("confirm").click()
        expect(film(1)).to_have_attribute("data-state", "rendering")
        expect(film(1).get_by_role("progressbar")).to_have_attribute("aria-valuenow", "30")

        film(2).get_by_test_id("open").click()
        page.get_by_test_id("people").wait_for()
        assert page.url.startswith(f"{running.base}/films/2/")
        card = page.locator('[data-testid="card"][data-identity="1"]')
        expect(card.locator("img").first).to_be_visible()
        assert card.locator("img").first.evaluate(
            "one => one.decode().then(() => one.naturalWidth)"
        )
        card.locator(".name").first.click()
        page.keyboard.type("Anna")
        page.keyboard.press("Enter")
        expect(card).to_contain_text("Anna")
        expect(page.get_by_test_id("saved")).to_contain_text("Saved")
        page.get_by_test_id("confirm-film").click()

        expect(film(2)).to_have_attribute("data-state", "ready")
        expect(film(1)).to_have_attribute("data-state", "rendering")
        Waiting.enough.set()
        for number in (1, 2):
            expect(film(number)).to_have_attribute("data-state", "done")
        assert (tmp_path / "out" / "two.mp4").read_text() == "two.mp4"
        with Project.open(queue.film(2).project) as project:
            assert project.identity(1).name == "Anna"
        with Project.open(queue.film(1).project) as project:
            assert project.identity(1).name == "person 1"

        film(2).get_by_test_id("open").click()
        page.get_by_test_id("films").click()
        expect(film(2)).to_be_visible()
