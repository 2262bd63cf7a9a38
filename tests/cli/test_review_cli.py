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


HERE = """
import os
os.environ["XDG_STATE_HOME"] = "state"
"""


@pytest.fixture
def start(commands, tmp_path):
    """Return what starts the command in the test's folder."""

    def start(*arguments):
        words = ("review", *arguments, "--no-browser", "--profiles-dir", tmp_path / "profiles")
        return commands.start(*words, folder=tmp_path, first=HERE)

    return start


@pytest.fixture
def running(start):
    """Return what gives the address and the command; it is stopped as Ctrl-C does."""

    @contextmanager
    def running(*arguments):
        one = start(*arguments)
        one.until(lambda: one.stdout.read_text().endswith("\n"))
        url = one.stdout.read_text().strip()
        assert "/?token=" in url
        yield url, one
        if not one.ended:
            one.send(signal.SIGINT)
            one.wait()

    return running


@pytest.fixture
def refused(start):
    def refused(*arguments):
        one = start(*arguments)
        assert one.wait() > 0
        assert one.stdout.read_text() == ""
        (line,) = one.stderr.read_text().splitlines()
        assert line.startswith("refrestore: ")
        return line

    return refused


def test_it_prints_an_address_that_works_once_and_ends_on_ctrl_c(running, project):
    with running(project, "--port", "0") as (url, one):
        assert url.startswith("http://127.0.0.1:")
        base, token = url.split("/?token=")
        with httpx.Client(base_url=base) as http:
            assert http.get(f"/?token={token}").status_code == 303
            assert http.get("/api/project").json()["scan"] is None
            assert http.get("/api/identities").json()["identities"] == []
        assert httpx.get(url).status_code == 403
        one.send(signal.SIGINT)
        assert one.wait() in (0, 130, -signal.SIGINT)
    assert token not in one.stdout.read_text().removeprefix(url)
    said = one.stderr.read_text()
    assert token not in said
    assert "Traceback" not in said


def test_a_new_start_lets_nobody_in_who_was_let_in_before(running, project):
    with running(project, "--port", "0") as (url, _), httpx.Client() as http:
        http.get(url)
        jar = dict(http.cookies)
    base = url.split("/?")[0]
    with running(project, "--port", base.rsplit(":", 1)[1]) as (again, _):
        assert again != url
        assert httpx.get(f"{base}/api/version", cookies=jar).status_code == 401
        assert httpx.get(url).status_code == 403


def test_a_port_that_is_taken_is_named(refused, project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port}" in refused(project, "--port", port)


def test_what_is_no_project_or_address_is_refused(refused, tmp_path, project):
    assert "There is no project" in refused(tmp_path / "nothing")
    assert "Cannot listen" in refused(project, "--host", "192.0.2.1", "--port", "0")


def test_it_warns_where_others_can_reach_it_and_asks_them_for_the_token(running, project):
    with running(project, "--port", "0", "--host", "0.0.0.0") as (url, one):
        base = url.split("/?")[0]
        assert httpx.get(f"{base}/api/version").status_code == 401
        assert httpx.get(f"{base}/?token=x").status_code == 403
        one.send(signal.SIGINT)
        one.wait()
        assert "Anybody who can reach 0.0.0.0" in one.stderr.read_text()


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
    done = subprocess.run(
        [sys.executable, "-m", "refrestore", "review", project, "--no-browser"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'refrestore[review]'.")


def test_a_strength_is_said_and_taken_back(commands, tmp_path):
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
        one = commands.start("identities", *words, "-p", "scanned", folder=tmp_path)
        return one.wait(), one.stdout.read_text()

    said = json.loads(run("strength", "1", "0.6", "--json")[1])
    assert said["identities"][0]["strength"] == 0.6
    assert run("strength", "1", "1.6")[0] == 2
    assert run("strength", "7", "0.6")[0] == 5
    assert "strength 1 0.6" in run("undo")[1]
    with Project.open(folder) as opened:
        assert opened.identity(1).strength == 1
