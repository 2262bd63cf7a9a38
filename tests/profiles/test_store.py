from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.config import tree_directory
from refrestore.errors import DiskError, ProfileError
from refrestore.profiles import Profile, ProfileStore
from refrestore.profiles.document import SIZE_LIMITS, check_name, schema
from refrestore.profiles.migration import VERSION


def assert_same(one: Profile, other: Profile) -> None:
    assert (one.name, one.recogniser, one.threshold) == (
        other.name,
        other.recogniser,
        other.threshold,
    )
    assert one.calibration == other.calibration
    assert one.memory.digests == other.memory.digests
    np.testing.assert_array_equal(one.memory.total, other.memory.total)
    assert len(one.references) == len(other.references)
    for a, b in zip(one.references, other.references, strict=True):
        for column in ("image", "landmarks", "embedding", "pose"):
            np.testing.assert_array_equal(getattr(a, column), getattr(b, column))
        assert (a.source, a.quality, a.sharpness, a.native_size) == (
            b.source,
            b.quality,
            b.sharpness,
            b.native_size,
        )


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_new_profile_is_private_and_a_shared_one_stays_shared(store, anna, tmp_path):
    def modes(folder: Path) -> set[tuple[bool, int]]:
        found = [folder, *folder.rglob("*")]
        return {(one.is_dir(), stat.S_IMODE(one.stat().st_mode)) for one in found}

    folder = store.save(anna)
    assert modes(store.directory) == {(True, 0o700), (False, 0o600)}
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(0o750 if entry.is_dir() else 0o640)
    store.change(anna.name, lambda one: replace(one, threshold=0.5))
    assert modes(folder) == {(True, 0o750), (False, 0o640)}
    # What is exported is to be given away: it is as readable as any other file of the user.
    umask = os.umask(0o022)
    try:
        archive = store.export_file(anna.name, tmp_path / "anna.zip")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o644


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


# --- the store --------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(store, anna):
    assert store.list() == []
    folder = store.save(anna)
    assert folder == store.directory / "Anna Müller"
    assert sorted(p.name for p in folder.iterdir()) == [
        "embeddings.safetensors",
        "profile.json",
        "references",
    ]
    loaded = store.load("Anna Müller")
    assert_same(loaded, anna)
    assert {one.frame for one in loaded.references} == {None}
    assert store.list() == ["Anna Müller"]
    store.remove("Anna Müller")
    assert store.list() == []
    assert snapshot(store.directory) == {}


def test_the_same_profile_gives_the_same_bytes(anna, tmp_path):
    one, other = ProfileStore(tmp_path / "a"), ProfileStore(tmp_path / "b")
    one.save(anna)
    other.save(anna)
    assert snapshot(one.directory) == snapshot(other.directory)


def test_a_profile_is_replaced_only_on_request(store, anna):
    store.save(anna)
    fewer = replace(anna, references=anna.references[:1])
    with pytest.raises(ProfileError, match="already: choose another name"):
        store.save(fewer)
    assert len(store.load(anna.name).references) == 3
    store.save(fewer, replace_existing=True)
    assert len(store.load(anna.name).references) == 1
    assert len(list((store.directory / anna.name / "references").iterdir())) == 1


def test_missing_profiles(store, anna):
    with pytest.raises(ProfileError, match=r"no profile 'Bert' in .*it has none"):
        store.load("Bert")
    store.save(anna)
    with pytest.raises(ProfileError, match="it has: Anna Müller"):
        store.remove("Bert")


BAD_NAMES = [
    "", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-option", " x", "x ", "x.", "a\nb", "a\x00b",
    "con", "COM1.txt", "a:b", "x" * 65, "é" * 120, "\u202eabc",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_cannot_be(store, anna, name):
    for act in (store.load, store.remove, lambda n: store.save(replace(anna, name=n))):
        with pytest.raises(ProfileError, match="cannot be the name of a profile"):
            act(name)
    assert not store.directory.exists()


@pytest.mark.parametrize("name", ["Анна", "安娜", "Anna 2", "O'Neil & Co.x", "naïve", "a"])
def test_names_of_people(store, anna, name):
    store.save(replace(anna, name=name))
    assert store.list() == [name]
    assert store.load(name).name == name


def test_two_spellings_of_a_name_are_one(store, anna):
    store.save(replace(anna, name="Zoe\u0308"))
    assert store.load("Zo\u00eb").name == "Zo\u00eb"
    assert store.list() == ["Zo\u00eb"]


@given(st.text(max_size=80))
def test_a_good_name_stays_in_its_folder(name):
    try:
        good = check_name(name)
    except ProfileError:
        return
    path = Path("/profiles") / good
    assert path.parent == Path("/profiles")
    assert Path(os.path.normpath(path)) == path
    assert check_name(good) == good


def test_merged_profiles_pool_their_references(store, anna, make):
    more = replace(anna.references[0], image=make.reference(9).image)
    store.save(anna)
    store.save(replace(anna, name="Anna too", references=(more,)))
    merged = store.merge("Anna Müller", ["Anna too"])
    assert len(merged.references) == 4
    assert store.list() == ["Anna Müller"]
    assert_same(store.load("Anna Müller"), merged)


def test_two_people_are_not_merged(store, anna, make):
    store.save(anna)
    store.save(Profile("Bert", (make.reference(5),)))
    before = snapshot(store.directory)
    with pytest.raises(ProfileError, match="are two people"):
        store.merge("Anna Müller", ["Bert"])
    assert snapshot(store.directory) == before


# --- damage -----------------------------------------------------------------------------------


def corrupt(folder: Path, file: str, content: bytes | None) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)


@pytest.mark.parametrize("file", ["references/002.png", "embeddings.safetensors"])
def test_missing_and_changed_files_are_named(store, anna, file):
    folder = store.save(anna)
    good = (folder / file).read_bytes()
    corrupt(folder, file, None)
    with pytest.raises(ProfileError, match=rf"^{file} of .*Anna Müller is missing: "):
        store.load(anna.name)
    for bad in (good[:-1], good[:200] + b"\0" + good[201:], b"", good + b"x"):
        corrupt(folder, file, bad)
        with pytest.raises(ProfileError, match=rf"^{file} of .* has been changed"):
            store.load(anna.name)
    corrupt(folder, file, b"\0" * (SIZE_LIMITS["png"] + 1))
    with pytest.raises(ProfileError, match="has more than"):
        store.load(anna.name)
    corrupt(folder, file, good)
    store.load(anna.name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=VERSION + 1), "newer refrestore .*update refrestore"),
        (lambda d: d.update(version=0), r"damaged \(version"),
        (lambda d: d.update(format="else"), "not a refrestore profile"),
        (lambda d: d.update(extra=1), r"damaged \(extra"),
        (lambda d: d.update(name="../x"), "cannot be the name"),
        (lambda d: d.update(name="Bert"), r"holds the profile 'Bert'"),
        (lambda d: d.update(references=[]), r"damaged \(references"),
        (lambda d: d["references"][0].update(file="../../etc/passwd"), r"references\.0\.file"),
        (lambda d: d["references"][0].update(file="references/002.png"), "named twice"),
        (lambda d: d["references"][0].update(quality=float("nan")), "quality"),
        (lambda d: d["references"].pop(), "its count is another"),
        (lambda d: d["references"].reverse(), None),
        (lambda d: d.pop("tensors"), r"damaged \(tensors"),
    ],
)
def test_a_wrong_document_is_refused(store, anna, change, words):
    folder = store.save(anna)
    document = json.loads((folder / "profile.json").read_text())
    change(document)
    (folder / "profile.json").write_text(json.dumps(document))
    if words is None:
        store.load(anna.name)
    else:
        with pytest.raises(ProfileError, match=words):
            store.load(anna.name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_broken_document_is_refused(store, anna, content):
    folder = store.save(anna)
    (folder / "profile.json").write_bytes(content)
    with pytest.raises(ProfileError, match=r"damaged|not a refrestore"):
        store.load(anna.name)


KILLED_SAVE = """
import os, signal, sys
from pathlib import Path
from refrestore.profiles import ProfileStore
from dataclasses import replace
store = ProfileStore(Path(sys.argv[1]))
steps, step = int(sys.argv[2]), 0
original = os.replace
def stop(*arguments):
    global step
    step += 1
    if step == steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
profile = store.load("Anna Müller")
os.replace = stop
store.save(replace(profile, references=profile.references[:2]), replace_existing=True)
print("done")
"""


def test_a_killed_save_leaves_the_old_or_the_new_profile(store, anna):
    outcomes = set()
    for step in range(1, 10):
        shutil.rmtree(store.directory, ignore_errors=True)
        store.save(anna)
        ran = subprocess.run(
            [sys.executable, "-c", KILLED_SAVE, str(store.directory), str(step)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert store.list() == ["Anna Müller"], ran.stderr
        outcomes.add(len(store.load("Anna Müller").references))
        assert [p.name for p in store.directory.iterdir() if p.name != ".lock"] == ["Anna Müller"]
        if ran.stdout:
            assert ran.returncode == 0
            break
        assert ran.returncode == -9, ran.stderr
    else:
        pytest.fail("the save never ended")
    assert outcomes == {2, 3}


def test_a_store_that_cannot_be_written(tmp_path, anna):
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="Cannot write"):
        ProfileStore(tmp_path / "file" / "profiles").save(anna)


@pytest.mark.skipif(
    not (tree_directory("profiles") / "README.md").is_file(), reason="no working tree"
)
def test_the_schema_in_the_tree_is_current():
    tree = (tree_directory("profiles") / "schema.json").read_text(encoding="utf-8")
    assert tree == schema(), "write it anew with the command in profiles/README.md"
