"""Who is on screen when, as lists that other programs read: CSV, and an edit decision list."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from refrestore.moment import Timecode
from refrestore.plain_text import plain
from refrestore.types import Identity, Track

from .project import Project

MOST_EVENTS = 999
"""What the three digits of a CMX 3600 list number; some programs read no more."""

MIDNIGHT = Timecode(0, 0, 0, 0)

_COLUMNS = (
    "person", "name", "state", "start", "end", "start_timecode", "end_timecode",
    "first_frame", "stop_frame", "face_pixels", "tracks",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Appearance:
    """A person on screen without a break; a cut is none.

    Parameters
    ----------
    identity
        Who.
    first, stop
        Frames, half open.
    start, end
        Seconds from the film's first frame.
    size
        Of the face where it is largest, display pixels.
    tracks
        Ids of the tracks in it.
    """

    identity: Identity
    first: int
    stop: int
    start: float
    end: float
    size: float
    tracks: tuple[int, ...]


def appearances(project: Project) -> list[Appearance]:
    """Return the appearances of everybody but those who are no face, by person, then by time."""
    with project.database.transaction():
        people = [one for one in project.identities() if one.state != "not_a_face"]
        timeline = project.timeline()
        found = []
        for person in people:
            for tracks in _stretches(project.tracks(person.tracks)):
                first, stop = tracks[0].first, max(one.stop for one in tracks)
                found.append(
                    Appearance(
                        identity=person,
                        first=first,
                        stop=stop,
                        start=timeline.seconds(first),
                        end=timeline.seconds(stop),
                        size=max(one.size for one in tracks),
                        tracks=tuple(one.id for one in tracks),
                    )
                )
        return found


def as_csv(project: Project, timecode: Timecode | None = None) -> str:
    """Return a table (RFC 4180) of who is on screen when, in order of time.

    Parameters
    ----------
    timecode
        Of the film's first frame, by default midnight.
    """
    clock = _Clock(timecode or MIDNIGHT, project.video.rate)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_COLUMNS)
    for one in sorted(appearances(project), key=lambda each: (each.first, each.identity.id)):
        table.writerow([
            one.identity.id, one.identity.name, one.identity.state,
            f"{one.start:.3f}", f"{one.end:.3f}", clock.at(one.start), clock.at(one.end),
            one.first, one.stop, round(one.size), " ".join(map(str, one.tracks)),
        ])  # fmt: skip
    return text.getvalue()


def as_edl(project: Project, timecode: Timecode | None = None) -> str:
    """Return an edit decision list (CMX 3600) of who is on screen when.

    Sources are where the film is; the record side is a reel of everybody's appearances, person
    after person, as two events at one time are none in such a list.

    Parameters
    ----------
    timecode
        Of the film's first frame, by default midnight.
    """
    begins, rate = timecode or MIDNIGHT, project.video.rate
    clock, title = _Clock(begins, rate), plain(project.video.path.name)
    lines = [f"TITLE: {title}", f"FCM: {'' if begins.drop else 'NON-'}DROP FRAME", ""]
    laid = 0
    for number, one in enumerate(appearances(project), 1):
        length = clock.count(one.end) - clock.count(one.start)
        times = (
            clock.at(one.start),
            clock.at(one.end),
            clock.laid(laid),
            clock.laid(laid + length),
        )
        laid += length
        lines += [
            f"{number:03}  AX       V     C        {' '.join(times)}",
            f"* FROM CLIP NAME: {title}",
            f"* COMMENT: {plain(one.identity.name)}",
            f"* LOC: {times[2]} BLUE {plain(one.identity.name)}",
            "",
        ]
    return "\r\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Clock:
    """Timecodes of a film that begins at one; a varying rate is counted as its mean."""

    begins: Timecode
    rate: Fraction

    def count(self, seconds: float) -> int:
        return round(seconds * float(self.rate))

    def at(self, seconds: float) -> str:
        return self.laid(self.count(seconds))

    def laid(self, frames: int) -> str:
        return str(self.begins.advanced(frames, self.rate))


def _stretches(tracks: Iterable[Track]) -> Iterator[list[Track]]:
    """Yield tracks that touch or overlap together."""
    own: list[Track] = []
    for track in sorted(tracks, key=lambda one: (one.first, one.id)):
        if own and track.first > max(one.stop for one in own):
            yield own
            own = []
        own.append(track)
    if own:
        yield own


def too_many(found: Sequence[Appearance]) -> str | None:
    """Return a sentence where a list has more events than some programs read."""
    if len(found) <= MOST_EVENTS:
        return None
    return (
        f"The list has {len(found)} events, and CMX 3600 numbers {MOST_EVENTS}: some programs read "
        "no more of it."
    )
