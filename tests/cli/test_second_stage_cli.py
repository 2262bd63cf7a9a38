"""`--second-stage` as it is typed: what is restored, and what is one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import refrestore.cli as cli
from refrestore.evaluate.demo import portrait_photo
from refrestore.media.stills import write_picture
from refrestore.restore.second.gpen import GPEN, GPENConfig

STANDIN = Path(__file__).resolve().parents[2] / "models/standin/gfpgan_standin.safetensors"


@pytest.fixture
def image(capsys, monkeypatch, tmp_path):
    """Return a function that runs `refrestore image` on a small portrait, without references."""
    photo = tmp_path / "photo.png"
    write_picture(photo, portrait_photo()[::4, ::4].copy())

    def run(*arguments):
        words = ["refrestore", "image", photo, "-o", tmp_path / "out.png", "--no-references"]
        monkeypatch.setattr(sys, "argv", [*map(str, words), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def test_a_picture_is_restored_behind_a_file(image, tmp_path):
    code, out, _ = image("--second-stage", STANDIN, "--json")
    assert code == 0
    (picture,) = json.loads(out)["pictures"]
    assert picture["faces"]
    assert all(face["invented"] in (0, 0.5, 1) for face in picture["faces"])
    assert (tmp_path / "out.png").is_file()


def test_bad_input_is_one_sentence(image, tmp_path):
    gpen = tmp_path / "mine.pth"
    torch.save(GPEN(GPENConfig(256, 16, 1, 1, 1 / 32)).state_dict(), gpen)
    small = tmp_path / "small.pth"
    torch.save(GPEN(GPENConfig(128, 16, 1, 1, 1 / 32)).state_dict(), small)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(STANDIN.read_bytes()[:9999])
    for arguments, message in (
        (["--second-stage", "gfpfan"], "There is no second stage 'gfpfan'"),
        (["--second-stage", tmp_path / "none.onnx"], "none.onnx"),
        (["--second-stage", cut], "cut.safetensors cannot be used as weights"),
        (["--second-stage", gpen], "--accept-licence gpen"),
        (["--second-stage", small, "--accept-licence", "gpen"], "small.pth: the network is of 128"),
        (["--second-stage", STANDIN, "--fidelity", 1], "GFPGAN cannot be told how near"),
        (["--fidelity", 1], "name one with --second-stage"),
    ):
        code, out, err = image(*arguments)
        assert code not in (0, 1)
        assert not out
        assert message in err
        assert len(err.strip().splitlines()) == 1
        assert not (tmp_path / "out.png").exists()
