"""A profile as one file, and every way in which such a file can be wrong."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
from safetensors.numpy import save as save_tensors

from refrestore.errors import ProfileError
from refrestore.profiles import Profile, ProfileStore
from refrestore.profiles.archive import MOST_MEMBERS
from refrestore.profiles.document import SIZE_LIMITS, pack
from refrestore.profiles.profile import Calibration, Memory


@pytest.fixture
def store(tmp_path):
    return ProfileStore(tmp_path / "profiles")


@pytest.fixture
def anna(make):
    references = []
    for seed in range(3):
        embedding = np.eye(512, dtype=np.float32)[0] + 0.3 * make.reference(seed).embedding
        embedding /= np.linalg.norm(embedding)
        references.append(replace(make.reference(seed), embedding=embedding))
    remembered = replace(references[0], image=make.reference(8).image)
    return Profile(
        "Anna Müller",
        tuple(references),
        recogniser="edgeface_xs",
        threshold=0.42,
        calibration=Calibration(misses=0.03, strangers=0.001, profiles=4),
        memory=Memory().with_references([remembered]),
    )


def assert_same(one: Profile, other: Profile) -> None:
    assert pack(one) == pack(other)


def snapshot(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def exported(store, anna, tmp_path):
    store.save(anna)
    return store.export_file("Anna Müller", tmp_path / "anna.refprofile")


def test_export_and_import(store, anna, exported, tmp_path):
    other = ProfileStore(tmp_path / "elsewhere")
    assert_same(other.import_file(exported), anna)
    assert snapshot(other.directory) == snapshot(store.directory)
    again = other.export_file("Anna Müller", tmp_path / "again.refprofile")
    assert again.read_bytes() == exported.read_bytes()
    other.import_file(exported, name="Anna 2")
    assert other.list() == ["Anna 2", "Anna Müller"]
    with pytest.raises(ProfileError, match="already"):
        other.import_file(exported)
    other.import_file(exported, replace_existing=True)
    with pytest.raises(ProfileError, match="exists already"):
        store.export_file("Anna Müller", exported)


def zipped(files, **infos) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = infos.get("attributes", {}).get(name, 0o100644 << 16)
            archive.writestr(info, content)
    return buffer.getvalue()


def tampered(anna, kind) -> bytes:
    files = pack(anna)
    members = list(files.items())
    document = json.loads(files["profile.json"])

    def with_document() -> bytes:
        rest = [(name, content) for name, content in members if name != "profile.json"]
        return zipped([("profile.json", json.dumps(document)), *rest])

    def with_picture(content: bytes) -> bytes:
        entry = document["references"][0]
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        members[1] = (entry["file"], content)
        return with_document()

    def with_tensors(**tensors) -> bytes:
        content = save_tensors(tensors)
        document["tensors"].update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        members[-1] = ("embeddings.safetensors", content)
        return with_document()

    def png(width: int, height: int, channels: int = 3) -> bytes:
        return cv2.imencode(".png", np.zeros((height, width, channels), np.uint8))[1].tobytes()

    count = len(document["references"])
    tensors = {
        "centroid": anna.centroid,
        "embeddings": np.stack([one.embedding for one in anna.references]),
        "landmarks": np.zeros((count, 468, 2), np.float32),
        "poses": np.zeros((count, 3), np.float32),
        "remembered": anna.memory.total,
    }
    match kind:
        case "no zip":
            return b"not a zip"
        case "empty":
            return b""
        case "cut off":
            return zipped(members)[:-300]
        case "path":
            return zipped([*members, ("../../evil.txt", b"x")])
        case "absolute":
            return zipped([*members, ("/etc/evil", b"x")])
        case "folder":
            return zipped([*members, ("references/", b"")])
        case "stray":
            return zipped([*members, ("references/099.png", files["references/001.png"])])
        case "twice":
            with pytest.warns(UserWarning, match="Duplicate name"):
                return zipped([*members, members[1]])
        case "link":
            attributes = {"references/001.png": 0o120777 << 16}
            return zipped(members, attributes=attributes)
        case "many":
            return zipped([(f"references/{i:03d}.png", b"") for i in range(MOST_MEMBERS + 1)])
        case "bomb":
            bomb = b"\0" * (SIZE_LIMITS["png"] * 20)
            return zipped([(n, bomb if n.endswith("001.png") else c) for n, c in members])
        case "lying bomb":
            bomb = b"\0" * (SIZE_LIMITS["png"] * 20)
            content = zipped([(n, bomb if n.endswith("001.png") else c) for n, c in members])
            size = len(bomb).to_bytes(4, "little")
            return content.replace(size, (1000).to_bytes(4, "little"))
        case "missing":
            return zipped([m for m in members if not m[0].endswith("003.png")])
        case "no document":
            return zipped(members[1:])
        case "changed":
            return zipped([(n, c[:-1] + b"?" if n.endswith("001.png") else c) for n, c in members])
        case "damaged":
            content = bytearray(zipped(members))
            content[len(content) // 2] ^= 0xFF
            return bytes(content)
        case "picture size":
            return with_picture(png(513, 512))
        case "picture bomb":
            return with_picture(png(9000, 9000))
        case "grey picture":
            return with_picture(cv2.imencode(".png", np.zeros((512, 512), np.uint8))[1].tobytes())
        case "no picture":
            return with_picture(files["references/001.png"][:60])
        case "jpeg":
            return with_picture(
                cv2.imencode(".jpg", np.zeros((512, 512, 3), np.uint8))[1].tobytes()
            )
        case "tensor shape":
            return with_tensors(**{**tensors, "poses": np.zeros((count, 4), np.float32)})
        case "tensor kind":
            return with_tensors(**{**tensors, "poses": np.zeros((count, 3), np.float64)})
        case "tensor extra":
            return with_tensors(**tensors, more=np.zeros(3, np.float32))
        case "tensor nan":
            return with_tensors(
                **{**tensors, "landmarks": np.full((count, 468, 2), np.nan, np.float32)}
            )
        case "tensor missing":
            return with_tensors(**{k: v for k, v in tensors.items() if k != "remembered"})
        case "remembers more":
            return with_tensors(**{**tensors, "remembered": 3 * tensors["remembered"]})
        case "remembers another":
            other = np.zeros(512, np.float32)
            other[5] = 1
            return with_tensors(**{**tensors, "remembered": other})
        case "count":
            document["statistics"]["count"] += 1
            return with_document()
        case "remembered digest":
            document["remembered"] = ["../../etc/passwd"]
            return with_document()
        case "threshold":
            document["threshold"] = 0.0
            return with_document()
        case "digest":
            document["references"][1]["sha256"] = "0" * 64
            return with_document()
        case "size":
            document["references"][1]["bytes"] += 1
            return with_document()
        case "no schema":
            del document["version"]
            return with_document()
        case "backslash":
            return zipped([*members, ("references\\..\\..\\evil.txt", b"x")])
        case "device":
            return zipped([*members, ("references/nul", b"x")])
        case "nested":
            return zipped([("anna.refprofile", zipped(members))])
        case "encrypted":
            content = bytearray(zipped(members))
            place = content.index(b"PK\x01\x02")
            content[place + 8] |= 1
            return bytes(content)
        case "tensor zero":
            return with_tensors(**{**tensors, "embeddings": np.zeros((count, 512), np.float32)})
        case "tensor centroid":
            return with_tensors(**{**tensors, "centroid": -anna.centroid})
        case "newer":
            document["version"] = 7
            return with_document()
        case "name":
            document["name"] = "../x"
            return with_document()
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no zip", "no undamaged profile"), ("empty", "no undamaged profile"),
        ("cut off", "no undamaged profile"), ("path", r"'\.\./\.\./evil\.txt', which is no file"),
        ("absolute", "which is no file"), ("folder", "which is no file"),
        ("stray", r"references/099\.png, which no profile"), ("twice", "twice"),
        ("link", r"references/001\.png in .* is no plain file"), ("many", "files, a profile"),
        ("bomb", "too large"), ("lying bomb", "too large|no undamaged|changed"),
        ("missing", r"references/003\.png is missing"),
        ("no document", r"profile\.json is missing"),
        ("changed", r"references/001\.png of .* changed"), ("damaged", "undamaged|changed"),
        ("picture size", "no PNG picture of 512"), ("picture bomb", "no PNG picture of 512"),
        ("grey picture", "no PNG picture of 512"), ("no picture", "damaged picture"),
        ("jpeg", "no PNG picture"), ("tensor shape", "it holds"), ("tensor kind", "it holds"),
        ("tensor extra", "it holds"), ("tensor nan", "no unit embeddings"),
        ("tensor zero", "no unit embeddings|cancel"), ("tensor centroid", "centroid"),
        ("tensor missing", "it holds"), ("remembers more", "more than it saw"),
        ("remembers another", "centroid"), ("count", "its count is another"),
        ("remembered digest", r"damaged \(remembered"), ("threshold", r"damaged \(threshold"),
        ("digest", r"references/002\.png of .* changed"),
        ("size", r"references/002\.png of .* changed"), ("no schema", r"damaged \(version"),
        ("backslash", "no file of a profile"), ("device", "no file of a profile"),
        ("nested", "no file of a profile"), ("encrypted", "no plain file"),
        ("newer", "newer refrestore"), ("name", "cannot be the name"),
    ],
)  # fmt: skip
def test_nothing_is_written_of_a_bad_file(tmp_path, anna, kind, words):
    bad = tmp_path / "bad.refprofile"
    bad.write_bytes(tampered(anna, kind))
    store = ProfileStore(tmp_path / "profiles")
    with pytest.raises(ProfileError, match=words) as caught:
        store.import_file(bad)
    assert "\n" not in str(caught.value)
    assert not store.directory.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.refprofile"]


def test_a_file_cut_off_anywhere_is_refused(store, exported, tmp_path):
    content = exported.read_bytes()
    before = snapshot(store.directory)
    cut = tmp_path / "cut.refprofile"
    for length in [*range(0, len(content), len(content) // 150), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(ProfileError) as caught:
            store.import_file(cut, replace_existing=True)
        assert "\n" not in str(caught.value)
    assert snapshot(store.directory) == before


def test_a_flipped_bit_is_refused_or_harmless(store, anna, exported, tmp_path):
    """Some bytes of a zip mean nothing (dates, versions): then the profile is the same."""
    content = exported.read_bytes()
    rng = np.random.default_rng(0)
    directory = content.index(b"PK\x01\x02")
    places = [*rng.integers(0, len(content), 150), *rng.integers(directory, len(content), 150)]
    flipped, refused = tmp_path / "flipped.refprofile", 0
    for place in map(int, places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        flipped.write_bytes(damaged)
        try:
            imported = store.import_file(flipped, replace_existing=True)
        except ProfileError:
            refused += 1
        else:
            assert_same(imported, anna)
    assert refused > 150
    assert_same(store.load(anna.name), anna)


def test_there_must_be_a_file(store, tmp_path):
    with pytest.raises(ProfileError, match="There is no file"):
        store.import_file(tmp_path / "none.refprofile")
