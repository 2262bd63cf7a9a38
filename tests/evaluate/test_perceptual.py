"""LPIPS against its own package; SqueezeNet's distance by its properties."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from refrestore.errors import ModelError
from refrestore.evaluate.perceptual import (
    SQUEEZENET_FILE,
    PerceptualDistance,
    lpips,
    named_by_digest,
    squeezenet_distance,
)

PICTURE = np.ascontiguousarray(astronaut()[:256, 100:356])
CHANNELS = (64, 192, 384, 256, 256)


def blurred(sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(PICTURE, (0, 0), sigma), np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random AlexNet and linear layers in the published files' layout."""
    from torchvision.models import alexnet

    folder = tmp_path_factory.mktemp("lpips")
    torch.manual_seed(0)
    features = alexnet(weights=None).state_dict()
    kept = {key: value for key, value in features.items() if key.startswith("features")}
    torch.save(kept, folder / "alexnet.pth")
    linear = {
        f"lin{tap}.model.1.weight": torch.rand(1, width, 1, 1) for tap, width in enumerate(CHANNELS)
    }
    torch.save(linear, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth", kept, linear


def by_definition(image, truth, features, linear) -> float:
    """LPIPS 0.1 as Zhang et al. define it, from torch's functions alone."""
    mean = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    total = 0.0
    planes = [
        (torch.from_numpy(one).permute(2, 0, 1)[None].float() / 127.5 - 1 - mean) / deviation
        for one in (image, truth)
    ]
    layers = [
        (0, 4, 2, False),
        (3, 1, 2, True),
        (6, 1, 1, True),
        (8, 1, 1, False),
        (10, 1, 1, False),
    ]
    for tap, (number, stride, padding, pool) in enumerate(layers):
        units = []
        for place, given in enumerate(planes):
            plane = torch.nn.functional.max_pool2d(given, 3, 2) if pool else given
            kernel = features[f"features.{number}.weight"]
            bias = features[f"features.{number}.bias"]
            out = torch.relu(torch.nn.functional.conv2d(plane, kernel, bias, stride, padding))
            planes[place] = out
            units.append(out / out.square().sum(1, keepdim=True).sqrt())
        apart = (units[0] - units[1]).square() * linear[f"lin{tap}.model.1.weight"]
        total += float(apart.sum(1).nan_to_num().mean())
    return total


def test_lpips_is_its_definition(weights) -> None:
    backbone, linear, features, layers = weights
    distance = lpips(backbone, linear)
    found = distance(blurred(2), PICTURE)
    expected = by_definition(blurred(2), PICTURE, features, layers)
    assert found == pytest.approx(expected, rel=1e-3)
    assert distance(PICTURE, PICTURE) == 0
    assert distance.name == "LPIPS"


def test_lpips_equals_its_package(weights) -> None:
    package = pytest.importorskip("lpips")
    backbone, linear, features, layers = weights
    theirs = package.LPIPS(net="alex", pnet_rand=True, pretrained=False, verbose=False)
    own = {key: features["features." + key.split(".", 1)[1]] for key in theirs.net.state_dict()}
    theirs.net.load_state_dict(own)
    theirs.load_state_dict(layers, strict=False)
    planes = [
        torch.from_numpy(one).permute(2, 0, 1)[None].float() / 127.5 - 1
        for one in (blurred(2), PICTURE)
    ]
    with torch.no_grad():
        expected = float(theirs(*planes))
    assert lpips(backbone, linear)(blurred(2), PICTURE) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def squeezenet(shared) -> PerceptualDistance:
    return squeezenet_distance(shared / "models" / SQUEEZENET_FILE)


@pytest.mark.shared
def test_more_blur_is_further_away(squeezenet) -> None:
    found = [squeezenet(blurred(sigma), PICTURE) for sigma in (0.5, 1, 2, 4)]
    assert found == sorted(found)
    assert squeezenet(PICTURE, PICTURE) == 0
    assert "LPIPS" not in squeezenet.name


@pytest.mark.shared
def test_what_is_outside_the_mask_hardly_counts(squeezenet) -> None:
    spoilt = PICTURE.copy()
    spoilt[:, :64] = 0
    near, far = np.zeros((256, 256)), np.zeros((256, 256))
    near[:, :64], far[:, 192:] = 1, 1
    assert squeezenet(spoilt, PICTURE, far) < 0.05 * squeezenet(spoilt, PICTURE, near)


def test_files_of_something_else_are_refused(tmp_path, weights) -> None:
    backbone, *_ = weights
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="cannot be used as weights"):
        squeezenet_distance(tmp_path / "text.pth")
    with pytest.raises(ModelError, match="another network"):
        squeezenet_distance(backbone)
    with pytest.raises(ModelError, match="linear layers"):
        lpips(backbone, tmp_path / "other.pth")


def test_a_file_is_named_by_its_digest(tmp_path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    good, bad = tmp_path / f"net-{digest[:8]}.pth", tmp_path / "net-00000000.pth"
    good.write_bytes(b"weights")
    bad.write_bytes(b"weights")
    assert named_by_digest(good)
    assert not named_by_digest(bad)
