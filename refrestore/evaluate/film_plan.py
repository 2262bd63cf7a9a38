"""The film of an evaluation: who is near, who is far, and where everybody truly is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.errors import UsageError
from refrestore.evaluate.degrade import VIDEO_DEGRADATIONS
from refrestore.evaluate.film_maker import Filmed, Scene, SceneLabel
from refrestore.evaluate.judge import TrueFace
from refrestore.evaluate.rows import film_pictures
from refrestore.faces.analyser import FaceModels
from refrestore.faces.pose import mesh_keypoints
from refrestore.media.probe import probe
from refrestore.restore.temporal import smooth
from refrestore.types import FloatArray, ImageArray, IntArray

NEAR, FAR = 300.0, 110.0
"""Height of a face, pixels of the 1280 x 720 film."""

APART = 0.4
"""Seconds between the near and the far shot of a clip: a far frame has no twin among references."""

SPARE = 0.2
"""Seconds left at a clip's end: containers tell durations a frame or two too long."""

TRUTH_SIGMA = 1.0
"""Smoothing of the true landmarks over time, frames: what is left of the mesh's own noise."""

CLEAN = "clean"


@dataclass(frozen=True)
class FilmPlan:
    """Scenes and what happens to each.

    Parameters
    ----------
    scenes
        In order.
    kinds
        Per scene the name of its degradation, or `CLEAN`.
    left_out
        Clips that are too short.
    """

    scenes: list[Scene]
    kinds: list[str]
    left_out: list[Path]


@dataclass(frozen=True, eq=False)
class Appearance:
    """One person in one far scene.

    Parameters
    ----------
    scene
        Its index.
    clip
        Whose.
    kind
        Of the degradation.
    frames : (T,)
        Frame indices of the film.
    keypoints, landmarks : (T, 5, 2), (T, 468, 2)
        Of the truth, pixels of the film, smoothed.
    """

    scene: int
    clip: str
    kind: str
    frames: IntArray
    keypoints: FloatArray
    landmarks: FloatArray

    def face(self, frame: int) -> TrueFace:
        """Return where the face is in a frame of the film."""
        row = int(np.searchsorted(self.frames, frame))
        return TrueFace(self.keypoints[row], self.landmarks[row])

    @property
    def height(self) -> float:
        """Median height of the mesh in pixels."""
        return float(np.median(np.ptp(self.landmarks[..., 1], axis=1)))


def plan_film(clips: Sequence[Path], near: float, far: float) -> FilmPlan:
    """Show everybody near and clean, then far at each degradation, then two at once.

    Far shots begin after the near one of the same clip has ended.

    Parameters
    ----------
    near, far
        Lengths of the shots, seconds.

    Raises
    ------
    UsageError
        If no clip is long enough.
    """
    needed = near + APART + far + SPARE
    lengths = {clip: probe(clip).duration for clip in clips}
    usable = [clip for clip in clips if (lengths[clip] or Fraction(0)) >= needed]
    if not usable:
        raise UsageError(
            f"No clip is {needed:.1f} s long or longer; give longer ones with --clips."
        )
    later = near + APART
    scenes = [Scene((Filmed(clip, 0.0, NEAR),), near) for clip in usable]
    kinds = [CLEAN] * len(scenes)
    together = [(clip,) for clip in usable]
    pairs = list(zip(usable[0::2], usable[1::2], strict=False))
    for kind, how in VIDEO_DEGRADATIONS.items():
        for group in (*together, *pairs):
            people = tuple(Filmed(clip, later, FAR) for clip in group)
            scenes.append(Scene(people, far, how.chain, how.crf, how.codec))
            kinds.append(kind)
    return FilmPlan(scenes, kinds, [clip for clip in clips if clip not in usable])


def find_truth(
    truth: Path, labels: Sequence[SceneLabel], kinds: Sequence[str], models: FaceModels
) -> list[Appearance]:
    """Find everybody in the far scenes of the truth.

    Parameters
    ----------
    labels, kinds
        Of the scenes, in order.
    """
    seen: dict[tuple[int, int], list[tuple[int, FloatArray]]] = {}
    scene = 0
    for index, picture in enumerate(film_pictures(truth)):
        while index >= labels[scene].stop:
            scene += 1
        if labels[scene].degraded:
            for pane, mesh in _meshes(picture, len(labels[scene].clips), models).items():
                seen.setdefault((scene, pane), []).append((index, mesh))
    found = []
    for (number, pane), rows in sorted(seen.items()):
        label = labels[number]
        frames = np.array([frame for frame, _ in rows], np.int64)
        every = np.arange(label.first, label.stop)
        steady = smooth(np.stack([mesh for _, mesh in rows]), frames, sigma=TRUTH_SIGMA)
        flat = steady.reshape(len(frames), -1)
        filled = np.stack([np.interp(every, frames, column) for column in flat.T], axis=1)
        meshes = filled.reshape(len(every), -1, 2).astype(np.float32)
        keypoints = mesh_keypoints(meshes)
        found.append(Appearance(number, label.clips[pane], kinds[number], every, keypoints, meshes))
    return found


def _meshes(picture: ImageArray, panes: int, models: FaceModels) -> dict[int, FloatArray]:
    """Return the mesh of the largest face of each pane that shows one."""
    faces = models.detector.detect([picture], [0], 640)
    if not len(faces):
        return {}
    width = picture.shape[1] // panes
    place = np.clip((faces.box[:, [0, 2]].mean(axis=1) // width).astype(int), 0, panes - 1)
    order = np.argsort(-faces.size, kind="stable")
    largest = {int(place[row]): int(row) for row in order[::-1]}
    rows = list(largest.values())
    meshes, _ = models.mesh(picture, faces.box[rows], faces.keypoints[rows])
    return dict(zip(largest, meshes, strict=True))
