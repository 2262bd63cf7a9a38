"""`refrestore identities draw`, by the commands a user types."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from refrestore.cli.identities import app
from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import RefrestoreError, UsageError
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
from refrestore.faces.analyser import load_face_models
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.models.pack import load_face_pack
from refrestore.project import Project
from refrestore.scan.scan import scan

MOVES = (CameraMove(CameraView(0.11, 0.37, 0.8), CameraView(0.12, 0.37, 0.8), 0.4),)

BLIND = ScanSettings(min_score=0.99)
"""A scan that misses everybody, as its detector is never so sure."""


@pytest.fixture(scope="module")
def missed(tmp_path_factory):
    """Return a project in which nobody was found, and a face of its film: left, top, size."""
    folder = tmp_path_factory.mktemp("film")
    make_demo_film(folder / "film.mp4", moves=MOVES, size=(320, 240))
    runtime = RuntimeSettings(device="cpu", threads=1)
    scan(folder / "film.mp4", folder / "project", settings=BLIND, runtime=runtime)
    with VideoReader(folder / "film.mp4") as reader:
        picture = display_rgb(next(reader))
    models = load_face_models(load_face_pack(runtime), "cpu", threads=1)
    found = models.detector.detect([picture], [0])
    inside = (found.box > 0).all(1) & (found.box[:, 2] < 320) & (found.box[:, 3] < 240)
    left, top, right, bottom = found.box[inside][0].round().astype(int).tolist()
    return folder, f"{left},{top},{right - left},{bottom - top}"


@pytest.fixture
def run(missed):
    def invoke(*words, fails=None):
        result = CliRunner().invoke(app, [*map(str, words), "-p", str(missed[0] / "project")])
        if fails is not None:
            assert isinstance(result.exception, fails), result.output
            return str(result.exception) if fails is not SystemExit else result.output
        assert result.exit_code == 0, result.output + str(result.exception)
        return result.stdout

    return invoke


def test_a_face_that_a_scan_missed_is_drawn_undone_and_kept(run, missed):
    folder, box = missed
    assert json.loads(run("list", "--json"))["identities"] == []
    words = ("draw", "--at", "0:00:00.2", "--box", box, "--threads", 1)
    said = json.loads(run(*words, "--name", "Anna", "--json"))
    (person,) = said["identities"]
    drawn = said["drawn"]
    assert person["name"] == "Anna"
    assert (drawn["identity"], drawn["track"]) == (person["id"], person["tracks"][0])
    assert (drawn["first"], drawn["stop"], drawn["start"], drawn["end"]) == (0, 10, 0, 0.4)
    assert (person["faces"], drawn["met"]) == (10, [])
    assert f"track {drawn['track']} of Anna" not in run("list")
    known = run(*words, fails=UsageError)
    assert known == (
        f"The face in the box at 0.2 s is known already: it is Anna ({person['id']}), track "
        f"{drawn['track']}."
    )
    undone = f"draw track {drawn['track']} --to {person['id']}"
    assert run("undo").splitlines()[-1] == f"Undone: {undone}"
    assert json.loads(run("list", "--json"))["identities"] == []
    run("redo")
    runtime = RuntimeSettings(device="cpu", threads=1)
    scan(folder / "film.mp4", folder / "project", settings=BLIND, runtime=runtime)
    (again,) = json.loads(run("list", "--json"))["identities"]
    assert (again["name"], again["faces"]) == ("Anna", 10)
    scan(folder / "film.mp4", folder / "project", settings=ScanSettings(), runtime=runtime)
    (found,) = json.loads(run("list", "--json"))["identities"]
    assert (found["id"], found["name"]) == (person["id"], "Anna")
    with Project.open(folder / "project") as project:
        assert project.unresolved() == []
        assert project.track_count() == len(found["tracks"]) == 1  # found, and not carried over too
        assert (project.faces().score == 0).any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--box", "1,2,3"), "is no box; write left,top,width,height"),
        (("--box", "a,b,c,d"), "is no box"),
        (("--at", "soon"), "is no time"),
    ],
)
def test_what_is_no_box_or_time(run, words, said):
    given = {"--at": "0", "--box": "1,2,30,40", words[0]: words[1]}
    output = run("draw", *(part for pair in given.items() for part in pair), fails=SystemExit)
    assert said in " ".join(output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "99:00", "--box", "10,10,40,50"), "has nothing at 5940 s"),
        (("--at", "0", "--box", "300,10,40,50"), "is not inside the picture, which is 320x240"),
        (("--at", "0", "--box", "10,10,4,5"), "is smaller than 16 pixels"),
        (("--at", "0", "--box", "10,10,nan,50"), "is not inside the picture"),
        (("--at", "0", "--box", "10,10,40,50", "--to", "77"), "There is no identity 77"),
        (("--at", "0", "--box", "10,10,40,50", "--to", "1", "--name", "A"), "Give --name for"),
    ],
)
def test_a_refusal_is_one_sentence(run, words, said):
    before = run("edits")
    sentence = run("draw", *words, "--threads", 1, fails=RefrestoreError)
    assert said in sentence
    assert sentence.endswith((".", ")."))
    assert run("edits") == before
