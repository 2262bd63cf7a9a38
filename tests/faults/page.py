"""Attacks on the review page from this machine, while its owner works."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import struct
import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import httpx

from .campaign import FaultClass, Trial
from .zygote import Child

DESCRIPTORS = 256
"""The page's limit, so that some hundreds of connections are many."""

OWNER_SECONDS = 2.0
WAIT_SECONDS = 30.0
"""How long an answer is waited for, to say how late it was."""

MOST_SAID = 256 << 10
"""Bytes the page may print over thousands of attacks."""

Send = Callable[[socket.socket, "Page"], None]


class Page(FaultClass):
    """A real `refrestore review`, asked over loopback."""

    alone = True
    rows: ClassVar[tuple[str, ...]]
    reduced = 1

    def row(self, number: int) -> str:
        """Return the kind of attack."""
        return self.rows[number % len(self.rows)]

    def prepare(self, trial: Trial) -> None:
        """Start the page and become its owner."""
        project = trial.folder / "project"
        shutil.copytree(trial.stock.project(trial.zygote), project)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
        limits = {resource.RLIMIT_NOFILE: DESCRIPTORS}
        command = ("review", project, "--port", "0", "--no-browser")
        self.child: Child = trial.command(*command, limits=limits)
        if not self.child.until("token="):
            raise RuntimeError(f"the page did not start: {self.child.wait().err}")
        line = next(text for text in self.child.said().splitlines() if "token=" in text)
        address = next(word for word in line.split() if "token=" in word)
        self.where = urlsplit(address)
        self.port = self.where.port or 0
        self.base = f"http://{self.where.netloc}"
        opened = httpx.get(address, timeout=WAIT_SECONDS)
        self.cookie = opened.headers["set-cookie"].partition(";")[0]
        self.held: list[socket.socket] = []

    def finish(self) -> str | None:
        """Let go of all connections, stop the page, look at what it said."""
        for one in self.held:
            one.close()
        said = self.child.said("err")
        self.child.signal(15)
        self.child.wait(20)
        if "Traceback" in said:
            return f"the page printed tracebacks: {said[-300:]}"
        return f"the page printed {len(said):,} bytes" if len(said) > MOST_SAID else None

    def owner(self, client: httpx.Client | None = None) -> tuple[float, str | None]:
        """Ask what the owner asks; return the seconds it took, and what was wrong."""
        began = time.monotonic()
        headers = {"Cookie": self.cookie, "X-Refrestore": "1"}
        ask = httpx.get if client is None else client.get
        try:
            answer = ask(f"{self.base}/api/identities", headers=headers, timeout=WAIT_SECONDS)
        except httpx.HTTPError as error:
            return time.monotonic() - began, f"the owner got {type(error).__name__}: {error}"
        if answer.status_code != 200:
            return time.monotonic() - began, f"the owner got {answer.status_code}: {answer.text}"
        return time.monotonic() - began, None

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS)

    @abstractmethod
    def run(self, trial: Trial) -> str | None:
        """Run a batch."""


def _send(content: bytes) -> Send:
    def send(one: socket.socket, page: Page) -> None:
        one.sendall(content)

    return send


def _headers(one: socket.socket, page: Page) -> None:
    one.sendall(f"GET / HTTP/1.1\r\nHost: {page.where.netloc}\r\nX-A: ".encode())


def _no_body(one: socket.socket, page: Page) -> None:
    _upload(one, page, b"{")


def _aborted(one: socket.socket, page: Page) -> None:
    _upload(one, page, b"x" * 1000)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def _upload(one: socket.socket, page: Page, content: bytes) -> None:
    head = (
        f"POST /api/edits HTTP/1.1\r\nHost: {page.where.netloc}\r\nX-Refrestore: 1\r\n"
        f"Cookie: {page.cookie}\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n"
    )
    one.sendall(head.encode() + content)


def _kept_alive(one: socket.socket, page: Page) -> None:
    one.sendall(f"GET / HTTP/1.1\r\nHost: {page.where.netloc}\r\n\r\n".encode())


CONNECTIONS: dict[str, Send] = {
    "silent": _send(b""),
    "half a request line": _send(b"GET /api/ide"),
    "half the headers": _headers,
    "no end of headers": _send(b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 500),
    "body that does not come": _no_body,
    "aborted upload": _aborted,
    "TLS": _send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)),
    "garbage": _send(bytes(range(256)) * 8),
    "many requests at once": _send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50),
    "kept alive": _kept_alive,
}


class PageConnections(Page):
    """Connections that want the page's descriptors."""

    name = "page-connections"
    promise = (
        "Thousands of hostile connections do not keep the page's owner waiting for over two "
        "seconds; the page prints no traceback, and a line for a refusal at most."
    )
    full, weight = 2000, 100
    reduced = 3
    rows = tuple(CONNECTIONS)

    def run(self, trial: Trial) -> str | None:
        """Open a hundred connections and hold them; the owner works before and after."""
        slowest = 0.0
        for number in range(self.weight):
            try:
                one = self.connect()
                self.held.append(one)
                CONNECTIONS[self.row(trial.number)](one, self)
            except OSError:  # refused, which is as good
                trial.count("refused at once")
            if number % 25 == 24:
                seconds, wrong = self.owner()
                slowest = max(slowest, seconds)
                if wrong or seconds > OWNER_SECONDS:
                    self._let_go()
                    return wrong or f"the owner waited {seconds:.1f} s"
        return None

    def _let_go(self) -> None:
        """Close all, so that each kind of connection is judged by itself after a failure."""
        while self.held:
            self.held.pop().close()
        time.sleep(1)


PATHS = (
    "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fserver.py", "//etc/passwd",
    "/api/identities/%00", "/api/identities/-1", "/api/identities/9999999999999999999999",
    "/api/" + "a" * 9000, "/%ff%fe", "/api\\identities", "/api/thumbnails/../../project.sqlite",
    "/?token=wrong", "http://example.org/", "*",
)  # fmt: skip
HOSTS = (
    "example.org",
    "127.0.0.1",
    "",
    "127.0.0.1:1",
    "[::1]:80",
    "localhost.example.org",
    "a" * 5000,
)
METHODS = ("PUT", "DELETE", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "GET\tX", "")
BODIES = (
    b"",
    b"{",
    b"[" * 100_000,
    b'{"version":"x","edits":[{}]}',
    b"\xff\xfe",
    b"null",
    bytes(2000),
)
COOKIES = ("", "refrestore=1", "a=b;" * 2000, "\xff", "refrestore-00000000=" + "0" * 64)


class PageRequests(Page):
    """Whole requests with something hostile in them."""

    name = "page-requests"
    promise = (
        "A request with another host, a path out of the page, an unknown method, a body that is "
        "none or a wrong cookie is refused, without a traceback; nothing is changed by it."
    )
    full, weight = 1000, 50
    reduced = 5
    rows = ("hosts", "paths", "methods", "bodies", "cookies")

    def run(self, trial: Trial) -> str | None:
        """Send fifty requests."""
        for _ in range(self.weight):
            request = self._request(trial)
            with self.connect() as one:
                try:
                    one.sendall(request)
                    one.shutdown(socket.SHUT_WR)
                    answer = one.recv(4096)
                except ConnectionError:
                    continue
            wrong = self._judged(self.row(trial.number), answer)
            if wrong:
                return f"{request[:100]!r}: {wrong}"
        return self.owner()[1]

    def _request(self, trial: Trial) -> bytes:
        dice, row = trial.random, self.row(trial.number)
        host, path, method, cookie, body = self.where.netloc, "/api/identities", "GET", "", b""
        if row != "cookies":
            cookie = self.cookie
        if row == "hosts":
            host = dice.choice(HOSTS)
        elif row == "paths":
            path = dice.choice(PATHS)
        elif row == "methods":
            method = dice.choice(METHODS)
        elif row == "bodies":
            method, path, body = (
                "POST",
                dice.choice(("/api/edits", "/api/undo")),
                dice.choice(BODIES),
            )
        else:
            cookie = dice.choice(COOKIES)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-Refrestore: 1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode("latin-1") + body

    def _judged(self, row: str, answer: bytes) -> str | None:
        line = answer.partition(b"\r\n")[0].decode("latin-1")
        words = line.split()
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        if status >= 500:
            return line
        if b"root:" in answer or b"SQLite format" in answer:
            return "a file was given away"
        if row in ("hosts", "cookies", "bodies") and 200 <= status < 300:
            return f"was not refused: {line}"
        return None


class PageLoad(Page):
    """The owner himself, for long."""

    name = "page-load"
    promise = "Memory and descriptors of the page are flat over ten thousand requests."
    full, weight = 10_000, 1000
    reduced = 1
    rows = ("requests",)

    PATHS = ("/api/version", "/api/identities", "/api/identities/1", "/", "/api/log", "/api/none")
    MEMORY, MORE_BYTES, MORE_DESCRIPTORS = 1.05, 16 << 20, 3
    """What a thousand requests more may take: a share, or so many bytes; descriptors."""

    def prepare(self, trial: Trial) -> None:
        """Start the page, and ask it until everything it keeps is there."""
        super().prepare(trial)
        self._ask(self.weight // 2)
        self._first = self._size()

    def run(self, trial: Trial) -> str | None:
        """Ask a thousand times."""
        wrong = self._ask(self.weight)
        memory, descriptors = self._size()
        most = max(self._first[0] * self.MEMORY, self._first[0] + self.MORE_BYTES)
        if memory > most:
            return f"{memory >> 20} MiB instead of {self._first[0] >> 20}"
        if descriptors > self._first[1] + self.MORE_DESCRIPTORS:
            return f"{descriptors} descriptors instead of {self._first[1]}"
        return wrong

    def _ask(self, count: int) -> str | None:
        headers = {"Cookie": self.cookie, "X-Refrestore": "1"}
        with httpx.Client(base_url=self.base, headers=headers, timeout=WAIT_SECONDS) as client:
            for number in range(count):
                answer = client.get(self.PATHS[number % len(self.PATHS)])
                if answer.status_code >= 500:
                    return f"{answer.url.path}: {answer.status_code}"
        return None

    def _size(self) -> tuple[int, int]:
        process = Path(f"/proc/{self.child.pid}")
        pages = int((process / "statm").read_text().split()[1])
        return pages * resource.getpagesize(), len(os.listdir(process / "fd"))
