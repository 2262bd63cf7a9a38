"""Names, titles and sources from elsewhere on their way to a terminal, a picture, a page."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import unicodedata
from dataclasses import replace
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import pytest

import refrestore.cli as cli
from refrestore.cli.progress import progress_reporter
from refrestore.cli.tables import print_table
from refrestore.media.simple import write_pictures
from refrestore.profiles import Profile, ProfileStore
from refrestore.profiles.archive import write_archive
from refrestore.profiles.document import pack
from refrestore.project import Project
from refrestore.types import Reference

HOSTILE = (
    "holiday \x1b]0;owned\x07\x9b31m\r\x1b[2Jno.\u202egpj\u2066 [red]x[/red] :dog:\nforged: line"
)


@pytest.fixture
def run(capsys, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["refrestore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def assert_plain(text: str, *, lines: int | None = None) -> None:
    found = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")}
    assert found <= {"\n"}, found
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    if lines is not None:
        assert len(text.splitlines()) == lines, text


@pytest.fixture
def archive(tmp_path):
    """A profile as a hostile sender would pack it: its name must be plain, its sources need not."""
    embedding = np.zeros(512, np.float32)
    embedding[0] = 1
    reference = Reference(
        image=np.zeros((512, 512, 3), np.uint8),
        landmarks=np.zeros((468, 2), np.float32),
        embedding=embedding,
        pose=np.zeros(3, np.float32),
        sharpness=0.5,
        quality=0.5,
        native_size=200.0,
        source=HOSTILE,
    )
    profile = Profile("Anna", (reference,), recogniser=HOSTILE)
    write_archive(tmp_path / "anna.refprofile", pack(profile))
    return tmp_path / "anna.refprofile"


def test_a_profile_that_was_sent_says_nothing_to_the_terminal(run, archive, tmp_path):
    folder = ("--profiles-dir", tmp_path / "profiles")
    code, out, _ = run("profile", "import", archive, *folder)
    assert code == 0
    assert_plain(out, lines=1)
    code, out, _ = run("profile", "show", "Anna", *folder)
    assert code == 0
    assert "[red]x[/red]" in out
    assert_plain(out, lines=3)
    code, out, _ = run("profile", "show", "Anna", "--json", *folder)
    assert json.loads(out)["references"][0]["source"] == HOSTILE
    assert_plain(out)


@pytest.mark.skipif(sys.platform == "win32", reason="no such names")
def test_a_film_of_a_hostile_name(run, tmp_path):
    folder = tmp_path / HOSTILE.replace("/", "|")
    folder.mkdir()
    film = folder / f"{folder.name[:60]}.mkv"
    write_pictures(film, iter(np.zeros((5, 48, 64, 3), np.uint8)), rate=Fraction(25))
    project = folder / "project"
    code, out, err = run("scan", film, "-p", project)
    assert code == 0, err
    assert_plain(out + err, lines=3)
    picture = tmp_path / "timeline.svg"
    assert run("identities", "timeline", "-p", project, "-o", picture)[0] == 0
    ElementTree.parse(picture)
    assert_plain(picture.read_text())
    assert run("identities", "sheet", "-p", project, "-o", tmp_path / "sheet.png")[0] == 0
    code, out, _ = run("identities", "sheet", "-p", project, "-o", tmp_path / "s.png", "--json")
    assert_plain(out)
    for wrong in (("scan", f"{film}\x1bx", "-p", project), ("scan", film, film, "-p", project)):
        code, out, err = run(*wrong)
        assert code != 0
        assert_plain(err)


def test_a_person_of_a_hostile_name(run, tmp_path):
    film = tmp_path / "film.mkv"
    write_pictures(film, iter(np.zeros((5, 48, 64, 3), np.uint8)), rate=Fraction(25))
    assert run("scan", film, "-p", tmp_path / "project")[0] == 0
    code, _, err = run("identities", "rename", "7", HOSTILE, "-p", tmp_path / "project")
    assert code != 0
    assert_plain(err)
    with Project.open(tmp_path / "project") as project:
        assert project.identities() == []


def test_progress_and_tables_show_markup_as_it_is(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with progress_reporter("rich", stream) as report:
        report("[red]a[/nothing]\x1b]0;owned\x07", 1, 2)
    assert "[red]a[/nothing]" in stream.getvalue()
    assert "\x1b]0" not in stream.getvalue()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_table(("name",), [(HOSTILE,)])
    assert "[red]x[/red] :dog:" in capsys.readouterr().out.replace("\n", " ")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    print_table(("name",), [(HOSTILE,)])
    assert_plain(capsys.readouterr().out, lines=2)


def test_letters_that_an_encoding_lacks_are_no_failure(archive, tmp_path):
    store = ProfileStore(tmp_path / "profiles")
    store.save(replace(store.import_file(archive), name="Анна"))
    ran = subprocess.run(
        [sys.executable, "-m", "refrestore", "profile", "list", "--profiles-dir", store.directory],
        env={"PYTHONIOENCODING": "latin-1", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "\\u0410" in ran.stdout
