from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from refrestore.cli.profile import app
from refrestore.config import PROFILES_VARIABLE, ScanSettings
from refrestore.errors import ProfileError, ProjectError, UsageError
from refrestore.profiles import Profile, ProfileStore
from refrestore.project import Project, VideoSource
from refrestore.types import Faces, Geometry, Reference, Track


def reference(axis, seed=0):
    embedding = np.zeros(512, np.float32)
    embedding[axis], embedding[100 + seed] = 0.95, np.sqrt(1 - 0.95**2)
    return Reference(
        image=np.full((512, 512, 3), 30 * axis + seed, np.uint8),
        landmarks=np.zeros((468, 2), np.float32),
        embedding=embedding,
        pose=np.zeros(3, np.float32),
        sharpness=0.5,
        quality=0.5,
        native_size=200.0,
        source=f"film.mp4 at {seed}.000 s",
        frame=seed,
    )


@pytest.fixture
def store(tmp_path):
    return ProfileStore(tmp_path / "profiles")


@pytest.fixture
def run(store):
    def invoke(*arguments):
        environment = {PROFILES_VARIABLE: str(store.directory)}
        result = CliRunner().invoke(app, [str(one) for one in arguments], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    def invoke_json(*arguments):
        return json.loads(invoke(*arguments, "--json").stdout)

    invoke.json = invoke_json
    return invoke


@pytest.fixture
def film(tmp_path):
    video = VideoSource(tmp_path / "film.mp4", "f", Geometry(640, 360), Fraction(0), Fraction(25))
    with (
        Project.create(tmp_path / "film", video) as project,
        project.begin_scan(ScanSettings(), recogniser="net") as writer,
    ):
        for number in (1, 2):
            first = 100 * number
            faces = Faces(
                frame=np.arange(first, first + 50),
                box=np.tile([0, 0, 40, 40], (50, 1)),
                keypoints=np.zeros((50, 5, 2)),
                score=np.ones(50),
            )
            embedding = reference(number, 20).embedding
            track = Track(number, 0, first, first + 50, embedding, 1.0, 0.5, 40.0, weak=False)
            writer.add_track(track, faces)
        for seed in range(3):
            writer.add_reference(1, reference(1, seed))
        writer.set_identities([[1], [2]])
    return tmp_path / "film"


def test_build_look_match_and_remove(run, film, store):
    built = run.json("build", "Anna", "--from", f"{film}:1")
    assert built["profile"]["name"] == "Anna"
    assert built["profile"]["references"] == 3
    assert built["rejected"] == []
    (listed,) = run.json("list")["profiles"]
    assert (listed["name"], listed["references"], listed["problem"]) == ("Anna", 3, None)
    shown = run.json("show", "Anna")
    assert len(shown["references"]) == 3
    assert shown["references"][0]["source"].startswith("film.mp4 at")
    assert "similarity" in run("show", "Anna").stdout
    matches = run.json("match", "-p", film)["matches"]
    assert [(one["identity"], one["profile"], one["nearest"]) for one in matches] == [
        (1, "Anna", "Anna"),
        (2, None, "Anna"),
    ]
    with Project.open(film) as project:
        project.deny_profile(1, "Anna")
    assert "1 person 1: unknown, similarity 0.00" in run("match", "-p", film, "--link").stdout
    with Project.open(film) as project:
        assert project.identity(1).profile is None
        project.undo()
    assert "2 person 2: unknown (nearest Anna)" in run("match", "-p", film, "--link").stdout
    with Project.open(film) as project:
        assert [one.profile for one in project.identities()] == ["Anna", None]
    assert run.json("remove", "Anna") == {"removed": "Anna"}
    assert store.list() == []
    assert "There is no profile in" in run("list").stdout


def test_build_is_refused(run, film, store, tmp_path):
    with pytest.raises(UsageError, match="name at least one"):
        run("build", "Anna")
    for wrong in ("film", ":1", "film:x", "film:-1"):
        with pytest.raises(UsageError, match="write PROJECT:ID"):
            run("build", "Anna", "--from", wrong)
    with pytest.raises(ProjectError, match="no project in"):
        run("build", "Anna", "--from", f"{tmp_path / 'none'}:1")
    with pytest.raises(ProfileError, match="person 2 has no close-up"):
        run("build", "Anna", "--from", f"{film}:2")
    with pytest.raises(ProfileError, match="cannot be the name"):
        run("build", "a/b", "--from", f"{film}:1")
    assert store.list() == []


def test_export_and_import(run, store, tmp_path):
    store.save(Profile("Anna", (reference(1),), recogniser="net"))
    file = tmp_path / "anna.refprofile"
    assert run.json("export", "Anna", file) == {"name": "Anna", "file": str(file)}
    with pytest.raises(ProfileError, match="already"):
        run("import", file)
    assert run.json("import", file, "--name", "Anna 2")["profile"]["name"] == "Anna 2"
    run("import", file, "--replace")
    assert store.list() == ["Anna", "Anna 2"]
    run("merge", "Anna", "Anna 2")
    assert store.list() == ["Anna"]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ProfileError, match="no undamaged profile file"):
        run("import", file, "--name", "Bert")
    assert store.list() == ["Anna"]


def test_update_and_what_the_threshold_means(run, film, store):
    store.save(Profile("Anna", (reference(1, 30), reference(1, 31)), recogniser="net"))
    assert "not calibrated" in run("show", "Anna").stdout
    updated = run.json("update", "Anna", "--from-project", f"{film}:1")
    assert (updated["new"], updated["rejected"]) == (3, [])
    assert updated["profile"]["learnt_from"] == updated["profile"]["references"] == 5
    meaning = run.json("show", "Anna")["profile"]
    assert meaning["threshold"] == store.load("Anna").threshold
    assert set(meaning["calibration"]) == {"misses", "strangers", "profiles"}
    said = run("show", "Anna").stdout
    assert f"threshold {meaning['threshold']:.2f}: about" in said
    assert "of the person's other faces would not be recognised" in said
    assert ", 0 new" in run("update", "Anna").stdout
    with pytest.raises(ProfileError, match="no close-up"):
        run("update", "Anna", "--from", f"{film}:2")


def test_merge_under_a_new_name(run, store):
    for name, seeds in (("Anna", (1, 2, 3)), ("Anna at home", (4, 5, 6))):
        store.save(Profile(name, tuple(reference(1, one) for one in seeds), recogniser="net"))
    store.save(Profile("Bert", tuple(reference(2, one) for one in range(3)), recogniser="net"))
    with pytest.raises(ProfileError, match=r"Anna and Bert are two people \(likeness 0\.0"):
        run("merge", "Anna", "Bert", "--as", "C")
    with pytest.raises(ProfileError, match=r"'Bert' .*already"):
        run("merge", "Anna", "Anna at home", "--as", "Bert")
    assert store.list() == ["Anna", "Anna at home", "Bert"]
    merged = run.json("merge", "Anna", "Anna at home", "--as", "Anna M")["profile"]
    assert (merged["name"], merged["references"]) == ("Anna M", 6)
    assert merged["calibration"]["profiles"] == 1
    assert store.list() == ["Anna M", "Bert"]


def test_a_damaged_profile_is_listed_with_its_damage(run, store):
    store.save(Profile("Anna", (reference(1),)))
    store.save(replace(Profile("Bert", (reference(2),)), recogniser="net"))
    (store.directory / "Anna" / "references" / "001.png").unlink()
    damaged, good = run.json("list")["profiles"]
    assert damaged["name"] == "Anna"
    assert "references/001.png" in damaged["problem"]
    assert good["problem"] is None
    assert "is missing" in run("list").stdout
    with pytest.raises(ProfileError, match=r"references/001\.png of .* is missing"):
        run("show", "Anna")


def test_match_needs_something_to_match(run, film):
    with pytest.raises(UsageError, match="either a project"):
        run("match")
    with pytest.raises(UsageError, match="either a project"):
        run("match", "a.png", "-p", film)
    with pytest.raises(UsageError, match="--link is for"):
        run("match", "a.png", "--link")
