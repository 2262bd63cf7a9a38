"""Profiles: look, save, teach."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from .cards import Json, profile_of
from .failures import ConflictError, NotFoundError
from .photos import FORMATS
from .place import Place
from .schemas import SaveProfile


def profile_routes(place: Place) -> APIRouter:
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
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in FORMATS:
            raise HTTPException(415, f"Photos are {', '.join(dict.fromkeys(FORMATS.values()))}.")
        async with place.photos.turn:
            return await run_in_threadpool(_add_photo, place, name, await request.body())

    return routes


def _save(place: Place, wanted: SaveProfile) -> Json:
    """Make an identity's close-ups a profile's, and link it, as one change that can be undone."""
    from refrestore.scan.build import build_profile, update_profile

    place.project.identity(wanted.identity)
    store, runtime = place.shelf.store, place.settings.runtime
    people = [(place.project, wanted.identity)]
    if wanted.add:
        built = update_profile(wanted.name, from_projects=people, store=store, runtime=runtime)
    elif wanted.name in store.list():
        raise ConflictError(f"There is a profile {wanted.name!r}: add to it?", "add")
    else:
        built = build_profile(wanted.name, from_projects=people, store=store, runtime=runtime)
    name = built.profile.name
    if place.project.identity(wanted.identity).profile != name:
        place.project.link_profile(wanted.identity, name)
    shelved = place.shelf.get(name)
    view = place.reader.view()
    return {
        "profile": None if shelved is None else profile_of(shelved, view),
        "version": view.version,
    }


def _add_photo(place: Place, name: str, content: bytes) -> Json:
    if name not in place.shelf.store.list():
        raise NotFoundError("There is no such profile.")
    added = place.photos.add(name, content)
    place.shelf.all()
    return added
