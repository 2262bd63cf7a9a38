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


def reading_routes(page_state: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/version")
    def version() -> Json:
        return {
            "version": page_state.reader.version(),
            "jobs_version": page_state.jobs.version,
            "profiles_version": page_state.profile_index.version,
        }

    @routes.get("/project")
    def project() -> Json:
        return _project(page_state)

    @routes.get("/identities")
    def identities() -> Json:
        view = page_state.reader.view()
        likely = page_state.reader.likely(view)
        people = sorted(view.identities.values(), key=_in_order)
        return {
            "version": view.version,
            "identities": [
                card(page_state.reader, view, one, likely.get(one.id)) for one in people
            ],
        }

    @routes.get("/identities/{number}")
    def identity(number: int) -> Json:
        return _identity(page_state, number)

    @routes.get("/suggestions")
    def suggestions() -> Json:
        return _suggestions(page_state)

    @routes.get("/log")
    def log() -> Json:
        view = page_state.reader.view()
        names = _names(view)
        edits = reversed(page_state.project.edits()[-MOST_LOGGED:])
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


def _project(page_state: PageState) -> Json:
    project, view = page_state.project, page_state.reader.view()
    found, video = view.scanned, project.video
    width, height = video.geometry.display_size
    seconds = None if video.duration is None else float(video.duration)
    frames = (found.info.frames if found.info else None) or video.frames
    end = seconds or (frames or 0) / float(project.rate or 25)
    path = page_state.settings.video or video.path
    sentence = _trouble(page_state)
    names = _names(view)
    default = page_state.settings.output or path.with_name(f"{path.stem} restored{path.suffix}")
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
            "fps": round(float(project.rate), 3),
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
        "pack": page_state.settings.runtime.pack,
        "output_name": default.name,
        "queued": None if page_state.film is None else page_state.film.now.state,
        "shots": [round(at, 3) for at in found.timeline.cuts],
        "range": [0.0, round(end, 3)],
    }


def _trouble(page_state: PageState) -> str | None:
    """Return why the video cannot be previewed or rendered, or None."""
    path = page_state.settings.video or page_state.project.video.path
    try:
        page_state.project.check_video(probe(path).fingerprint, path)
    except RefrestoreError as error:
        return str(error)
    return None


def _identity(page_state: PageState, number: int) -> Json:
    view = page_state.reader.view()
    identity = view.identities.get(number)
    if identity is None:
        raise NotFoundError(f"There is no person {number} in this project now.")
    likely = page_state.reader.likely(view).get(number)
    similar = view.similarities(identity)
    names = _names(view)
    about = [
        edit_words(one, names)
        for one in page_state.project.edits()
        if not one.undone
        and (one.subject == number or any(a.identity == number for a in one.anchors))
    ]
    return {
        "version": view.version,
        "identity": card(page_state.reader, view, identity, likely),
        "tracks": [track_of(view, one, similar.get(one.id)) for one in view.tracks_of(identity)],
        "references": [close_up_of(view, one) for one in view.close_ups.get(number, [])],
        "log": about[-MOST_LOGGED:],
    }


def _suggestions(page_state: PageState) -> Json:
    view = page_state.reader.view()
    found = page_state.reader.suggestions(view)
    likely = page_state.reader.likely(view)
    covers = {one.name: cover_url(one) for one in page_state.profile_index.already()}
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
                "thumb": thumbnail_url(view.scanned, one.track),
            }
            for one in found.impurities
        ],
        "profiles": sorted(profiles, key=lambda one: -one["similarity"]),
    }
