from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from refrestore.config import RuntimeSettings
from refrestore.faces.analyser import load_face_models
from refrestore.faces.quality import resolved_size
from refrestore.models.pack import load_face_pack
from refrestore.render.need import CLEARLY_SHARPER, UNJUDGED_SHARPNESS
from refrestore.scan.photos import MIN_RESOLVED, MIN_VISIBLE_QUALITY, faces_of_pictures, flaw
from refrestore.scan.samples import MIN_SIZE
from refrestore.types import Faces


@pytest.fixture(scope="module")
def models(shared):
    folder = shared / "models"
    pack = SimpleNamespace(
        detector=folder / "scrfd_2.5g_kps.onnx",
        landmarks=folder / "face_landmark_468.onnx",
        recogniser=folder / "edgeface_xs.fp32.onnx",
    )
    return load_face_models(pack, "cpu", threads=2)


@pytest.mark.shared
def test_album(models, shared, tmp_path):
    from insightface.data import get_image

    portrait = sorted((shared / "data/faces512/generated_portraits").iterdir())[0]
    good = np.ascontiguousarray(cv2.imread(str(portrait))[..., ::-1])
    small = np.zeros((720, 1280, 3), np.uint8)
    small[300:380, 600:680] = cv2.resize(good, (80, 80), interpolation=cv2.INTER_AREA)
    text = tmp_path / "notes.jpg"
    text.write_text("not a picture")
    pictures = [
        portrait,
        np.ascontiguousarray(get_image("t1")[..., ::-1]),
        small,
        cv2.GaussianBlur(good, (0, 0), 5),
        np.zeros((200, 300, 3), np.uint8),
        text,
    ]
    album = faces_of_pictures(pictures, models)
    (reference,) = album.references
    assert reference.source == str(portrait)
    assert reference.frame is None
    assert reference.image.shape == (512, 512, 3)
    assert reference.landmarks.shape == (468, 2)
    assert np.linalg.norm(reference.embedding) == pytest.approx(1, abs=1e-5)
    assert reference.native_size > 200
    # The crop is aligned already, so aligning it hardly moves it.
    assert np.abs(reference.image.astype(int) - good)[100:400, 100:400].mean() < 25
    reasons = {rejected.source: rejected.reason for rejected in album.rejected}
    assert "none is clearly the largest" in reasons["picture 2"]
    assert "too small" in reasons["picture 3"]
    assert "shows no more than a sharp one of" in reasons["picture 4"]
    assert "no face" in reasons["picture 5"]
    assert reasons[str(text)] == "it is not a picture that can be read"


@pytest.fixture(scope="module")
def lite():
    return load_face_models(load_face_pack(RuntimeSettings(device="cpu")), "cpu", threads=1)


def resolving(pixels):
    """Return the astronaut's face enlarged from so many pixels to 260."""
    picture = astronaut()[:360, 60:420]
    kept = pixels / 118  # as large as her face is there
    small = cv2.resize(picture, None, fx=kept, fy=kept, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (800, 800), interpolation=cv2.INTER_CUBIC)


def test_a_soft_photo_is_kept_with_what_it_resolves(lite):
    """As large as a clear portrait, and as a reference for a small face worth no less."""
    soft, useless = (
        faces_of_pictures([resolving(70)], lite),
        faces_of_pictures([resolving(16)], lite),
    )
    (reference,) = soft.references
    assert reference.native_size > 200
    assert reference.sharpness < 0.4
    assert MIN_RESOLVED < resolved_size(reference.native_size, reference.sharpness) < 110
    (refused,) = useless.rejected
    assert "so blurred that it shows no more than a sharp one of" in refused.reason
    assert f"{MIN_RESOLVED:.0f} are needed" in refused.reason


def test_the_limit_follows_from_what_a_small_face_of_a_film_resolves():
    small = resolved_size(np.array([MIN_SIZE]), np.array([UNJUDGED_SHARPNESS]))
    assert pytest.approx(CLEARLY_SHARPER * small[0], rel=0.03) == MIN_RESOLVED


@pytest.mark.parametrize(
    ("sharpness", "quality", "word"),
    [(1, 0.031, None), (1, 0.029, "turned away"), (0.4, 0.013, None), (0, 0, "blurred")],
)
def test_blur_is_not_taken_for_a_covered_face(sharpness, quality, word):
    face = Faces(
        frame=np.zeros(1, np.int64),
        box=np.array([[0, 0, 300, 300]], np.float32),
        keypoints=np.zeros((1, 5, 2), np.float32),
        score=np.ones(1),
        sharpness=np.array([sharpness], np.float32),
        quality=np.array([quality], np.float32),
    )
    assert MIN_VISIBLE_QUALITY == 0.03
    assert flaw(face) is None if word is None else word in flaw(face)
