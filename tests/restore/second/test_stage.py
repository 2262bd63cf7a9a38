"""What every second stage goes through: sizes, ranges, alignment, precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from refrestore.errors import ModelError
from refrestore.faces.align import ARCFACE_TEMPLATE, CROP_SIZE, FFHQ_TEMPLATE
from refrestore.restore.second.gfpgan import GFPGAN
from refrestore.restore.second.stage import Descriptor, PlainStage, redrawn

STANDIN = Path(__file__).resolve().parents[3] / "models/standin/gfpgan_standin.safetensors"

MESH = torch.zeros(1, 468, 2)


def smooth(side, count=1):
    torch.manual_seed(3)
    return F.interpolate(torch.rand(count, 3, 9, 9), size=side, mode="bicubic").clamp(0, 1)


def same(about, seen=None):
    """Return a stage that gives back what it is given, and keeps it."""

    def network(faces):
        if seen is not None:
            seen.append(faces)
        return faces

    return PlainStage(about, network)


def test_gfpgan_draws_what_it_did_before_there_was_a_protocol():
    network = GFPGAN.from_file(STANDIN)
    faces, side = smooth(512, 2), network.descriptor.side
    with torch.inference_mode():
        small = F.interpolate(faces, size=side, mode="area").clamp(0, 1)
        made = network.decode(network.encode(small * 2 - 1))
        made = F.interpolate((made / 2 + 0.5).clamp(0, 1), size=512, mode="bicubic").clamp(0, 1)
        through = redrawn(network.stage, faces, MESH.expand(2, -1, -1), faces[:, :1])
    assert torch.equal(through, made)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([64, 96, 128]),
    st.sampled_from([64, 96, 256]),
    st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)]),
    st.sampled_from([("ffhq", 0.0), ("arcface", 0.25), ("arcface", 1 / 14), ("ffhq", 0.1)]),
)
def test_a_stage_that_changes_nothing_changes_nothing(own, side, value_range, aligned):
    """Whatever it takes: the middle of a face comes back where it was."""
    about = Descriptor("same", "Same", side, "none", value_range, *aligned)
    faces, seen = smooth(own), []
    made = redrawn(same(about, seen), faces, MESH, faces[:, :1])
    assert made.shape == faces.shape
    assert seen[0].shape == (1, 3, side, side)
    low, high = value_range
    assert low <= float(seen[0].min()) <= float(seen[0].max()) <= high
    assert float(seen[0].max()) > low + 0.5 * (high - low)
    inner = slice(own // 4, -own // 4)
    assert (made - faces).abs()[..., inner, inner].max() < 0.06


def test_the_five_points_lie_where_the_template_has_them():
    ffhq, arcface = (
        Descriptor("a", "A", 512, "none", template=template, margin=margin).points()
        for template, margin in (("ffhq", 0.0), ("arcface", 0.25))
    )
    assert np.allclose(ffhq * CROP_SIZE, FFHQ_TEMPLATE)
    # GPEN's own tool: 28 px more on every edge of ArcFace's 112 (inner_padding_factor 0.25).
    assert np.allclose(arcface, (ARCFACE_TEMPLATE + 28) / 168, atol=1e-6)


@pytest.mark.parametrize(("template", "margin"), [("ffhq", 0.0), ("arcface", 0.25)])
def test_faces_and_meshes_are_moved_alike(template, margin):
    """A dot in the face is where the mesh says it is, in the crop that the network sees."""
    about = Descriptor("a", "A", 128, "none", template=template, margin=margin)
    faces = torch.zeros(1, 3, 256, 256)
    faces[..., 118:123, 138:143] = 1
    mesh = torch.tensor([[[140.0, 120.0]]])
    seen = {}

    class Looking:
        descriptor, dtype = about, torch.float32

        def __call__(self, faces, landmarks, confidence):
            seen.update(faces=faces, landmarks=landmarks, confidence=confidence)
            return faces

    redrawn(Looking(), faces, mesh, faces[:, :1])
    bright = (seen["faces"][0, 0] + 1).clamp(min=0)
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    middle = torch.stack([(x * bright).sum(), (y * bright).sum()]) / bright.sum()
    assert torch.allclose(middle, seen["landmarks"][0, 0], atol=0.3)
    assert seen["confidence"].shape == (1, 1, 128, 128)


def test_a_precision_that_it_does_not_stand_is_refused():
    about = Descriptor("a", "A", 64, "none")
    about.check(torch.bfloat16)
    with pytest.raises(ModelError, match=r"A does not run in torch.float16; use float32 or bfl"):
        about.check(torch.float16)
