"""The films of a queue: how far each is, and that its people are right."""

from __future__ import annotations

from fastapi import APIRouter

from refrestore.batch.queued_film import QueuedFilm, State
from refrestore.plain_text import plain

from .cards import Json
from .desk import Desk
from .page_state import PageState
from .schemas import FilmTurn

PEOPLE_SHOWN = 6
"""Names of people that a film's line has."""


def queue_routes(desk: Desk) -> APIRouter:
    """Return the routes of a queue."""
    routes = APIRouter(prefix="/api")

    @routes.get("/queue")
    def queue(state: State | None = None) -> Json:
        films, counts = desk.films(state)
        return {
            "name": desk.queue.path.name,
            "counts": dict(counts),
            "films": [_line(film) for film in films],
        }

    @routes.post("/queue/confirm")
    def confirm(turn: FilmTurn) -> Json:
        desk.queue.confirm([desk.queue.film(turn.film)])
        return _line(desk.queue.film(turn.film))

    @routes.post("/queue/retry")
    def retry(turn: FilmTurn) -> Json:
        desk.queue.retry([desk.queue.film(turn.film)])
        return _line(desk.queue.film(turn.film))

    return routes


def queued_routes(page_state: PageState) -> APIRouter:
    """Return what the page of a film in a queue has besides."""
    routes = APIRouter(prefix="/api")

    @routes.post("/confirm")
    def confirm() -> Json:
        assert page_state.film is not None
        page_state.film.queue.confirm([page_state.film.now])
        return {"state": page_state.film.now.state}

    return routes


def _line(film: QueuedFilm) -> Json:
    """Return a film as the page's list has it: no paths, only names."""
    names = [str(one["profile"] or one["name"]) for one in film.people]
    return {
        "film": film.id,
        "name": plain(film.name),
        "state": film.state,
        "priority": film.priority,
        "stage": film.stage if film.runner is not None else None,
        "done": film.done,
        "total": film.total,
        "sentence": film.failure,
        "people": names[:PEOPLE_SHOWN],
        "more_people": max(0, len(names) - PEOPLE_SHOWN),
        "scanned": film.step != "scan",
    }
