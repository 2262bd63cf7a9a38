"""Downloads against a real server that breaks off, lies and goes elsewhere."""

from __future__ import annotations

import hashlib
import zipfile

import pytest

from refrestore.errors import DiskError, ModelError
from refrestore.models import download
from refrestore.models.download import ATTEMPTS, Download, extract_member


def _download(server, tmp_path, path="/file.bin", **changes) -> Download:
    body = server.behaviour.body
    facts = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "pause": 0.0}
    return Download(server.url + path, tmp_path / "file.bin", **(facts | changes))


def _left(tmp_path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir())


def test_whole_file(server, tmp_path):
    seen = []
    path = _download(server, tmp_path).run(lambda *event: seen.append(event))
    assert path.read_bytes() == server.behaviour.body
    assert _left(tmp_path) == ["file.bin"]
    total = len(server.behaviour.body)
    assert seen[-1] == ("file.bin", total, total)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_without_length(server, tmp_path):
    server.behaviour.no_length = True
    server.behaviour.break_after = 1000
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body
    assert _download(server, tmp_path, bytes=None).run().is_file()


def test_continues_where_it_broke_off(server, tmp_path):
    server.behaviour.break_after = 300_000
    server.behaviour.breaks = 2
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body
    requests = server.behaviour.requests
    assert "Range" not in requests[0]
    assert requests[1]["Range"] == "bytes=300000-"
    assert requests[1]["If-Range"] == '"one"'
    assert requests[2]["Range"] == "bytes=600000-"


def test_gives_up_and_a_later_run_continues(server, tmp_path):
    server.behaviour.break_after = 0
    server.behaviour.breaks = 99
    with pytest.raises(ModelError, match=r"broke off after 0 bytes.*same command continues"):
        _download(server, tmp_path).run()
    assert len(server.behaviour.requests) == ATTEMPTS
    assert not (tmp_path / "file.bin").exists()

    server.behaviour.break_after = 500_000
    server.behaviour.breaks = 1
    interrupted = []

    def interrupt(name, done, total):
        interrupted.append(done)
        if done > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _download(server, tmp_path).run(interrupt)
    assert not (tmp_path / "file.bin").exists()
    had = (tmp_path / "file.bin.part").stat().st_size
    assert had > 0

    server.behaviour.break_after = None
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body
    assert server.behaviour.requests[-1]["Range"] == f"bytes={had}-"
    assert _left(tmp_path) == ["file.bin"]


def test_server_that_ignores_ranges_restarts(server, tmp_path):
    server.behaviour.break_after = 300_000
    server.behaviour.ranges = False
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body


def test_changed_entity_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "file.bin.part.json").write_text('{"validator": "\\"old\\""}')
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body
    assert len(server.behaviour.requests) == 1


def test_partial_of_something_else_is_fetched_anew(server, tmp_path):
    server.behaviour.etag = None  # no way to notice before the digest
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body
    assert [("Range" in request) for request in server.behaviour.requests] == [True, False]


def test_weak_tag_is_not_sent_back(server, tmp_path):
    server.behaviour.etag = 'W/"one"'
    server.behaviour.break_after = 1000
    assert _download(server, tmp_path).run().is_file()
    assert "If-Range" not in server.behaviour.requests[1]


def test_continuation_at_another_place_restarts(server, tmp_path):
    server.behaviour.break_after = 1000
    server.behaviour.shift = 5
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 7])
def test_partial_that_is_complete_or_too_long(server, tmp_path, size):
    (tmp_path / "file.bin.part").write_bytes((server.behaviour.body + b"1234567")[:size])
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body


def test_unknown_length_and_complete_partial(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(server.behaviour.body)
    assert _download(server, tmp_path, bytes=None).run().read_bytes() == server.behaviour.body


def test_wrong_announced_length_is_refused_at_once(server, tmp_path):
    server.behaviour.announce = len(server.behaviour.body) + 1
    with pytest.raises(ModelError, match="announces 1048577 bytes where the catalogue says"):
        _download(server, tmp_path).run()
    assert len(server.behaviour.requests) == 1
    assert _left(tmp_path) == []


def test_announces_right_and_sends_less(server, tmp_path):
    server.behaviour.announce = len(server.behaviour.body)
    server.behaviour.body = server.behaviour.body[:-10]
    with pytest.raises(ModelError):
        _download(server, tmp_path, bytes=server.behaviour.announce, sha256="0" * 64).run()
    assert not (tmp_path / "file.bin").exists()


def test_sends_more_than_it_should(server, tmp_path):
    server.behaviour.no_length = True
    with pytest.raises(ModelError, match="more than the 1000 bytes"):
        _download(server, tmp_path, bytes=1000).run()
    assert _left(tmp_path) == []


def test_wrong_digest_is_deleted(server, tmp_path):
    with pytest.raises(ModelError, match="another digest"):
        _download(server, tmp_path, sha256="0" * 64).run()
    assert _left(tmp_path) == []


def test_not_found_is_final(server, tmp_path):
    server.behaviour.status = 404
    with pytest.raises(ModelError, match="404 Not Found"):
        _download(server, tmp_path).run()
    assert len(server.behaviour.requests) == 1


def test_server_trouble_is_tried_again(server, tmp_path):
    server.behaviour.status = 503
    with pytest.raises(ModelError, match="503"):
        _download(server, tmp_path).run()
    assert len(server.behaviour.requests) == ATTEMPTS


def test_no_server(tmp_path):
    with pytest.raises(ModelError, match="broke off after 0 bytes"):
        Download("http://127.0.0.1:9/x", tmp_path / "x", 1, "0" * 64, pause=0.0).run()


def test_follows_redirects(server, tmp_path):
    server.behaviour.redirect = "/moved"
    server.behaviour.break_after = 1000
    assert _download(server, tmp_path).run().read_bytes() == server.behaviour.body
    assert server.behaviour.requests[-1]["Range"] == "bytes=1000-"


@pytest.mark.parametrize("elsewhere", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_does_not_leave_the_web(server, tmp_path, elsewhere):
    server.behaviour.redirect = elsewhere
    with pytest.raises(ModelError):
        _download(server, tmp_path).run()
    assert not (tmp_path / "file.bin").exists()


def test_does_not_leave_encryption():
    secure = download.urllib.request.Request("https://127.0.0.1/a")
    with pytest.raises(ModelError, match="unencrypted"):
        download._Redirects().redirect_request(secure, None, 302, "", {}, "http://127.0.0.1/b")


def test_no_room(server, tmp_path):
    with pytest.raises(DiskError, match="make room"):
        _download(server, tmp_path, bytes=1 << 60).run()
    assert server.behaviour.requests == []


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError, match="cannot be written"):
        Download(server.url, tmp_path / "file" / "x", 1, "0" * 64).run()


class TestExtract:
    CONTENT = b"network" * 1000
    SHA256 = hashlib.sha256(CONTENT).hexdigest()

    def test_takes_one_member(self, make_zip, tmp_path):
        archive = make_zip({"a/net.onnx": self.CONTENT, "../../evil": b"x", "other": b"y"})
        target = tmp_path / "out" / "net.onnx"
        assert extract_member(archive, "net.onnx", target, self.SHA256).read_bytes() == self.CONTENT
        assert _left(tmp_path / "out") == ["net.onnx"]
        assert _left(tmp_path) == ["models.zip", "out"]

    @pytest.mark.parametrize(
        "members", [{"other": b""}, {"a/net.onnx": CONTENT, "b/net.onnx": CONTENT}]
    )
    def test_needs_exactly_one(self, make_zip, tmp_path, members):
        with pytest.raises(ModelError, match=r"holds [02] files named net\.onnx"):
            extract_member(make_zip(members), "net.onnx", tmp_path / "net.onnx", self.SHA256)

    def test_wrong_digest(self, make_zip, tmp_path):
        archive = make_zip({"net.onnx": self.CONTENT + b"!"})
        with pytest.raises(ModelError, match="another digest"):
            extract_member(archive, "net.onnx", tmp_path / "net.onnx", self.SHA256)
        assert _left(tmp_path) == ["models.zip"]

    def test_damaged(self, make_zip, tmp_path):
        archive = make_zip({"net.onnx": self.CONTENT})
        content = bytearray(archive.read_bytes())
        content[40:60] = bytes(20)
        archive.write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            extract_member(archive, "net.onnx", tmp_path / "net.onnx", self.SHA256)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("net.onnx", self.CONTENT)
        content = bytearray(archive.read_bytes())
        content[38:48] = b"\xff" * 10  # within what is compressed
        archive.write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            extract_member(archive, "net.onnx", tmp_path / "net.onnx", self.SHA256)
        archive.write_bytes(b"no zip")
        with pytest.raises(ModelError, match="damaged"):
            extract_member(archive, "net.onnx", tmp_path / "net.onnx", self.SHA256)
        assert _left(tmp_path) == ["models.zip"]
