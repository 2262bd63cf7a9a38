"""Names of files: every one that the system takes is a file's, and what is none is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import refrestore.cli as cli
from refrestore.config import EncoderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.local import render
from refrestore.errors import MediaError
from refrestore.media.files import check_file
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.media.stills import read_picture, write_picture
from refrestore.project import Project
from refrestore.scan.scan import scan

ODD = "n\udcff.mp4"
"""A name of one byte that is no UTF-8, as Python tells it."""


@pytest.fixture
def run(capsys, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["refrestore", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        said = capsys.readouterr()
        return exit_info.value.code or 0, said.out, said.err

    return run


def film(path):
    pictures = (np.full((48, 64, 3), 9 * number, np.uint8) for number in range(4))
    write_pictures(Path(path), pictures, rate=Fraction(25))
    return Path(path)


@pytest.mark.parametrize("name", ["a:b.mp4", "concat:x.mp4", "http:film.mp4", "pipe:0.mp4"])
def test_a_name_with_a_colon_is_a_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = film(name)
    assert probe(path).frames == 4
    with VideoReader(path) as reader:
        assert len(list(reader)) == 4
    scan(path, Path("p:q"), settings=ScanSettings(), runtime=RuntimeSettings())
    with Project.open(Path("p:q")) as project:
        render(project, Path(f"out-{name}"), encoder=EncoderSettings(preset="ultrafast"))
    assert probe(f"out-{name}").frames == 4


def bad_paths(folder):
    """Paths that lead nowhere, and what is said of them; all of them are real."""
    film(folder / "clip.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "broken.mp4").symlink_to("gone.mp4")
    return {
        folder / "loop.mp4": "leads back to itself",
        folder / "broken.mp4": "link to a file that is not there",
        folder / f"{'n' * 300}.mp4": "its name is too long",
        folder / "clip.mp4" / "x.mp4": "a part of its path is a file",
        folder / "gone.mp4": "There is no file",
        folder: "is not a file: it is a folder",
    }


def test_the_library_says_of_a_path_why_it_leads_nowhere(tmp_path):
    for path, words in bad_paths(tmp_path).items():
        for reads in (probe, read_picture):
            with pytest.raises(MediaError, match=words) as error:
                reads(path)
            assert "\n" not in str(error.value)
            assert len(str(error.value)) < 300 + len(str(tmp_path))
    with pytest.raises(MediaError, match="null character"):
        probe("a\0b.mp4")
    with pytest.raises(MediaError, match=r"n\\xff\.mp4 is not UTF-8"):
        probe(ODD)


def test_a_folder_that_may_not_be_entered(tmp_path):
    """The superuser enters every folder, so another process tries that is none."""
    (tmp_path / "shut").mkdir()
    path = film(tmp_path / "shut" / "clip.mp4")
    path.parent.chmod(0)
    try:
        if os.geteuid():
            with pytest.raises(MediaError, match="permission denied"):
                check_file(path)
            return
        code = (
            "import os, sys; from pathlib import Path\n"
            "from refrestore.errors import MediaError\n"
            "from refrestore.media.files import check_file\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: check_file(Path(sys.argv[1]))\n"
            "except MediaError as error: print(error)"
        )
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        command = [sys.executable, "-c", code, str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "permission denied" in said.stdout
    finally:
        path.parent.chmod(0o755)


def commands(path, folder):
    clip = folder / "clip.mp4"
    yield ("scan", path, "-p", folder / "new")
    yield ("run", path, "-o", folder / "new.mp4")
    yield ("image", path, "--no-references", "-o", folder / "new.png")
    yield ("compare", path, clip, "-o", folder / "new.mp4")
    yield ("profile", "build", "Anna", "--photos", path, "--profiles-dir", folder / "new")
    yield ("profile", "build", "Anna", "--video", path, "--profiles-dir", folder / "new")


def places(path, folder):
    clip = folder / "clip.mp4"
    yield ("scan", clip, "-p", path)
    yield ("run", clip, "-o", path, "-p", folder / "new")
    yield ("compare", clip, clip, "-o", path)
    yield ("identities", "list", "-p", path)
    yield ("scan", clip, "-p", folder / "new", "--models-dir", path)
    yield ("profile", "list", "--profiles-dir", path)
    yield ("profile", "import", path, "--profiles-dir", folder / "new")


def one_sentence(result, *arguments):
    code, _, said = result
    lines = [line for line in said.splitlines() if line.strip()]
    assert code in (2, 3, 4, 5, 6, 7), (arguments, said)
    assert len(lines) == 1, (arguments, said)
    assert lines[0].startswith("refrestore: "), (arguments, said)
    return code, lines[0]


@pytest.mark.parametrize("what", range(6))
def test_every_command_says_it_in_one_sentence(what, run, tmp_path):
    path, words = list(bad_paths(tmp_path).items())[what]
    for arguments in commands(path, tmp_path):
        _, line = one_sentence(run(*arguments), arguments)
        assert words in line or "There is no picture in" in line, (arguments, line)
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize("what", [0, 2, 3])
def test_a_place_that_is_none_is_one_sentence(what, run, tmp_path):
    path = list(bad_paths(tmp_path))[what]
    for arguments in places(path, tmp_path):
        result = run(*arguments)
        # Models and profiles are looked for; where there are none, those at hand are used.
        if result[0] or arguments[-1] != path or "dir" not in arguments[-2]:
            one_sentence(result, arguments)


def test_names_that_are_not_utf8_are_refused_before_anything(run, tmp_path):
    film(tmp_path / "clip.mp4")
    for arguments in commands(tmp_path / ODD, tmp_path):
        code, line = one_sentence(run(*arguments), arguments)
        assert code == 3
        assert r"n\xff.mp4 is not UTF-8: rename" in line
    for arguments in places(tmp_path / ODD, tmp_path):
        code, line = one_sentence(run(*arguments), arguments)
        assert r"n\xff.mp4 is not UTF-8: rename" in line
        assert code == (3 if "import" in arguments else 2)
    assert not list(tmp_path.glob("new*"))


def test_a_photo_with_such_a_name_is_named_and_the_others_are_used(run, tmp_path):
    from refrestore.scan.photos import faces_of_pictures

    class NoNetworks:
        """Nothing is recognised here; what counts is which pictures are looked at."""

    folder = tmp_path / "photos"
    folder.mkdir()
    write_picture(folder / "good.png", np.zeros((32, 32, 3), np.uint8))
    try:
        os.rename(folder / "good.png", os.fsencode(folder) + b"/n\xff.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = faces_of_pictures(sorted(folder.iterdir()), NoNetworks())
    assert [one.reason for one in found.rejected] == ["its name is not UTF-8: rename it"]
    assert found.rejected[0].source.endswith(r"n\xff.png")
    code, line = one_sentence(
        run("profile", "build", "Anna", "--photos", folder, "--profiles-dir", tmp_path / "new")
    )
    assert code == 6
    assert r"n\xff.png: its name is not UTF-8" in line
