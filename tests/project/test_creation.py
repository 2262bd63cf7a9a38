"""A project is made whole or can be made again, whatever stopped the first attempt."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError
from refrestore.project import Project

CREATE = """
import os, random, shutil, signal, sys, time
from fractions import Fraction
from pathlib import Path
from refrestore.project import Project, VideoSource
from refrestore.types import Geometry
folder = Path(sys.argv[1])
video = VideoSource(folder.parent / "film.mp4", "f" * 16, Geometry(640, 360), Fraction(0),
                    Fraction(25))
"""
"""Interpreters start slowly, so one of them forks the processes that are killed."""

CREATE_AND_KILL = f"""{CREATE}
chance = random.Random(13)
for trial in range(20):
    child = os.fork()
    number = 0
    while not child:
        Project.create(folder / f"{{trial}}-{{number}}", video).close()
        number += 1
    time.sleep(chance.uniform(0.005, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

CREATE_WHEN_TOLD = f"""{CREATE}
print("ready", flush=True)
sys.stdin.read(1)
Project.open_or_create(folder, video).close()
"""

posix = pytest.mark.skipif(os.name != "posix", reason="modes and signals of POSIX")

WHOLE = {"project.sqlite", "scan.lock", "scans"}

LEFT = [
    ".project.sqlite.partial",
    ".project.sqlite.partial-journal",
    ".project.sqlite.partial-wal",
    ".project.sqlite.partial-shm",
    "project.sqlite.probe",
    "project.sqlite-journal",
    "project.sqlite-wal",
    "project.sqlite-shm",
    "scan.lock",
    ".candidates-x1y2/0000001.npz",
    ".abcd_123.partial",
    "scans/0001/references/000001.png",
    "scans/0001/references/.abcd_123.partial",
    "scans/0001/thumbnails/000001.jpg",
    "scans/0001/times",
]


@posix
def test_creation_that_is_killed_can_be_repeated(tmp_path, make):
    done = subprocess.run(
        [sys.executable, "-c", CREATE_AND_KILL, str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = sorted(tmp_path.iterdir())
    halves = [folder for folder in made if not (folder / "project.sqlite").exists()]
    assert halves
    for folder in [*halves, *made[::10]]:
        with Project.open_or_create(folder, make.video(tmp_path)) as opened:
            assert opened.video.fingerprint == "f" * 16
            with opened.begin_scan(ScanSettings()):
                pass
        assert {entry.name for entry in folder.iterdir()} == WHOLE


@pytest.mark.parametrize("name", LEFT)
def test_what_a_kill_leaves_is_swept(tmp_path, make, name):
    folder = tmp_path / "project"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"half of something")
    with Project.open_or_create(folder, make.video(tmp_path)) as made:
        make.scan(made, {1: (0, 9, 100.0)}, [[1]])
        assert len(made.identities()) == 1
    assert {entry.name for entry in folder.iterdir()} == WHOLE
    assert [entry.name for entry in (folder / "scans").iterdir()] == ["0001"]


@pytest.mark.parametrize(
    "name",
    ["holiday.jpg", "scans/holiday.jpg", "scans/0001/notes.txt", "notes.partial", "old.sqlite-wal"],
)
def test_what_is_the_users_stays(tmp_path, make, name):
    folder = tmp_path / "project"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"his")
    (folder / ".project.sqlite.partial").touch()
    with pytest.raises(ProjectError, match="not empty and not a project"):
        Project.open_or_create(folder, make.video(tmp_path))
    assert (folder / name).read_bytes() == b"his"
    assert not (folder / "project.sqlite").exists()


@posix
def test_processes_that_make_one_project_agree(tmp_path):
    folder = tmp_path / "project"
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE_WHEN_TOLD, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for one in makers:
        assert one.stdout.readline() == "ready\n"
    for one in makers:
        one.stdin.write("x")
        one.stdin.flush()
    for one in makers:
        _, error = one.communicate(timeout=60)
        assert one.returncode == 0, error
    with Project.open(folder) as opened:
        assert opened.video.fingerprint == "f" * 16


def test_a_project_being_made_is_waited_for(tmp_path, make, monkeypatch):
    from refrestore.storage.lock import FileLock

    monkeypatch.setattr("refrestore.project.folder.CREATION_SECONDS", 0.05)
    folder = tmp_path / "project"
    folder.mkdir()
    holder = FileLock(folder / "scan.lock")
    assert holder.acquire()
    with pytest.raises(ProjectError, match=rf"being made in .* by process {os.getpid()}: wait"):
        Project.create(folder, make.video(tmp_path))
    holder.release()
    Project.create(folder, make.video(tmp_path)).close()


def _modes(folder) -> set[tuple[bool, int]]:
    entries = [folder, *folder.rglob("*")]
    return {(entry.is_dir(), stat.S_IMODE(entry.stat().st_mode)) for entry in entries}


@posix
def test_what_is_new_is_private(tmp_path, make):
    folder = tmp_path / "project"
    with Project.create(folder, make.video(tmp_path)) as project:
        with project.begin_scan(ScanSettings()) as writer:
            writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
            writer.add_reference(1, make.reference(1))
            writer.add_thumbnail(1, make.reference(1).image)
        assert len(list(folder.glob("project.sqlite*"))) == 3  # -wal and -shm
        assert _modes(folder) == {(True, 0o700), (False, 0o600)}


@posix
def test_what_was_shared_stays_shared(tmp_path, make):
    folder = tmp_path / "project"
    Project.create(folder, make.video(tmp_path)).close()
    folder.chmod(0o750)
    (folder / "project.sqlite").chmod(0o640)
    (folder / "scan.lock").chmod(0o640)
    with Project.open(folder) as project, project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
        writer.add_thumbnail(1, make.reference(1).image)
    assert _modes(folder) <= {(True, 0o750), (False, 0o640)}
