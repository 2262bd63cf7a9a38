"""A full disk, and a folder that goes away: nothing lost, one sentence, reading works."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.errors import DiskError, ProjectError
from refrestore.project import Project
from refrestore.project.database import Database
from refrestore.scan.references import Spool, to_reference
from refrestore.scan.samples import Candidate, CloseUpCrop, traits
from refrestore.storage.opening import _copied, write_ahead_log
from refrestore.types import EMBEDDING_SIZE

resource = pytest.importorskip("resource")

TWO_PEOPLE = {1: (0, 300, 100.0), 2: (100, 200, 400.0)}

RENAMED_AND_KILLED = """
import os, sys
from pathlib import Path
from refrestore.project import Project
Project.open(Path(sys.argv[1])).rename(1, sys.argv[2])
os._exit(1)
"""


@contextmanager
def full_disk(left: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def folder(project, make) -> Path:
    with project.begin_scan(ScanSettings()) as writer:
        for number, (first, stop, left) in TWO_PEOPLE.items():
            writer.add_track(
                make.track(number, first, stop), make.faces(first, stop, left, full=True)
            )
            writer.add_reference(number, make.reference(number))
        writer.set_identities([[1], [2]])
    project.rename(1, "Anna")
    project.close()
    return project.folder


def _names(folder: Path) -> list[str]:
    with Project.open(folder) as opened:
        assert len(opened.faces()) == 400
        assert len(opened.references(2)) == 1
        return [one.name for one in opened.identities()]


def _rename_and_die(folder: Path, name: str) -> None:
    subprocess.run([sys.executable, "-c", RENAMED_AND_KILLED, str(folder), name], check=False)
    assert write_ahead_log(folder / "project.sqlite").stat().st_size > 0


def test_a_project_on_a_full_disk_is_read_and_not_edited(folder):
    with full_disk():
        assert _names(folder) == ["Anna", "person 2"]
        with Project.open(folder) as opened, pytest.raises(DiskError, match="make room"):
            opened.rename(2, "Bert")
        with Project.open(folder) as opened, pytest.raises(DiskError, match="make room"):
            opened.begin_scan(ScanSettings())
        assert _names(folder) == ["Anna", "person 2"]
    with Project.open(folder) as opened:
        opened.rename(2, "Bert")
    assert _names(folder) == ["Anna", "Bert"]


def test_an_edit_that_was_not_folded_in_is_read_on_a_full_disk(folder, tmp_path, monkeypatch):
    _rename_and_die(folder, "Cora")
    with full_disk():
        assert _names(folder) == ["Cora", "person 2"]
        with Project.open(folder) as opened, pytest.raises(DiskError, match="make room"):
            opened.rename(1, "Dora")
    shutil.copytree(folder, tmp_path / "read only")
    monkeypatch.setattr("refrestore.storage.opening.may_write", lambda path: False)
    copy = _copied(tmp_path / "read only" / "project.sqlite")
    ((last,),) = copy.execute("SELECT payload FROM log ORDER BY id DESC LIMIT 1")
    assert "Cora" in last
    copy.close()
    with full_disk(), pytest.raises(DiskError, match=r"last edits of .* make room"):
        _copied(tmp_path / "read only" / "project.sqlite")
    assert _names(folder) == ["Cora", "person 2"]


def test_opening_sweeps_only_where_there_is_room(folder, make):
    (folder / "scans" / "0009").mkdir()
    opened = Project.open(folder)
    writer = opened.begin_scan(ScanSettings())
    writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
    writer._lock.release()  # as after a kill
    opened.database._connection.close()
    with full_disk():
        assert _names(folder) == ["Anna", "person 2"]
    assert _names(folder) == ["Anna", "person 2"]
    assert [entry.name for entry in (folder / "scans").iterdir()] == ["0001"]


def test_a_full_disk_at_the_first_write(tmp_path, make):
    with full_disk(), pytest.raises(DiskError, match="Cannot write"):
        Project.open_or_create(tmp_path / "project", make.video(tmp_path))
    Project.open_or_create(tmp_path / "project", make.video(tmp_path)).close()


def test_a_full_disk_during_a_scan_leaves_the_old_one(folder, make):
    opened = Project.open(folder)

    def scan() -> None:
        with opened.begin_scan(ScanSettings()) as writer:
            writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
            with full_disk():
                writer.add_reference(1, make.reference(1))

    with pytest.raises(DiskError, match=r"000001\.png .*: make room"):
        scan()
    opened.close()
    assert _names(folder) == ["Anna", "person 2"]


@pytest.fixture
def candidate(make) -> Candidate:
    pose = np.zeros(3, np.float32)
    return Candidate(
        frame=7,
        close_up=CloseUpCrop(make.reference(1).image, np.zeros((468, 2), np.float32)),
        embedding=np.eye(EMBEDDING_SIZE, dtype=np.float32)[0],
        pose=pose,
        traits=traits(pose, 0.0, 0.5),
        sharpness=0.9,
        quality=0.5,
        native_size=120.0,
        box=np.array([1, 1, 9, 9], np.float32),
    )


def test_close_ups_of_a_scan_on_a_full_disk(tmp_path, candidate):
    with Spool(tmp_path) as spool:
        kept = spool.put(1, Fraction(1), candidate)
        with full_disk(), pytest.raises(DiskError, match=r"Cannot write .*npz .*: make room"):
            spool.put(1, Fraction(2), candidate)
        assert to_reference(kept, Spool.get(kept), "film.mp4").frame == 7
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_close_ups_of_a_scan_whose_folder_goes_away(tmp_path, candidate, how):
    folder = tmp_path / "project"
    folder.mkdir()
    with Spool(folder) as spool:
        kept = spool.put(1, Fraction(1), candidate)
        if how == "deleted":
            shutil.rmtree(folder)
        else:
            folder.rename(tmp_path / "elsewhere")
        with pytest.raises(ProjectError, match="was deleted or moved"):
            spool.put(1, Fraction(2), candidate)
        with pytest.raises(ProjectError, match="was deleted or moved"):
            Spool.get(kept)
    with pytest.raises(DiskError, match="Cannot write"):
        Spool(folder)


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
@pytest.mark.parametrize("step", ["shot", "track", "reference", "commit", "edit"])
def test_a_folder_that_goes_away_is_not_written_to(tmp_path, folder, make, how, step):
    opened = Project.open(folder)

    def go_on() -> None:
        with opened.begin_scan(ScanSettings()) as writer:
            writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
            if how == "deleted":
                shutil.rmtree(folder)
            else:
                folder.rename(tmp_path / "elsewhere")
            if how == "replaced":
                Project.create(folder, make.video(tmp_path)).close()
            if step == "shot":
                writer.set_frames(5)
            elif step == "track":
                writer.add_track(make.track(2, 0, 5), make.faces(0, 5))
            elif step == "reference":
                writer.add_reference(1, make.reference(1))
            elif step == "edit":
                opened.rename(1, "Bert")

    with pytest.raises(ProjectError, match=r"was deleted, moved or replaced .* lost; put it back"):
        go_on()
    opened.close()
    assert folder.exists() == (how == "replaced")
    if how == "replaced":
        assert _modest(folder)
    if how == "moved":
        assert _names(tmp_path / "elsewhere") == ["Anna", "person 2"]


def _modest(folder: Path) -> bool:
    with Project.open(folder) as opened:
        return opened.scan_info() is None and opened.tracks() == []


def test_the_whole_way_on_a_small_disk(tmp_path, make):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    try:
        folder = place / "project"
        with Project.create(folder, make.video(tmp_path)) as project:
            make.scan(project, TWO_PEOPLE, [[1], [2]])
        _rename_and_die(folder, "Cora")
        (folder / "project.sqlite-shm").unlink()
        with pytest.raises(OSError, match="space"):
            (place / "film").write_bytes(bytes(1 << 20))
        with Project.open(folder) as opened:
            assert not opened.database.writable
            assert opened.identity(1).name == "Cora"
            with pytest.raises(DiskError, match="make room"):
                opened.rename(1, "Dora")
        (place / "film").unlink()
        with Project.open(folder) as opened:
            assert opened.identity(1).name == "Cora"
            opened.rename(1, "Dora")
        Database(folder / "project.sqlite").close()
        assert not write_ahead_log(folder / "project.sqlite").exists()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
