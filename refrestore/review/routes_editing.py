"""What the page changes: edits, undo, redo."""

from __future__ import annotations

from fastapi import APIRouter

from .cards import Json
from .edit_requests import make_edits
from .page_state import PageState
from .schemas import Edits, Turn
from .words import edit_words


def editing_routes(place: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.post("/edits")
    def edits(wanted: Edits) -> Json:
        with place.change(wanted.version):
            before = place.project.last_entry()
            created = make_edits(place.project, wanted.edits, place.shelf.store)
            after, version = place.project.last_entry(), place.reader.version()
        said = place.said_between(before, after)
        return {"version": version, "created": created, "said": said}

    @routes.post("/undo")
    def undo(wanted: Turn) -> Json:
        return _turn(place, wanted, back=True)

    @routes.post("/redo")
    def redo(wanted: Turn) -> Json:
        return _turn(place, wanted, back=False)

    return routes


def _turn(place: PageState, wanted: Turn, *, back: bool) -> Json:
    with place.change(wanted.version):
        before = {one.id: one.name for one in place.project.identities()}
        turned = place.project.undo() if back else place.project.redo()
        version = place.reader.version()
    view = place.reader.view()
    names = {**before, **{one.id: one.name for one in view.identities.values()}}
    return {"version": version, "said": [edit_words(one, names) for one in turned]}
