"""People, tracks and close-ups as the page's JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from refrestore.project import CloseUp
from refrestore.types import Identity, Track

from .profile_index import IndexedProfile
from .reading import Likely, ProjectView, Reader
from .scan_cache import ScanCache
from .thumbnails import COVER

Json = dict[str, Any]

ENOUGH = 3
"""Close-ups in use from which on a person without gaps is well covered."""

JOINED_SECONDS = 0.2
"""Appearances this near each other are shown as one."""


def card(reader: Reader, view: ProjectView, identity: Identity, likely: Likely | None) -> Json:
    """Return a person; `likely` is what is known of their profile so far."""
    found = view.scanned
    close_ups = view.close_ups.get(identity.id, [])
    used = [one for one in close_ups if one.used]
    likely = likely or Likely()
    lacking = reader.gaps(view, identity) if identity.state == "restore" else []
    return {
        "id": identity.id,
        "name": identity.name,
        "named": identity.name != f"person {identity.id}",
        "provisional": identity.provisional,
        "state": identity.state,
        "seconds": round(identity.seconds, 3),
        "faces": identity.faces,
        "tracks": len(identity.tracks),
        "cover": _cover(view, identity),
        "close_ups": {
            "used": len(used),
            "total": len(close_ups),
            "largest_px": round(max((one.size for one in used), default=0)),
        },
        "gaps": lacking,
        "readiness": readiness(len(used), lacking),
        "wanted": reader.wanted(view, identity),
        "profile": None
        if identity.profile is None
        else {
            "name": identity.profile,
            "certainty": _rounded(likely.certainty),
            "found": reader.profile_index.has(identity.profile),
        },
        "likely_profile": None
        if likely.name is None
        else {"name": likely.name, "similarity": _rounded(likely.similarity)},
        "not_profiles": list(identity.not_profiles),
        "strength": identity.strength,
        "appearances": joined(found.span(track) for track in identity.tracks),
    }


def track_of(view: ProjectView, track: Track, similarity: float | None) -> Json:
    """Return one appearance."""
    start, end = view.scanned.span(track.id)
    return {
        "id": track.id,
        "start": round(start, 3),
        "end": round(end, 3),
        "seconds": round(end - start, 3),
        "shot": track.shot,
        "size": round(track.size, 1),
        "faces": view.scanned.counts[track.id],
        "quality": round(track.quality, 3),
        "similarity": _rounded(similarity),
        "settled": track.id in view.settled,
        "thumb": thumbnail_url(view.scanned, track.id),
    }


def close_up_of(view: ProjectView, one: CloseUp) -> Json:
    """Return one close-up."""
    return {
        "id": one.id,
        "track": one.track,
        "at": None if one.frame is None else round(view.scanned.timeline.seconds(one.frame), 3),
        "pixels": round(one.size),
        "yaw": round(one.yaw, 1),
        "pitch": round(one.pitch, 1),
        "quality": round(one.quality, 3),
        "used": one.used,
        "url": close_up_url(view.scanned, one.id, COVER),
        "source": "video" if one.frame is not None else one.source,
    }


def profile_of(indexed: IndexedProfile, view: ProjectView) -> Json:
    """Return a profile."""
    misfit = indexed.misfit(view.scanned.network)
    references = [] if indexed.profile is None else indexed.profile.references
    return {
        "name": indexed.name,
        "references": len(references),
        "pixels": round(max((one.native_size for one in references), default=0)),
        "cover": cover_url(indexed),
        "fits": misfit is None,
        "sentence": misfit,
    }


def readiness(used: int, lacking: list[str]) -> str:
    """Return how well a person can be restored from their own close-ups."""
    if not used:
        return "none"
    return "good" if used >= ENOUGH and not lacking else "some"


def joined(spans: Iterable[tuple[float, float]]) -> list[list[float]]:
    """Return spans in order, those that overlap or nearly meet as one."""
    found: list[list[float]] = []
    for start, end in sorted(spans):
        if found and start - found[-1][1] <= JOINED_SECONDS:
            found[-1][1] = max(found[-1][1], round(end, 3))
        else:
            found.append([round(start, 3), round(end, 3)])
    return found


def thumbnail_url(scanned: ScanCache, track: int) -> str | None:
    """Return where a track's picture is, None where there is none."""
    if track not in scanned.thumbnails:
        return None
    return f"api/pictures/{scanned.scan}/tracks/{track}.jpg"


def close_up_url(scanned: ScanCache, number: int, size: int) -> str:
    """Return where a close-up's picture is."""
    return f"api/pictures/{scanned.scan}/close-ups/{number}.jpg?size={size}"


def cover_url(indexed: IndexedProfile) -> str | None:
    """Return where a profile's picture is."""
    if not indexed.cover:
        return None
    return f"api/pictures/profiles/{quote(indexed.name, safe='')}/{indexed.stamp}/cover.jpg"


def _cover(view: ProjectView, identity: Identity) -> str | None:
    found, best = view.scanned, view.cover(identity)
    if best is not None:
        return close_up_url(found, best.id, COVER)
    shown = [found.tracks[t] for t in identity.tracks if t in found.thumbnails]
    if not shown:
        return None
    return thumbnail_url(found, max(shown, key=lambda one: (one.quality, one.size)).id)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
