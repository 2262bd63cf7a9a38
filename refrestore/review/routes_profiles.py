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


def profile_routes(page_state: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/profiles")
    def profiles() -> Json:
        view = page_state.reader.view()
        return {"profiles": [profile_of(one, view) for one in page_state.profile_index.all()]}

    @routes.post("/profiles")
    def save(wanted: SaveProfile) -> Json:
        return _save(page_state, wanted)

    @routes.post("/profiles/{name}/photos")
    async def photo(name: str, request: Request) -> Json:
        return await _taken(page_state, request, partial(_add_photo, page_state, name))

    @routes.post("/albums")
    def album() -> Json:
        return {"album": page_state.photos.begin_album()}

    @routes.post("/albums/{number}/photos")
    async def album_photo(number: int, request: Request) -> Json:
        return await _taken(page_state, request, partial(page_state.photos.put, number))

    return routes


async def _taken(page_state: PageState, request: Request, take: Callable[[bytes], Json]) -> Json:
    """Return what becomes of the photo that a request brings; one is taken at a time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMATS:
        raise HTTPException(415, f"Photos are {', '.join(dict.fromkeys(FORMATS.values()))}.")
    async with page_state.photos.turn:
        return await run_in_threadpool(take, await request.body())


def _save(page_state: PageState, wanted: SaveProfile) -> Json:
    """Make close-ups or photos a profile's, and link who it is, as a change that can be undone."""
    if wanted.identity is not None:
        page_state.project.identity(wanted.identity)
    if not wanted.add and wanted.name in page_state.profile_index.store.list():
        raise ConflictError(f"There is a profile {wanted.name!r}: add to it?", "add")
    refused: list[Json] = []
    if wanted.album is not None:
        built, refused = page_state.photos.save(wanted.album, wanted.name, add=wanted.add)
    else:
        built = _of_close_ups(page_state, wanted)
    name = built.profile.name
    who = wanted.identity
    if who is not None and page_state.project.identity(who).profile != name:
        page_state.project.link_profile(who, name)
    indexed = page_state.profile_index.get(name)
    view = page_state.reader.view()
    return {
        "profile": None if indexed is None else profile_of(indexed, view),
        "refused": refused,
        "version": view.version,
    }


def _of_close_ups(page_state: PageState, wanted: SaveProfile) -> Built:
    from refrestore.scan.build import build_profile, update_profile

    if wanted.identity is None:
        raise UsageError("Name the person whose close-ups are kept, or an album.")
    work = update_profile if wanted.add else build_profile
    return work(
        wanted.name,
        from_projects=[(page_state.project, wanted.identity)],
        store=page_state.profile_index.store,
        runtime=page_state.settings.runtime,
    )


def _add_photo(page_state: PageState, name: str, content: bytes) -> Json:
    if name not in page_state.profile_index.store.list():
        raise NotFoundError("There is no such profile.")
    added = page_state.photos.add(name, content)
    page_state.profile_index.all()
    return added
