"""A profile that the first version wrote (data/version-1.refprofile, drawn pictures)."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refrestore.errors import DiskError, ProfileError
from refrestore.faces.network_id import NetworkId
from refrestore.profiles import ProfileStore
from refrestore.profiles.calibration import calibrated
from refrestore.profiles.document import ProfileDocument
from refrestore.profiles.migration import STEPS, VERSION, migrated

OLD = Path(__file__).with_name("data") / "version-1.refprofile"


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "profiles" / "Anna"
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(folder)
    return ProfileStore(folder.parent)


def snapshot(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_old_profile_is_read_and_left_as_it_is(store):
    folder = store.directory / "Anna"
    before = snapshot(folder)
    assert json.loads(before["profile.json"])["version"] == 1
    anna = store.load("Anna")
    assert (len(anna.references), anna.recogniser, anna.threshold) == (3, "recogniser", 0.40)
    assert anna.calibration is None
    assert anna.recogniser_digest == ""
    assert anna.statistics.count == 3
    assert [one.source for one in anna.references] == ["drawn 1", "drawn 2", "drawn 3"]
    assert snapshot(folder) == before


def test_saving_brings_it_up_to_date(store):
    anna = store.load("Anna")
    store.save(calibrated(anna), replace_existing=True)
    folder = store.directory / "Anna"
    document = json.loads((folder / "profile.json").read_text())
    assert document["version"] == VERSION
    assert document["calibration"]["profiles"] == 0
    again = store.load("Anna")
    assert again.threshold == document["threshold"] != 0.40
    for one, other in zip(anna.references, again.references, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.embedding, other.embedding)


def test_version_2_knew_a_network_by_its_name_only(store):
    """A folder as version 2 wrote it: everything but the digest of the recogniser."""
    store.save(
        replace(calibrated(store.load("Anna")), recogniser_digest="0123456789abcdef"),
        replace_existing=True,
    )
    path = store.directory / "Anna" / "profile.json"
    document = json.loads(path.read_text())
    assert document.pop("recogniser_digest") == "0123456789abcdef"
    path.write_text(json.dumps({**document, "version": 2}))
    anna = store.load("Anna")
    assert (anna.recogniser, anna.recogniser_digest) == ("recogniser", "")
    assert anna.threshold == document["threshold"]
    assert not anna.network.contradicts(NetworkId("recogniser", "f" * 16))
    store.save(anna, replace_existing=True)
    written = json.loads(path.read_text())
    assert written == {**document, "version": VERSION, "recogniser_digest": ""}
    path.write_text(json.dumps({**written, "recogniser_digest": "ABC"}))
    with pytest.raises(ProfileError, match=r"damaged .recogniser_digest"):
        store.load("Anna")


def test_the_old_files_stay_until_the_new_ones_are_saved(store, monkeypatch):
    anna, before = store.load("Anna"), snapshot(store.directory / "Anna")

    def no_room(path, content, **_):
        if path.name == "embeddings.safetensors":
            raise OSError(28, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr("refrestore.profiles.store.write_file", no_room)
    with pytest.raises(DiskError):
        store.save(anna, replace_existing=True)
    assert snapshot(store.directory / "Anna") == before
    assert store.list() == ["Anna"]


def test_an_old_file_is_imported(store, tmp_path):
    other = ProfileStore(tmp_path / "other")
    imported = other.import_file(OLD)
    assert imported.name == "Anna"
    written = json.loads((other.directory / "Anna" / "profile.json").read_text())
    assert written["version"] == VERSION


def test_each_step_is_pure_and_leads_to_this_version():
    assert sorted(STEPS) == list(range(1, VERSION))
    with zipfile.ZipFile(OLD) as archive:
        old = json.loads(archive.read("profile.json"))
    kept = json.loads(json.dumps(old))
    new = migrated(old, "here")
    assert old == kept
    assert new["version"] == VERSION
    assert migrated(new, "here") == new
    ProfileDocument.model_validate(new)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (VERSION + 1, f"newer refrestore .version {VERSION + 1}, this one knows {VERSION}"),
        (10**30, "newer refrestore"),
        (0, "damaged"),
        (-1, "damaged"),
        (True, "damaged"),
        ("1", "damaged"),
        (1.0, "damaged"),
        (None, "damaged"),
    ],
)
def test_other_versions_are_refused_in_a_sentence(store, version, words):
    path = store.directory / "Anna" / "profile.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "version": version}))
    before = snapshot(path.parent)
    with pytest.raises(ProfileError, match=words) as caught:
        store.load("Anna")
    assert "\n" not in str(caught.value)
    assert snapshot(path.parent) == before


def test_a_damaged_old_document_is_damaged(store):
    path = store.directory / "Anna" / "profile.json"
    document = json.loads(path.read_text())
    for name in ("statistics", "tensors", "references", "name"):
        path.write_text(json.dumps({key: document[key] for key in document if key != name}))
        with pytest.raises(ProfileError, match=rf"damaged \({name}"):
            store.load("Anna")
    shutil.rmtree(path.parent)
    assert store.list() == []
