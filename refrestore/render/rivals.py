"""Who a face of the film could be besides the person it is said to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from refrestore.profiles.cosines import cosines
from refrestore.project import Project
from refrestore.project.apart import differ
from refrestore.project.presence import meeting
from refrestore.project.suggestions import likely_impurities, likely_merges
from refrestore.restore.bank import PHOTO, ReferenceBank
from refrestore.types import EMBEDDING_SIZE, FloatArray, Identity, IntArray, Track

Pair = tuple[int, int]


ASTRAY, ASTRAY_FAINT = 0.2, 0.4
"""A track whose mean over all its frames is nearer to another person's close-ups by this much is
that person's, however blurred each frame is; by the second where the mean is hardly trusted. Of
about a hundred tracks that are with the right person none is nearer to another at all (films of
benchmarks/labels and two of the film maker's), of 24-px faces given to a wrong one all are, by 0.6
to 0.95."""

ASTRAY_WEIGHT = 0.1
"""Trust in a track's mean from which the first of these counts; to 0 it goes over to the second."""

STRANGERS = 0.5
"""People whose close-ups are less alike than this share of what one person's are (lite: 0.14 of
0.28) are strangers, whatever their tracks say: those may have been given to them."""


UNLIKE, LEAST_ALIKE = 0.6, 3
"""Close-ups of the film whose cosine to a track is less than this share of the most similar one's
are not used for it, where so many others are left: of another day, of another look, or of another
person who was taken for this one (docs/decisions/047)."""


def _nobody() -> FloatArray:
    return np.zeros((0, EMBEDDING_SIZE), np.float32)


@dataclass(frozen=True, eq=False)
class Rivals:
    """The people of a film whom a clear face can be nearer to than to its own.

    Parameters
    ----------
    ids : (M,) int64
        Identities that are seen clearly enough to compare with.
    centroids : (M, 512) float32
        Their unit mean embeddings.
    kin
        Pairs of identities (smaller id first) that may be one person in two pieces: such a piece
        is no rival of the other, whose references are the right ones.
    spans
        First frame and the one behind the last by track id: close-ups taken in it show who is in
        the track, whoever that is, and do not vouch for its faces.
    astray
        Tracks that are, taken over all their frames, somebody else's.
    means
        Mean embedding (512,) by track id: who is in a track is seen better over all its frames
        than in one. Empty where another network than the render's made them.
    """

    ids: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    centroids: FloatArray = field(default_factory=_nobody)
    kin: frozenset[Pair] = frozenset()
    spans: Mapping[int, Pair] = field(default_factory=dict)
    astray: frozenset[int] = frozenset()
    means: Mapping[int, FloatArray] = field(default_factory=dict)

    def with_track(self, embeddings: FloatArray, tracks: IntArray) -> FloatArray:
        """Return what shows who faces are, (N, 512): they and their tracks, half and half."""
        both = embeddings.copy()
        for row, track in enumerate(tracks.tolist()):
            mean = self.means.get(track)
            if mean is not None:
                total = embeddings[row] + mean
                both[row] = total / max(float(np.linalg.norm(total)), 1e-9)
        return both

    def frames_of(self, track: int, frame: int) -> Pair:
        """Return a track's frames, half open; of one that is not known only this one."""
        return self.spans.get(track, (frame, frame + 1))

    def hidden(self, bank: ReferenceBank, track: int, frame: int) -> list[int]:
        """Return the rows of a person's bank that a face is not restored from.

        Its own frame's, and close-ups that are plainly less like its track than others are. What
        was taken from the track itself is always like it, and photos are the user's word.
        """
        own = bank.rows_of_frame(frame)
        mean = self.means.get(track)
        if mean is None:
            return own
        alike = bank.embeddings @ mean
        first, stop = self.frames_of(track, frame)
        others = (bank.frames != PHOTO) & ((bank.frames < first) | (bank.frames >= stop))
        most = alike[others].max(initial=0)
        unlike = others & (alike < UNLIKE * most)
        if len(bank) - np.count_nonzero(unlike) < LEAST_ALIKE:
            return own
        return sorted({*own, *np.flatnonzero(unlike).tolist()})

    def of(self, identity: int) -> FloatArray:
        """Return the centroids (N, 512) of those who are somebody else than an identity."""
        return self.centroids[
            [one != identity and _pair(one, identity) not in self.kin for one in self.ids.tolist()]
        ]


def find_rivals(
    project: Project,
    identities: Sequence[Identity],
    clear: Mapping[int, FloatArray],
    banks: Mapping[int, ReferenceBank],
) -> Rivals:
    """Return everybody in a film whom its faces are compared with.

    Parameters
    ----------
    project
        A scanned project.
    identities
        Its identities after all edits; what is no face is nobody.
    clear
        By identity id, the mean embedding (512,) of those seen clearly.
    banks
        References by identity id.
    """
    known = [one.id for one in identities if one.state != "not_a_face" and one.id in clear]
    if not known:
        return Rivals()
    people = [one for one in identities if one.state != "not_a_face"]
    tracks = {track.id: track for track in project.tracks()}
    with project.database.transaction():
        info = project.scan_info()
        alike = cosines("" if info is None else info.recogniser).alike
        likely = {
            pair
            for pair in _likely_one(project, people, tracks, alike)
            if not _strangers(banks.get(pair[0]), banks.get(pair[1]), alike)
        }
    return Rivals(
        np.array(known, np.int64),
        np.stack([clear[one] for one in known]),
        frozenset(likely | set(_said_to_be_one(people))),
        {track.id: (track.first, track.stop) for track in tracks.values()},
    )


def find_astray(
    rivals: Rivals,
    identities: Sequence[Identity],
    tracks: Sequence[Track],
    banks: Mapping[int, ReferenceBank],
) -> frozenset[int]:
    """Return the tracks that somebody else's close-ups are plainly nearer to than their person's.

    Compared with close-ups and not with the person's other tracks: where several were given to a
    wrong person they would vouch for each other.

    Parameters
    ----------
    rivals
        From `find_rivals`.
    identities, tracks
        Of the project, after all edits; the tracks' embeddings are the banks' network's.
    banks
        References by identity id.
    """
    known = {track.id: track for track in tracks}
    means = {number: bank.centroid_without([]) for number, bank in banks.items()}
    astray = set()
    for person in identities:
        others = [
            mean
            for number, mean in means.items()
            if mean is not None
            and number != person.id
            and _pair(number, person.id) not in rivals.kin
        ]
        if person.id not in banks or not others:
            continue
        for track in (known[number] for number in person.tracks):
            if track.embedding is None:
                continue
            bank = banks[person.id]
            own = bank.centroid_without(bank.rows_between(track.first, track.stop))
            nearest = float((np.stack(others) @ track.embedding).max())
            if own is not None and nearest >= float(own @ track.embedding) + _plainly(track):
                astray.add(track.id)
    return frozenset(astray)


def _plainly(track: Track) -> float:
    """Return by how much a track must be nearer to somebody else."""
    faint = 1 - min(track.embedding_weight / ASTRAY_WEIGHT, 1.0)
    return ASTRAY + faint * (ASTRAY_FAINT - ASTRAY)


def _strangers(one: ReferenceBank | None, other: ReferenceBank | None, alike: float) -> bool:
    """Say whether two people's close-ups show that they are two."""
    means = [bank.centroid_without([]) for bank in (one, other) if bank is not None]
    first, second = (*means, None, None)[:2]
    return first is not None and second is not None and float(first @ second) < STRANGERS * alike


def _likely_one(
    project: Project, people: Sequence[Identity], tracks: Mapping[int, Track], least: float
) -> Iterator[Pair]:
    """Yield the pairs that a reviewer is asked about: alike, and never seen together.

    They are compared without the tracks that the user gave them and that are nearer to somebody
    else: one that is with the wrong person makes two people alike, and would do away with the very
    rival that it is.
    """
    held = {one.id: one.tracks for one in people}
    found = project.automatic_identity_of_track()
    doubted = {
        one.track
        for one in likely_impurities(held, tracks, least=least)
        if found.get(one.track) != one.identity
    }
    sure = {
        number: [track for track in own if track not in doubted] or own
        for number, own in held.items()
    }
    said = {one.id: one for one in people}
    scan = project.scan_id()
    for merge in likely_merges(sure, tracks, apart=project.distinct(), least=least):
        one, other = merge.identities
        if differ(said[one], said[other]):
            continue
        if meeting(project.database, scan, sure[one], sure[other]) is None:
            yield _pair(one, other)


def _said_to_be_one(identities: Sequence[Identity]) -> Iterator[Pair]:
    """Yield the pairs that are linked to one profile."""
    linked: dict[str, list[int]] = {}
    for one in identities:
        if one.profile is not None:
            linked.setdefault(one.profile, []).append(one.id)
    for same in linked.values():
        yield from (_pair(*both) for both in combinations(same, 2))


def _pair(one: int, other: int) -> Pair:
    return min(one, other), max(one, other)
