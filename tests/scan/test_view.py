"""How much of a face is seen, by the lite pack's own mask."""

from __future__ import annotations

import numpy as np
import pytest

from refrestore.config import RuntimeSettings
from refrestore.evaluate.demo.packaged import portrait_photo
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.scan.cut_close_ups import cut_close_up
from refrestore.scan.harvest import CLEAR_VIEW
from refrestore.scan.samples import CloseUpCrop
from refrestore.scan.view import load_view

RUNTIME = RuntimeSettings(device="cpu", threads=1)


@pytest.fixture(scope="module")
def portrait():
    image = np.asarray(portrait_photo())
    models = load_face_models(load_face_pack(RUNTIME), "cpu", threads=1)
    face = models.describe(image, models.detector.detect([image], [0], 640)[[0]], embed=False)
    return cut_close_up(image, face.keypoints[0], face.landmarks[0])


def test_a_covered_face_is_seen_less(portrait):
    view = load_view(RUNTIME)
    assert view is not None
    assert view(portrait) > CLEAR_VIEW
    low, high = portrait.landmarks.min(0).astype(int), portrait.landmarks.max(0).astype(int)
    covered = portrait.image.copy()
    board = np.indices((512, 512)).sum(0) // 24 % 2 * 200
    middle = (low[1] + high[1]) // 2
    covered[middle:, low[0] - 20 : high[0] + 20] = board[middle:, low[0] - 20 : high[0] + 20, None]
    assert view(CloseUpCrop(covered, portrait.landmarks)) < CLEAR_VIEW
    beside = portrait.landmarks + np.array([150, 0], np.float32)  # a mesh half beside the face
    assert view(CloseUpCrop(portrait.image, beside)) < view(portrait)
