"""A real HTTP server on loopback that misbehaves on demand, and catalogues that point to it."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from dataclasses import dataclass, field

import pytest

from refrestore.config import RuntimeSettings
from refrestore.models.catalogue import Catalogue, ModelFile
from refrestore.models.model_store import ModelStore
from refrestore.models.selftest import write_tiny_network

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@dataclass
class Behaviour:
    """What the server serves and how it misbehaves; tests change it while it runs."""

    body: bytes = CONTENT
    etag: str | None = '"one"'
    break_after: int | None = None  # bytes of a body after which the connection is cut
    breaks: int = 1  # how many times it does so
    announce: int | None = None  # a Content-Length that is not true
    ranges: bool = True
    status: int = 200
    redirect: str | None = None
    no_length: bool = False
    shift: int = 0  # continue at another place than asked for
    requests: list[dict[str, str]] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        state = self.behaviour
        state.requests.append({"path": self.path, **self.headers})
        if state.status != 200:
            self.send_error(state.status)
            return
        if state.redirect and self.path != "/moved":
            self.send_response(302)
            self.send_header("Location", state.redirect)
            self.end_headers()
            return
        body, total = state.body, len(state.body)
        wanted = self.headers.get("Range")
        fresh = self.headers.get("If-Range") in (None, state.etag)
        if wanted and state.ranges and fresh:
            first = int(wanted.removeprefix("bytes=").rstrip("-")) + state.shift
            if first >= total:
                self.send_error(416)
                return
            body = body[first:]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        else:
            self.send_response(200)
        if state.etag:
            self.send_header("ETag", state.etag)
        if not state.no_length:
            self.send_header("Content-Length", str(state.announce or len(body)))
        self.end_headers()
        if state.break_after is not None and state.breaks > 0:
            state.breaks -= 1
            body = body[: state.break_after]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Service(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the tests."""


@dataclass
class Server:
    url: str
    behaviour: Behaviour


@pytest.fixture
def server():
    behaviour = Behaviour()
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    with _Service(("127.0.0.1", 0), handler) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield Server(f"http://127.0.0.1:{service.server_port}", behaviour)
        service.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def private_folders(tmp_path_factory, monkeypatch):
    """Keep the user's own folders and variables out of the tests."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.delenv("REFRESTORE_MODELS", raising=False)


@pytest.fixture(scope="session")
def entry():
    """Return what makes a catalogue entry of a name and its content."""

    def make(name: str, content: bytes, **fields) -> ModelFile:
        digest = hashlib.sha256(content).hexdigest()
        facts = {"packs": ("test",), "role": "detector", "licence": "MIT"} | fields
        return ModelFile(name=name, bytes=len(content), sha256=digest, **facts)

    return make


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    write_tiny_network(path)
    return path


@pytest.fixture
def make_store(tmp_path):
    def make(*files: ModelFile) -> ModelStore:
        catalogue = Catalogue(files, tmp_path / "catalogue.toml")
        return ModelStore(RuntimeSettings(models_dir=tmp_path / "models"), catalogue)

    return make


@pytest.fixture
def make_zip(tmp_path):
    def make(members: dict[str, bytes], name: str = "models.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for member, content in members.items():
                packed.writestr(member, content)
        return path

    return make
