"""Tapes and albums: films without one sharp face, restored from photos that are not in them.

Half of the people are in one film and half in another. Each film is recorded on every tape
(`evaluate.tape`), scanned as users do, and restored without photos, with albums of the people in
it, and with albums of the other film's people only: who is recognised is the job's own decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import UsageError
from refrestore.evaluate.film_maker import Filmed, Scene, SceneLabel, make_film
from refrestore.evaluate.rows import FilmCase, film_pictures
from refrestore.evaluate.table import Scores
from refrestore.evaluate.tape import TAPES
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.profiles import Profile
from refrestore.project import Project
from refrestore.scan.clustering import TOGETHER
from refrestore.scan.photos import faces_of_pictures
from refrestore.scan.recognise import recognised
from refrestore.scan.scan import scan
from refrestore.types import ImageArray, Reference

from .cast import Photographed, read_photos, spread
from .film_plan import SPARE, Appearance, find_truth
from .settings import EvaluationSettings
from .still_trials import Bench

SIZE = (640, 480)
RATE = Fraction(25)

HEIGHTS = (65.0, 120.0)
"""Of faces, pixels."""

LENGTHS = (2 / 3, 2.0)
"""Of shots, in far shots of a film."""

ALBUM_PART, TAPE_PART = 0.4, 0.5
"""Of a clip, photos are taken before the first share of it and the tape begins at the second."""

ALBUM_OF_CLIP = 6
"""Photos taken of a clip."""

FEWEST_PHOTOS = 3

OWN, STRANGERS, NOBODYS = "from their album", "from a stranger's album", "without an album"
"""What is said of each shot."""


@dataclass(frozen=True, eq=False)
class Filmable:
    """Somebody who can be on a tape.

    Parameters
    ----------
    name
        Of the folder or clip.
    sources
        What is filmed: photos (a camera moves over them), or a clip from a moment on, seconds.
    profile
        Of what is not filmed.
    """

    name: str
    sources: Sequence[tuple[Path, float]]
    profile: Profile


def evaluate_tapes(
    people: Sequence[Photographed],
    clips: Sequence[Path],
    bench: Bench,
    runtime: RuntimeSettings,
    work: Path,
) -> Iterator[Scores]:
    """Yield the scores of every row on every shot of every tape.

    Parameters
    ----------
    people, clips
        With photos; talking heads.
    work
        Folder for what is not kept.

    Raises
    ------
    UsageError
        If there are not two people who can be filmed and have photos left.
    """
    known = [*_of_photos(people, bench), *_of_clips(clips, bench)]
    if len(known) < 2:
        raise UsageError(
            "A tape needs two people with photos that are not on it: give folders with "
            f"{FEWEST_PHOTOS + 1} photos a person (--stills), or clips of some seconds (--clips)."
        )
    for half in (0, 1):
        cast, strangers = known[half::2], [one.profile for one in known[1 - half :: 2]]
        scenes, names = _scenes(cast, bench.settings, half)
        for number, (kind, tape) in enumerate(TAPES.items()):
            folder = work / f"{half}-{number}"
            folder.mkdir()
            film, truth = folder / "film.mkv", folder / "truth.mkv"
            labels = make_film(
                scenes,
                film,
                truth,
                models=bench.toolbox.models,
                size=SIZE,
                rate=RATE,
                seed=bench.settings.seed,
                tape=tape,
            )
            kinds = [kind] * len(labels)
            faces = find_truth(truth, labels, kinds, bench.toolbox.models)
            project = folder / "project"
            scan(film, project, settings=ScanSettings(), runtime=runtime, progress=bench.progress)
            case = FilmCase(
                film,
                project,
                None,
                {frame: kind for face in faces for frame in face.frames.tolist()},
                folder,
                albums={
                    "right": [one.profile for one in cast],
                    "wrong": strangers,
                },
            )
            yield from _scored(case, truth, _Cast(kind, faces, labels, names), bench)
            truth.unlink()


def _of_photos(people: Sequence[Photographed], bench: Bench) -> Iterator[Filmable]:
    for person in people:
        photos = read_photos(person, bench.toolbox.models)
        filmed = (
            [photos[0], photos[len(photos) // 2]] if len(photos) > FEWEST_PHOTOS + 1 else photos[:1]
        )
        left = [one.reference for one in photos if all(one is not other for other in filmed)]
        if len(left) < FEWEST_PHOTOS:
            continue
        files = {file.name: file for file in person.photos}
        sources = [(files[one.name], 0.0) for one in filmed if one.name in files]
        yield Filmable(person.name, sources, _profile(person.name, left, bench))


def _of_clips(clips: Sequence[Path], bench: Bench) -> Iterator[Filmable]:
    for clip in clips:
        info = probe(clip)
        length = float(info.duration or 0)
        if length * (1 - TAPE_PART) < LENGTHS[1] * bench.settings.far_seconds + SPARE:
            continue
        found = faces_of_pictures(_stills(clip, length * ALBUM_PART), bench.toolbox.models)
        if len(found.references) >= FEWEST_PHOTOS:
            profile = _profile(clip.stem, found.references, bench)
            yield Filmable(clip.stem, [(clip, length * TAPE_PART)], profile)


def _stills(clip: Path, seconds: float) -> list[ImageArray]:
    """Return pictures of a clip's first seconds, evenly spread."""
    with VideoReader(clip) as reader:
        wanted = spread(range(int(Fraction(seconds) * reader.info.average_rate)), ALBUM_OF_CLIP)
        pictures = []
        for frame in reader:
            if frame.index in wanted:
                pictures.append(display_rgb(frame))
            if frame.index >= wanted[-1]:
                break
    return pictures


def _profile(name: str, references: Sequence[Reference], bench: Bench) -> Profile:
    return Profile.chosen(name, references, bench.toolbox.eyes.network)


def _scenes(
    cast: Sequence[Filmable], settings: EvaluationSettings, half: int
) -> tuple[list[Scene], list[str]]:
    """Return the shots of a film, and who is in each: nobody twice in a row."""
    random = np.random.default_rng(settings.seed + half)
    scenes, names = [], []
    for take in range(max(len(one.sources) for one in cast)):
        for one in cast:
            if take < len(one.sources):
                file, start = one.sources[take]
                face = random.uniform(*HEIGHTS)
                seconds = settings.far_seconds * random.uniform(*LENGTHS)
                scenes.append(Scene((Filmed(file, start, face),), seconds))
                names.append(one.name)
    return scenes, names


@dataclass(frozen=True)
class _Cast:
    """Who is on a tape: its name, where everybody truly is, its shots, and who each shows."""

    kind: str
    faces: Sequence[Appearance]
    labels: Sequence[SceneLabel]
    names: Sequence[str]

    def about(self, scene: int) -> tuple[str, str]:
        """Return condition and subject of a shot."""
        return f"tapes, {self.kind}", f"{self.names[scene]}, shot {scene + 1}"


def _scored(case: FilmCase, truth: Path, cast: _Cast, bench: Bench) -> Iterator[Scores]:
    """Restore a tape in every row that knows albums; yield an entry a shot and row."""
    lent = _lent(case, cast.labels)
    streams = {"truth": film_pictures(truth), "input": film_pictures(case.film)}
    for row in bench.rows:
        if row.key.startswith("ours"):
            made = row.film(case)
            if made is not None:
                streams[row.key] = made
    scores: dict[tuple[int, str], list[Mapping[str, float]]] = {}
    on = {frame: face for face in cast.faces for frame in face.frames.tolist()}
    for index, pictures in enumerate(zip(*streams.values(), strict=True)):
        face = on.get(index)
        if face is None or (index - face.frames[0]) % bench.settings.look_every:
            continue
        shown = dict(zip(streams, pictures, strict=True))
        true = face.face(index)
        looks = {key: bench.judge.look(one, true, closely=False) for key, one in shown.items()}
        for key, look in looks.items():
            if key != "truth":
                values = bench.judge.compare(look, looks["truth"], true)
                scores.setdefault((face.scene, key), []).append(values)
        middle = len(face.frames) // 2 // bench.settings.look_every * bench.settings.look_every
        if index - face.frames[0] == middle:
            for key, look in looks.items():
                bench.gallery.add(*cast.about(face.scene), key, look.crop)
    for (scene, key), rows in scores.items():
        means = {name: float(np.mean([one[name] for one in rows])) for name in rows[0]}
        done = None
        if key in lent:
            album = lent[key].get(scene)
            done = OWN if album == cast.names[scene] else NOBODYS if album is None else STRANGERS
        yield Scores(key, *cast.about(scene), means, done)


def _lent(case: FilmCase, labels: Sequence[SceneLabel]) -> dict[str, dict[int, str]]:
    """Return whose album each shot is restored from, by row and shot."""
    found: dict[str, dict[int, str]] = {}
    with Project.open(case.project) as project:
        tracks = {track.id: track for track in project.tracks()}
        people = {one.id: one for one in project.identities()}
        for which, album in case.albums.items():
            own = found.setdefault(f"ours-{which}", {})
            for number, profile in recognised(project, album).items():
                for track in (tracks[t] for t in people[number].tracks):
                    for scene, label in enumerate(labels):
                        if min(track.stop, label.stop) - max(track.first, label.first) > TOGETHER:
                            own[scene] = profile.name
    return found
