"""`refrestore batch`: two films all the way, and what is refused in one sentence."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

import refrestore.cli as cli
from refrestore.evaluate.degrade import Degradation
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
from refrestore.media.reader import VideoReader
from refrestore.project import Project


@pytest.fixture(scope="module")
def tapes(tmp_path_factory) -> Path:
    """Return a folder with a film of close-ups and one of the same people further away."""
    folder = tmp_path_factory.mktemp("films") / "tapes"
    folder.mkdir()
    make_demo_film(
        folder / "1 near.mp4",
        moves=(CameraMove(CameraView(0.11, 0.37, 1), CameraView(0.13, 0.38, 1), 0.2),),
        size=(250, 186),
    )
    make_demo_film(
        folder / "2 far.mp4",
        moves=(
            CameraMove(CameraView(0.11, 0.36, 0.6), CameraView(0.12, 0.36, 0.6), 0.2, far=True),
        ),
        far=Degradation(blur=1.0, shrink=1.5, noise=2.0, quality=85),
        size=(150, 130),
    )
    return folder


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line in this process."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["refrestore", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_two_films_stopped_and_gone_on_with(run, commands, tapes, tmp_path) -> None:
    queue, out, log = tmp_path / "films.queue", tmp_path / "out", tmp_path / "log"
    code, said, err = run("batch", "add", tapes, "-q", queue, "-o", out, "--preset", "archive")
    assert (code, said.splitlines()[0]) == (0, "2 films added."), err
    words = ["batch", "run", "-q", queue, "--auto", "--learn-profiles", "--profiles-dir",
             tmp_path / "profiles", "--progress", "jsonl", "--device", "cpu"]  # fmt: skip
    words += ["--on-done", f'echo "$REFRESTORE_OUTPUT" >> "{log}"']
    first = commands.start(*words, folder=tmp_path)
    first.until(lambda: '"stage": "render", "done": 1,' in first.stderr.read_text())
    first.send(signal.SIGINT)
    assert first.wait() == 130
    assert " of 2 films are done; go on with: " in first.stderr.read_text().replace("\n", " ")
    code, said, err = run("batch", "list", "-q", queue, "--json")
    # On a machine that is quick the first film may be done by now.
    assert json.loads(said)["films"][0]["state"] in ("ready", "done")

    again = commands.start(*words, "--json", folder=tmp_path)
    assert again.wait() == 0, again.stderr.read_text()
    told = json.loads(again.stdout.read_text())
    assert told["counts"] == {"done": 2}
    events = [json.loads(line) for line in again.stderr.read_text().splitlines()]
    assert "2 far.mp4" in {one["film"] for one in events if one.get("stage") != "films"}
    of_all = [(one["done"], one["total"]) for one in events if one.get("stage") == "films"]
    assert of_all[-1] == (2, 2)
    assert [Path(line).name for line in log.read_text().splitlines()] == ["1 near.mkv", "2 far.mkv"]
    for name, frames in (("1 near.mkv", 5), ("2 far.mkv", 5)):
        with VideoReader(out / name) as reader:
            assert reader.info.codec == "ffv1"
            assert len(list(reader)) == frames
    with Project.open(out / "2 far.mkv.refrestore") as project:
        linked = {one.profile for one in project.identities() if one.profile}
    assert any(name.endswith("of 1 near") for name in linked), linked
    both = [one for one in told["people"] if len(one["films"]) == 2]
    assert both
    assert "2 far.mp4" in (tmp_path / "films.summary.html").read_text()


def sentence(found: tuple[int, str, str], code: int, *words: str) -> None:
    """Check that a refusal is one sentence."""
    lines = [line for line in found[2].splitlines() if line.strip()]
    assert found[0] == code, found[2]
    assert len(lines) == 1, found[2]
    for word in words:
        assert word in lines[0], lines[0]


def test_what_cannot_be_added_is_said_and_leaves_nothing(run, tapes, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text(f"{tapes / '1 near.mp4'}\n{tmp_path / 'b' / '1 near.avi'}\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1 near.avi").write_bytes(b"film")
    before = sorted(tmp_path.iterdir())
    to = ("-q", tmp_path / "films.queue", "-o", tmp_path / "out")
    sentence(run("batch", "add", tmp_path / "empty", *to), 8, "no film in the folder")
    sentence(run("batch", "add", tmp_path / "list.txt", *to), 8, "would both be written to")
    sentence(run("batch", "add", tapes, *to, "--preset", "nice"), 2, "There is no preset nice")
    sentence(
        run("batch", "add", tapes, *to, "--crf", "9", "--bitrate", "8M"), 2, "both crf and bitrate"
    )
    sentence(run("batch", "add", tapes / "1 near.mp4", *to, "--watch"), 2, "folders only")
    sentence(run("batch", "run", "-q", tmp_path / "films.queue"), 8, "There is no queue")
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_is_no_film_fails_alone(run, tmp_path) -> None:
    (tmp_path / "text.mp4").write_bytes(b"this is no video\n" * 50)
    queue, to = tmp_path / "films.queue", ("-o", tmp_path / "out", "--end", "75.5", "--scale", "2")
    assert run("batch", "add", tmp_path / "text.mp4", "-q", queue, *to)[0] == 0
    code, out, err = run("batch", "run", "-q", queue, "--auto", "--device", "cpu")
    assert (code, out.splitlines()[0]) == (8, "0 of 1 film done.")
    assert err.splitlines()[-1].startswith("refrestore: 1 of 1 films failed. text.mp4: ")
    listed = run("batch", "list", "-q", queue, "--state", "failed")[1]
    assert "text.mp4" in listed.splitlines()[1]
    film = json.loads(run("batch", "list", "-q", queue, "--json")[1])["films"][0]
    assert film["options"] == {"scale": 2, "end": "151/2"}
    assert run("batch", "retry", "-q", queue)[1] == "1 film to be tried again.\n"
    assert run("batch", "remove", "1", "-q", queue)[1] == "1 film removed.\n"
    assert run("batch", "list", "-q", queue)[1] == "There is no film.\n"
    sentence(run("batch", "remove", "1", "-q", queue), 8, "There is no film 1")


def test_a_newer_queue_and_a_missing_model(run, tapes, tmp_path) -> None:
    queue = tmp_path / "films.queue"
    run("batch", "add", tapes, "-q", queue, "-o", tmp_path / "out")
    missing = ("--pack", "full", "--models-dir", tmp_path)
    sentence(run("batch", "run", "-q", queue, *missing), 4, "refrestore models fetch full")
    connection = sqlite3.connect(queue)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    for command in ("list", "run", "retry"):
        sentence(run("batch", command, "-q", queue), 8, "newer refrestore")


def test_a_watched_folder_is_remembered_and_what_comes_is_taken(
    run, commands, tapes, tmp_path
) -> None:
    queue, inbox = tmp_path / "films.queue", tmp_path / "inbox"
    inbox.mkdir()
    adding = commands.start(
        "batch", "add", inbox, "-q", queue, "-o", tmp_path / "out", "--watch", folder=tmp_path,
        first="import refrestore.batch.runner as r; r.IDLE_SECONDS = 0.05",
    )  # fmt: skip
    adding.until(queue.exists)
    (inbox / "late.mp4").write_bytes((tapes / "2 far.mp4").read_bytes())
    adding.until(lambda: "late.mp4 was added." in adding.stderr.read_text())
    time.sleep(0.1)
    adding.send(signal.SIGINT)
    assert adding.wait() == 130
    code, said, _ = run("batch", "list", "-q", queue)
    assert code == 0
    assert "late.mp4" in said
