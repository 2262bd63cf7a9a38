"""Our DFDNet against BasicSR's, weights and dictionary at random, in both layouts."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from refrestore.errors import ModelError, UsageError
from refrestore.restore.second.dfdnet import FOLDER, LEVELS, PARTS, places_of
from refrestore.restore.second.registry import open_stage
from tests.restore.second.networks import package, stirred

SIDES = {"left_eye": 80, "right_eye": 80, "nose": 50, "mouth": 110}
"""Of the parts in pixels of 512, as published."""

TOLERANCE = 1e-4


def dictionary(rows=3):
    torch.manual_seed(7)
    return {
        str(size): {
            part: torch.rand(rows, wide, SIDES[part] * size // 512, SIDES[part] * size // 512)
            for part in PARTS
        }
        for size, wide in LEVELS.items()
    }


def mesh(count):
    """Return meshes with the parts about where a face has them."""
    torch.manual_seed(2)
    points = torch.zeros(count, 468, 2)
    middles = {
        "left_eye": (190, 230),
        "right_eye": (320, 230),
        "nose": (256, 300),
        "mouth": (256, 370),
    }
    for part, indices in PARTS.items():
        spread = torch.rand(count, len(indices), 2) * 70 - 35
        points[:, list(indices)] = torch.tensor(middles[part], dtype=torch.float32) + spread
    return points


def normalised(network):
    """Do what training does to spectral norms: their vectors become the weights' own."""
    for module in network.modules():
        if hasattr(module, "weight_orig"):
            matrix = module.weight_orig.data.flatten(1)
            for _ in range(5):
                module.weight_v.data = normalize(matrix.T @ module.weight_u, dim=0)
                module.weight_u.data = normalize(matrix @ module.weight_v, dim=0)
    return network


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    arch = package("basicsr.archs.dfdnet_arch", "requirements/gfpgan.txt")
    vgg = package("basicsr.archs.vgg_arch", "requirements/gfpgan.txt").vgg
    folder = tmp_path_factory.mktemp("dfdnet")
    torch.save(dictionary(), folder / "DFDNet_dict_512-0000.pth")
    plain = vgg.vgg19
    vgg.vgg19 = lambda pretrained: plain(weights=None)  # it would be downloaded
    try:
        torch.manual_seed(0)
        network = arch.DFDNet(64, str(folder / "DFDNet_dict_512-0000.pth"))
        network = stirred(normalised(network))
    finally:
        vgg.vgg19 = plain
    torch.save({"params_ema": network.state_dict()}, folder / "DFDNet_official.pth")
    return network, folder


def test_equals_basicsrs(theirs):
    network, folder = theirs
    with pytest.raises(UsageError, match="--accept-licence dfdnet"):
        open_stage(folder / "DFDNet_official.pth", accepted=[])
    stage = open_stage(folder / "DFDNet_official.pth")
    faces, points = torch.rand(2, 3, 512, 512) * 2 - 1, mesh(2)
    places = places_of(points)
    with torch.inference_mode():
        made = stage(faces, points, faces)
        expected = network(faces[1:], [places[part][1:] for part in PARTS])
    assert expected.std() > 1e-3
    assert (made[1:] - expected).abs().max() <= TOLERANCE  # of a batch the second


def authors(name):
    """Return the authors' own name of one of BasicSR's weights."""
    short = {"left_eye": "le", "right_eye": "re", "nose": "no", "mouth": "mo"}
    name = re.sub(
        r"^attn_blocks\.(\w+)_(\d+)\.", lambda found: f"{short[found[1]]}_{found[2]}.", name
    )
    name = re.sub(
        r"^multi_scale_dilation\.conv_blocks\.(\d)",
        lambda found: f"MSDilate.conv{int(found[1]) + 1}",
        name,
    )
    name = name.replace("multi_scale_dilation.conv_fusion", "MSDilate.convi")
    name = re.sub(r"^upsample4\.(\d)\.body", r"up4.\1.Model", name)
    name = re.sub(r"^upsample", "up", name)
    return name.replace("scale_block", "ScaleModel1").replace("shift_block", "ShiftModel1")


def test_the_authors_layout_is_the_same_network(theirs, tmp_path):
    network, folder = theirs
    state = {}
    number = dict(zip(
        [n for n, _ in network.vgg_extractor.vgg_net.named_children() if n.startswith("conv")],
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
        strict=True,
    ))  # fmt: skip
    for name, value in network.state_dict().items():
        found = re.match(r"vgg_extractor\.vgg_net\.(conv\d_\d)\.(\w+)$", name)
        vgg = found and f"VggExtract.model.features.{number[found[1]]}.{found[2]}"
        state[vgg or authors(name)] = value
    state["VggExtract.model.classifier.0.bias"] = torch.zeros(3)
    state["VggExtract.RGB_mean"] = torch.zeros(1, 3, 1, 1) + 1
    torch.save(state, tmp_path / "latest_net_G.pth")
    with pytest.raises(ModelError, match=r"latest_net_G\.pth: its dictionary is not beside it"):
        open_stage(tmp_path / "latest_net_G.pth")
    (tmp_path / FOLDER).mkdir()
    for size, parts in dictionary().items():
        for part, features in parts.items():
            np.save(tmp_path / FOLDER / f"{part}_{size}_center.npy", features.flatten(1).numpy())
    one, other = (
        open_stage(tmp_path / "latest_net_G.pth"),
        open_stage(folder / "DFDNet_official.pth"),
    )
    assert one.descriptor == other.descriptor
    ours, same = one.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(ours[name], same[name]) for name in same)
    np.save(tmp_path / FOLDER / "nose_64_center.npy", np.array([{}], dtype=object))
    with pytest.raises(ModelError, match="its dictionary is damaged"):
        open_stage(tmp_path / "latest_net_G.pth")
    np.save(tmp_path / FOLDER / "nose_64_center.npy", np.full((2, 512 * 36), np.nan, np.float32))
    with pytest.raises(ModelError, match="its dictionary has no nose of 64 px"):
        open_stage(tmp_path / "latest_net_G.pth")


def test_places_are_inside_however_a_face_lies():
    for points in (mesh(3), mesh(3) - 400, mesh(3) + 400, torch.zeros(3, 468, 2)):
        for one in places_of(points).values():
            assert bool(((one >= 0) & (one <= 512)).all())
            assert bool((one[:, 2:] - one[:, :2] >= 32).all())
