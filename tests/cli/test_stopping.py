"""Signals, kills and lost disks in the middle: what is kept, what is said, what is left."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import DiskError
from refrestore.evaluate.demo import group_photo
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.scan.scan import scan
from refrestore.storage.lock import FileLock
from refrestore.storage.workplace import OutputPlace, temporary_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, forks and resource limits")

SEGMENTS, FRAMES = 3, 48
"""Of the film: 16 pictures at two a second are a segment, as its longest is ten seconds."""


@pytest.fixture(scope="module")
def scanned(tmp_path_factory) -> Path:
    """Return a folder with a film, now and then with a face, and its project.

    All but the first segment's faces are blurred, so that there is something to restore.
    """
    folder = tmp_path_factory.mktemp("scanned")
    photo = group_photo()

    def pictures():
        for number in range(FRAMES):
            at = number % 16
            face = photo[190 + 2 * at : 460 + 2 * at, 20 + 2 * at : 250 + 2 * at]
            if number >= 16:
                face = cv2.GaussianBlur(face, (0, 0), 2)
            grey = np.full((270, 230, 3), 90 + number, np.uint8)
            yield np.ascontiguousarray(face) if at < 4 else grey

    write_pictures(folder / "film.mp4", pictures(), rate=Fraction(2))
    scan(folder / "film.mp4", folder / "p", settings=ScanSettings(), runtime=RuntimeSettings())
    return folder


@pytest.fixture
def place(scanned: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder."""
    return Path(shutil.copytree(scanned, tmp_path / "place"))


def first_segment(place: Path, name: str = "out.mp4") -> Path:
    return place / f".{name}.refrestore" / "segment-000000.mkv"


def ended(command, status: int) -> str:
    """Wait for a command's end, and return its one sentence."""
    assert command.wait() == status, command.stderr.read_text()
    said = command.stderr.read_text()
    assert "Traceback" not in said
    assert "ignored" not in said
    (sentence,) = [line for line in said.splitlines() if line.startswith("refrestore: ")]
    return sentence


def hidden(folder: Path) -> list[str]:
    """Return what is there that is not to be: all temporary names begin with a dot."""
    kept = (".out.mp4.refrestore", ".out.mkv.refrestore")
    return [entry.name for entry in folder.rglob(".*") if entry.name not in kept]


def command_in(sentence: str) -> list[str]:
    words = shlex.split(sentence.rpartition(": ")[2])
    assert words[1:3] == ["-m", "refrestore"]
    return words[3:]


def test_one_process_writes_an_output_and_a_kill_gives_it_free(commands, place) -> None:
    render = ("render", "-p", "p", "-o", "out.mkv", "--codec", "ffv1")
    segment = first_segment(place, "out.mkv")
    one = commands.start(*render, folder=place)
    one.until(segment.exists)
    one.send(signal.SIGSTOP)  # or it may be done before the other is refused
    kept = segment.stat().st_mtime_ns
    # Of other settings: it would begin with emptying the folder.
    sentence = ended(commands.start(*render, "--scale", "2", folder=place), 7)
    assert f"out.mkv is being written by process {one.pid} since " in sentence
    assert segment.stat().st_mtime_ns == kept
    one.send(signal.SIGKILL)
    assert one.wait() == -signal.SIGKILL
    (place / ".out.mkv.refrestore" / ".out.mkv.partial").write_bytes(b"of the kill")

    # More than the project's files have, less than a lossless segment.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))"
    sentence = ended(commands.start(*render, folder=place, first=limit), 7)
    assert "No room left to write" in sentence
    assert f" of {SEGMENTS} segments (" in sentence
    assert command_in(sentence) == list(render)
    assert not hidden(place)
    assert segment.stat().st_mtime_ns == kept

    two = commands.start(*render, "--json", "--progress", "jsonl", folder=place)
    two.until(lambda: '"done"' in two.stderr.read_text())
    two.send(signal.SIGTERM)
    sentence = ended(two, 143)
    assert sentence.startswith("refrestore: Stopped. ")
    assert f" of {SEGMENTS} segments (" in sentence
    assert f" of {FRAMES} frames) are kept in .out.mkv.refrestore; go on with: " in sentence
    assert two.stdout.read_text() == ""
    event = json.loads(two.stderr.read_text().splitlines()[-2])
    assert (event["stage"], event["signal"]) == ("stopped", signal.SIGTERM)
    assert not hidden(place)
    assert not (place / "out.mkv").exists()
    assert segment.stat().st_mtime_ns == kept

    last = commands.start(*command_in(sentence), folder=place)
    assert last.wait() == 0
    with VideoReader(place / "out.mkv") as reader:
        assert sum(1 for _ in reader) == FRAMES
    assert not list(place.glob(".*"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, ["scan", "film.mp4", "-p", "new"]),
        (signal.SIGHUP, ["run", "film.mp4", "-o", "out.mp4", "--json"]),
    ],
)
def test_a_scan_that_is_stopped_leaves_nothing(commands, place, number, words) -> None:
    project = place / ("new" if words[0] == "scan" else "out.mp4.refrestore")
    one = commands.start(*words, folder=place)
    one.until(lambda: any(project.glob("scans/*/.candidates-*")))
    one.send(number)
    sentence = ended(one, 128 + number)
    assert "A scan is not kept half-way" in sentence
    assert "start it again with: " in sentence
    assert command_in(sentence) == words
    assert not [
        path
        for path in project.rglob("*")
        if path.name not in ("project.sqlite", "scans", "scan.lock")
    ]
    assert not list(place.glob(".*"))


def test_the_page_ends_with_ctrl_c(commands, place) -> None:
    one = commands.start("review", "p", "--port", "0", "--no-browser", folder=place)
    one.until(lambda: "token=" in one.stdout.read_text())
    one.send(signal.SIGINT)
    assert one.wait() == 0
    assert one.stderr.read_text().splitlines() == [
        "This address works once, in one browser; start this again for another.",
        "The page is closed; every edit is kept.",
    ]


def test_the_page_ends_in_order_with_its_work(commands, place) -> None:
    one = commands.start("review", "p", "--port", "0", "--no-browser", folder=place)
    one.until(lambda: "token=" in one.stdout.read_text())
    base, token = one.stdout.read_text().strip().split("/?token=")
    with httpx.Client(base_url=base, headers={"X-Refrestore": "1"}, timeout=60) as http:
        http.get(f"/?token={token}")
        http.post("/api/renders", json={"name": "out.mp4"}).raise_for_status()
    one.until(first_segment(place).exists)
    one.send(signal.SIGTERM)
    assert "Stopped. " in ended(one, 143)
    said = one.stderr.read_text()
    assert "The render was stopped: " in said
    assert f" of {SEGMENTS} segments (" in said
    assert not hidden(place)


def test_a_film_that_changes_or_goes_ends_the_render(commands, place) -> None:
    render = ("render", "-p", "p", "-o", "out.mp4")
    one = commands.start(*render, folder=place)
    one.until(first_segment(place).exists)
    with (place / "film.mp4").open("ab") as film:
        film.write(b"more")
    sentence = ended(one, 3)
    assert "film.mp4 was changed while it was being read" in sentence
    assert "kept in" in sentence
    assert not (place / "out.mp4").exists()
    (place / "film.mp4").unlink()
    sentence = ended(commands.start(*render, "--video", "film.mp4", folder=place), 3)
    assert "There is no file film.mp4" in sentence


def test_an_output_folder_that_goes_ends_the_render(commands, place) -> None:
    (place / "disk").mkdir()
    one = commands.start("render", "-p", "p", "-o", "disk/out.mp4", folder=place)
    one.until((place / "disk" / ".out.mp4.refrestore" / "segment-000000.mkv").exists)
    shutil.rmtree(place / "disk")
    sentence = ended(one, 7)
    assert "is gone" in sentence
    assert not (place / "disk").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["render", "-p", "p", "-o", "out.mp4"],
        ["run", "film.mp4", "-o", "out.mp4"],
        ["compare", "film.mp4", "copy.mp4", "-o", "out.mp4"],
    ],
)
def test_all_that_write_videos_ask_first(commands, place, words) -> None:
    shutil.copy(place / "film.mp4", place / "copy.mp4")
    with OutputPlace(place / "out.mp4") as held:
        (held.folder / "segment-000000.mkv").write_bytes(b"the other's")
        sentence = ended(commands.start(*words, folder=place), 7)
        assert f"out.mp4 is being written by process {os.getpid()} since " in sentence
        assert sorted(entry.name for entry in held.folder.iterdir()) == [
            "lock",
            "segment-000000.mkv",
        ]
    assert not (place / "out.mp4.refrestore").exists()


def test_a_demo_asks_first(commands, tmp_path) -> None:
    with OutputPlace(tmp_path / "restored.mp4"):
        sentence = ended(commands.start("demo", ".", folder=tmp_path), 7)
    assert "restored.mp4 is being written" in sentence
    assert not list(tmp_path.iterdir())


def test_a_place_is_taken_once_and_leaves_nothing(tmp_path) -> None:
    output = tmp_path / "out.mp4"
    with OutputPlace(output) as one:
        with pytest.raises(DiskError, match="is being written"), OutputPlace(output):
            pass
        (one.folder / ".temporary").write_bytes(b"")
        with one.scratch() as folder:
            (folder / "file").write_bytes(b"")
    assert not list(tmp_path.iterdir())
    with OutputPlace(output) as one:
        (one.folder / "kept").write_bytes(b"")
    assert [entry.name for entry in (tmp_path / ".out.mp4.refrestore").iterdir()] == ["kept"]
    with pytest.raises(DiskError, match="There is no folder"), OutputPlace(tmp_path / "a" / "b"):
        pass


KILLED_WORKER = """
import os, signal
from refrestore.storage.workplace import temporary_folder
with temporary_folder("refrestore-test-") as folder:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_temporary_folder_that_another_process_swept_is_made_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    right, lost = FileLock.acquire, []

    def acquire(lock: FileLock) -> bool:
        held = right(lock)
        if not lost:
            lost.append(lock._path.parent)
            shutil.rmtree(lost[0])
        return held

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with temporary_folder("refrestore-test-") as folder:
        assert lost != [folder]
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_temporary_folder_of_a_killed_process_is_swept(commands, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    here = f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}"
    killed = commands.start(folder=tmp_path, first=here + KILLED_WORKER)
    assert killed.wait() == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with temporary_folder("refrestore-test-") as one, temporary_folder("refrestore-test-") as two:
        assert sorted(tmp_path.iterdir()) == sorted([one, two])
        assert left not in (one, two)
    assert not list(tmp_path.iterdir())


HELD_UP = """
import sys, time, typer
from refrestore.cli import app
@app.command("held-up")
def held_up() -> None:
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("unwinding", flush=True)
        time.sleep({seconds})
"""


def test_a_second_signal_ends_at_once(commands, tmp_path) -> None:
    one = commands.start("held-up", folder=tmp_path, first=HELD_UP.format(seconds=60))
    one.until(lambda: "begun" in one.stdout.read_text())
    one.send(signal.SIGINT)
    one.until(lambda: "unwinding" in one.stdout.read_text())
    one.send(signal.SIGINT)
    assert "Ended at once" in ended(one, 130)


HARD_TO_REACH = """
import time
from refrestore.cli import app
class Finalised:
    def __del__(self):
        print("begun", flush=True)
        time.sleep(1)
@app.command("hard-to-reach")
def hard_to_reach() -> None:
    if {finaliser}:
        Finalised()
    else:
        exec("import time\\ndef slow():\\n print('begun', flush=True); time.sleep(1)\\nslow()",
             {{"__name__": "tempfile"}})
        print("made", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("finaliser", [True, False])
def test_a_signal_that_comes_where_none_can_be_taken(commands, tmp_path, finaliser) -> None:
    first = HARD_TO_REACH.format(finaliser=finaliser)
    one = commands.start("hard-to-reach", folder=tmp_path, first=first)
    one.until(lambda: "begun" in one.stdout.read_text())
    one.send(signal.SIGTERM)
    assert "Stopped. Nothing is left half-done; start it again with" in ended(one, 143)
    assert ("made" in one.stdout.read_text()) is not finaliser
