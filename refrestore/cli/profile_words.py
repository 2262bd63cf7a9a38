"""What the `profile` commands print, for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from refrestore.errors import ProfileError

from .output import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from refrestore.profiles import Match, Profile, ProfileStore
    from refrestore.scan.album import AlbumProfiles
    from refrestore.scan.build import Built
    from refrestore.scan.photos import Rejected


def summary(profile: Profile) -> dict[str, Any]:
    """Return what `--json` says of a profile."""
    found = profile.calibration
    return {
        "name": profile.name,
        "references": len(profile.references),
        "learnt_from": profile.statistics.count,
        "recogniser": profile.recogniser,
        "recogniser_digest": profile.recogniser_digest,
        "threshold": profile.threshold,
        "calibration": None if found is None else asdict(found),
        "spread": round(profile.spread, 4),
        "tuned": profile.adapter is not None,
    }


def entry_of(store: ProfileStore, name: str) -> dict[str, Any]:
    """Return the same of a stored one, or what is wrong with it."""
    try:
        return {**summary(store.load(name)), "problem": None}
    except ProfileError as error:
        return {"name": name, "problem": str(error)}


def line(profile: Profile) -> str:
    """Return a profile in a line, for people."""
    tuned = ", tuned" if profile.adapter is not None else ""
    return f"{profile.name}: {len(profile.references)} close-ups, seen by {profile.network}{tuned}"


def meaning(profile: Profile) -> str:
    """Say what its threshold costs."""
    found = profile.calibration
    if found is None:
        return (
            f"threshold {profile.threshold:.2f}, not calibrated: "
            f"`refrestore profile update {profile.name}` does it"
        )
    return (
        f"threshold {profile.threshold:.2f}: about {found.misses:.1%} of the person's other faces "
        f"would not be recognised and {found.strangers:.2%} of strangers' would be "
        f"(calibrated with {found.profiles} other profiles)"
    )


def tell_built(built: Built, json: bool) -> None:
    """Print what became of a profile that was made or taught."""
    if json:
        print_json(
            {
                "profile": summary(built.profile),
                "new": built.new,
                "notes": list(built.notes),
                **refused(built.rejected),
            }
        )
        return
    print_line(f"{line(built.profile)}, {built.new} new")
    print_line(meaning(built.profile))
    print_line(str(built.folder))
    for note in built.notes:
        print_line(note)
    tell_refused(built.rejected)


def tell_album(album: AlbumProfiles, json: bool) -> None:
    """Print what became of everybody whom an album names."""
    if json:
        people = [
            {
                "name": one.name,
                "photos": one.photos,
                "profile": None if one.built is None else summary(one.built.profile),
                "new": 0 if one.built is None else one.built.new,
                "taught": one.taught,
                "problem": one.problem,
                **refused(one.rejected),
            }
            for one in album.people
        ]
        unread = [{"source": one.source, "reason": one.reason} for one in album.unread]
        print_json({"people": people, "unread": unread})
        return
    for one in album.people:
        if one.built is None:
            print_line(f"{one.name}: no profile of {one.photos} photos; {one.problem}")
        else:
            done = "taught" if one.taught else "made"
            print_line(f"{line(one.built.profile)}, {one.built.new} new, {done} of {one.photos}")
        for source in one.rejected:
            print_line(f"  Not used: {source.source}, {source.reason}.")
    for photo in album.unread:
        print_line(f"Not read: {photo.source}, {photo.reason}.")


def match_of(answer: Match) -> dict[str, Any]:
    """Return what `--json` says of a match."""
    return {
        "profile": answer.name,
        "nearest": answer.nearest,
        "similarity": round(answer.similarity, 4),
        "margin": round(answer.margin, 4),
        "needed": round(answer.least, 4),
    }


def match_words(who: str, answer: Match) -> str:
    """Return a match in words: who it is, or who it would be."""
    unsure = answer.nearest is not None and answer.name is None
    near = f" (nearest {answer.nearest})" if unsure else ""
    return (
        f"{who}: {answer.name or 'unknown'}{near}, similarity {answer.similarity:.2f} "
        f"({answer.least:.2f} needed), ahead by {answer.margin:.2f}"
    )


def refused(rejected: Iterable[Rejected]) -> dict[str, Any]:
    """Return what `--json` says of pictures that were not used."""
    return {"rejected": [{"source": one.source, "reason": one.reason} for one in rejected]}


def tell_refused(rejected: Iterable[Rejected]) -> None:
    """Print which pictures were not used, and why."""
    for one in rejected:
        print_line(f"Not used: {one.source}, {one.reason}.")
