"""Profiles from photos, projects and videos of real people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import ProfileError, ProjectError, UsageError
from refrestore.project import Profile, ProfileStore, Project, VideoSource
from refrestore.scan.build import build_profile, pictures_in
from refrestore.scan.recognise import match_identities, match_pictures
from refrestore.types import Faces, Geometry, Reference, Track

RUNTIME = RuntimeSettings(device="cpu", threads=2)


def axis(number, away=0.3, seed=0):
    """Return a unit vector near an axis: photos of one person."""
    vector = np.zeros(512, np.float32)
    vector[number] = 1
    vector[100 + seed] = away
    return vector / np.linalg.norm(vector)


def reference(person, seed):
    return Reference(
        image=np.full((512, 512, 3), 20 * person + seed, np.uint8),
        landmarks=np.zeros((468, 2), np.float32),
        embedding=axis(person, seed=seed),
        pose=np.zeros(3, np.float32),
        sharpness=0.5,
        quality=0.5,
        native_size=200.0,
        source=f"film at {seed} s",
        frame=seed,
    )


@pytest.fixture
def store(tmp_path):
    return ProfileStore(tmp_path / "profiles")


@pytest.fixture
def film(tmp_path):
    """Identity 1 (person 0, an outsider among its references), 2 (person 1, together with 1),
    3 (nobody's close-ups), 4 (person 0 again, together with 1)."""
    source = VideoSource(tmp_path / "film.mp4", "f", Geometry(64, 48), 0, 25)
    spans = {1: (0, 50), 2: (20, 60), 3: (70, 80), 4: (40, 60)}
    people = {1: 0, 2: 1, 3: 5, 4: 0}
    with Project.create(tmp_path / "film", source) as project:
        with project.begin_scan(ScanSettings(), recogniser="net") as writer:
            for number, (first, stop) in spans.items():
                count = stop - first
                table = Faces(
                    frame=np.arange(first, stop),
                    box=np.tile([10.0 * number, 0, 10 * number + 8, 8], (count, 1)),
                    keypoints=np.zeros((count, 5, 2)),
                    score=np.ones(count),
                )
                embedding = axis(people[number], seed=number) if number != 3 else None
                writer.add_track(
                    Track(number, 0, first, stop, embedding, 1.0, 0.5, 8.0, weak=False), table
                )
            for seed in range(4):
                writer.add_reference(1, reference(0, seed))
            writer.add_reference(1, reference(7, 9))
            writer.add_reference(2, reference(1, 0))
            writer.set_identities([[1], [2], [3], [4]])
        yield project


def test_from_a_project(film, store):
    built = build_profile("Anna", from_projects=[(film, 1)], store=store, runtime=RUNTIME)
    assert len(built.profile.references) == 4
    assert built.profile.recogniser == "net"
    ((outsider),) = built.rejected
    assert outsider.source == "film at 9 s"
    assert "somebody else than the others" in outsider.reason
    assert store.load("Anna").references[0].frame is None


def test_refusals(film, store):
    def build(*people, name="Anna", **options):
        build_profile(
            name,
            from_projects=[(film, one) for one in people],
            store=store,
            runtime=RUNTIME,
            **options,
        )

    with pytest.raises(UsageError, match="name at least one"):
        build()
    with pytest.raises(UsageError, match="exactly one"):
        build(1, identity=3)
    with pytest.raises(ProjectError, match="no identity 9"):
        build(9)
    with pytest.raises(ProfileError, match=r"person 3 has no close-up in .*film"):
        build(3)
    with pytest.raises(ProfileError, match=r"film:1 and .*film:2 show two people"):
        build(1, 2)
    with pytest.raises(ProfileError, match="cannot be the name"):
        build(1, name="../x")
    assert store.list() == []
    build(1)
    with pytest.raises(ProfileError, match="already"):
        build(1)
    build(1, replace_existing=True)


def test_people_on_screen_together_are_not_one_profile(film):
    anna = Profile("Anna", (reference(0, 1),), recogniser="net")
    bert = Profile("Bert", (reference(1, 2),), recogniser="net")
    found = match_identities(film, [anna, bert], link=True)
    assert {number: one.name for number, one in found.items()} == {1: "Anna", 2: "Bert", 4: None}
    assert [one.profile for one in film.identities()] == ["Anna", "Bert", None, None]
    film.link_profile(1, "Anna at home")
    match_identities(film, [anna, bert], link=True)
    assert film.identity(1).profile == "Anna at home"
    with pytest.raises(ProfileError, match="cannot be compared"):
        match_identities(film, [replace(anna, recogniser="other net")])


def test_pictures_in_folders(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in([tmp_path])] == ["a.png", "b.JPG"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture in"):
        pictures_in([tmp_path / "empty"])
    with pytest.raises(UsageError, match="no file or folder"):
        pictures_in([tmp_path / "none"])


@pytest.mark.shared
def test_photos_of_somebody_else_are_refused(shared, store, tmp_path):
    people = shared / "data" / "faces512" / "people"
    own = sorted((people / "dmdnet_00005").iterdir())[:5]
    other = sorted((people / "dmdnet_00022").iterdir())[:4]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    built = build_profile("Anna", photos=[*own, *other[:2], broken], store=store, runtime=RUNTIME)
    assert {one.source for one in built.profile.references} == set(map(str, own))
    assert {one.source for one in built.rejected} == {str(broken), *map(str, other[:2])}
    assert built.profile.recogniser
    with pytest.raises(ProfileError, match="different people, none of them in most"):
        build_profile("Both", photos=[*own[:3], *other[:3]], store=store, runtime=RUNTIME)
    with pytest.raises(ProfileError, match=r"No photo .* can be used; .*broken\.jpg"):
        build_profile("None", photos=[broken], store=store, runtime=RUNTIME)
    assert store.list() == ["Anna"]
    matches, rejected = match_pictures([own[0], other[3], broken], [built.profile], RUNTIME)
    assert [one.name for one in matches.values()] == ["Anna", None]
    assert [one.source for one in rejected] == [str(broken)]


@pytest.mark.shared
def test_from_a_video(shared, store, tmp_path):
    clip = shared / "data" / "clips" / "sample-videos__asl_gestures_again.mkv"
    built = build_profile("Anna", videos=[clip], store=store, runtime=RUNTIME)
    assert built.profile.references
    assert clip.name in built.profile.references[0].source
    with pytest.raises(ProfileError, match="has no identity 50: identity 1: "):
        build_profile("Bert", videos=[clip], identity=50, store=store, runtime=RUNTIME)
