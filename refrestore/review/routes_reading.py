"""What the page reads: project, people, suggestions, log."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from refrestore.errors import RefrestoreError
from refrestore.media.probe import probe
from refrestore.types import Identity

from .cards import Json, card, close_up_of, cover_url, thumbnail_url, track_of
from .page_state import PageState
from .reading import ProjectView
from .refusals import NotFoundError
from .words import edit_words, group_words

MOST_LOGGED = 200


def reading_routes(place: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/version")
    def version() -> Json:
        return {
            "version": place.reader.version(),
            "jobs_version": place.jobs.version,
            "profiles_version": place.shelf.version,
        }

    @routes.get("/project")
    def project() -> Json:
        return _project(place)

    @routes.get("/identities")
    def identities() -> Json:
        view = place.reader.view()
        likely = place.reader.likely(view)
        people = sorted(view.identities.values(), key=_in_order)
        return {
            "version": view.version,
            "identities": [card(place.reader, view, one, likely.get(one.id)) for one in people],
        }

    @routes.get("/identities/{number}")
    def identity(number: int) -> Json:
        return _identity(place, number)

    @routes.get("/suggestions")
    def suggestions() -> Json:
        return _suggestions(place)

    @routes.get("/log")
    def log() -> Json:
        view = place.reader.view()
        names = _names(view)
        edits = reversed(place.project.edits()[-MOST_LOGGED:])
        return {
            "version": view.version,
            "edits": [
                {
                    "id": one.id,
                    "time": one.time,
                    "words": edit_words(one, names),
                    "undone": one.undone,
                }
                for one in edits
            ],
        }

    return routes


def _in_order(one: Identity) -> tuple[bool, float, int]:
    """Who is only seen blurred comes last; the longest on screen first."""
    return one.provisional, -round(one.seconds, 3), one.id


def _names(view: ProjectView) -> dict[int, str]:
    return {one.id: one.name for one in view.identities.values()}


def _project(place: PageState) -> Json:
    project, view = place.project, place.reader.view()
    found, video = view.found, project.video
    width, height = video.geometry.display_size
    seconds = None if video.duration is None else float(video.duration)
    frames = (found.info.frames if found.info else None) or video.frames
    end = seconds or (frames or 0) / float(video.rate or 25)
    path = place.settings.video or video.path
    sentence = _trouble(place)
    names = _names(view)
    default = place.settings.output or path.with_name(f"{path.stem} restored{path.suffix}")
    return {
        "version": view.version,
        "name": path.stem,
        "folder_name": project.folder.resolve().name,
        "video": {
            "name": path.name,
            "width": width,
            "height": height,
            "seconds": seconds,
            "frames": frames,
            "fps": round(float(video.rate), 3),
            "found": sentence is None,
            "sentence": sentence,
        },
        "scan": None
        if found.info is None
        else {
            "id": found.scan,
            "recogniser": found.info.recogniser,
            "started": found.info.started,
        },
        "identities": len(view.identities),
        "tracks": len(found.tracks),
        "faces": sum(found.counts.values()),
        "writable": project.database.writable,
        "can_undo": group_words(project.undoable(), names),
        "can_redo": group_words(project.redoable(), names),
        "pack": place.settings.runtime.pack,
        "output_name": default.name,
        "queued": None if place.film is None else place.film.now.state,
        "shots": [round(at, 3) for at in found.timeline.cuts],
        "range": [0.0, round(end, 3)],
    }


def _trouble(place: PageState) -> str | None:
    """Return why the video cannot be previewed or rendered, or None."""
    path = place.settings.video or place.project.video.path
    try:
        place.project.check_video(probe(path).fingerprint, path)
    except RefrestoreError as error:
        return str(error)
    return None


def _identity(place: PageState, number: int) -> Json:
    view = place.reader.view()
    identity = view.identities.get(number)
    if identity is None:
        raise NotFoundError(f"There is no person {number} in this project now.")
    likely = place.reader.likely(view).get(number)
    similar = view.similarities(identity)
    names = _names(view)
    about = [
        edit_words(one, names)
        for one in place.project.edits()
        if not one.undone
        and (one.subject == number or any(a.identity == number for a in one.anchors))
    ]
    return {
        "version": view.version,
        "identity": card(place.reader, view, identity, likely),
        "tracks": [track_of(view, one, similar.get(one.id)) for one in view.tracks_of(identity)],
        "references": [close_up_of(view, one) for one in view.close_ups.get(number, [])],
        "log": about[-MOST_LOGGED:],
    }


def _suggestions(place: PageState) -> Json:
    view = place.reader.view()
    found = place.reader.suggestions(view)
    likely = place.reader.likely(view)
    covers = {one.name: cover_url(one) for one in place.shelf.already()}
    profiles: list[dict[str, Any]] = [
        {
            "identity": number,
            "name": one.name,
            "similarity": round(one.similarity, 4),
            "cover": covers.get(one.name),
        }
        for number, one in likely.items()
        if one.name is not None
    ]
    return {
        "version": view.version,
        "merges": [
            {
                "one": one.identities[0],
                "other": one.identities[1],
                "similarity": round(one.similarity, 4),
            }
            for one in found.merges
        ],
        "tracks": [
            {
                "track": one.track,
                "holder": one.identity,
                "nearer": one.nearest,
                "similarity": round(one.nearest_similarity, 4),
                "thumb": thumbnail_url(view.found, one.track),
            }
            for one in found.impurities
        ],
        "profiles": sorted(profiles, key=lambda one: -one["similarity"]),
    }
