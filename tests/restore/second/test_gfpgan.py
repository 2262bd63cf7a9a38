"""GFPGAN by itself: batching, precision, files."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file

from refrestore.errors import ModelError
from refrestore.restore.second.gfpgan import GFPGAN, Codes, GFPGANConfig

SMALL = GFPGANConfig(out_size=64, narrow=0.125, style_size=32, mapping_layers=2)


SMALLEST = GFPGANConfig(out_size=32, narrow=0.0625, style_size=32, mapping_layers=2)
"""Without AMX a convolution in bfloat16 takes seconds."""


@pytest.fixture(scope="module")
def network() -> GFPGAN:
    return filled(SMALL)


def filled(config: GFPGANConfig) -> GFPGAN:
    torch.manual_seed(5)
    network = GFPGAN(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or parameter.numel() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return network.for_inference()


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.inference_mode()
def test_batch_equals_single(network, faces):
    together = network(faces)
    alone = torch.cat([network(face[None]) for face in faces])
    assert together.shape == faces.shape
    assert (together - alone).abs().max() < 1e-5


@torch.inference_mode()
def test_same_input_same_output(network, faces):
    first = network(faces)
    torch.manual_seed(99)
    assert torch.equal(first, network(faces))


@torch.inference_mode()
def test_bfloat16_is_close(faces, tmp_path):
    path = tmp_path / "small.safetensors"
    network = filled(SMALLEST)
    save_file(_contiguous(network), path)
    rough = GFPGAN.from_file(path, dtype=torch.bfloat16)
    face = faces[:1, :, ::2, ::2]
    exact = network(face)
    result = rough(face.bfloat16())
    assert result.dtype == torch.bfloat16
    error = (result.float() - exact).abs()
    assert error.mean() < 0.02 * exact.abs().mean()
    assert error.max() < 0.1 * exact.abs().max()


@torch.inference_mode()
def test_codes_are_the_whole_message(network, faces):
    codes = network.encode(faces)
    assert len(codes) == 4
    assert codes.previews == ()
    assert [tuple(scale.shape[2:]) for scale in codes.scales] == [(s, s) for s in (8, 16, 32, 64)]
    assert torch.equal(network.decode(codes), network(faces))
    assert repr(codes) == "Codes(styles[4, 10, 32], SFT at [8, 16, 32, 64])"


def test_what_learns_computes_the_same(network, faces):
    with torch.inference_mode():
        wanted = network(faces)
    made = network(faces)  # with gradients on, nothing is done in place
    assert (made - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_codes_of_different_batches_are_refused():
    with pytest.raises(ValueError, match="one batch"):
        Codes(torch.zeros(2, 10, 32), (torch.zeros(1, 4, 8, 8),), (torch.zeros(1, 4, 8, 8),))


def test_every_used_parameter_learns(faces):
    network = GFPGAN(SMALL)
    codes = network.encode(faces, previews=True)
    loss = network.decode(codes).square().mean() + sum(p.square().mean() for p in codes.previews)
    loss.backward()
    unused = {name for name, p in network.named_parameters() if p.grad is None}
    assert unused == {name for name, _ in network.named_parameters() if ".style_mlp." in name}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@torch.inference_mode()
def test_file_round_trip(network, faces, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"params_ema": network.state_dict()}, path)
    else:
        save_file(_contiguous(network), path)
    again = GFPGAN.from_file(path)
    assert again.config == SMALL
    assert again.descriptor.side == 64
    assert torch.equal(again(faces), network(faces))


def test_float16_is_refused(network):
    with pytest.raises(ModelError, match="use float32 or bfloat16"):
        network.for_inference(dtype=torch.float16)
    assert torch.float16 not in network.descriptor.precisions


def test_another_size_is_refused(network):
    with pytest.raises(ValueError, match=r"\(B, 3, 64, 64\)"):
        network.encode(torch.zeros(1, 3, 32, 32))


class _Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_bad_files(network, tmp_path, capsys):
    with pytest.raises(ModelError, match="There is no file of weights"):
        GFPGAN.from_file(tmp_path / "none.pth")

    garbage = tmp_path / "garbage.pth"
    garbage.write_bytes(b"no weights" * 100)
    with pytest.raises(ModelError, match="cannot be used as weights"):
        GFPGAN.from_file(garbage)
    with pytest.raises(ModelError, match="cannot be used as weights"):
        GFPGAN.from_file(garbage.rename(tmp_path / "garbage.safetensors"))

    evil = tmp_path / "evil.pth"
    evil.write_bytes(pickle.dumps({"params_ema": _Evil()}, protocol=2))
    with pytest.raises(ModelError):
        GFPGAN.from_file(evil)
    torch.save({"params_ema": _Evil()}, evil)
    with pytest.raises(ModelError):
        GFPGAN.from_file(evil)
    assert "executed" not in capsys.readouterr().out

    other = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), other)
    with pytest.raises(ModelError, match="not of a GFPGANv1Clean"):
        GFPGAN.from_file(other)

    short = tmp_path / "short.pth"
    weights = network.state_dict()
    del weights["final_conv.bias"]
    torch.save(weights, short)
    with pytest.raises(ModelError, match=r"do not fit.*final_conv\.bias"):
        GFPGAN.from_file(short)


def _contiguous(network: GFPGAN) -> dict[str, torch.Tensor]:
    return {name: value.contiguous() for name, value in network.state_dict().items()}
