"""Finding, verifying and fetching."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from refrestore.config import RuntimeSettings
from refrestore.errors import ModelError, UsageError
from refrestore.models import model_store as store_module
from refrestore.models.catalogue import Catalogue
from refrestore.models.model_store import ModelStore
from refrestore.models.pack import load_face_pack, load_pack

NET = b"weights" * 100


def _put(folder: Path, name: str, content: bytes = NET) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_order_of_folders(tmp_path, monkeypatch, entry):
    catalogue = Catalogue((entry("net.onnx", NET),), tmp_path / "c.toml")
    monkeypatch.setenv("REFRESTORE_MODELS", str(tmp_path / "variable"))
    by_variable = ModelStore(RuntimeSettings(), catalogue)
    by_option = ModelStore(RuntimeSettings(models_dir=tmp_path / "option"), catalogue)
    user = Path(os.environ["XDG_DATA_HOME"]) / "refrestore" / "models"

    assert by_option.directories[0] == tmp_path / "option"
    assert by_variable.directories[0] == tmp_path / "variable"
    assert by_variable.directories[-2] == user
    expected = _put(user, "net.onnx")
    assert by_option.locate("net.onnx") == expected
    expected = _put(tmp_path / "variable" / "lite", "net.onnx")
    assert by_variable.locate("net.onnx") == expected
    expected = _put(tmp_path / "variable", "net.onnx")
    assert by_variable.locate("net.onnx") == expected
    assert by_option.locate("net.onnx").parent == user
    expected = _put(tmp_path / "option", "net.onnx")
    assert by_option.locate("net.onnx") == expected


def test_a_pack_that_insightface_has_is_not_fetched_again(tmp_path, monkeypatch, entry):
    monkeypatch.setenv("HOME", str(tmp_path))
    catalogue = Catalogue((entry("net.onnx", NET, url="https://x/net.onnx"),), tmp_path / "c.toml")
    theirs = _put(tmp_path / ".insightface/models/buffalo_l", "net.onnx")
    store = ModelStore(RuntimeSettings(), catalogue)
    assert store.locate("net.onnx") == theirs
    assert store.fetch(["net.onnx"]) == [theirs]
    theirs.write_bytes(NET + b"!")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        store.locate("net.onnx")


def test_download_folder(tmp_path, monkeypatch):
    assert ModelStore(RuntimeSettings()).download_directory.name == "models"
    monkeypatch.setattr(store_module, "_working_tree", lambda: None)
    store = ModelStore(RuntimeSettings())
    user = Path(os.environ["XDG_DATA_HOME"]) / "refrestore" / "models"
    assert store.download_directory == user
    assert store.directories[-2] == user
    monkeypatch.setenv("REFRESTORE_MODELS", str(tmp_path))
    assert ModelStore(RuntimeSettings()).download_directory == tmp_path


def test_missing_says_where_it_looked_and_what_to_do(make_store, entry):
    store = make_store(
        entry("a.onnx", NET), entry("b.pth", NET, url="https://x/b.pth"), entry("lost", NET)
    )
    with pytest.raises(ModelError, match=r"a\.onnx is in none of .*models.*--models-dir"):
        store.locate("a.onnx")
    with pytest.raises(ModelError, match="run: refrestore models fetch test"):
        store.locate("b.pth")
    with pytest.raises(ModelError, match="no model file 'c'"):
        store.locate("c")


def test_wrong_digest_is_never_used(make_store, tmp_path, entry):
    store = make_store(entry("net.onnx", NET))
    path = _put(tmp_path / "models", "net.onnx", NET + b"!")
    assert store.verify("net.onnx").state == "wrong digest"
    with pytest.raises(ModelError, match=r"SHA-256 differs.*delete it"):
        store.locate("net.onnx")
    path.write_bytes(NET)
    assert store.locate("net.onnx") == path


@pytest.fixture
def unconfirmed(server, entry):
    """Return an entry that can be downloaded and of whose digest nobody else is sure."""
    whole = entry("free.ckpt", server.behaviour.body, url=server.url, role="second stage")
    return whole.model_copy(update={"sha256": None, "bytes": None}), whole.sha256


def test_a_digest_that_the_user_vouches_for(make_store, unconfirmed, tmp_path, server, entry):
    file, digest = unconfirmed
    store = make_store(file, entry("known.pth", NET, url=server.url))
    with pytest.raises(ModelError, match=r"two public sources .*free\.ckpt.*--sha256"):
        store.fetch(["known.pth", "free.ckpt"])
    for given, names, said in (
        ("abc", ["free.ckpt"], "abc is no SHA-256"),
        (digest, ["known.pth"], "not for known.pth"),
        (digest, ["free.ckpt", "known.pth"], "not for known.pth"),
    ):
        with pytest.raises(UsageError, match=said):
            store.fetch(names, sha256=given)
    assert server.behaviour.requests == []
    with pytest.raises(ModelError, match="another digest than the one it should have"):
        store.fetch(["free.ckpt"], sha256="0" * 64)
    assert list((tmp_path / "models").iterdir()) == []

    (path,) = store.fetch(["free.ckpt"], sha256=digest.upper())
    assert store.verify("free.ckpt", thorough=True).state == "present"
    note = path.with_name("free.ckpt.sha256")
    assert note.read_text() == f"{digest}  free.ckpt\n"
    assert make_store(file).fetch(["free.ckpt"]) == [path]
    path.write_bytes(NET)
    assert store.verify("free.ckpt").state == "wrong digest"
    note.write_text("damaged")
    with pytest.raises(ModelError, match=r"not used without a digest; run: .*free\.ckpt --sha256"):
        store.locate("free.ckpt")


def test_a_file_that_the_user_has_is_vouched_for_without_a_download(
    make_store, unconfirmed, tmp_path, server
):
    file, digest = unconfirmed
    path = _put(tmp_path / "models", "free.ckpt", server.behaviour.body)
    store = make_store(file)
    assert store.verify("free.ckpt").state == "no digest"
    assert store.fetch(["free.ckpt"], sha256=digest) == [path]
    assert server.behaviour.requests == []


def test_file_without_a_digest_is_never_used(make_store, tmp_path, entry):
    file = entry("fusion.safetensors", NET, folder="lite").model_copy(update={"sha256": None})
    _put(tmp_path / "models", "lite/fusion.safetensors")
    with pytest.raises(ModelError, match="--update-lite"):
        make_store(file).locate("fusion.safetensors")


def test_large_files_are_digested_once_per_version(make_store, tmp_path, monkeypatch, entry):
    monkeypatch.setattr(store_module, "DIGEST_EVERY_TIME", 0)
    read = []
    honest = store_module.file_digest
    monkeypatch.setattr(store_module, "file_digest", lambda path: read.append(path) or honest(path))
    path = _put(tmp_path / "models", "net.onnx")
    store = make_store(entry("net.onnx", NET))
    for _ in range(3):
        assert make_store(entry("net.onnx", NET)).locate("net.onnx") == path
    assert len(read) == 1
    store.verify("net.onnx", thorough=True)
    assert len(read) == 2
    path.write_bytes(NET[::-1])  # same size
    os.utime(path, ns=(1, 1))
    assert store.verify("net.onnx").state == "wrong digest"
    assert len(read) == 3


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}'])
def test_damaged_digest_cache_costs_only_time(make_store, tmp_path, monkeypatch, content, entry):
    monkeypatch.setattr(store_module, "DIGEST_EVERY_TIME", 0)
    _put(Path(os.environ["XDG_CACHE_HOME"]), "refrestore/model-digests.json", content.encode())
    path = _put(tmp_path / "models", "net.onnx")
    assert make_store(entry("net.onnx", NET)).locate("net.onnx") == path


def test_fetch_downloads_what_is_missing_and_says_so(make_store, server, tmp_path, entry):
    files = [
        entry("have.onnx", NET),
        entry("get.pth", server.behaviour.body, url=server.url + "/get.pth", licence="odd"),
    ]
    _put(tmp_path / "models", "have.onnx")
    said, seen = [], []
    store = make_store(*files)
    paths = store.fetch(["test"], lambda *event: seen.append(event), said.append)
    assert [path.name for path in paths] == ["have.onnx", "get.pth"]
    assert paths[1].read_bytes() == server.behaviour.body
    assert len(said) == 1
    for part in ("get.pth", "1.0 MB", server.url, "odd"):
        assert part in said[0]
    assert seen[-1] == ("get.pth", len(server.behaviour.body), len(server.behaviour.body))
    store.fetch(["get.pth"])
    assert len(server.behaviour.requests) == 1


def test_fetch_replaces_a_file_of_a_wrong_digest(make_store, server, tmp_path, entry):
    path = _put(tmp_path / "models", "get.pth", b"damaged")
    make_store(entry("get.pth", server.behaviour.body, url=server.url)).fetch(["get.pth"])
    assert path.read_bytes() == server.behaviour.body


def test_fetch_of_what_has_no_download(make_store, entry):
    with pytest.raises(ModelError, match="has no download"):
        make_store(entry("net.onnx", NET)).fetch(["test"])


@pytest.fixture
def archive(make_zip, server, entry):
    content = make_zip({"x/a.onnx": NET, "b.onnx": NET * 2, "c.onnx": b"unused"}).read_bytes()
    server.behaviour.body = content
    return [
        entry("all.zip", content, packs=(), url=server.url, role="archive"),
        entry("a.onnx", NET, archive="all.zip", member="a.onnx"),
        entry("b.onnx", NET * 2, archive="all.zip", member="b.onnx"),
    ]


def test_fetch_takes_members_out_of_an_archive(make_store, server, archive, tmp_path):
    make_store(*archive).fetch(["test"])
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["a.onnx", "b.onnx"]
    assert len(server.behaviour.requests) == 1


def test_archive_that_the_user_has_is_kept(make_store, server, archive, tmp_path):
    _put(tmp_path / "models", "all.zip", server.behaviour.body)
    make_store(*archive).fetch(["test"])
    names = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert names == ["a.onnx", "all.zip", "b.onnx"]
    assert server.behaviour.requests == []


def test_wrong_download_leaves_nothing(make_store, server, tmp_path, entry):
    store = make_store(entry("get.pth", NET, url=server.url).model_copy(update={"bytes": None}))
    with pytest.raises(ModelError, match="another digest"):
        store.fetch(["test"])
    assert list((tmp_path / "models").iterdir()) == []


def test_pack_names_all_that_is_missing(tmp_path):
    settings = RuntimeSettings(pack="full", models_dir=tmp_path)
    with pytest.raises(ModelError, match=r"det_10g\.onnx, w600k_r50\.onnx.*models fetch full"):
        load_pack(settings)
    with pytest.raises(ModelError, match="models fetch full"):
        load_face_pack(settings)


def test_lite_pack_lies_in_the_tree():
    pack = load_pack(RuntimeSettings())
    assert pack.name == "lite"
    assert pack.second is None
    assert pack.parser is None
    assert pack.mask.is_file()
    assert pack.fusion.is_file()
    faces = load_face_pack(RuntimeSettings())
    assert (faces.detector, faces.landmarks) == (pack.detector, pack.landmarks)
    assert {path.parent.name for path in (faces.detector, faces.recogniser)} == {"lite"}


@pytest.mark.shared
def test_teachers_are_files_of_the_users(shared):
    pack = load_pack(RuntimeSettings(pack="teachers", models_dir=shared / "models"))
    assert pack.detector.name == "scrfd_2.5g_kps.onnx"
    assert pack.recogniser.name == "edgeface_xs.fp32.onnx"
    assert pack.fusion == load_pack(RuntimeSettings()).fusion


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_what_cannot_be_read_is_one_sentence(make_store, tmp_path, entry):
    store = make_store(entry("net.onnx", NET))
    folder = store.download_directory
    folder.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / "net.onnx")
    assert store.find("net.onnx") is None
    (folder / "net.onnx").unlink()
    (folder / "net.onnx").symlink_to("/proc/self/mem")  # a plain file whose first byte is an error
    with pytest.raises(ModelError, match=r"net\.onnx cannot be read .*--models-dir"):
        store.locate("net.onnx")
