"""NIQE against basicsr's, the implementation that most papers of the field use."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

import cv2
import numpy as np
import pytest
from skimage.data import astronaut, coffee

from refrestore.errors import ModelError
from refrestore.evaluate.niqe import NIQE_FILE, Niqe

BT601 = np.array([65.481, 128.553, 24.966]) / 255


@pytest.fixture(scope="module")
def theirs():
    if importlib.util.find_spec("basicsr") is None:
        if os.environ.get("REFRESTORE_REQUIRE_SHARED") == "1":
            pytest.fail("basicsr is not installed (requirements/gfpgan.txt)")
        pytest.skip("basicsr is not installed (requirements/gfpgan.txt)")
    # basicsr imports a module that torchvision renamed in 0.17.
    sys.modules.setdefault(
        "torchvision.transforms.functional_tensor",
        importlib.import_module("torchvision.transforms._functional_tensor"),
    )
    return importlib.import_module("basicsr.metrics.niqe").niqe


@pytest.fixture(scope="module")
def ours(shared) -> Niqe:
    return Niqe.from_file(shared / "models" / NIQE_FILE)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("picture", "sigma"), [(coffee, 0), (coffee, 2), (astronaut, 0), (astronaut, 1)]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_equals_basicsr(theirs, ours: Niqe, picture, sigma) -> None:
    image = picture()[:299, :402]
    if sigma:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))
    plane = np.rint(image.astype(np.float64) @ BT601 + 16)
    expected = theirs(plane, ours.mean[None], ours.covariance, ours.window)
    # basicsr shrinks in single precision.
    assert ours(image) == pytest.approx(expected, rel=1e-4)


@pytest.mark.shared
def test_a_photo_looks_more_natural_than_its_blur_and_than_noise(ours: Niqe) -> None:
    image = coffee()
    noise = np.random.default_rng(0).integers(0, 256, image.shape).astype(np.uint8)
    sharp = ours(image)
    assert sharp < ours(np.asarray(cv2.GaussianBlur(image, (0, 0), 3)))
    assert sharp < ours(noise)


@pytest.mark.shared
def test_small_and_flat_pictures(ours: Niqe) -> None:
    with pytest.raises(ValueError, match="two blocks"):
        ours(coffee()[:150, :150])
    assert np.isnan(ours(np.full((200, 200, 3), 90, np.uint8)))


def test_another_file_is_refused(tmp_path) -> None:
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    (tmp_path / "text.npz").write_text("no arrays here")
    for name in ("other.npz", "text.npz", "missing.npz"):
        with pytest.raises(ModelError, match="does not hold NIQE's parameters"):
            Niqe.from_file(tmp_path / name)
