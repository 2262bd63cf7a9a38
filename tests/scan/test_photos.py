from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from refrestore.errors import MediaError
from refrestore.faces.analyser import load_face_models
from refrestore.media.stills import read_picture
from refrestore.scan.photos import faces_of_pictures


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
    assert "too blurred" in reasons["picture 4"]
    assert "no face" in reasons["picture 5"]
    assert "cannot be read" in reasons[str(text)]


def test_pictures_are_read_upright(tmp_path):
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn 90 degrees clockwise to show
    picture.save(tmp_path / "turned.png", exif=exif)
    upright = read_picture(tmp_path / "turned.png")
    np.testing.assert_array_equal(upright, np.rot90(np.asarray(picture), -1))


def test_missing_picture(tmp_path):
    with pytest.raises(MediaError, match="There is no picture"):
        read_picture(tmp_path / "nowhere.jpg")
