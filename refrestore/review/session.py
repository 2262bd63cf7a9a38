"""Who may use the page: a one-time token in the address, then a cookie.

Both are made anew at each start and are kept nowhere, so that what a browser was given ends with
the server that gave it.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers

SECRET_BYTES = 32


class Session:
    """The tokens and the cookie of one run of the server.

    Parameters
    ----------
    port
        Cookies do not tell ports apart, so the port is part of the cookie's name.
    """

    def __init__(self, port: int) -> None:
        self.cookie_name = f"refrestore-{port}"
        self.cookie = secrets.token_hex(SECRET_BYTES)
        self._token: str | None = None
        self._mutex = threading.Lock()

    def new_token(self) -> str:
        """Return a token that is good once; the one before is no longer."""
        token = secrets.token_urlsafe(SECRET_BYTES)
        with self._mutex:
            self._token = token
        return token

    def redeem(self, token: str) -> bool:
        """Say whether this is the token, and its first use."""
        with self._mutex:
            if not self._is_token(token):
                return False
            self._token = None
        return True

    def knows(self, cookies: str) -> bool:
        """Say whether a Cookie header has our cookie."""
        right = False
        for value in self._values(cookies):
            right |= hmac.compare_digest(value.encode(), self.cookie.encode())
        return right

    def knew(self, cookies: str) -> bool:
        """Say whether a Cookie header has a cookie of ours, be it of an earlier start."""
        return bool(self._values(cookies))

    def lets_in(self, headers: Iterable[tuple[bytes, bytes]], query: bytes) -> bool:
        """Say whether a request has the cookie, or the token that is good now."""
        if self.knows("; ".join(Headers(raw=list(headers)).getlist("cookie"))):
            return True
        tokens = parse_qs(query.decode("latin-1")).get("token", [])
        return any(self._is_token(one) for one in tokens)

    def _values(self, cookies: str) -> list[str]:
        parts = (part.strip().partition("=") for part in cookies.split(";"))
        return [value for name, _, value in parts if name == self.cookie_name]

    def _is_token(self, token: str) -> bool:
        good = self._token
        return good is not None and hmac.compare_digest(token.encode(), good.encode())
