"""A wrong merge, as a user could make it: every far face is given to the next person."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refrestore.evaluate.film_maker import SceneLabel
from refrestore.project import Project
from refrestore.types import Faces

from .film_plan import Appearance


def swapped_project(
    project: Path, target: Path, labels: Sequence[SceneLabel], faces: Sequence[Appearance]
) -> tuple[Path | None, list[str]]:
    """Copy a project and move its far tracks to the next person's identity.

    Parameters
    ----------
    project, target
        Folders.
    labels
        Scenes of the film.
    faces
        Who truly is in the far scenes.

    Returns
    -------
    The copy, or None and why there is none.
    """
    with Project.open(project) as opened:
        known = _near_people(opened, labels)
        clips = [clip for clip in dict.fromkeys(face.clip for face in faces) if clip in known]
        following = dict(zip(clips, [*clips[1:], *clips[:1]], strict=True))
        moves = [
            (track, known[following[face.clip]])
            for face in faces
            if face.clip in following
            for track in _tracks_at(opened, face)
        ]
    if len(set(known.values())) < 2 or not moves:
        return None, [
            "The film has no row with somebody else's references: fewer than two people were "
            "recognised in the near shots."
        ]
    shutil.copytree(project, target)
    with Project.open(target) as opened:
        for track, identity in moves:
            if opened.identity_of_track().get(track) != identity:
                opened.move_tracks([track], identity, force=True)
    return target, []


def _near_people(project: Project, labels: Sequence[SceneLabel]) -> dict[str, int]:
    """Return per clip the identity that its near shot shows longest."""
    owner = project.identity_of_track()
    people = {}
    for label in labels:
        if label.degraded:
            continue
        faces = project.faces(first=label.first, stop=label.stop)
        ids, counts = np.unique(_track_column(faces), return_counts=True)
        held = [
            (int(count), owner[int(track)])
            for track, count in zip(ids, counts, strict=True)
            if int(track) in owner
        ]
        if held:
            people[label.clips[0]] = max(held)[1]
    return people


def _tracks_at(project: Project, face: Appearance) -> list[int]:
    """Return the tracks that are, in the middle of their boxes, this face."""
    faces = project.faces(first=int(face.frames[0]), stop=int(face.frames[-1]) + 1)
    tracks = _track_column(faces)
    rows = np.clip(faces.frame - face.frames[0], 0, len(face.frames) - 1)
    low, high = face.landmarks[rows].min(axis=1), face.landmarks[rows].max(axis=1)
    middle = (faces.box[:, :2] + faces.box[:, 2:]) / 2
    inside = ((middle > low) & (middle < high)).all(axis=1)
    return [int(track) for track in np.unique(tracks[inside])]


def _track_column(faces: Faces) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.zeros(0, np.int64) if faces.track is None else faces.track
