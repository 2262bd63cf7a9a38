"""RestoreFormer and RestoreFormer++ against the gfpgan package's own, weights at random."""

from __future__ import annotations

import pytest
import torch

from refrestore.errors import ModelError
from refrestore.restore.second.kind import Asked
from refrestore.restore.second.restoreformer import KIND, SIDE
from tests.restore.second.networks import package, stirred

TOLERANCE = 1e-4

SHAPE = {
    "n_embed": 64, "embed_dim": 32, "ch": 32, "ch_mult": (1, 1, 1, 1, 1, 2), "num_res_blocks": 1,
    "attn_resolutions": (16,), "z_channels": 32, "double_z": False,
}  # fmt: skip
"""Six levels as published, narrow."""


@pytest.fixture(scope="module")
def official():
    return package("gfpgan.archs.restoreformer_arch", "requirements/gfpgan.txt")


def network(official, heads, deeper=False):
    torch.manual_seed(heads)
    made = official.RestoreFormer(**SHAPE, head_size=heads)
    if deeper:
        rest = {name: SHAPE[name] for name in ("ch", "ch_mult", "num_res_blocks", "z_channels")}
        made.decoder = official.MultiHeadDecoderTransformer(
            **rest, out_ch=3, attn_resolutions=(16, 32), resolution=512, head_size=heads
        )
    return stirred(made)


def faces(count=1):
    """Nothing in the network asks for its own 512 px, which take a minute."""
    torch.manual_seed(1)
    return torch.rand(count, 3, SIDE // 4, SIDE // 4) * 2 - 1


def test_equals_the_packages(official):
    theirs = network(official, heads=8)
    state, seen = theirs.state_dict(), faces(2)
    assert KIND.detect(state)
    stage = KIND.load(state, Asked())
    assert stage.descriptor.title == "RestoreFormer"
    with torch.inference_mode():
        expected = theirs(seen)[0]
        made = stage(seen, seen, seen)
        alone = stage(seen[:1], seen, seen)
    assert expected.std() > 0.05
    assert (made - expected).abs().max() <= TOLERANCE
    assert (alone - made[:1]).abs().max() <= TOLERANCE


def test_plus_plus_attends_at_32_pixels_too_with_four_heads(official):
    theirs = network(official, heads=4, deeper=True)
    state, seen = theirs.state_dict(), faces()
    stage = KIND.load({f"vqvae.{name}": value for name, value in state.items()}, Asked())
    assert stage.descriptor.title == "RestoreFormer++"
    with torch.inference_mode():
        quantised, _, _, hidden = theirs.encode(seen)
        expected = theirs.decode(quantised, {**hidden, "block_4_atten": hidden["block_4"]})
        made = stage(seen, seen, seen)
        wrong = theirs.decode(quantised, {**hidden, "block_4_atten": 0 * hidden["block_4"]})
    assert (made - expected).abs().max() <= TOLERANCE
    assert (wrong - expected).abs().max() > 10 * TOLERANCE


def test_bfloat16_stays_near(official):
    """Most codes are the same; where one is another, a patch of the picture is."""
    state, seen = network(official, heads=8).state_dict(), faces()
    with torch.inference_mode():
        exact = KIND.load(state, Asked())(seen, seen, seen)
        half = KIND.load(dict(state), Asked(dtype=torch.bfloat16))
        rough = half(seen.bfloat16(), seen, seen).float()
    assert (rough - exact).abs().mean() <= 0.25 * exact.std()


def test_weights_that_do_not_fit_are_refused(official):
    state = network(official, heads=8).state_dict()
    with pytest.raises(ModelError, match="do not fit the RestoreFormer network"):
        KIND.load({**state, "decoder.conv_out.weight": torch.zeros(2, 2)}, Asked())
    state.pop("encoder.mid.block_1.norm1.weight")
    with pytest.raises(ModelError, match="do not fit the RestoreFormer network"):
        KIND.load(state, Asked())
