"""Profiles: look, save, teach."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from refrestore.errors import UsageError

from .cards import Json, profile_of
from .page_state import PageState
from .photo_desk import FORMATS
from .refusals import ConflictError, NotFoundError
from .schemas import SaveProfile

if TYPE_CHECKING:  # torch takes seconds to import
    from refrestore.scan.build import Built


def profile_routes(place: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/profiles")
    def profiles() -> Json:
        view = place.reader.view()
        return {"profiles": [profile_of(one, view) for one in place.shelf.all()]}

    @routes.post("/profiles")
    def save(wanted: SaveProfile) -> Json:
        return _save(place, wanted)

    @routes.post("/profiles/{name}/photos")
    async def photo(name: str, request: Request) -> Json:
        return await _taken(place, request, partial(_add_photo, place, name))

    @routes.post("/albums")
    def album() -> Json:
        return {"album": place.photos.begin_album()}

    @routes.post("/albums/{number}/photos")
    async def album_photo(number: int, request: Request) -> Json:
        return await _taken(place, request, partial(place.photos.put, number))

    return routes


async def _taken(place: PageState, request: Request, take: Callable[[bytes], Json]) -> Json:
    """Return what becomes of the photo that a request brings; one is taken at a time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMATS:
        raise HTTPException(415, f"Photos are {', '.join(dict.fromkeys(FORMATS.values()))}.")
    async with place.photos.turn:
        return await run_in_threadpool(take, await request.body())


def _save(place: PageState, wanted: SaveProfile) -> Json:
    """Make close-ups or photos a profile's, and link who it is, as a change that can be undone."""
    if wanted.identity is not None:
        place.project.identity(wanted.identity)
    if not wanted.add and wanted.name in place.shelf.store.list():
        raise ConflictError(f"There is a profile {wanted.name!r}: add to it?", "add")
    refused: list[Json] = []
    if wanted.album is not None:
        built, refused = place.photos.save(wanted.album, wanted.name, add=wanted.add)
    else:
        built = _of_close_ups(place, wanted)
    name = built.profile.name
    who = wanted.identity
    if who is not None and place.project.identity(who).profile != name:
        place.project.link_profile(who, name)
    shelved = place.shelf.get(name)
    view = place.reader.view()
    return {
        "profile": None if shelved is None else profile_of(shelved, view),
        "refused": refused,
        "version": view.version,
    }


def _of_close_ups(place: PageState, wanted: SaveProfile) -> Built:
    from refrestore.scan.build import build_profile, update_profile

    if wanted.identity is None:
        raise UsageError("Name the person whose close-ups are kept, or an album.")
    work = update_profile if wanted.add else build_profile
    return work(
        wanted.name,
        from_projects=[(place.project, wanted.identity)],
        store=place.shelf.store,
        runtime=place.settings.runtime,
    )


def _add_photo(place: PageState, name: str, content: bytes) -> Json:
    if name not in place.shelf.store.list():
        raise NotFoundError("There is no such profile.")
    added = place.photos.add(name, content)
    place.shelf.all()
    return added
