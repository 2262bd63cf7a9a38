"""The main job on a film made here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from refrestore.config import RenderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.destinations import PROJECT_SUFFIX
from refrestore.engine.local import render
from refrestore.errors import ProjectError
from refrestore.evaluate.demo import MOVES, CameraMove, far_moments, make_demo_film
from refrestore.evaluate.demo.before_after import before_after, face_sheet, far_faces, stacked
from refrestore.media.files import publish
from refrestore.media.probe import probe
from refrestore.media.stills import write_picture
from refrestore.models.pack import load_pack
from refrestore.project import Project
from refrestore.render.render import RenderResult
from refrestore.scan.contact_sheet import contact_sheet
from refrestore.scan.scan import scan
from refrestore.storage.workplace import OutputPlace
from refrestore.types import Identity, ProgressCallback

RESTORED = "restored.mp4"

SCALE: Literal[2] = 2
"""The result is enlarged: at their own 40 pixels there is little room for what close-ups know."""


@dataclass(frozen=True)
class DemoScan:
    """The film and who is in it.

    Parameters
    ----------
    film, clean
        The film, and the same, larger, with its far shots as they were before degradation.
    project
        Project folder.
    sheet
        Contact sheet of the people.
    identities
        Who was found.
    moments
        A time in each far shot, seconds.
    """

    film: Path
    clean: Path
    project: Path
    sheet: Path
    identities: list[Identity]
    moments: list[Fraction]


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    scan
        The film and its people.
    comparison, faces
        Two moments before and after with the faces beneath, and the faces alone: input, restored
        and truth.
    result
        The restored film and its report.
    """

    scan: DemoScan
    comparison: Path
    faces: Path
    result: RenderResult


def scan_demo(
    folder: Path,
    *,
    moves: Sequence[CameraMove] = MOVES,
    runtime: RuntimeSettings | None = None,
    progress: ProgressCallback | None = None,
) -> DemoScan:
    """Make a film and find its people.

    A project of an earlier demo in this folder is used if the film is still the same.

    Raises
    ------
    ModelError
        If a model is missing; nothing is made then.
    """
    runtime = runtime or RuntimeSettings()
    load_pack(runtime)
    folder.mkdir(parents=True, exist_ok=True)
    film, clean = folder / "film.mp4", folder / "film-clean.mp4"
    project = folder / f"{RESTORED}{PROJECT_SUFFIX}"
    with OutputPlace(folder / RESTORED) as place:
        with place.scratch() as work:
            made = work / film.name, work / clean.name
            make_demo_film(made[0], moves=moves, truth=made[1], truth_scale=SCALE)
            publish(made[0], film)
            publish(made[1], clean)
        if not _scanned(project, film):
            shutil.rmtree(project, ignore_errors=True)
            scan(film, project, settings=ScanSettings(), runtime=runtime, progress=progress)
    sheet = folder / "people.png"
    with Project.open(project) as opened:
        write_picture(sheet, contact_sheet(opened))
        people = opened.identities()
    return DemoScan(film, clean, project, sheet, people, far_moments(moves))


def restore_demo(
    scanned: DemoScan,
    *,
    runtime: RuntimeSettings | None = None,
    progress: ProgressCallback | None = None,
) -> DemoResult:
    """Restore the film and show what changed.

    Raises
    ------
    RefrestoreError
        As `render` does.
    """
    folder = scanned.film.parent
    output = folder / RESTORED
    with Project.open(scanned.project) as project:
        result = render(
            project,
            output,
            settings=RenderSettings(scale=SCALE),
            runtime=runtime,
            video=scanned.film,
            progress=progress,
        )
        moments = far_faces(project, scanned.moments)
    faces, comparison = folder / "faces.png", folder / "before-after.png"
    rows = {"input": scanned.film, "restored": result.output, "truth": scanned.clean}
    write_picture(faces, face_sheet(moments, rows))
    pair = {"before": scanned.film, "after": result.output}
    frames = before_after(scanned.film, result.output, scanned.moments)
    write_picture(comparison, stacked([frames, face_sheet(moments, pair)]))
    return DemoResult(scanned, comparison, faces, result)


def demo(
    folder: Path,
    *,
    runtime: RuntimeSettings | None = None,
    progress: ProgressCallback | None = None,
) -> DemoResult:
    """Make a film, find its people, restore it, and show what changed.

    Raises
    ------
    RefrestoreError
        As `scan_demo` and `restore_demo` do.
    """
    scanned = scan_demo(folder, runtime=runtime, progress=progress)
    return restore_demo(scanned, runtime=runtime, progress=progress)


def _scanned(folder: Path, film: Path) -> bool:
    """Whether the project holds a finished scan of this very film."""
    if not folder.exists():
        return False
    try:
        with Project.open(folder) as project:
            project.check_video(probe(film).fingerprint, film)
            return project.scan_info() is not None
    except ProjectError:
        return False
