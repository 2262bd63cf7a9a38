"""Stills: each photo degraded and restored from the person's other photos (leave-one-out)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from refrestore.errors import UsageError
from refrestore.evaluate.degrade import DEGRADATIONS, degrade
from refrestore.evaluate.judge import Judge, JudgedFace
from refrestore.evaluate.metrics import cosine_similarity
from refrestore.evaluate.page import Gallery
from refrestore.evaluate.rows import PictureCase, Row
from refrestore.evaluate.table import Scores
from refrestore.profiles import Profile
from refrestore.render.toolbox import Toolbox
from refrestore.types import FloatArray, ProgressCallback

from .cast import Photo, Photographed, read_photos, spread
from .settings import EvaluationSettings

ALBUMS_HELD = 32
"""Albums kept in memory (24 photos are 19 MB); more are read again."""


@dataclass(frozen=True, eq=False)
class _Subject:
    """A person who can be evaluated on."""

    person: Photographed
    centroid: FloatArray


@dataclass(frozen=True, eq=False)
class Bench:
    """What every picture and film of an evaluation is put through.

    Parameters
    ----------
    rows, judge
        Who restores, and who scores.
    toolbox
        Networks that find faces and build profiles.
    settings
        How much.
    gallery
        Is given faces to show.
    progress
        Is told how far it is.
    """

    rows: Sequence[Row]
    judge: Judge
    toolbox: Toolbox
    settings: EvaluationSettings
    gallery: Gallery
    progress: ProgressCallback


def evaluate_stills(people: Sequence[Photographed], bench: Bench) -> Iterator[Scores]:
    """Yield the scores of every row on every photo taken.

    Raises
    ------
    UsageError
        If nobody has two photos that can be used.
    """
    albums = _Albums(bench)
    subjects = []
    for place, person in enumerate(people):
        photos = albums.of(person)
        if len(photos) >= 2:
            total = np.sum([photo.reference.embedding for photo in photos], axis=0)
            subjects.append(_Subject(person, total / np.linalg.norm(total)))
        bench.progress("photos", place + 1, len(people))
    if not subjects:
        raise UsageError(
            f"None of the {len(people)} people has two photos with one clear, large and sharp "
            "face; give better ones."
        )
    cases = [
        (subject, place, number == 0)
        for subject in subjects
        for number, place in enumerate(
            spread(range(len(albums.of(subject.person))), bench.settings.photos)
        )
    ]
    for count, (subject, place, first) in enumerate(cases):
        other = _most_similar(subject, subjects)
        stranger = None if other is None else albums.profile(other.person, None)
        yield from _photo(subject.person, place, stranger, albums, bench, shown=first)
        bench.progress("stills", count + 1, len(cases))


class _Albums:
    """Photos of people, the last ones kept."""

    def __init__(self, bench: Bench) -> None:
        self._network = bench.toolbox.eyes.network
        models = bench.toolbox.models
        self._read = lru_cache(ALBUMS_HELD)(lambda person: read_photos(person, models))

    def of(self, person: Photographed) -> list[Photo]:
        return self._read(person)

    def profile(self, person: Photographed, without: Photo | None) -> Profile:
        """Build a person's profile, without one photo (leave-one-out)."""
        references = [one.reference for one in self.of(person) if one is not without]
        return Profile.chosen(person.name, references, self._network)


def _most_similar(subject: _Subject, others: Sequence[_Subject]) -> _Subject | None:
    """Return the other person who is most like this one: the hardest mistake."""
    rest = [other for other in others if other is not subject]
    return max(rest, key=lambda one: float(one.centroid @ subject.centroid), default=None)


def _photo(
    person: Photographed,
    place: int,
    stranger: Profile | None,
    albums: _Albums,
    bench: Bench,
    *,
    shown: bool,
) -> Iterator[Scores]:
    """Put one photo through every degradation and row."""
    photos, judge = albums.of(person), bench.judge
    photo = photos[place]
    subject = f"{person.name}, {photo.name}"
    truth = judge.look(photo.truth, photo.face)
    others = [judge.look(one.truth, one.face, closely=False) for one in photos if one is not photo]
    likeness = np.mean([other.embedding for other in others], axis=0)
    another = {"identity": float(np.mean([_cosine(truth, other.embedding) for other in others]))}
    seconds = [one.second for one in others if one.second is not None]
    if truth.second is not None and seconds:
        another["second"] = float(
            np.mean([cosine_similarity(truth.second, one) for one in seconds])
        )
    profile = albums.profile(person, photo)
    for number, kind in enumerate(bench.settings.degradations):
        condition = f"stills, {kind}"
        seed = [bench.settings.seed, zlib.crc32(subject.encode()), number]
        random = np.random.default_rng(seed)
        picture = degrade(photo.truth, DEGRADATIONS[kind].draw(random), random)
        case = PictureCase(subject, condition, picture, profile, stranger)
        own = {"niqe": truth.naturalness, "profile": _cosine(truth, likeness)}
        yield Scores("another", condition, subject, another)
        yield Scores("truth", condition, subject, own)
        if shown:
            bench.gallery.add(condition, subject, "truth", truth.crop)
        for row in bench.rows:
            made = row.picture(case)
            if made is None:
                continue
            look = judge.look(made.image, photo.face)
            values = judge.compare(look, truth, photo.face)
            values["profile"] = _cosine(look, likeness)
            if shown:
                bench.gallery.add(condition, subject, row.key, look.crop)
            yield Scores(row.key, condition, subject, values, made.done)


def _cosine(look: JudgedFace, other: FloatArray) -> float:
    return float(cosine_similarity(look.embedding, other))
