"""A film of near and far shots of a real person: the close-ups stay, the far faces are restored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refrestore.config import EncoderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.local import render
from refrestore.evaluate.degrade import Degradation
from refrestore.evaluate.film_maker import Filmed, Scene, make_film
from refrestore.faces.analyser import load_face_models
from refrestore.media.planes import plane_views
from refrestore.media.reader import VideoReader
from refrestore.models import load_face_pack
from refrestore.project import Project
from refrestore.scan.scan import scan

CLIP = "LivePortrait__assets_examples_source_s20.mp4"
FAR = Degradation(blur=1.0, shrink=3.0, noise=5.0, quality=70)


def samples(video: Path) -> list[list[np.ndarray]]:
    with VideoReader(video) as reader:
        return [[view.copy() for view in plane_views(frame.picture)] for frame in reader]


@pytest.mark.shared
def test_close_ups_stay_bit_for_bit_and_far_faces_are_restored(shared, tmp_path) -> None:
    clip = shared / "data" / "clips" / CLIP
    scenes = [Scene((Filmed(clip, 0.0, 200.0),), 0.6), Scene((Filmed(clip, 2.4, 70.0),), 0.32, FAR)]
    models = load_face_models(load_face_pack(RuntimeSettings()))
    film, project = tmp_path / "film.mp4", tmp_path / "project"
    near, far = make_film(scenes, film, tmp_path / "truth.mkv", models=models, size=(480, 320))
    scan(film, project, settings=ScanSettings(), runtime=RuntimeSettings())
    with Project.open(project) as opened:
        result = render(opened, tmp_path / "out.mkv", encoder=EncoderSettings(codec="ffv1"))
    before, after = samples(film), samples(result.output)
    same = [
        all(np.array_equal(one, other) for one, other in zip(*pair, strict=True))
        for pair in zip(before, after, strict=True)
    ]
    assert all(same[near.first : near.stop])
    assert not any(same[far.first : far.stop])
    (person,) = result.summary["identities"]
    assert person["restored_faces"] == far.stop - far.first
    assert [one["reason"] for one in person["left_alone"]] == ["as sharp as its references"]
