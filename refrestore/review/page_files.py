"""The page's own files, read once: some sixty small ones, of which the first view needs most."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What a browser is told; never guessed, as some systems call a script plain text."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


class PageFiles:
    """ASGI application that answers from memory; what was not there at the start is not found.

    Parameters
    ----------
    folder
        All its files of the types above are served, no others.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _File(
                content := path.read_bytes(),
                TYPES[path.suffix],
                f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            )
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a file."""
        await self.answer(scope)(scope, receive, send)

    def answer(self, scope: Scope, name: str | None = None) -> Response:
        """Return the answer to a request, for a file of this name or of the request's path."""
        file = self._files.get(scope["path"].removeprefix("/") if name is None else name)
        if file is None:
            return PlainTextResponse("There is no such page.", 404)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This can only be read.", 405)
        headers = {"ETag": file.etag}
        if file.etag in Headers(scope=scope).get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)
