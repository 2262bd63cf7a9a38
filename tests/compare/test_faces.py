"""Faces only, on a real film: the same face in both rows, and projects that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refrestore.compare.compare import compare
from refrestore.compare.faces import TILE, tile
from refrestore.config import EncoderSettings, RuntimeSettings, ScanSettings
from refrestore.errors import ProjectError, UsageError
from refrestore.media.compose import compose
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.project import Project
from refrestore.scan.scan import scan

LOSSLESS = EncoderSettings(codec="ffv1", pixel_format="yuv444p")
GAP = 8


@pytest.fixture(scope="module")
def enlarged(scanned: Any, remake: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the film, twice as large and otherwise as it was."""
    output = tmp_path_factory.mktemp("enlarged") / "out.mkv"
    remake(scanned.film, output, scale=2, edit=lambda frame: compose(frame, [], scale=2))
    return output


def rows_of(video: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the row before and the row after of every picture, without the words."""
    with VideoReader(video) as reader:
        pictures = [display_rgb(frame) for frame in reader]
    return [
        (picture[GAP : GAP + TILE, 84:], picture[2 * GAP + TILE : 2 * GAP + 2 * TILE, 84:])
        for picture in pictures
    ]


@pytest.mark.parametrize("own_project", [True, False])
def test_both_rows_show_the_same_faces(
    scanned: Any, enlarged: Path, tmp_path: Path, own_project: bool
) -> None:
    made = compare(
        scanned.film,
        enlarged,
        tmp_path / "faces.mkv",
        mode="faces",
        project=scanned.project if own_project else None,
        encoder=LOSSLESS,
        runtime=RuntimeSettings(device="cpu"),
    )
    assert made.frames == 16
    assert [entry.name for entry in tmp_path.iterdir()] == ["faces.mkv"]
    shown = 0
    for before, after in rows_of(made.output):
        assert np.abs(before.astype(int) - after).mean() < 3, "the rows show other places"
        shown += int(before.std() > 20)
    assert shown == made.frames, "there are no faces"


def test_a_project_that_does_not_fit_is_refused(
    scanned: Any, enlarged: Path, tmp_path: Path
) -> None:
    with pytest.raises(ProjectError, match="another"):
        compare(enlarged, scanned.film, tmp_path / "f.mkv", mode="faces", project=scanned.project)
    nobody = tmp_path / "project"
    scan(
        scanned.film,
        nobody,
        settings=ScanSettings(min_face=400),
        runtime=RuntimeSettings(device="cpu"),
    )
    with Project.open(nobody) as project:
        for identity in project.identities():
            project.set_state(identity.id, "ignore")
    with pytest.raises(UsageError, match="nobody on screen"):
        compare(scanned.film, enlarged, tmp_path / "f.mkv", mode="faces", project=nobody)
    assert [entry.name for entry in tmp_path.iterdir()] == ["project"]


@pytest.mark.parametrize("side", [20.0, 64.0, 300.0, 900.0])
@pytest.mark.parametrize("place", [(50.0, 40.0), (2.0, 3.0), (398.0, 290.0)])
def test_a_tile_is_the_same_place_at_any_size(side: float, place: tuple[float, float]) -> None:
    rows, columns = np.mgrid[:300, :400]
    small = np.stack([columns * 0.6, rows * 0.8, columns * 0], -1)
    y, x = ((np.arange(2 * size) + 0.5) / 2 - 0.5 for size in (300, 400))
    large = np.stack(np.broadcast_arrays(x[None] * 0.6, y[:, None] * 0.8, x[None] * 0), -1)
    one = tile(np.rint(small).clip(0, 255).astype(np.uint8), (*place, side), (1.0, 1.0))
    other = tile(np.rint(large).clip(0, 255).astype(np.uint8), (*place, side), (2.0, 2.0))
    assert np.abs(one.astype(int) - other)[4:-4, 4:-4].max() <= 2
