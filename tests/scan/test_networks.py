"""Profiles and scans of a recogniser that was trained again since, under the same name."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from refrestore.config import RuntimeSettings
from refrestore.errors import ProfileError
from refrestore.profiles import ProfileStore
from refrestore.profiles.profile import Memory
from refrestore.scan.build import build_profile, update_profile
from refrestore.scan.recognise import match_identities, match_pictures
from refrestore.types import Reference

RUNTIME = RuntimeSettings(device="cpu", threads=1)

OLD = "0123456789abcdef"
"""Digest of a network of the same name that is not here any more."""


def pictures_of(shared, person, first, stop):
    folder = shared / "data" / "identities" / f"celeb20_{person}"
    return sorted(folder.iterdir())[first:stop]


def drawn():
    """A close-up whose picture will not be kept."""
    return Reference(
        image=np.full((512, 512, 3), 3, np.uint8),
        landmarks=np.zeros((468, 2), np.float32),
        embedding=np.eye(512, dtype=np.float32)[0],
        pose=np.zeros(3, np.float32),
        sharpness=0.5,
        quality=0.5,
        native_size=200.0,
        source="drawn",
    )


@pytest.fixture(scope="module")
def turned():
    """What another network would say: the same angles between people, in other directions."""
    return np.linalg.qr(np.random.default_rng(0).normal(size=(512, 512)))[0].astype(np.float32)


@pytest.fixture(scope="module")
def built(shared, tmp_path_factory):
    """A folder of profiles with one of the pack's recogniser; not to be changed."""
    store = ProfileStore(tmp_path_factory.mktemp("built") / "profiles")
    photos = pictures_of(shared, "Will_Smith", 0, 6)
    build_profile("Will", photos=photos, store=store, runtime=RUNTIME)
    return store.directory


@pytest.fixture
def will(built, store):
    """A copy of it that also remembers a close-up."""
    shutil.copytree(built, store.directory, dirs_exist_ok=True)

    def remember(profile):
        return replace(profile, memory=Memory().with_references([drawn()]))

    return store.change("Will", remember)[0]


def by_another(profile, turned, digest=OLD):
    """Return the profile as that other network's."""
    return replace(
        profile,
        references=tuple(
            replace(one, embedding=one.embedding @ turned) for one in profile.references
        ),
        recogniser_digest=digest,
    )


def cosines_of(one, other):
    return np.sum(one.embeddings * other.embeddings, axis=1)


@pytest.mark.shared
@pytest.mark.parametrize("digest", [OLD, ""])
def test_update_embeds_the_close_ups_again(store, will, turned, digest):
    assert will.recogniser == "recogniser"
    assert len(will.recogniser_digest) == 16
    old = by_another(will, turned, digest)
    store.save(old, replace_existing=True)
    assert cosines_of(old, will).max() < 0.3
    built = update_profile("Will", store=store, runtime=RUNTIME)
    (note,) = built.notes
    assert "The close-ups of Will were embedded again with recogniser (" in note
    assert "seen by recogniser" in note
    assert "1 more that it remembered were forgotten" in note
    again = store.load("Will")
    assert again.network == will.network
    assert cosines_of(again, will).min() > 0.98
    assert again.memory.digests == ()
    assert again.calibration is not None
    assert update_profile("Will", store=store, runtime=RUNTIME).notes == ()


@pytest.mark.shared
def test_a_profile_that_did_not_note_its_network_keeps_what_is_the_networks(store, will):
    """As version 2 left it: the same network, unknown by digest."""
    store.save(replace(will, recogniser_digest=""), replace_existing=True)
    built = update_profile("Will", store=store, runtime=RUNTIME)
    assert built.notes == ()
    assert built.profile.network == will.network
    assert built.profile.memory.digests == will.memory.digests
    np.testing.assert_array_equal(built.profile.embeddings, will.embeddings)


@pytest.mark.shared
def test_pictures_and_projects_are_matched_with_an_old_profile(
    shared, will, turned, people_of, tmp_path
):
    old = by_another(will, turned)
    photos = pictures_of(shared, "Will_Smith", 6, 8)
    matches, _ = match_pictures(photos, [old], RUNTIME)
    assert {one.name for one in matches.values()} == {"Will"}
    face = will.references[0].embedding
    scanned = {"recogniser": "recogniser", "digest": will.recogniser_digest}
    with people_of(tmp_path / "new", [face], **scanned) as project:
        assert match_identities(project, [old], runtime=RUNTIME)[1].name == "Will"
        with pytest.raises(ProfileError, match=r"another network of that name: .*profile update"):
            match_identities(project, [old])
    with (
        people_of(tmp_path / "old", [face], "recogniser", "f" * 16) as project,
        pytest.raises(ProfileError, match=r"recogniser \(01234567\) .*\(ffffffff\)"),
    ):
        match_identities(project, [old], runtime=RUNTIME)


@pytest.mark.shared
def test_what_an_old_scan_saw_is_embedded_again(shared, store, will, turned, people_of, tmp_path):
    fresh = build_profile(
        "W", photos=pictures_of(shared, "Will_Smith", 6, 10), store=store, runtime=RUNTIME
    ).profile
    old = by_another(fresh, turned)
    store.remove("W")
    scan = {"recogniser": "recogniser", "digest": OLD, "references": old.references}
    with people_of(tmp_path / "film", [old.centroid], **scan) as project:
        built = update_profile("Will", from_projects=[(project, 1)], store=store, runtime=RUNTIME)
        assert built.new == len(fresh.references)
        (note,) = built.notes
        assert f"{project.folder}:1 were embedded again with recogniser" in note
        assert built.profile.memory.digests == will.memory.digests  # the profile's own stay
        # Of one old network alone, nothing need be done.
        alone = build_profile("W", from_projects=[(project, 1)], store=store, runtime=RUNTIME)
        assert alone.notes == ()
        assert alone.profile.recogniser_digest == OLD
        # Of two, neither of which is here, nothing can be.
        store.save(replace(will, recogniser="net"), replace_existing=True)
    scan = {"recogniser": "net", "digest": OLD, "references": old.references}
    with (
        people_of(tmp_path / "other", [old.centroid], **scan) as project,
        pytest.raises(ProfileError, match="which is another network of that name"),
    ):
        update_profile("Will", from_projects=[(project, 1)], store=store, runtime=RUNTIME)


@pytest.mark.shared
def test_profiles_of_two_networks_are_not_merged(store, will, turned):
    store.save(replace(by_another(will, turned), name="Will 2"))
    with pytest.raises(ProfileError, match=r"another network of that name: .*update Will 2"):
        store.merge("Will", ["Will 2"])
    update_profile("Will 2", store=store, runtime=RUNTIME)
    assert store.merge("Will", ["Will 2"]).network == will.network
    assert store.list() == ["Will"]
