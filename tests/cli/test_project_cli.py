"""`refrestore project check` and `repair`."""

from __future__ import annotations

import json
import os
import sqlite3
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from refrestore.cli import app
from refrestore.config import ScanSettings
from refrestore.errors import ProjectError
from refrestore.media.probe import probe
from refrestore.media.simple import write_pictures
from refrestore.project import Project
from refrestore.scan.scan import video_source
from refrestore.types import Faces, Track

RUNNER = CliRunner()


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    write_pictures(path, [np.full((48, 64, 3), 90, np.uint8)] * 5, rate=Fraction(25))
    return path


@pytest.fixture
def folder(film, tmp_path):
    with Project.create(tmp_path / "project", video_source(probe(film))) as project:
        with project.begin_scan(ScanSettings()) as writer:
            table = Faces(
                frame=np.arange(5),
                box=np.tile([0, 0, 9, 9], (5, 1)),
                keypoints=np.zeros((5, 5, 2)),
                score=np.ones(5),
            )
            writer.add_track(Track(1, 0, 0, 5, None, 0.0, 0.5, 9.0, weak=False), table)
            writer.set_identities([[1]])
        project.rename(1, "Anna")
    return tmp_path / "project"


def _damage(folder, *commands):
    connection = sqlite3.connect(folder / "project.sqlite")
    connection.executescript(";".join(commands))
    connection.close()


def _run(*arguments, status=0):
    done = RUNNER.invoke(app, list(map(str, arguments)))
    assert done.exit_code == status, done.output
    return done.output


def test_a_project_in_order(folder):
    assert "is in order" in _run("project", "check", folder)
    assert json.loads(_run("project", "check", folder, "--json"))["problems"] == []
    assert "nothing was done" in _run("project", "repair", folder)
    assert json.loads(_run("project", "repair", folder, "--json"))["backup"] is None


def test_a_damaged_project_is_repaired(folder, film):
    _damage(
        folder,
        "DROP TRIGGER log_keeps",
        "UPDATE log SET payload = '{' WHERE id = 1",
        "UPDATE meta SET value = '{}' WHERE key = 'video'",
    )
    listing = RUNNER.invoke(app, ["identities", "list", "-p", str(folder)])
    assert isinstance(listing.exception, ProjectError)
    assert f"refrestore project check {folder}" in str(listing.exception)
    said = _run("project", "check", folder, status=5)
    assert "log (id 1): it is not JSON" in said
    assert f"`refrestore project repair {folder}`" in said
    found = json.loads(_run("project", "check", folder, "--json", status=5))
    assert {one["table"] for one in found["problems"]} == {"log", "meta"}
    refused = RUNNER.invoke(app, ["project", "repair", str(folder)])
    assert isinstance(refused.exception, ProjectError)
    assert "--video FILE" in str(refused.exception)
    said = _run("project", "repair", folder, "--video", film)
    assert "The damaged file is kept as" in said
    assert "The scan is kept." in said
    assert "1 entry of the log could not be read" in said
    assert "person 1" in _run("identities", "list", "-p", folder)
    _run("project", "check", folder)


def test_no_project(tmp_path):
    for command in ("check", "repair"):
        done = RUNNER.invoke(app, ["project", command, str(tmp_path / "none")])
        assert isinstance(done.exception, ProjectError)


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_what_others_can_read_is_said_and_no_problem(folder):
    assert "Advice" not in _run("project", "check", folder)
    folder.chmod(0o755)
    (folder / "project.sqlite").chmod(0o644)
    assert "makes it private" in _run("project", "check", folder)
    assert oct((folder / "project.sqlite").stat().st_mode)[-3:] == "644"
