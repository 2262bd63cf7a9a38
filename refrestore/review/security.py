"""What every request must pass, and what every answer carries.

A page on the internet can make the user's browser talk to 127.0.0.1. It cannot set the Host of
its own name to ours (DNS rebinding), send a header of its own without asking first (CSRF), or make
the browser send a SameSite cookie from elsewhere; all three are checked here, before anything
else runs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .session import Session

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox"
)
"""A report has its style and pictures inside; nothing in it may run."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

OWN_HEADER = "x-refrestore"

SMALL_BODY = 1_000_000
PHOTO_BODY = 30_000_000
"""Most bytes of a request: of a photo, and of anything else."""

CLOSE = {"Connection": "close"}
"""What is left of a request's body is not read."""

STALL_SECONDS = 10
"""How long nothing may come of a request that has begun."""

FIRST = "Open the address that refrestore printed."
AGAIN = "refrestore was started again: open the address that it printed then."

_API = re.compile(r"(/films/[^/]*)?/api(/|$)")

WILDCARDS = ("0.0.0.0", "::")


class Guard:
    """ASGI middleware around the whole application.

    Parameters
    ----------
    app
        What is guarded.
    session
        Token and cookie.
    host, port
        Where the server listens.
    """

    def __init__(self, app: ASGIApp, session: Session, host: str, port: int) -> None:
        self._app, self._session = app, session
        self._any_address = host in WILDCARDS
        names = ["127.0.0.1", "localhost", "::1", host]
        if self._any_address:
            names.append(socket.gethostname())
        self._hosts = set(_hosts(names, port))
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        cookies = "; ".join(headers.getlist("cookie"))
        known = self._session.knows(cookies)
        # A stranger is answered once a connection, or one could ask a thousand times at once.
        send = _with_headers(scope, send, {} if known else CLOSE)
        refusal = self._refusal(scope, headers, None if known else self._unknown(cookies))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}
            if scope["path"] == "/":  # what only looks at an address does not use it up
                scope["query_string"] = b""
        most = PHOTO_BODY if scope["path"].endswith("/photos") else SMALL_BODY
        await self._bounded(scope, receive, send, headers, most)

    def _unknown(self, cookies: str) -> str:
        return AGAIN if self._session.knew(cookies) else FIRST

    def _refusal(self, scope: Scope, headers: Headers, unknown: str | None) -> Response | None:
        path, method = scope["path"], scope["method"]
        host = headers.getlist("host")
        api = is_api(path)
        changes = method not in ("GET", "HEAD")
        elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        foreign = any(
            origin != f"http://{one}" for origin in headers.getlist("origin") for one in host
        )
        checks = (
            (
                len(host) != 1 or not self._is_ours(host[0]),
                421,
                "This address is not refrestore's: open the one it printed.",
            ),
            (
                any(ord(letter) < 32 or letter in "\\\x7f" for letter in path),
                400,
                "There is no such page.",
            ),
            (
                api and unknown is not None,
                401,
                unknown or "",
            ),
            (
                (api and elsewhere) or (changes and foreign),
                403,
                "Another page may not ask refrestore.",
            ),
            (
                changes and headers.getlist(OWN_HEADER) != ["1"],
                403,
                "A change needs the header X-Refrestore: 1.",
            ),
        )
        for wrong, status, sentence in checks:
            if wrong:
                return _refused(status, sentence)
        return None

    def _is_ours(self, host: str) -> bool:
        if host.lower() in self._hosts:
            return True
        # Rebinding needs a name that somebody else's DNS answers; an address cannot be rebound.
        name, _, port = host.rpartition(":")
        return self._any_address and port == str(self._port) and _is_address(name)

    async def _bounded(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, most: int
    ) -> None:
        """Run the application, which is given no more than `most` bytes of the request."""
        sentence = f"This is too large: {most // 1_000_000} MB at most."
        said = headers.get("content-length", "0")
        if not said.isascii() or not said.isdigit() or int(said) > most:
            await _refused(413, sentence)(scope, receive, send)
            return
        seen, more = 0, True

        async def counted() -> Message:
            nonlocal seen, more
            try:
                message = await asyncio.wait_for(receive(), STALL_SECONDS if more else None)
            except asyncio.TimeoutError:
                raise HTTPException(408, "The rest of this never came.", CLOSE) from None
            more = message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, sentence, CLOSE)
            return message

        await self._app(scope, counted, send)


def is_api(path: str) -> bool:
    """Say whether a path asks for what is the owner's; each film of a queue has its own."""
    return _API.match(path) is not None


def _hosts(names: Iterable[str], port: int) -> Iterable[str]:
    for name in names:
        shown = f"[{name}]" if ":" in name else name.lower()
        yield f"{shown}:{port}"
        if port == 80:
            yield shown


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _refused(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=CLOSE)


def _with_headers(scope: Scope, send: Send, more: Mapping[str, str]) -> Send:
    api = is_api(scope["path"])

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, **more}.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store" if api else "no-cache")
        await send(message)

    return add
