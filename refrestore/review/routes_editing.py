"""What the page changes: edits, undo, redo."""

from __future__ import annotations

from fastapi import APIRouter

from .cards import Json
from .edit_requests import make_edits
from .page_state import PageState
from .schemas import Edits, Turn
from .words import edit_words


def editing_routes(page_state: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.post("/edits")
    def edits(wanted: Edits) -> Json:
        with page_state.change(wanted.version):
            before = page_state.project.last_entry()
            created = make_edits(page_state.project, wanted.edits, page_state.profile_index.store)
            after, version = page_state.project.last_entry(), page_state.reader.version()
        said = page_state.said_between(before, after)
        return {"version": version, "created": created, "said": said}

    @routes.post("/undo")
    def undo(wanted: Turn) -> Json:
        return _turn(page_state, wanted, back=True)

    @routes.post("/redo")
    def redo(wanted: Turn) -> Json:
        return _turn(page_state, wanted, back=False)

    return routes


def _turn(page_state: PageState, wanted: Turn, *, back: bool) -> Json:
    with page_state.change(wanted.version):
        before = {one.id: one.name for one in page_state.project.identities()}
        turned = page_state.project.undo() if back else page_state.project.redo()
        version = page_state.reader.version()
    view = page_state.reader.view()
    names = {**before, **{one.id: one.name for one in view.identities.values()}}
    return {"version": version, "said": [edit_words(one, names) for one in turned]}
