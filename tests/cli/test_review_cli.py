"""The command that opens the page: what it prints, refuses and keeps."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from fractions import Fraction

import httpx
import pytest

from refrestore.project import Project, VideoSource
from refrestore.types import Geometry


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    video = VideoSource(tmp_path / "a.mp4", "f", Geometry(64, 36), Fraction(0), Fraction(25), 10)
    with Project.create(folder, video):
        pass
    return folder


def command(tmp_path, *arguments):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    words = ["review", *arguments, "--no-browser", "--profiles-dir", tmp_path / "profiles"]
    return [sys.executable, "-m", "refrestore", *map(str, words)], environment


@contextmanager
def running(tmp_path, *arguments):
    """Yield the address and the process; stop it as Ctrl-C does."""
    words, environment = command(tmp_path, *arguments)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            url = process.stdout.readline().strip()
            assert "/?token=" in url, process.stderr.read()
            yield url, process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def refused(tmp_path, *arguments):
    words, environment = command(tmp_path, *arguments)
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("refrestore: ")
    return line


def test_it_prints_an_address_that_works_once_and_ends_on_ctrl_c(tmp_path, project):
    with running(tmp_path, project, "--port", "0") as (url, process):
        assert url.startswith("http://127.0.0.1:")
        base, token = url.split("/?token=")
        with httpx.Client(base_url=base) as http:
            assert http.get(f"/?token={token}").status_code == 303
            assert http.get("/api/project").json()["scan"] is None
            assert http.get("/api/identities").json()["identities"] == []
        assert httpx.get(url).status_code == 403
        process.send_signal(signal.SIGINT)
        process.wait(30)
        said = process.stdout.read() + process.stderr.read()
    assert token not in said
    assert "Traceback" not in said
    assert process.returncode in (0, 130, -signal.SIGINT)


def test_a_new_start_lets_nobody_in_who_was_let_in_before(tmp_path, project):
    with running(tmp_path, project, "--port", "0") as (url, _), httpx.Client() as http:
        http.get(url)
        jar = dict(http.cookies)
    base = url.split("/?")[0]
    with running(tmp_path, project, "--port", base.rsplit(":", 1)[1]) as (again, _):
        assert again != url
        assert httpx.get(f"{base}/api/version", cookies=jar).status_code == 401
        assert httpx.get(url).status_code == 403


def test_a_port_that_is_taken_is_named(tmp_path, project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port}" in refused(tmp_path, project, "--port", port)


def test_what_is_no_project_or_address_is_refused(tmp_path, project):
    assert "There is no project" in refused(tmp_path, tmp_path / "nothing")
    assert "Cannot listen" in refused(tmp_path, project, "--host", "192.0.2.1", "--port", "0")


def test_it_warns_where_others_can_reach_it_and_asks_them_for_the_token(tmp_path, project):
    with running(tmp_path, project, "--port", "0", "--host", "0.0.0.0") as (url, process):
        base = url.split("/?")[0]
        assert httpx.get(f"{base}/api/version").status_code == 401
        assert httpx.get(f"{base}/?token=x").status_code == 403
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert "Anybody who can reach 0.0.0.0" in process.stderr.read()


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(tmp_path, project, missing):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {missing!r}:\n"
        f"            raise ModuleNotFoundError('gone', name={missing!r})\n"
        "sys.meta_path.insert(0, Gone())\n"
    )
    words, environment = command(tmp_path, project)
    environment["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'refrestore[review]'.")


def test_a_strength_is_said_and_taken_back(tmp_path):
    from refrestore.config import ScanSettings
    from refrestore.types import Faces, Shot, Track

    video = VideoSource(tmp_path / "a.mp4", "f", Geometry(64, 36), Fraction(0), Fraction(25), 10)
    folder = tmp_path / "scanned"
    with Project.create(folder, video) as made, made.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 10, Fraction(0)))
        faces = Faces([0, 1], [[0, 0, 9, 9]] * 2, [[[0, 0]] * 5] * 2, [1, 1])
        writer.add_track(Track(1, 0, 0, 2, None, 0.0, 0.5, 9.0, weak=False), faces)
        writer.set_identities([[1]])

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "refrestore", "identities", *words, "-p", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    said = json.loads(run("strength", "1", "0.6", "--json").stdout)
    assert said["identities"][0]["strength"] == 0.6
    assert run("strength", "1", "1.6").returncode == 2
    assert run("strength", "7", "0.6").returncode == 5
    assert "strength 1 0.6" in run("undo").stdout
    with Project.open(folder) as opened:
        assert opened.identity(1).strength == 1
