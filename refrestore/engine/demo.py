"""The main job on a film made here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings
from refrestore.engine.run import PROJECT_SUFFIX, run
from refrestore.evaluate.demo import make_demo_film
from refrestore.faces.align import CROP_SIZE, FFHQ_TEMPLATE, crops, resized, similarity
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.media.stills import write_picture
from refrestore.models.pack import load_pack
from refrestore.project import Project
from refrestore.render.render import RenderResult
from refrestore.scan.sheet import contact_sheet
from refrestore.types import Identity, ImageArray, ProgressCallback

BEFORE_AFTER_AT = (Fraction(36, 10), Fraction(84, 10))
"""Seconds, in the two far shots."""

FACE_SIZE = 192
"""Side of a face in the picture of faces, pixels."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    film, sheet, comparison, faces
        The film, the contact sheet of its people, two moments before and after, and the faces of
        the first of them, before above after.
    identities
        Who was found.
    result
        The restored film and its report.
    """

    film: Path
    sheet: Path
    comparison: Path
    faces: Path
    identities: list[Identity]
    result: RenderResult


def demo(
    folder: Path,
    *,
    runtime: RuntimeSettings | None = None,
    progress: ProgressCallback | None = None,
) -> DemoResult:
    """Make a film, find its people, restore it, and show what changed.

    Raises
    ------
    ModelError
        If a model is missing; nothing is made then.
    """
    runtime = runtime or RuntimeSettings()
    load_pack(runtime)
    folder.mkdir(parents=True, exist_ok=True)
    film, output = folder / "film.mp4", folder / "restored.mp4"
    make_demo_film(film)
    result = run([film], output, runtime=runtime, progress=progress)[0]
    with Project.open(output.with_name(output.name + PROJECT_SUFFIX)) as project:
        identities = project.identities()
        sheet = folder / "people.png"
        write_picture(sheet, contact_sheet(project))
        close = _faces(project, film, output, BEFORE_AFTER_AT[0])
    comparison = folder / "before-after.png"
    write_picture(comparison, _side_by_side(film, output))
    faces = folder / "faces.png"
    write_picture(faces, close)
    return DemoResult(film, sheet, comparison, faces, identities, result)


def _faces(project: Project, before: Path, after: Path, time: Fraction) -> ImageArray:
    """Return the aligned faces of one moment, before above after, from left to right."""
    with VideoReader(before, start=time) as reader:
        frame = next(iter(reader)).index
    faces = project.faces(first=frame, stop=frame + 1)
    faces = faces[np.argsort(faces.box[:, 0])]
    matrices = resized(similarity(faces.keypoints, FFHQ_TEMPLATE), FACE_SIZE / CROP_SIZE)
    rows = [crops(_picture_at(video, time), matrices, FACE_SIZE) for video in (before, after)]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def _side_by_side(before: Path, after: Path) -> ImageArray:
    rows = [
        np.concatenate([_picture_at(before, time), _picture_at(after, time)], axis=1)
        for time in BEFORE_AFTER_AT
    ]
    return np.concatenate(rows)


def _picture_at(video: Path, time: Fraction) -> ImageArray:
    with VideoReader(video, start=time) as reader:
        return display_rgb(next(iter(reader)))
