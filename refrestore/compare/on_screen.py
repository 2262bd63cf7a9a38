"""Who is on screen when, and in which place of a grid each of them is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from refrestore.types import Identity, Track

MOST_PLACES = 8
"""People shown at a time; more would be too small to look at."""

GAP_SECONDS = 1.0
"""Somebody who is away for less keeps the place."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A stretch of frames in which a person is on screen, with small gaps.

    Parameters
    ----------
    identity
        Who.
    first, stop
        Frame indices, half open.
    tracks
        Ids of the tracks in it.
    """

    identity: Identity
    first: int
    stop: int
    tracks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seat:
    """A presence and its place in the grid, from 0."""

    presence: Presence
    place: int


def presences(
    identities: Iterable[Identity], tracks: Sequence[Track], first: int, stop: int, *, gap: int
) -> list[Presence]:
    """Return the stretches of everybody who is to be restored, in order of their beginnings.

    Parameters
    ----------
    first, stop
        Frames that count, half open.
    gap
        Frames between two tracks of a person that make one stretch of them.
    """
    spans = {track.id: (max(track.first, first), min(track.stop, stop)) for track in tracks}
    found = []
    for identity in identities:
        if identity.state != "restore":
            continue
        own = sorted((*spans[track], track) for track in identity.tracks if track in spans)
        begun: list[tuple[int, int, int]] = []
        for span in (one for one in own if one[0] < one[1]):
            if begun and span[0] - max(one[1] for one in begun) > gap:
                found.append(_joined(identity, begun))
                begun = []
            begun.append(span)
        if begun:
            found.append(_joined(identity, begun))
    return sorted(found, key=lambda one: (one.first, one.identity.id))


def seat(found: Sequence[Presence], *, most: int = MOST_PLACES) -> tuple[list[Seat], int]:
    """Give every presence a place that is free for all of it; return seats and how many got none.

    A person comes back to the same place where it is free.
    """
    free_from: list[int] = []
    last: dict[int, int] = {}
    seats, left_out = [], 0
    for one in found:
        free = [place for place, stop in enumerate(free_from) if stop <= one.first]
        known = last.get(one.identity.id)
        if known in free:
            place = known
        elif free:
            place = free[0]
        elif len(free_from) < most:
            free_from.append(0)
            place = len(free_from) - 1
        else:
            left_out += 1
            continue
        assert place is not None
        free_from[place] = one.stop
        last[one.identity.id] = place
        seats.append(Seat(one, place))
    return seats, left_out


def _joined(identity: Identity, spans: Sequence[tuple[int, int, int]]) -> Presence:
    return Presence(
        identity,
        min(span[0] for span in spans),
        max(span[1] for span in spans),
        tuple(span[2] for span in spans),
    )
