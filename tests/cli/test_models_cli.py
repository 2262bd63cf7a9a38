"""`refrestore models` on a catalogue of its own and a real local server."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from refrestore.cli.models import app
from refrestore.config import RuntimeSettings
from refrestore.errors import ModelError
from refrestore.models import catalogue
from refrestore.models.stages import installed

NET = b"weights" * 1000

ENTRY = """
[[file]]
name = "{name}"
packs = ["{pack}"]
role = "detector"
licence = "an odd one"
bytes = {size}
sha256 = "{digest}"
{more}
"""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(NET)))
        self.end_headers()
        self.wfile.write(NET)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{service.server_port}/net.pth"
        service.shutdown()
        thread.join()


@pytest.fixture
def run(tmp_path, monkeypatch, url):
    """Return what runs a command on two files: one downloadable, one that is not."""
    return _runner(tmp_path, monkeypatch, url)


def _runner(tmp_path, monkeypatch, url, more=""):
    facts = {"size": len(NET), "digest": hashlib.sha256(NET).hexdigest()}
    project = tmp_path / "project"
    project.mkdir()
    (project / "catalogue.toml").write_text(
        ENTRY.format(name="net.pth", pack="far", more=f'url = "{url}"', **facts)
        + ENTRY.format(name="here.onnx", pack="near", more="", **facts)
        + more
    )
    monkeypatch.setattr(catalogue, "tree_directory", lambda _: project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("REFRESTORE_MODELS", str(tmp_path / "models"))
    runner = CliRunner()

    def run(*words: str):
        return runner.invoke(app, list(words))

    return run


def test_list(run, tmp_path):
    models = json.loads(run("list", "--json").stdout)["models"]
    assert [(m["name"], m["packs"], m["present"]) for m in models] == [
        ("net.pth", ["far"], False),
        ("here.onnx", ["near"], False),
    ]
    assert {"role", "bytes", "licence", "state", "path", "url", "about"} <= set(models[0])
    lines = run("list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "PACKS", "ROLE", "STATE", "SIZE", "LICENCE"]
    assert lines[1].split()[:4] == ["net.pth", "far", "detector", "missing"]
    assert len(lines) == 3


def test_fetch_says_what_from_where(run, tmp_path, url):
    result = run("fetch", "far", "--progress", "jsonl")
    path = tmp_path / "models" / "net.pth"
    assert path.read_bytes() == NET
    assert result.stdout.strip() == str(path)
    said, *events = result.stderr.splitlines()
    assert all(part in said for part in ("net.pth", url, "an odd one"))
    assert json.loads(events[-1])["done"] == len(NET)

    again = run("fetch", "net.pth", "--json")
    assert again.stderr == ""
    assert json.loads(again.stdout) == {"files": [{"name": "net.pth", "path": str(path)}]}


def test_fetch_to_another_folder(run, tmp_path):
    assert run("fetch", "far", "--models-dir", str(tmp_path / "else")).exit_code == 0
    assert (tmp_path / "else" / "net.pth").is_file()


@pytest.mark.parametrize(("name", "message"), [("near", "no download"), ("x", "pack or file 'x'")])
def test_fetch_of_what_cannot_be_had(run, name, message):
    result = run("fetch", name)
    assert isinstance(result.exception, ModelError)
    assert message in str(result.exception)


def test_what_needs_a_digest_says_so_and_takes_it(tmp_path, monkeypatch, url):
    free = f'''[[file]]
name = "RestoreFormer++.ckpt"
packs = []
role = "second stage"
licence = "MIT"
url = "{url}"
'''
    run = _runner(tmp_path, monkeypatch, url, free)
    assert "missing, needs --sha256" in run("list").stdout
    assert json.loads(run("list", "--json").stdout)["models"][2]["sha256"] is None
    assert isinstance(run("fetch", "RestoreFormer++.ckpt").exception, ModelError)
    digest = hashlib.sha256(NET).hexdigest()
    result = run("fetch", "RestoreFormer++.ckpt", "--sha256", digest)
    assert result.exit_code == 0, result.output
    path = tmp_path / "models/RestoreFormer++.ckpt"
    assert result.stdout.strip() == str(path)
    assert "needs --sha256" not in run("list").stdout
    assert [one.name for one in installed(RuntimeSettings())] == [path.name]


def test_verify(run, tmp_path):
    assert run("verify").exit_code == 0
    run("fetch", "far")
    assert run("verify").stdout.startswith("present: ")
    assert run("verify", "near").exit_code == 1
    (tmp_path / "models" / "net.pth").write_bytes(NET[::-1])
    result = run("verify", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert not answer["ok"]
    assert [file["state"] for file in answer["files"]] == ["wrong digest"]


def test_path(run, tmp_path):
    run("fetch", "far")
    path = str(tmp_path / "models" / "net.pth")
    assert run("path", "net.pth").stdout.strip() == path
    assert json.loads(run("path", "net.pth", "--json").stdout)["path"] == path
    assert run("path").stdout.splitlines()[0] == str(tmp_path / "models")
    assert json.loads(run("path", "--json").stdout)["download"] == str(tmp_path / "models")
    assert "models fetch" not in str(run("path", "here.onnx").exception)


def test_missing_model_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "refrestore", "models", "path", "GFPGANv1.3.pth"],
        env=os.environ | {"REFRESTORE_MODELS": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        pytest.skip("this working tree has the file")
    assert done.returncode == ModelError.exit_code
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "refrestore models fetch GFPGANv1.3.pth" in done.stderr
