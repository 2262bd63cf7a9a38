"""Programs that are no browser open connections by the hundred while the owner works."""

from __future__ import annotations

import http.client
import io
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from PIL import Image

from refrestore.review import connections, security

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits of descriptors")

DESCRIPTORS = 256
HOSTILE = 600
AGAIN_A_SECOND = 100
WORKS_SECONDS = 6
ANSWERED_SECONDS = 10
"""The most an answer may take where other tests run too; without a bound it is half a minute."""

LIMITED = (
    "import resource, runpy, sys; limit = int(sys.argv.pop(1)); "
    "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)); "
    "runpy.run_module('refrestore', run_name='__main__', alter_sys=True)"
)

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(194)

KINDS = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "a byte a second": b"G",
    "half a body": b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Refrestore: 1\r\n"
    b"Content-Length: 1000\r\n\r\nhalf",
    "half a chunk": b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Refrestore: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nno size\r\n",
    "another protocol's switch": b"GET /api/version HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "garbage": bytes(range(256)) * 4,
    "TLS": TLS_HELLO,
    "a huge head": b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
    "many requests, nothing read": b"GET /js/main.js HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" * 500,
    "reset": b"GET / HTTP/1.1\r\n",
}


class Mob:
    """So many connections of all kinds at once, and more as they are closed, until it is over.

    Parameters
    ----------
    port
        Where the page is.
    count
        How many at a time.
    """

    def __init__(self, port: int, count: int) -> None:
        self.opened = dict.fromkeys(KINDS, 0)
        self._port, self._count = port, count
        self._watch = selectors.DefaultSelector()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Mob:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for key in list(self._watch.get_map().values()):
            key.fileobj.close()
        self._watch.close()

    def _run(self) -> None:
        kinds = list(KINDS)
        number, began, dripped = 0, time.monotonic(), time.monotonic()
        while not self._over.is_set():
            due = self._count + int(AGAIN_A_SECOND * (time.monotonic() - began)) - number
            missing = self._count - len(self._watch.get_map())
            for _ in range(min(missing, due)):
                self._open(kinds[number % len(kinds)])
                number += 1
            if drips := time.monotonic() - dripped > 1:
                dripped = time.monotonic()
            for key in list(self._watch.get_map().values()):
                if drips and key.data == "a byte a second":
                    with suppress(OSError):
                        key.fileobj.send(b"x")
            for key, _ in self._watch.select(0.05):
                self._ended(key)
            self._over.wait(0.02)  # what is never read is always ready

    def _open(self, kind: str) -> None:
        one = socket.socket()
        one.setblocking(False)
        with suppress(BlockingIOError):
            one.connect(("127.0.0.1", self._port))
        self._watch.register(one, selectors.EVENT_WRITE, kind)
        self.opened[kind] += 1

    def _ended(self, key: selectors.SelectorKey) -> None:
        """Send once the connection is there, and forget it when it is closed."""
        one, kind = key.fileobj, key.data
        try:
            if key.events == selectors.EVENT_WRITE:
                sent = KINDS[kind]
                one.send(sent.replace(b"%d", str(self._port).encode()))
                self._watch.modify(one, selectors.EVENT_READ, kind)
                if kind != "reset":
                    return
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif kind == "many requests, nothing read" or one.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._watch.unregister(one)
        one.close()


@contextmanager
def page_in_a_process(project, home, descriptors=DESCRIPTORS):
    """Start the command; yield its process, its address and the file of what it says."""
    said = home / "stderr.txt"
    arguments = ["review", project, "--port", "0", "--no-browser", "--device", "cpu"]
    arguments += ["--profiles-dir", home / "profiles"]
    with (
        said.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", LIMITED, str(descriptors), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield process, process.stdout.readline().strip(), said
        finally:
            process.terminate()


def owner(url):
    """Return the owner's browser, let in by the address."""
    http = httpx.Client(base_url=url.split("/?")[0], headers={"X-Refrestore": "1"}, timeout=60)
    assert http.get(url).status_code == 303
    return http


def work(http, seconds):
    """Ask and change over a kept connection and over new ones; return how long each took."""
    took = []

    def timed(ask):
        began = time.monotonic()
        answer = ask()
        took.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
        return answer

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        version = timed(lambda: http.get("/api/version")).json()["version"]
        edit = {"do": "rename", "identity": 1, "name": f"Anna {len(took)}"}
        body = {"version": version, "edits": [edit]}
        timed(lambda body=body: http.post("/api/edits", json=body))
        with httpx.Client(base_url=http.base_url, cookies=dict(http.cookies), timeout=60) as new:
            for path in ("/", "/js/main.js", "/api/identities", "/api/pictures/1/tracks/1.jpg"):
                timed(lambda new=new, path=path: new.get(path))
    return took


def test_the_owner_works_while_hundreds_of_connections_hang(folder, tmp_path):
    with page_in_a_process(folder, tmp_path) as (process, url, said):
        browser = owner(url)
        with Mob(int(url.split(":")[2].split("/")[0]), HOSTILE) as mob:
            time.sleep(1)
            took = work(browser, WORKS_SECONDS)
            assert all(mob.opened.values())
        assert max(took) < ANSWERED_SECONDS, sorted(took)[-10:]
        assert process.poll() is None
        words = said.read_text()
        assert "Traceback" not in words
        assert len(words.splitlines()) <= 8, words
        browser.close()


HUGE = 12_000, 8_300


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_photos_are_taken_one_at_a_time_and_leave_no_memory_behind(folder, tmp_path):
    def photo(size):
        content = io.BytesIO()
        Image.new("RGB", size, (90, 90, 90)).save(content, "JPEG")
        return content.getvalue()

    with page_in_a_process(folder, tmp_path) as (process, url, _):

        def memory(name):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000

        def send(content):
            headers = {"Content-Type": "image/jpeg"}
            answer = browser.post("/api/profiles/Anna/photos", content=content, headers=headers)
            assert answer.status_code == 400
            assert "no face" in answer.json()["error"]

        browser = owner(url)
        profile = {"name": "Anna", "identity": 1}
        assert browser.post("/api/profiles", json=profile).status_code == 200
        send(photo((640, 480)))
        before = memory("VmHWM")
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(send, [photo(HUGE)] * 6))
        assert memory("VmHWM") - before < 500
        assert memory("VmRSS") - before < 200
        browser.close()


def test_who_shows_no_cookie_in_time_is_sent_away_and_a_browser_is_not(fresh, monkeypatch):
    monkeypatch.setattr(connections, "STRANGER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    slow = [opened(fresh, head) for head in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST ")]
    head = (
        f"GET /api/version HTTP/1.1\r\nHost: 127.0.0.1:{fresh.port}\r\nCookie: {fresh.cookie}\r\n"
    )
    browser = opened(fresh, head.encode() + b"\r\n")
    assert status(browser) == 200
    half = opened(fresh, head.encode() + b"\r\n")
    assert status(half) == 200
    half.sendall(b"GET /api/ver")
    for one in (*slow, half):
        assert closed(one)
    browser.sendall(head.encode() + b"\r\n")
    assert status(browser) == 200
    browser.close()


@pytest.mark.parametrize("path", ["edits", "profiles/Anna/photos"])
def test_a_body_that_stalls_is_given_up(fresh, path, monkeypatch, capfd):
    monkeypatch.setattr(security, "STALL_SECONDS", 0.3)
    fresh.post("profiles", {"name": "Anna", "identity": 1})
    head = (
        f"POST /api/{path} HTTP/1.1\r\nHost: 127.0.0.1:{fresh.port}\r\nCookie: {fresh.cookie}\r\n"
        "X-Refrestore: 1\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nhalf"
    )
    one = opened(fresh, head.encode())
    assert status(one) == 408
    assert closed(one)
    gone = opened(fresh, head.encode())
    time.sleep(0.1)
    gone.close()
    fresh.get("version")
    assert capfd.readouterr().err == ""


def test_uploads_that_stand_still_make_room(serve, folder, monkeypatch):
    """They show the cookie, so nobody is a stranger: who sends nothing is the next to go."""
    monkeypatch.setattr(connections, "MOST", 8)
    page = serve(folder)
    head = (
        f"POST /api/edits HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nCookie: {page.cookie}\r\n"
        "X-Refrestore: 1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\nhalf"
    )
    standing = [opened(page, head.encode()) for _ in range(20)]
    time.sleep(0.2)
    assert page.client().get("/api/version").status_code == 200
    for one in standing:
        one.close()


@pytest.fixture
def fresh(serve, folder):
    return serve(folder)


def opened(page, sent):
    one = socket.create_connection(("127.0.0.1", page.port), timeout=30)
    one.sendall(sent)
    return one


def status(one):
    """Read an answer, whole; return its status."""
    answer = http.client.HTTPResponse(one)
    answer.begin()
    answer.read()
    return answer.status


def closed(one):
    """Wait until it is closed."""
    try:
        while one.recv(65536):
            pass
    except ConnectionError:
        pass
    one.close()
    return True


def test_want_of_descriptors_is_one_sentence(fresh, caplog):
    """However it comes about: the page sends strangers away and takes the next."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    slow = opened(fresh, b"GET")
    fresh.get("version")
    taken = []
    waiting = [socket.socket() for _ in range(20)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (waiting[-1].fileno() + 20, hard))
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for one in waiting:
            one.connect(("127.0.0.1", fresh.port))
        assert closed(slow)
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for one in waiting:
        one.close()
    assert fresh.client().get("/api/version").status_code == 200
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == [
        "The page could not take a connection: too many files are open."
    ]
