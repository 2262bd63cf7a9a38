"""A small film of real faces (the photo inside insightface), scanned once for this room."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from refrestore.config import (
    EncoderSettings,
    ExportSettings,
    RenderSettings,
    RuntimeSettings,
    ScanSettings,
)
from refrestore.engine.local import render
from refrestore.evaluate.degrade import Degradation
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
from refrestore.project import Project
from refrestore.render.render import RenderResult
from refrestore.scan.scan import scan

MOVES = (
    CameraMove(CameraView(0.11, 0.37, 1.0), CameraView(0.13, 0.38, 1.0), 0.24),
    CameraMove(CameraView(0.20, 0.33, 0.5), CameraView(0.22, 0.33, 0.5), 0.4, far=True),
)
SIZE = (250, 186)
FAR_AWAY = Degradation(blur=1.0, shrink=2.0, noise=2.0, quality=85)
"""Leaves clearly less of a face than its close-up shows."""

LOSSLESS = EncoderSettings(codec="ffv1")
SETTINGS = RenderSettings(segment_seconds=0.2)
"""Two segments of the close shot, two of the far one."""

FAR_PART = {"start": Fraction(40, 100), "end": Fraction(56, 100)}
"""Seconds: four frames of the far shot."""

EVERY = 3
"""Frames between exported faces."""


@dataclass(frozen=True)
class Scanned:
    film: Path
    project: Path


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Return the film and its scanned project; not to be changed."""
    folder = tmp_path_factory.mktemp("film")
    film = folder / "film.mp4"
    make_demo_film(film, moves=MOVES, far=FAR_AWAY, size=SIZE)
    scan(film, folder / "project", settings=ScanSettings(), runtime=RuntimeSettings())
    return Scanned(film, folder / "project")


@pytest.fixture(scope="session")
def rendered(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> RenderResult:
    """Return an uninterrupted lossless render of the whole film, in segments, with its faces."""
    folder = tmp_path_factory.mktemp("rendered")
    export = ExportSettings(folder=folder / "new" / "faces", every=EVERY)
    output = folder / "out.mkv"
    with Project.open(scanned.project) as opened:
        return render(opened, output, encoder=LOSSLESS, settings=SETTINGS, export=export)


@pytest.fixture
def project(scanned: Scanned, tmp_path: Path) -> Project:
    """Return a copy of the project that a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(scanned.project, folder)
    return Project.open(folder)
