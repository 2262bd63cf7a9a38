"""Pictures: tracks, close-ups, profiles. Every name in a path is a number or is looked up."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse

from refrestore.project.opened_film import project_film
from refrestore.project.scan_folder import thumbnail_path

from .before import moment_jpeg
from .page_state import PageState
from .refusals import NotFoundError
from .thumbnails import COVER, SIZES

FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
"""Their addresses name the scan, or what they show: another picture has another address."""


def picture_routes(page_state: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/pictures")

    @routes.get("/profiles/{name}/{stamp}/cover.jpg")
    def profile(name: str, stamp: str) -> Response:
        found = next((one for one in page_state.profile_index.all() if one.name == name), None)
        if found is None or found.stamp != stamp or not found.cover:
            raise NotFoundError("There is no such profile any more.")
        return _jpeg(found.cover)

    @routes.get("/{scan}/tracks/{number}.jpg")
    def track(scan: int, number: int) -> Response:
        found = page_state.view_of_scan(scan).scanned
        if number not in found.thumbnails:
            raise NotFoundError(f"There is no picture of track {number}.")
        path = thumbnail_path(found.folder, number)
        return FileResponse(path, media_type="image/jpeg", headers=FOR_EVER)

    @routes.get("/{scan}/close-ups/{number}.jpg")
    def close_up(scan: int, number: int, size: int = COVER) -> Response:
        found = page_state.view_of_scan(scan).scanned
        if size not in SIZES or number not in found.close_up_files:
            raise NotFoundError(f"There is no such picture of close-up {number}.")
        return _jpeg(page_state.close_up(found, number, size))

    @routes.get("/{scan}/moment.jpg")
    def moment(scan: int, at: Annotated[float, Query(allow_inf_nan=False)]) -> Response:
        found = page_state.view_of_scan(scan).scanned
        info = project_film(page_state.project, page_state.settings.video)
        make = partial(moment_jpeg, info, found.entries, Fraction(repr(at)))
        return _jpeg(page_state.pictures.get((scan, "moment", at), make))

    return routes


def _jpeg(content: bytes) -> Response:
    return Response(content, media_type="image/jpeg", headers=FOR_EVER)
