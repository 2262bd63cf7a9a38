"""Draw a face that the scan missed: who is known at a moment, and the following of a box."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from fastapi import APIRouter, Query

from refrestore.media.moments import frame_at
from refrestore.project.opened_film import project_film

from .cards import Json
from .page_state import PageState
from .refusals import NotFoundError
from .schemas import DrawingRequest


def drawing_routes(page_state: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/moment")
    def moment(at: Annotated[float, Query(ge=0, allow_inf_nan=False)]) -> Json:
        return _moment(page_state, at)

    @routes.post("/drawings")
    def drawing(wanted: DrawingRequest) -> Json:
        at, (left, top, right, bottom) = Fraction(repr(wanted.at)), wanted.box
        job = page_state.jobs.start(
            "draw",
            lambda job: page_state.studio.draw(
                job, at, (left, top, right, bottom), wanted.identity, wanted.name
            ),
        )
        return {"job": job.id}

    return routes


def _moment(page_state: PageState, at: float) -> Json:
    """Return the faces that are known in the frame that `moment.jpg` shows at a time."""
    view = page_state.reader.view()
    info = project_film(page_state.project, page_state.settings.video)
    frame = frame_at(info.start + Fraction(repr(at)), info, view.scanned.entries)
    if frame is None:
        raise NotFoundError(f"The film is over at {at:g} s.")
    found = page_state.project.faces(first=frame, stop=frame + 1)
    tracks = [] if found.track is None else found.track.tolist()
    return {
        "version": view.version,
        "frame": frame,
        "faces": [
            {
                "track": track,
                "identity": view.holders[track],
                "name": view.identities[view.holders[track]].name,
                "box": [round(float(edge), 1) for edge in box],
            }
            for track, box in zip(tracks, found.box, strict=True)
            if track in view.holders
        ],
    }
