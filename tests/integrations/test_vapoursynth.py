"""The VapourSynth clip, where VapourSynth is installed: frames are those of the library."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from refrestore.engine.any_frame import AnyFrame
from refrestore.media.planes import planar, plane_views
from refrestore.media.reader import VideoReader
from tests.render.conftest import scanned as scanned  # noqa: PLC0414  a fixture

FOLDER = Path(__file__).resolve().parents[2] / "integrations" / "vapoursynth"


def test_frames_come_in_any_order_and_are_the_same_each_time(scanned, tmp_path) -> None:
    from refrestore.project import Project

    with Project.open(scanned.project) as project:
        frames = AnyFrame(project)
        with VideoReader(scanned.film) as reader:
            source = [planar(frame.picture) for frame in reader]
        assert len(frames) == len(source)
        late = plane_views(frames[len(source) - 1])[0].copy()
        changed = [
            index
            for index in range(len(source))
            if not np.array_equal(plane_views(frames[index])[0], plane_views(source[index])[0])
        ]
        assert changed
        np.testing.assert_array_equal(plane_views(frames[len(source) - 1])[0], late)
        for outside in (-1, len(source)):
            with pytest.raises(IndexError):
                frames[outside]


def test_a_clip_has_the_films_format_and_the_librarys_frames(scanned, monkeypatch) -> None:
    pytest.importorskip("vapoursynth")
    from refrestore.project import Project

    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    from refrestore_vapoursynth import restored

    clip = restored(scanned.project)
    with Project.open(scanned.project) as project:
        frames = AnyFrame(project)
        assert (clip.num_frames, clip.width, clip.height) == (len(frames), 250, 186)
        assert clip.fps == frames.info.average_rate
        for number in (len(frames) - 1, 0, 12):
            frame = clip.get_frame(number)
            for plane, view in enumerate(plane_views(planar(frames[number]))):
                np.testing.assert_array_equal(np.asarray(frame[plane]), view)
