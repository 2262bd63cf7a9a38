"""The main job on a film made here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings
from refrestore.engine.run import PROJECT_SUFFIX, run
from refrestore.evaluate.demo import make_demo_film
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


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    film, sheet, comparison
        The film, the contact sheet of its people, a before/after picture.
    identities
        Who was found.
    result
        The restored film and its report.
    """

    film: Path
    sheet: Path
    comparison: Path
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
    comparison = folder / "before-after.png"
    write_picture(comparison, _side_by_side(film, output))
    return DemoResult(film, sheet, comparison, identities, result)


def _side_by_side(before: Path, after: Path) -> ImageArray:
    rows = [
        np.concatenate([_picture_at(before, time), _picture_at(after, time)], axis=1)
        for time in BEFORE_AFTER_AT
    ]
    return np.concatenate(rows)


def _picture_at(video: Path, time: Fraction) -> ImageArray:
    with VideoReader(video, start=time) as reader:
        return display_rgb(next(iter(reader)))
