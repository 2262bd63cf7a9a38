"""Profiles made to break whoever reads them: one sentence, nothing written, little memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import struct
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors

from refrestore.errors import ProfileError
from refrestore.profiles import Profile, ProfileStore
from refrestore.profiles.archive import write_archive
from refrestore.profiles.document import pack, schema
from refrestore.profiles.profile import Memory

MUTATIONS = 60
"""Seeded changes a test; by hand, more: `REFRESTORE_MUTATIONS=200`."""

COUNT = int(os.environ.get("REFRESTORE_MUTATIONS", MUTATIONS))

LITTLE = 64 << 20
"""Bytes of Python's that no archive may take; a whole profile of 64 close-ups has 50 MB."""

WILD = (
    float("nan"), float("inf"), -float("inf"), 10**400, -1, 0, 1e308, True, None, "", "\x1b[2J",
    "\u202e", "\ud800", "../../x", "CON", "a" * 70_000, [], {}, [[[[]]]], {"a": {"b": 1}}, 2**63,
)  # fmt: skip


@pytest.fixture
def anna(make):
    first = make.reference(0)
    near = first.embedding + 0.3 * make.reference(1).embedding
    references = (first, replace(make.reference(1), embedding=near / np.linalg.norm(near)))
    return Profile(
        "Anna",
        references,
        recogniser="edgeface_xs",
        memory=Memory().with_references([replace(references[0], image=make.reference(8).image)]),
        adapter=save_tensors({"decoder.0.up": np.ones((4, 2), np.float16)}, {"fusion": "0" * 64}),
    )


@pytest.fixture
def store(tmp_path):
    return ProfileStore(tmp_path / "profiles")


def refused(store: ProfileStore, path: Path, words: str | None = None) -> None:
    with pytest.raises(ProfileError, match=words) as caught:
        store.import_file(path)
    assert "\n" not in str(caught.value)
    assert not store.directory.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
@pytest.mark.parametrize("kind", ["pipe", "device", "endless", "folder", "socket", "sparse", "nul"])
def test_only_a_plain_file_is_opened(store, tmp_path, monkeypatch, kind):
    path = tmp_path / "it.refprofile"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/null")
        case "endless":
            path = Path("/dev/zero")
        case "folder":
            path.mkdir()
        case "socket":
            monkeypatch.chdir(tmp_path)  # a socket's name must be short
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind("it.refprofile")
        case "sparse":
            with path.open("wb") as file:
                file.truncate(1 << 40)
        case "nul":
            path = tmp_path / "a\0b"
    done = threading.Thread(target=refused, args=(store, path), daemon=True)
    done.start()
    done.join(20)
    assert not done.is_alive()
    refused(store, path, "cannot be read|too large|no file")


def test_a_directory_of_countless_members_is_not_read(store, tmp_path):
    """Half a million entries of 46 bytes, each of which would become an object ten times that."""
    entry = struct.pack(
        "<4s4B4HL2L5H2L", b"PK\1\2", *(0,) * 4, *(0,) * 4, 0, 0, 0, 1, *(0,) * 4, 0, 0
    )
    directory = (entry + b"a") * 500_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)
    path = tmp_path / "many.refprofile"
    path.write_bytes(directory + end)
    tracemalloc.start()
    try:
        refused(store, path, "directory is too large")
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_not_unpacked(store, tmp_path, anna, kind):
    path = tmp_path / "odd.refprofile"
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in pack(anna).items():
            archive.writestr(name, content)
    refused(store, path, "compressed")


def complaint(action: Callable[[], object]) -> str:
    """Return the one sentence that an action ends with, or nothing."""
    try:
        action()
    except ProfileError as error:
        return str(error)
    return ""


def leaves(value: object, place: tuple = ()) -> list[tuple]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [place, *(one for key, part in items for one in leaves(part, (*place, key)))]
    return [place]


def with_change(document: dict, place: tuple, value: object) -> dict:
    changed = json.loads(json.dumps(document))
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if place:
        inner[place[-1]] = value
    return changed


def lying(content: bytes, rng: np.random.Generator) -> bytes:
    """Return tensors whose header says what is not so."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = str(rng.choice([key for key in header if key != "__metadata__"]))
    entry = header[name]
    first, stop = entry["data_offsets"]
    lies = [
        {**entry, "data_offsets": [first, stop + 8]},
        {**entry, "data_offsets": [0, 1 << 62]},
        {**entry, "data_offsets": [stop, first]},
        {**entry, "data_offsets": [-1, 4]},
        {**entry, "dtype": str(rng.choice(["F64", "I32", "BF16", "F8_E4M3", "BOOL", "X"]))},
        {**entry, "shape": [1 << 40, 1 << 40]},
        {**entry, "shape": [0, 4]},
        {**entry, "shape": []},
        [],
        None,
    ]
    said = json.dumps({**header, name: lies[int(rng.integers(len(lies)))]}).encode()
    sizes = [len(said), 1 << 60, 0, len(said) - 3, (1 << 64) - 1]
    size = sizes[0] if rng.random() < 0.7 else sizes[int(rng.integers(1, len(sizes)))]
    return size.to_bytes(8, "little") + said + content[8 + length :]


def numbers(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the same with one number that is none, or out of all bounds."""
    length = int.from_bytes(content[:8], "little")
    values = np.frombuffer(
        content[8 + length :], "<f2" if b"F16" in content[:300] else "<f4"
    ).copy()
    values[int(rng.integers(len(values)))] = rng.choice([np.nan, np.inf, -np.inf])
    return content[: 8 + length] + values.tobytes()


def mutated(files: dict[str, bytes], seed: int) -> dict[str, bytes]:
    """Return the files of a profile with one change, and digests that fit it."""
    rng = np.random.default_rng(seed)
    files, kind = dict(files), ("json", "lie", "number", "flip", "cut", "deep", "png")[seed % 7]
    document = json.loads(files["profile.json"])
    places = leaves(document)
    tensors = str(rng.choice(["embeddings.safetensors", "adapter.safetensors"]))
    other = str(rng.choice([name for name in files if name != "profile.json"]))
    if kind == "json":
        value = WILD[int(rng.integers(len(WILD)))]
        document = with_change(document, places[int(rng.integers(1, len(places)))], value)
    elif kind == "lie":
        files[tensors] = lying(files[tensors], rng)
    elif kind == "number":
        files[tensors] = numbers(files[tensors], rng)
    elif kind == "flip":
        content = bytearray(files[other])
        for place in rng.integers(0, min(len(content), 200), 3):
            content[place] ^= int(rng.integers(1, 256))
        files[other] = bytes(content)
    elif kind == "cut":
        files[other] = files[other][: int(rng.integers(0, len(files[other])))]
    elif kind == "png":
        picture = bytearray(files["references/001.png"])
        picture[16:24] = struct.pack(">II", *rng.integers(1, 1 << 31, 2).tolist())
        files["references/001.png"] = bytes(picture)
    entries = (
        [*document["references"], document["tensors"], document["adapter"]]
        if kind != "json"
        else []
    )
    for entry in entries:
        if isinstance(entry, dict):
            content = files[entry["file"]]
            entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    text = json.dumps(document)
    if kind == "deep":
        text = text.replace('"Anna"', "[" * 100_000 + "]" * 100_000)
    files["profile.json"] = text.encode("utf-8", "surrogatepass")
    return files


@pytest.mark.filterwarnings("error")
def test_whatever_is_changed_in_an_archive_is_one_sentence(tmp_path, anna):
    files, path, good = pack(anna), tmp_path / "it.refprofile", 0
    for seed in range(COUNT):
        path.unlink(missing_ok=True)
        write_archive(path, mutated(files, seed))
        store = ProfileStore(tmp_path / f"profiles-{seed}")
        tracemalloc.start()
        problem = complaint(lambda store=store: store.import_file(path))
        assert tracemalloc.get_traced_memory()[1] < LITTLE, seed
        tracemalloc.stop()
        assert "\n" not in problem, seed
        assert store.directory.exists() == (not problem), seed
        good += not problem  # what says nothing else than another name, threshold or number
    assert good < COUNT / 3


@pytest.mark.filterwarnings("error")
def test_one_damaged_folder_hides_nobody(tmp_path, anna):
    store = ProfileStore(tmp_path)
    store.save(replace(anna, name="Berta"))
    files = pack(anna)
    folder = tmp_path / "Anna"
    for seed in range(0, COUNT, 2):
        for name, content in mutated(files, seed).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        assert store.list() == ["Anna", "Berta"], seed
        assert store.load("Berta").name == "Berta"
        problem = complaint(lambda: store.load("Anna"))
        assert not problem or "Anna" in problem, seed
        assert "\n" not in problem, seed


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
@pytest.mark.parametrize(
    "name", sorted(["profile.json", "embeddings.safetensors", "references/001.png"])
)
@pytest.mark.parametrize("kind", ["missing", "pipe", "folder", "empty", "endless", "loop"])
def test_a_profile_with_a_damaged_file_is_listed_and_named(store, anna, name, kind):
    store.save(replace(anna, name="Berta"))
    file = store.save(anna) / name
    file.unlink()
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case "empty":
            file.touch()
        case "endless":
            file.symlink_to("/dev/zero")
        case "loop":
            file.symlink_to(file)
    assert store.list() == ["Anna", "Berta"]
    with pytest.raises(ProfileError, match=name):
        store.load("Anna")
    store.remove("Anna")
    assert store.list() == ["Berta"]


def test_what_is_no_profile_is_not_listed(store, anna):
    store.save(anna)
    (store.directory / "schema.json").write_text(schema())
    (store.directory / "README.md").touch()
    assert store.list() == ["Anna"]


def test_a_name_that_no_folder_can_have_is_refused():
    from refrestore.profiles.document import check_name

    for name in ("a\udcffb", "CON", "com¹", "CONIN$", "a\u202eb", "\x9b31m", "x" * 300):
        with pytest.raises(ProfileError, match="cannot be the name"):
            check_name(name)


def test_zip_of_nothing(store, tmp_path):
    content = io.BytesIO()
    zipfile.ZipFile(content, "w").close()
    path = tmp_path / "none.refprofile"
    path.write_bytes(content.getvalue())
    refused(store, path, r"profile\.json is missing")
