"""Files of weights made to break whoever reads them: one sentence, nothing executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import refrestore.cli as cli
from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.errors import ModelError
from refrestore.faces.sessions import free_dimensions, open_session, read_graph
from refrestore.models.runtime import onnx_session
from refrestore.models.selftest import write_tiny_network
from refrestore.render.background import open_background
from refrestore.restore.mask import MaskNetwork, load_mask, save_mask
from refrestore.restore.parser import load_parser
from refrestore.restore.second.gfpgan import GFPGAN, GFPGANConfig
from refrestore.restore.weights import read_tensors

COUNT = int(os.environ.get("REFRESTORE_MUTATIONS", "60"))
"""Seeded changes; by hand, more: `REFRESTORE_MUTATIONS=200`."""

SMALL = GFPGANConfig(out_size=16, narrow=1 / 32)


def complaint(action: Callable[[], object]) -> str:
    """Return the one sentence that an action ends with, or nothing."""
    try:
        action()
    except ModelError as error:
        text = str(error)
        assert "\n" not in text
        for unsafe in ("weights_only", "torch.load", "add_safe_globals", "trust"):
            assert unsafe not in text
        return text
    return ""


def onnx(path: Path) -> object:
    graph = read_graph(path)
    free_dimensions(graph, {0: "n"})
    return open_session(path, graph, "cpu", 1)


def background(path: Path) -> object:
    settings = RenderSettings(scale=2, background=path)
    return open_background(settings, RuntimeSettings(device="cpu"))


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "gfpgan": ("gfpgan.pth", GFPGAN.from_file),
    "gfpgan, safe": ("gfpgan.safetensors", GFPGAN.from_file),
    "parser": ("parser.pth", load_parser),
    "background": ("background.pth", background),
    "mask": ("mask.safetensors", load_mask),
    "graph": ("graph.onnx", onnx),
    "session": ("session.onnx", lambda path: onnx_session(path, "cpu", 1)),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A folder of one good file for each reader but the parser, which is large."""
    folder = tmp_path_factory.mktemp("good")
    torch.manual_seed(0)
    state = GFPGAN(SMALL).state_dict()
    torch.save({"params_ema": state}, folder / "gfpgan.pth")
    save_file(state, folder / "gfpgan.safetensors")
    save_mask(MaskNetwork((4, 4, 4, 4)), folder / "mask.safetensors")
    write_tiny_network(folder / "graph.onnx")
    write_tiny_network(folder / "session.onnx")
    return folder


def test_the_good_files_are_good(good):
    for name, reader in READERS.values():
        if (good / name).exists():
            assert complaint(lambda name=name, reader=reader: reader(good / name)) == ""


@pytest.mark.parametrize("reader", READERS)
def test_whatever_is_no_weights_is_one_sentence_with_its_name(tmp_path, reader):
    name, read = READERS[reader]
    path = tmp_path / name
    kinds: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "folder": path.mkdir,
        "empty": path.touch,
        "text": lambda: path.write_text("no weights\n" * 100),
        "zeros": lambda: path.write_bytes(bytes(100_000)),
        "zip": lambda: _zip(path, {"a.txt": b"x"}),
        "zip of data": lambda: _zip(path, {"archive/data.pkl": b"x", "archive/version": b"3"}),
        "numbers": lambda: torch.save({"weight": 3}, path),
        "tensor": lambda: torch.save(torch.zeros(3), path),
        "other": lambda: torch.save({"a.weight": torch.zeros(3, 3)}, path),
        "self": lambda: path.write_bytes(_self_holding()),
    }
    if sys.platform != "win32":
        kinds["pipe"] = lambda: os.mkfifo(path)
        kinds["endless"] = lambda: path.symlink_to("/dev/zero")
        kinds["loop"] = lambda: path.symlink_to(path)
    for kind, make in kinds.items():
        make()
        sentence = complaint(lambda: read(path))
        assert name in sentence, (kind, sentence)
        path.rmdir() if kind == "folder" else path.unlink(missing_ok=True)


def _zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def _self_holding() -> bytes:
    content: dict[str, object] = {}
    content["params"] = content
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


class _Program:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("reader", ["gfpgan", "parser", "background"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_program_in_a_file_is_not_run_and_no_way_to_run_it_is_told(tmp_path, reader, packed):
    name, read = READERS[reader]
    program = {"params_ema": {"a": torch.zeros(1), "b": _Program(tmp_path / "was-run")}}
    torch.save(program, tmp_path / name, _use_new_zipfile_serialization=packed)
    assert "damaged, or holds more than tensors" in complaint(lambda: read(tmp_path / name))
    (tmp_path / name).write_bytes(pickle.dumps(_Program(tmp_path / "was-run")))
    assert name in complaint(lambda: read(tmp_path / name))
    assert not (tmp_path / "was-run").exists()
    with (tmp_path / name).open("rb") as file:
        pickle.load(file)  # the program is one
    assert (tmp_path / "was-run").exists()


def test_a_file_that_unfolds_is_not_unfolded(good, tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(good / "gfpgan.pth") as archive:
        files = {one: archive.read(one) for one in archive.namelist()}
    _zip(path, files, zipfile.ZIP_DEFLATED)
    assert "compressed" in complaint(lambda: read_tensors(path))
    torch.save({"a": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)  # 4 TB, of one number
    assert "larger than the file" in complaint(lambda: read_tensors(path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("final_linear.bias", torch.full((SMALL.codes * SMALL.style_size,), float("nan"))),
        ("final_linear.bias", torch.zeros(3)),
        ("condition_scale.0.2.weight", torch.zeros(3)),
        ("condition_scale.0.2.weight", torch.tensor(1.0)),
        ("final_linear.weight", torch.zeros(SMALL.codes * SMALL.style_size, 0)),
        ("stylegan_decoder.constant_input.weight", torch.zeros(1, 0, 4, 4)),
        ("stylegan_decoder.constant_input.weight", torch.zeros(1, 1, 4, 4)),
        ("final_conv.bias", torch.zeros(16, dtype=torch.int64)),
        ("final_conv.bias", torch.zeros(16).to_sparse()),
        ("final_conv.bias", torch.zeros(16, device="meta")),
        ("final_conv.bias", "a text"),
    ],
)
def test_weights_that_cannot_be_this_network(tmp_path, name, value):
    state = GFPGAN(SMALL).state_dict()
    torch.save({**state, name: value}, tmp_path / "it.pth")
    assert "it.pth" in complaint(lambda: GFPGAN.from_file(tmp_path / "it.pth"))


def test_settings_that_lie_take_no_memory(tmp_path):
    tensors = MaskNetwork((4, 4, 4, 4)).state_dict()
    for widths in ([100_000] * 4, [-1], [], "x", None, [4, 4, 4, 8]):
        said = {"widths": json.dumps(widths)}
        save_file({k: v.half() for k, v in tensors.items()}, tmp_path / "m.safetensors", said)
        assert "m.safetensors" in complaint(lambda: load_mask(tmp_path / "m.safetensors"))


def test_a_network_whose_weights_lie_elsewhere_is_refused(tmp_path):
    import onnx as onnx_format

    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / "it.onnx"
    write_tiny_network(path)
    (tmp_path / "secret.bin").write_bytes(np.ones(9, np.float32).tobytes())
    (tmp_path / "inner" / "near.bin").write_bytes(np.ones(9, np.float32).tobytes())
    for place in ("../secret.bin", str(tmp_path / "secret.bin"), "/dev/zero", "near.bin"):
        model = onnx_format.load(path, load_external_data=False)
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.ClearField("external_data")
        weight.data_location = onnx_format.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=place)
        path.write_bytes(model.SerializeToString())
        assert "it.onnx" in complaint(lambda: read_graph(path))
        if place != "near.bin":
            assert "it.onnx" in complaint(lambda: onnx_session(path, "cpu", 1))


def mutated(content: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    changed = bytearray(content)
    match seed % 5:
        case 0:
            return content[: int(rng.integers(0, len(content)))]
        case 1:  # in the head, where the structure is
            for place in rng.integers(0, min(len(changed), 3000), 4):
                changed[place] = int(rng.integers(256))
        case 2:  # at the end, where a zip's directory is
            for place in rng.integers(max(0, len(changed) - 3000), len(changed), 4):
                changed[place] = int(rng.integers(256))
        case 3:
            place = int(rng.integers(len(changed)))
            changed[place:place] = rng.bytes(int(rng.integers(1, 64)))
        case 4:
            place = int(rng.integers(len(changed)))
            del changed[place : place + int(rng.integers(1, 64))]
    return bytes(changed)


@pytest.mark.parametrize("reader", ["gfpgan", "gfpgan, safe", "mask", "graph", "session"])
def test_damaged_weights_are_one_sentence_or_still_weights(good, tmp_path, reader):
    name, read = READERS[reader]
    content, refused = (good / name).read_bytes(), 0
    for seed in range(COUNT // 5):
        (tmp_path / name).write_bytes(mutated(content, seed))
        refused += name in complaint(lambda: read(tmp_path / name))
    assert refused > COUNT // 10


def test_the_command_line_says_it_in_one_line(tmp_path, monkeypatch, capfd):
    path = tmp_path / "evil.pth"
    torch.save({"a": _Program(tmp_path / "was-run")}, path)
    monkeypatch.setattr(cli, "app", lambda: read_tensors(path))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capfd.readouterr().err
    assert ended.value.code == ModelError.exit_code
    assert len(said.strip().splitlines()) == 1
    assert "weights_only" not in said
