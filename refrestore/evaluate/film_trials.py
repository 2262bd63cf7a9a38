"""Films: scanned and rendered as users do, and every far face held against the true one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.film_maker import make_film
from refrestore.evaluate.judge import JudgedFace, TrueFace, interocular
from refrestore.evaluate.metrics import cosine_similarity, identity_deviation, identity_jitter
from refrestore.evaluate.rows import FilmCase, film_pictures
from refrestore.evaluate.side_by_side import Window, boards, tile, windows
from refrestore.evaluate.steadiness import (
    Flow,
    Steadiness,
    dense_flow,
    landmark_motion_error,
    lids_right,
    speech_likeness,
)
from refrestore.evaluate.table import Scores
from refrestore.faces.align import CROP_SIZE, crops, resized, transform
from refrestore.media.simple import write_pictures
from refrestore.scan.scan import scan
from refrestore.types import FloatArray, ImageArray

from .film_plan import Appearance, find_truth, plan_film
from .still_trials import Bench
from .swap import swapped_project

RATE = Fraction(25)

FOLLOWED = 256
"""Side in pixels of the crops that follow a true face, for what is measured between frames."""

TRUTH, INPUT = "truth", "input"


@dataclass
class _SceneRow:
    """What is known of one face through a scene, in one row.

    Parameters
    ----------
    embeddings, meshes, similarities, shut
        Per frame.
    steadiness
        Of its pixels.
    pictures
        Scores of the frames that were looked at closely.
    """

    embeddings: list[FloatArray] = field(default_factory=list)
    meshes: list[FloatArray] = field(default_factory=list)
    similarities: list[float] = field(default_factory=list)
    shut: list[float] = field(default_factory=list)
    steadiness: Steadiness = field(default_factory=Steadiness)
    pictures: list[Mapping[str, float]] = field(default_factory=list)


def evaluate_film(
    clips: Sequence[Path], bench: Bench, runtime: RuntimeSettings, work: Path, video: Path
) -> tuple[list[Scores], list[str]]:
    """Make a film of the clips, restore it in every row, score it, and write the comparison.

    Parameters
    ----------
    work
        Folder for what is not kept.
    video
        The comparison video.

    Returns
    -------
    The entries, and notes in sentences.

    Raises
    ------
    UsageError, MediaError
        If the clips are too short or show nobody.
    """
    settings, models = bench.settings, bench.toolbox.models
    plan = plan_film(clips, settings.near_seconds, settings.far_seconds)
    film, truth = work / "film.mp4", work / "truth.mkv"
    labels = make_film(plan.scenes, film, truth, models=models, rate=RATE, seed=settings.seed)
    scan(film, work / "project", settings=ScanSettings(), runtime=runtime, progress=bench.progress)
    faces = find_truth(truth, labels, plan.kinds, models)
    swapped, notes = swapped_project(work / "project", work / "swapped", labels, faces)
    notes += [f"{clip.name} is too short for the film and was left out." for clip in plan.left_out]
    kinds = {frame: face.kind for face in faces for frame in face.frames.tolist()}
    case = FilmCase(film, work / "project", swapped, kinds, work)
    streams = {TRUTH: film_pictures(truth)}
    names = {TRUTH: TRUTH}
    for row in bench.rows:
        stream = row.film(case)
        if stream is not None:
            streams[row.key], names[row.key] = stream, row.name
    scorer = _FilmScorer(faces, bench, len(kinds))
    moments = scorer.watch(streams, names)
    order = [names[key] for key in (INPUT, *(key for key in names if key not in (INPUT, TRUTH)))]
    options = {"crf": "16", "preset": "veryfast"}
    write_pictures(video, boards(moments, [*order, TRUTH]), rate=RATE, options=options)
    return list(scorer.entries()), notes


class _FilmScorer:
    """Goes through truth and rows in step and keeps what it needs of each face."""

    def __init__(self, faces: Sequence[Appearance], bench: Bench, frames: int) -> None:
        self._bench = bench
        self._faces = faces
        self._frames = frames
        self._courses: dict[tuple[int, str], _SceneRow] = {}
        self._last: dict[int, tuple[dict[str, ImageArray], FloatArray]] = {}
        self._on = {
            frame: [n for n, face in enumerate(faces) if frame in set(face.frames.tolist())]
            for frame in sorted({f for face in faces for f in face.frames.tolist()})
        }
        self._windows: dict[int, list[Window]] = {}
        for scene in {face.scene for face in faces}:
            own = [face for face in faces if face.scene == scene]
            self._windows[scene] = windows(
                [face.keypoints for face in own], [face.height for face in own]
            )

    def watch(
        self, streams: Mapping[str, Iterator[ImageArray]], names: Mapping[str, str]
    ) -> Iterator[tuple[str, dict[str, ImageArray]]]:
        """Score as the frames come; yield a moment of the comparison video for each that counts."""
        done = 0
        for index, pictures in enumerate(zip(*streams.values(), strict=True)):
            here = self._on.get(index)
            if not here:
                self._last.clear()
                continue
            shown = dict(zip(streams, pictures, strict=True))
            for number in here:
                self._score(number, index, shown)
            face = self._faces[here[0]]
            strips = self._windows[face.scene]
            caption = f"{face.kind}: " + " and ".join(self._faces[n].clip for n in here)
            yield caption, {names[key]: tile(one, strips) for key, one in shown.items()}
            done += 1
            self._bench.progress("film", done, self._frames)

    def _score(self, number: int, index: int, shown: Mapping[str, ImageArray]) -> None:
        appearance, judge = self._faces[number], self._bench.judge
        face = appearance.face(index)
        place = index - int(appearance.frames[0])
        closely = place % self._bench.settings.look_every == 0
        truth = judge.look(shown[TRUTH], face, closely=closely)
        matrix = resized(face.to_crop, FOLLOWED / CROP_SIZE)
        cut = {key: crops(picture, matrix, FOLLOWED)[0] for key, picture in shown.items()}
        flow = self._flow(number, cut)
        for key, picture in shown.items():
            look = truth if key == TRUTH else judge.look(picture, face, closely=closely)
            course = self._courses.setdefault((number, key), _SceneRow())
            course.embeddings.append(look.embedding)
            course.meshes.append(look.mesh)
            course.shut.append(look.shut)
            course.similarities.append(float(cosine_similarity(look.embedding, truth.embedding)))
            if flow is not None:
                before, mesh = self._last[number]
                course.steadiness.add(before[key], cut[key], flow, mesh)
            if closely:
                self._picture(course, key, look, truth, face)
                if place == len(appearance.frames) // 2 // self._bench.settings.look_every * (
                    self._bench.settings.look_every
                ):
                    self._bench.gallery.add(*self._about(appearance), key, look.crop)
        self._last[number] = cut, transform(matrix, face.landmarks[None])[0].astype(np.float32)

    def _flow(self, number: int, cut: Mapping[str, ImageArray]) -> Flow | None:
        if number not in self._last:
            return None
        return dense_flow(self._last[number][0][TRUTH], cut[TRUTH])

    def _picture(
        self, course: _SceneRow, key: str, look: JudgedFace, truth: JudgedFace, face: TrueFace
    ) -> None:
        if key == TRUTH:
            course.pictures.append({"niqe": truth.naturalness})
        else:
            course.pictures.append(self._bench.judge.compare(look, truth, face))

    @staticmethod
    def _about(face: Appearance) -> tuple[str, str]:
        return f"film, {face.kind}", f"{face.clip}, scene {face.scene + 1}"

    def entries(self) -> Iterator[Scores]:
        """Yield an entry a face of a scene and row."""
        for (number, key), course in self._courses.items():
            face = self._faces[number]
            true = self._courses[number, TRUTH]
            ring = self._courses[number, INPUT].steadiness.ring_deviation
            size = float(np.mean([interocular(face.face(int(frame))) for frame in face.frames]))
            found, right = np.stack(course.meshes), np.stack(true.meshes)
            values = _means(course.pictures)
            values |= {
                "jitter": identity_jitter(np.stack(course.embeddings)),
                "warping": course.steadiness.warping_error,
                "flicker": course.steadiness.ring_deviation - ring,
            }
            if key != TRUTH:
                values |= {
                    "identity": float(np.mean(course.similarities)),
                    "deviation": identity_deviation(np.array(course.similarities)),
                    "motion": landmark_motion_error(found, right, size),
                    "speech": speech_likeness(found, right),
                    "lids": lids_right(course.shut, true.shut),
                }
            yield Scores(key, *self._about(face), values)


def _means(pictures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    keys = dict.fromkeys(itertools.chain.from_iterable(pictures))
    return {key: float(np.nanmean([one[key] for one in pictures])) for key in keys}
