"""CodeFormer through spandrel_extra_arches, weights at random."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from refrestore.errors import ModelError
from refrestore.restore.second import codeformer
from refrestore.restore.second.kind import Asked
from tests.restore.second.networks import package, stirred


@pytest.fixture(scope="module")
def theirs():
    parts = package(
        "spandrel_extra_arches.architectures.CodeFormer", "the optional extra codeformer"
    )
    torch.manual_seed(0)
    return stirred(parts.CodeFormer(dim_embd=64, n_layers=1, codebook_size=32))


def test_equals_its_own_network_at_each_fidelity(theirs):
    state, faces = theirs.state_dict(), torch.rand(1, 3, 512, 512) * 2 - 1
    assert codeformer.KIND.detect(state)
    made = []
    with torch.inference_mode():
        for fidelity in (0.0, 1.0):
            stage = codeformer.KIND.load(state, Asked(fidelity=fidelity))
            assert stage.descriptor.takes_fidelity
            made.append(stage(faces, faces, faces))
            expected = theirs(faces, weight=fidelity, adain=True)[0]
            assert (made[-1] - expected).abs().max() <= 1e-4
    assert (made[0] - made[1]).abs().max() > 1e-3


def test_a_batch_is_its_faces(theirs):
    faces = torch.rand(2, 3, 512, 512) * 2 - 1
    stage = codeformer.KIND.load(theirs.state_dict(), Asked())
    with torch.inference_mode():
        together = stage(faces, faces, faces)
        alone = stage(faces[1:], faces, faces)
    assert (together[1:] - alone).abs().max() <= 1e-4


@pytest.mark.skipif(
    importlib.util.find_spec("spandrel_extra_arches") is not None, reason="the package is here"
)
def test_the_missing_package_is_named():
    names = dict.fromkeys(codeformer._NEEDED, torch.zeros(1))
    assert codeformer.KIND.detect(names)
    with pytest.raises(ModelError, match=r"pip install 'refrestore\[codeformer\]'"):
        codeformer.KIND.load(names, Asked())
