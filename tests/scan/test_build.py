"""Profiles from photos, projects and videos of real people."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import ProfileError, ProjectError, UsageError
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.profiles import Match, Profile
from refrestore.project import Project, VideoSource
from refrestore.scan.build import build_profile, update_profile
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


def test_people_whom_the_user_told_apart_are_not_one_profile(people_of, tmp_path):
    anna = Profile("Anna", (reference(0, 1),), recogniser="net")

    def linked(project):
        match_identities(project, [anna], link=True)
        return [one.profile for one in project.identities()]

    looks = [axis(0, 0.3, 1), axis(0, 0.5, 2), axis(0, 0.6, 3)]
    with people_of(tmp_path / "nobody", looks) as project:
        assert linked(project) == ["Anna"] * 3
    with people_of(tmp_path / "two", looks) as project:
        project.tell_apart([1, 2])
        assert linked(project) == ["Anna", None, "Anna"]
        assert match_identities(project, [anna])[2].nearest == "Anna"
    with people_of(tmp_path / "all", looks) as project:
        project.tell_apart([1, 2, 3])
        assert linked(project) == ["Anna", None, None]
    with people_of(tmp_path / "said", looks) as project:  # whom the user linked, has it
        project.tell_apart([1, 2])
        project.link_profile(2, "Anna")
        assert linked(project) == [None, "Anna", "Anna"]
        assert match_identities(project, [anna])[1].name is None


def test_who_is_not_a_profile_is_never_matched_with_it_again(film):
    anna = Profile("Anna", (reference(0, 1),), recogniser="net")
    bert = Profile("Bert", (reference(1, 2),), recogniser="net")
    twin = Profile("Twin", (reference(0, 5),), recogniser="net")
    film.deny_profile(1, "Anna")
    found = match_identities(film, [anna, bert], link=True)
    assert (found[1].name, found[1].nearest) == (None, "Bert")
    assert found[4].name == "Anna"  # whom it kept away as long as it was Anna
    assert [one.profile for one in film.identities()] == [None, "Bert", None, "Anna"]
    assert match_identities(film, [anna])[1] == Match(None, 0.0, 0.0, None)
    assert match_identities(film, [anna, twin])[1].name == "Twin"
    film.link_profile(1, "Anna")
    assert match_identities(film, [anna])[1].name == "Anna"


def test_who_is_linked_already_keeps_others_on_screen_away(film):
    anna = Profile("Anna", (reference(0, 1),), recogniser="net")
    film.link_profile(4, "Anna")  # the farther one of two who are on screen together
    match_identities(film, [anna], link=True)
    assert [one.profile for one in film.identities()] == [None, None, None, "Anna"]


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
    with pytest.raises(ProfileError, match=r"No photo .* can be used, give .*; .*broken\.jpg"):
        build_profile("None", photos=[broken], store=store, runtime=RUNTIME)
    assert store.list() == ["Anna"]
    matches, rejected = match_pictures([own[0], other[3], broken], [built.profile], RUNTIME)
    assert [one.name for one in matches.values()] == ["Anna", None]
    assert [one.source for one in rejected] == [str(broken)]


@pytest.fixture(scope="module")
def clip(shared, tmp_path_factory):
    """Return a second of somebody."""
    clip = tmp_path_factory.mktemp("clip") / "again.mkv"
    with VideoReader(shared / "data/clips/sample-videos__asl_gestures_again.mkv") as reader:
        pictures = (display_rgb(frame) for frame in islice(reader, 10, 46))
        write_pictures(clip, pictures, rate=Fraction(30), options={"crf": "14"})
    return clip


@pytest.mark.shared
def test_from_a_video(clip, store):
    built = build_profile("Anna", videos=[clip], store=store, runtime=RUNTIME)
    assert built.profile.references
    assert clip.name in built.profile.references[0].source
    with pytest.raises(ProfileError, match="has no identity 50: identity 1: "):
        build_profile("Bert", videos=[clip], identity=50, store=store, runtime=RUNTIME)


# --- the next film ----------------------------------------------------------------------------


def saved(store, name="Anna", person=0, seeds=range(20, 26)):
    store.save(Profile(name, tuple(reference(person, seed) for seed in seeds), recogniser="net"))


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_learning_from_a_project(film, store):
    saved(store)
    learnt = update_profile("Anna", from_projects=[(film, 1)], store=store, runtime=RUNTIME)
    assert learnt.new == 4
    assert len(learnt.profile.references) == 10
    assert [one.source for one in learnt.rejected] == ["film at 9 s"]
    assert learnt.profile.calibration is not None
    again = update_profile("Anna", from_projects=[(film, 1)], store=store, runtime=RUNTIME)
    assert again.new == 0
    assert again.profile.statistics.count == 10
    assert store.load("Anna").threshold == learnt.profile.threshold


def test_without_a_source_the_threshold_is_set_anew(store):
    saved(store)
    assert store.load("Anna").calibration is None
    saved(store, "Bert", person=1)
    assert update_profile("Anna", store=store, runtime=RUNTIME).profile.calibration.profiles == 1
    (store.directory / "Bert" / "embeddings.safetensors").write_bytes(b"damaged")
    assert update_profile("Anna", store=store, runtime=RUNTIME).profile.calibration.profiles == 0


def test_a_source_of_somebody_else_leaves_the_profile_untouched(film, store):
    saved(store)
    before = files(store.directory)

    def learn(*people, **options):
        update_profile(
            "Anna",
            from_projects=[(film, one) for one in people],
            store=store,
            runtime=RUNTIME,
            **options,
        )

    with pytest.raises(ProfileError, match=r"film:2 shows somebody else than Anna: 1 of 1 .* 0\.0"):
        learn(2)
    with pytest.raises(ProfileError, match="film:2 shows somebody else"):
        learn(1, 2)  # not even what the good source shows is taken
    with pytest.raises(ProfileError, match="no profile 'Zoe'"):
        update_profile("Zoe", from_projects=[(film, 1)], store=store, runtime=RUNTIME)
    with pytest.raises(UsageError, match="exactly one"):
        learn(1, identity=2)
    saved(store, "Other network")
    other = replace(store.load("Other network"), recogniser="other net")
    store.save(other, replace_existing=True)
    with pytest.raises(ProfileError, match="cannot be compared"):
        update_profile("Other network", from_projects=[(film, 1)], store=store, runtime=RUNTIME)
    assert {path: files(store.directory)[path] for path in before} == before


def test_a_source_that_is_nearer_to_another_profile_is_refused(film, store):
    """Anna and the film's person have 0.6 in common, as two sisters may; she has a profile too."""
    between = 0.6 * axis(0) + 0.8 * axis(3)
    between /= np.linalg.norm(between)
    references = tuple(replace(reference(3, seed), embedding=between) for seed in (40, 41))
    store.save(Profile("Sister", references, recogniser="net"))
    before = files(store.directory)
    update = {"from_projects": [(film, 1)], "store": store, "runtime": RUNTIME}
    update_profile("Sister", **update)  # alone, that is enough for two photos
    for path, content in before.items():
        path.write_bytes(content)
    for path in set(files(store.directory)) - set(before):
        path.unlink()
    saved(store)
    before = files(store.directory)
    with pytest.raises(ProfileError, match=r"film:1 shows Anna \(similarity .* rather than Sister"):
        update_profile("Sister", **update)
    assert files(store.directory) == before


# --- real people ------------------------------------------------------------------------------


def pictures_of(shared, person, first, stop):
    folder = shared / "data" / "identities" / f"celeb20_{person}"
    return sorted(folder.iterdir())[first:stop]


def packs(shared):
    yield RUNTIME
    yield RuntimeSettings(device="cpu", threads=2, pack="teachers", models_dir=shared / "models")


@pytest.mark.shared
@pytest.mark.parametrize("pack", ["lite", "teachers"])
def test_strangers_in_an_album(shared, store, pack):
    runtime = next(one for one in packs(shared) if one.pack == pack)
    own = pictures_of(shared, "Will_Smith", 0, 7)
    for wrong in (1, 3):
        strangers = pictures_of(shared, "Denzel_Washington", 0, wrong)
        album = [*strangers, *own[: 8 - wrong]]
        built = build_profile(
            "Will", photos=album, store=store, runtime=runtime, replace_existing=True
        )
        assert {one.source for one in built.rejected} == set(map(str, strangers))
        assert all("somebody else" in one.reason for one in built.rejected)
    before = files(store.directory)
    with pytest.raises(ProfileError, match="different people"):
        build_profile(
            "Will",
            photos=[*own[:4], *pictures_of(shared, "Denzel_Washington", 0, 4)],
            store=store,
            runtime=runtime,
            replace_existing=True,
        )
    assert files(store.directory) == before


@pytest.mark.shared
@pytest.mark.parametrize("pack", ["lite", "teachers"])
def test_a_look_alike_and_a_film_of_somebody_else(shared, clip, store, pack):
    """Of all people here these two are the most alike to the lite recogniser."""
    runtime = next(one for one in packs(shared) if one.pack == pack)
    kate = pictures_of(shared, "Kate_Winslet", 0, 16)
    megan = pictures_of(shared, "Megan_Fox", 0, 16)
    for name, photos in (("Kate", kate), ("Megan", megan)):
        build_profile(name, photos=photos[:8], store=store, runtime=runtime)
    before = files(store.directory)
    for source in ({"photos": megan[8:]}, {"videos": [clip]}):
        with pytest.raises(ProfileError, match=r"shows .*nothing was taken from it"):
            update_profile("Kate", store=store, runtime=runtime, **source)
    with pytest.raises(ProfileError, match=r"two people \(likeness 0\.\d\d"):
        store.merge("Kate", ["Megan"], into="Both")
    assert files(store.directory) == before
    learnt = update_profile("Kate", photos=kate[8:], store=store, runtime=runtime)
    assert learnt.new >= 7
    assert {one.source for one in store.load("Kate").references} <= set(map(str, kate))


def test_of_somebody_who_was_seen_less_is_asked_again(people_of, tmp_path):
    anna = Profile("Anna", (reference(0, 1),), recogniser="net")

    def like(similarity, seed):
        beside = np.zeros(512, np.float32)
        beside[300 + seed] = 1
        own = similarity * anna.centroid + np.sqrt(1 - similarity**2) * beside
        return own.astype(np.float32)

    needed = anna.track_threshold
    almost, far = like(needed * 0.95, 1), like(needed * 0.85, 2)
    with people_of(tmp_path / "alone", [almost, far]) as project:
        assert [one.name for one in match_identities(project, [anna]).values()] == [None, None]
    with people_of(tmp_path / "seen", [axis(0, 0.3, 1), almost, far]) as project:
        found = match_identities(project, [anna])
        assert [one.name for one in found.values()] == ["Anna", "Anna", None]
        assert found[2].least < found[2].similarity < needed == found[1].least
    with people_of(tmp_path / "apart", [axis(0, 0.3, 1), almost]) as project:
        project.tell_apart([1, 2])
        assert match_identities(project, [anna])[2].name is None
    with people_of(tmp_path / "said", [far, almost]) as project:  # whom the user linked, is there
        project.link_profile(1, "Anna")
        assert match_identities(project, [anna])[2].name == "Anna"
