"""The catalogue: the project's own, and damaged ones."""

from __future__ import annotations

import hashlib
import sys

import pytest

from refrestore.errors import ModelError
from refrestore.models.catalogue import Catalogue, file_digest, update_lite
from refrestore.models.stages import kind_of

ENTRY = """
[[file]]
name = "{name}"
packs = ["lite"]
role = "fusion"
licence = "MIT"
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "catalogue.toml"
        path.write_text(text)
        return path

    return write


def test_the_projects_own():
    catalogue = Catalogue.load()
    assert {"lite", "full", "teachers"} <= set(catalogue.packs)
    for pack in ("lite", "full", "teachers"):
        for role in ("detector", "recogniser", "landmarks", "fusion"):
            assert catalogue.role(pack, role) is not None
    assert catalogue.role("full", "second stage").name == "GFPGANv1.4.pth"
    assert catalogue.role("full", "parser").name == "parsing_parsenet.pth"
    assert catalogue.role("lite", "second stage") is None
    for file in catalogue.files:
        assert file.licence
        assert file.about
        assert file.url is None or file.url.startswith("https://")
        assert file.url is None or file.bytes is not None or file.unconfirmed
        assert file.sha256 is not None or file.trained_here or file.unconfirmed


def test_each_second_stage_is_fetched_by_its_name():
    catalogue = Catalogue.load()
    for kind in ("gfpgan", "codeformer", "restoreformer", "gpen"):
        (file,) = catalogue.select([kind])
        assert kind_of(file) == kind
        assert file.url is not None
        assert not file.unconfirmed
    assert catalogue["RestoreFormer++.ckpt"].unconfirmed


@pytest.mark.shared
def test_teachers_are_those_of_the_shared_folder(shared):
    for file in Catalogue.load().files:
        path = shared / "models" / file.name
        if path.is_file():
            assert path.stat().st_size == file.bytes
            assert file_digest(path) == file.sha256


def test_select_takes_packs_and_names_once():
    catalogue = Catalogue.load()
    names = [file.name for file in catalogue.select(["GFPGANv1.4.pth", "full", "full"])]
    assert names[0] == "GFPGANv1.4.pth"
    assert sorted(names) == sorted(file.name for file in catalogue.pack("full"))
    with pytest.raises(ModelError, match="no model pack or file 'huge'"):
        catalogue.select(["huge"])
    with pytest.raises(ModelError, match="no model pack 'huge'"):
        catalogue.pack("huge")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[file]", "damaged"),
        ("[other]", "damaged"),
        ("a = " + "[" * 5000, "damaged"),
        ("file = 3", "damaged"),
        (ENTRY.format(name="a") + "colour = 1", "damaged at colour"),
        (ENTRY.format(name="a") + 'sha256 = "A1"', "damaged at sha256"),
        (ENTRY.format(name="../a"), "damaged at name"),
        (ENTRY.format(name="a") + 'folder = ".."', "damaged at folder"),
        (ENTRY.format(name="a") * 2, "names a twice"),
        (ENTRY.format(name="a") + 'archive = "z.zip"\nmember = "a"', "archive that is in"),
        (ENTRY.format(name="a") + 'member = "a"', "archive that is in"),
    ],
)
def test_damaged(write, text, message):
    with pytest.raises(ModelError, match=message):
        Catalogue.load(write(text))


def test_missing(tmp_path):
    with pytest.raises(ModelError, match="install refrestore again"):
        Catalogue.load(tmp_path / "none.toml")


def test_update_lite_changes_digests_and_nothing_else(write, tmp_path):
    rest = "# a comment\n" + ENTRY.format(name="other.onnx")
    trained = ENTRY.format(name="fusion.safetensors") + 'folder = "lite"\nabout = "b"\n'
    path = write(rest + trained + "\n# the end\n")
    assert update_lite(path) == []

    weights = tmp_path / "lite" / "fusion.safetensors"
    weights.parent.mkdir()
    for content in (b"one", b"second"):
        weights.write_bytes(content)
        assert update_lite(path) == ["fusion.safetensors"]
        assert update_lite(path) == []
        file = Catalogue.load(path)["fusion.safetensors"]
        assert file.bytes == len(content)
        assert file.sha256 == hashlib.sha256(content).hexdigest()
    kept = [line for line in path.read_text().splitlines() if not line.startswith(("b", "s"))]
    assert kept == (rest + trained + "\n# the end").splitlines()


def test_program(monkeypatch, capsys, write):
    module = __import__("refrestore.models.__main__", fromlist=["main"])
    path = write(ENTRY.format(name="a"))
    monkeypatch.setattr(module, "tree_directory", lambda _: path.parent)
    monkeypatch.setattr(sys, "argv", ["models", "--update-lite"])
    module.main()
    assert capsys.readouterr().out == "nothing changed\n"
