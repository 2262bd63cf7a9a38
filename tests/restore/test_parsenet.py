"""Our ParseNet against facexlib's, with the same random weights."""

import pytest
import torch

from refrestore.restore.parsenet import ParseNet


def settled(network):
    """Give every parameter and statistic a value of its own, as training would."""
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
        elif value.is_floating_point() and value.ndim == 1:
            value.normal_(0, 0.3, generator=generator)
    return network.eval()


@torch.inference_mode()
def test_same_weights_same_logits_as_facexlib():
    parsing = pytest.importorskip("facexlib.parsing.parsenet")
    sizes = {"in_size": 128, "out_size": 128, "base_ch": 8, "ch_range": [4, 12], "res_depth": 2}
    torch.manual_seed(0)
    official = settled(parsing.ParseNet(**sizes, parsing_ch=19))
    ours = ParseNet((8, 12, 12), depth=2).eval()
    ours.load_state_dict(official.state_dict())  # strict: key for key
    faces = torch.rand(2, 3, 64, 96) * 2 - 1
    expected = official(faces)[0]
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(faces), expected, atol=1e-5, rtol=1e-5)


def test_the_published_size_has_the_published_keys_and_shapes():
    parsing = pytest.importorskip("facexlib.parsing.parsenet")
    with torch.device("meta"):
        official, ours = parsing.ParseNet(in_size=512, out_size=512, parsing_ch=19), ParseNet()
    expected = {name: value.shape for name, value in official.state_dict().items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == expected
