"""The whole job over several videos, and still pictures: people are known across files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from refrestore.cli import app
from refrestore.config import RenderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.run import KnownPeople, plan_outputs, run, scan_once
from refrestore.engine.still_files import restore_pictures
from refrestore.errors import ProfileError, UsageError
from refrestore.evaluate.degrade import Degradation, degrade
from refrestore.evaluate.demo import CameraMove, CameraView, group_photo, make_demo_film
from refrestore.faces.network_id import NetworkId
from refrestore.media.patch import VISIBLE
from refrestore.media.stills import write_picture
from refrestore.profiles import ProfileStore
from refrestore.project import Project
from refrestore.render.still import _enlarged
from refrestore.scan.build import build_profile
from refrestore.scan.scan import scan

LEFT_WOMAN = (slice(190, 460), slice(20, 250))
"""Rows and columns of one face of the photo, alone."""

RIGHT_WOMAN = (slice(220, 450), slice(1090, 1270))


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> tuple[Path, Path]:
    """Return a film of close-ups and one of the same people far away."""
    folder = tmp_path_factory.mktemp("films")
    near, far = folder / "near.mp4", folder / "far.mp4"
    make_demo_film(
        near,
        moves=(CameraMove(CameraView(0.11, 0.37, 1), CameraView(0.13, 0.38, 1), 0.6),),
        size=(250, 186),
    )
    make_demo_film(
        far,
        moves=(
            CameraMove(CameraView(0.11, 0.36, 0.5), CameraView(0.12, 0.36, 0.5), 0.4, far=True),
        ),
        far=Degradation(blur=1.0, shrink=2.0, noise=2.0, quality=85),
        size=(150, 130),
    )
    return near, far


def test_videos_lend_each_other_their_close_ups(films, tmp_path) -> None:
    results = run(films, tmp_path / "restored")
    assert [result.output.name for result in results] == ["near.mp4", "far.mp4"]
    sources = [
        reference["source"]
        for person in results[1].summary["identities"]
        for reference in person["references"]
    ]
    lent = [source for source in sources if "near.mp4" in source]
    assert lent, "the far film was restored without the near film's close-ups"


@pytest.mark.parametrize("left", [(), (".project.sqlite.partial-journal", "scan.lock")])
def test_a_folder_without_a_project_is_scanned_into(films, tmp_path, left) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    for name in left:
        (folder / name).touch()
    (plan,) = plan_outputs(films[1:], tmp_path / "out.mp4", folder)
    scan_once(plan, ScanSettings(), RuntimeSettings(), NetworkId("", ""), None)
    with Project.open(folder) as project:
        assert project.scan_info() is not None


def test_nobody_is_lent_a_profile_that_is_somebody_elses(films, tmp_path) -> None:
    (plan,) = plan_outputs(films[:1], tmp_path / "out.mp4")
    scan(plan.video, plan.project, settings=ScanSettings(), runtime=RuntimeSettings())
    store = ProfileStore(tmp_path / "profiles")
    with Project.open(plan.project) as project:
        who = max(project.identities(), key=lambda one: one.references).id
        people = [(project, who)]
        anna = build_profile("Anna", from_projects=people, store=store, runtime=RuntimeSettings())
        network = project.scan_info().network
    assert KnownPeople([anna.profile], network).lend(plan)[who].name == "Anna"
    with Project.open(plan.project) as project:
        project.deny_profile(who, "Anna")
    assert who not in KnownPeople([anna.profile], network).lend(plan)


def test_a_scan_links_those_it_recognises(films, tmp_path) -> None:
    store = ProfileStore(tmp_path / "profiles")
    photo = group_photo()
    write_picture(tmp_path / "left.png", np.ascontiguousarray(photo[LEFT_WOMAN]))
    build_profile("Anna", photos=[tmp_path / "left.png"], store=store, runtime=RuntimeSettings())
    asked = ["scan", str(films[0]), "-p", str(tmp_path / "film"), "--profile", "Anna"]
    told = CliRunner().invoke(app, [*asked, "--profiles-dir", str(store.directory), "--json"])
    assert told.exit_code == 0, told.output
    said = json.loads(told.stdout)
    known = [one for one in said["matches"] if one["profile"] == "Anna"]
    assert known
    assert all(one["similarity"] >= one["needed"] for one in known)
    with Project.open(tmp_path / "film") as project:
        linked = {one.id for one in project.identities() if one.profile == "Anna"}
    assert linked == {one["identity"] for one in known}
    missing = CliRunner().invoke(app, [*asked[:-1], "Zoe", "--profiles-dir", str(store.directory)])
    assert isinstance(missing.exception, ProfileError)


def test_a_picture_is_restored_from_a_profile_and_a_stranger_is_not(films, tmp_path) -> None:
    photo = group_photo()
    store = ProfileStore(tmp_path / "profiles")
    write_picture(tmp_path / "close.png", np.ascontiguousarray(photo[LEFT_WOMAN]))
    build_profile("Anna", photos=[tmp_path / "close.png"], store=store, runtime=RuntimeSettings())
    random = np.random.default_rng(0)
    chain = Degradation(blur=1.0, shrink=2.5, noise=4.0, quality=70)
    pictures = [tmp_path / "close.png"]
    for name, part in (("herself.png", LEFT_WOMAN), ("stranger.png", RIGHT_WOMAN)):
        write_picture(tmp_path / name, degrade(np.ascontiguousarray(photo[part]), chain, random))
        pictures.append(tmp_path / name)
    results = restore_pictures(
        pictures, tmp_path / "out", profile=store.load("Anna"), settings=RenderSettings(scale=2)
    )
    near, herself, stranger = (result.summary()[0] for _, _, result in results)
    assert (near["done"], near["strength"]) == ("left as it was", 0)
    assert near["reason"] == "as sharp as its references"
    assert np.array_equal(results[0][2].image, _enlarged(photo[LEFT_WOMAN], 2))
    assert near["change"] == 0
    assert herself["change"] > VISIBLE
    assert herself["person"] == "same person"
    assert herself["done"] == "restored from references"
    assert herself["similarity"]["restored"] > herself["similarity"]["input"]
    assert stranger["person"] == "somebody else"
    assert stranger["done"] != "restored from references"
    assert results[1][2].image.shape == (540, 460, 3)


@pytest.mark.parametrize(
    ("videos", "output", "expected"),
    [
        (["a.mp4"], "b.mkv", ["b.mkv"]),
        (["a.mp4", "b.mp4"], "folder", ["folder/a.mp4", "folder/b.mp4"]),
        (["a.MOV", "b.mpg", "c.avi"], "folder", ["folder/a.MOV", "folder/b.mkv", "folder/c.mkv"]),
    ],
)
def test_outputs_are_planned(videos, output, expected) -> None:
    plans = plan_outputs([Path(video) for video in videos], Path(output))
    assert [plan.output for plan in plans] == [Path(name) for name in expected]
    assert all(plan.project.parent == plan.output.parent for plan in plans)


@pytest.mark.parametrize(
    ("videos", "output", "word"),
    [
        (["a.mp4", "x/a.mp4"], "folder", "same name"),
        (["a.avi", "a.mpg"], "folder", "same name"),
        (["a.mp4", "b.mp4"], "c.mp4", "folder"),
    ],
)
def test_outputs_that_collide_are_refused(videos, output, word) -> None:
    with pytest.raises(UsageError, match=word):
        plan_outputs([Path(video) for video in videos], Path(output))
