"""What a render did for one person, in sentences: for the page, the terminal and pictures alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refrestore.plain_text import counted

UNSEEN = "changed by less than can be seen"
"""Why a face that was worked on counts as left alone."""

NOT_THEM = "clear enough to judge, and somebody else"

SAID: Mapping[str, str] = {
    "ignored": "as you said",
    "as sharp as its references": "as sharp as the close-ups",
    "can be read as it is": "readable already",
    "references would make it less like itself": "better without close-ups",
}
"""Words for people where the reason's own are for programs."""


def sentences(person: Mapping[str, Any]) -> list[str]:
    """Return what was done for a person of a report, what was not, and what would help.

    Parameters
    ----------
    person
        One of the report's `identities`.
    """
    parts = (
        _matched(person),
        _refused(person),
        *_done(person),
        _lowered(person),
        _invented(person),
        _left(person),
        person["wanted"],
    )
    return [part for part in parts if part]


def reason_words(reason: str, profile: str | None) -> str:
    """Return why a face is left alone, in words for people.

    Parameters
    ----------
    reason
        The plan's or the guard's word.
    profile
        Of the person it was compared with, if it was with one.
    """
    if reason == NOT_THEM and profile is not None:
        return f"readable and not {profile}"
    return SAID.get(reason, reason)


def greys(level: float) -> str:
    """Return a change in words."""
    return f"changed by {level:.1f} of 255 grey levels"


def _matched(person: Mapping[str, Any]) -> str | None:
    found = person["matched"]
    if found is None:
        return "Only seen blurred." if person["provisional"] else None
    begins = "Only seen blurred, matched to" if person["provisional"] else "Matched to"
    said = f"{begins} {found['profile']}: {counted(person['faces'], 'face')}, likeness "
    said += f"{found['similarity']:.2f}"
    if found["similarity"] < found["needed"]:
        said += f" ({found['needed']:.2f} is needed where nobody says so)"
    if found["strangers"] is None:
        return f"{said}."
    met, reach = found["strangers"]["met"], f"{found['strangers']['similarity']:.2f}"
    if met == 0:
        return f"{said}, of strangers one in a hundred reaches {reach}."
    others = (
        "the other person of the film reaches" if met == 1 else f"{met} others of the film reach"
    )
    return f"{said}, {others} {reach}."


def _refused(person: Mapping[str, Any]) -> str | None:
    if person["refused"] is None:
        return None
    return f"Readable and not {person['refused']}: that profile was not used."


def _done(person: Mapping[str, Any]) -> list[str]:
    plain = person["unreferenced_faces"]
    restored = person["restored_faces"] - plain
    said = []
    if restored:
        said.append(f"{counted(restored, 'face')} restored from close-ups")
        if person["change"]["referenced"] is not None:
            said[-1] += f", {greys(person['change']['referenced'])} on average"
        if person["likeness"] is not None:
            before, after = person["likeness"]["before"], person["likeness"]["after"]
            said[-1] += f"; likeness to the close-ups {before:.2f} before, {after:.2f} after"
        said[-1] += "."
    if plain:
        said.append(f"{counted(plain, 'face')} cleaned without close-ups")
        if person["change"]["unreferenced"] is not None:
            said[-1] += f", {greys(person['change']['unreferenced'])} on average"
        said[-1] += "."
    return said


def _lowered(person: Mapping[str, Any]) -> str | None:
    count = person.get("lowered_faces")  # a report of an older release does not say
    if not count:
        return None
    return f"Eyes are shut in {count} of them, and in no close-up: their lids are drawn."


def _invented(person: Mapping[str, Any]) -> str | None:
    found = person.get("invented_faces") or {"referenced": 0, "unreferenced": 0}
    drawn_by = person.get("drawn_by")
    if drawn_by is None or not any(found.values()):
        return None
    said = []
    if found["referenced"]:
        said.append(f"{counted(found['referenced'], 'face')} where no close-up shows it")
    if found["unreferenced"]:
        said.append(f"{counted(found['unreferenced'], 'face')} without any close-up")
    return f"Detail invented by {drawn_by}: {', '.join(said)}."


def _left(person: Mapping[str, Any]) -> str | None:
    left = person["left_alone_faces"]
    if not left:
        return None
    profile = person["matched"]["profile"] if person["matched"] else person["profile"]
    parts = [
        f"{counted(count, 'face')} {reason_words(why, profile)}" for why, count in left.items()
    ]
    return f"Left alone: {', '.join(parts)}."
