"""The demo on two short shots: who is near and far is one person, and everything is written."""

from __future__ import annotations

import numpy as np

from refrestore.evaluate.demo import CameraMove, CameraView
from refrestore.evaluate.demo.show import restore_demo, scan_demo
from refrestore.media.reader import VideoReader
from refrestore.media.stills import read_picture
from refrestore.project import Project

MOVES = (
    CameraMove(CameraView(0.685, 0.455, 1.3), CameraView(0.68, 0.45, 1.3), 0.4),
    CameraMove(CameraView(0.8, 0.42, 0.5), CameraView(0.8, 0.43, 0.5), 0.16, far=True),
)


def test_the_demo_writes_what_it_promises(tmp_path) -> None:
    scanned = scan_demo(tmp_path / "demo", moves=MOVES)
    assert any(person.references for person in scanned.identities)
    made = restore_demo(scanned)
    for file in (scanned.film, scanned.clean, scanned.sheet, made.comparison, made.faces):
        assert file.stat().st_size > 0
    assert made.result.output.stat().st_size > 0
    assert made.result.page.stat().st_size > 0
    assert np.ptp(read_picture(made.faces)) > 100
    with VideoReader(scanned.film) as reader:
        assert sum(1 for _ in reader) == 14


def test_a_second_demo_keeps_the_scan_of_the_same_film_only(tmp_path) -> None:
    folder = tmp_path / "demo"
    first = scan_demo(folder, moves=MOVES[:1])
    with Project.open(first.project) as project:
        project.rename(first.identities[0].id, "Anna")
    again = scan_demo(folder, moves=MOVES[:1])
    assert "Anna" in [person.name for person in again.identities]
    other = scan_demo(folder, moves=MOVES[1:])
    assert "Anna" not in [person.name for person in other.identities]
