"""Who may use the page: a one-time token in the address, then a cookie."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from pathlib import Path

from platformdirs import user_state_path

from refrestore.errors import DiskError

SECRET_BYTES = 32


class Session:
    """The token of one start of the server, and the cookie that outlives it.

    Parameters
    ----------
    project
        Folder; each has its own secret.
    port
        Cookies do not tell ports apart, so the port is part of the cookie's name.
    state
        Where secrets are kept, by default the user's state folder.

    Raises
    ------
    DiskError
        When the secret can be neither read nor written.
    """

    def __init__(self, project: Path, port: int, state: Path | None = None) -> None:
        place = str(project.resolve())
        folder = state or user_state_path("refrestore") / "review"
        secret = _secret(folder / f"{_hex(place)[:32]}.secret")
        self.cookie_name = f"refrestore-{_hex(f'{place}:{port}')[:8]}"
        self.cookie = hmac.new(secret, self.cookie_name.encode(), "sha256").hexdigest()
        self.token = secrets.token_urlsafe(SECRET_BYTES)
        self._used = False
        self._mutex = threading.Lock()

    def redeem(self, token: str) -> bool:
        """Say whether this is the token, and its first use."""
        right = hmac.compare_digest(token.encode(), self.token.encode())
        with self._mutex:
            if not right or self._used:
                return False
            self._used = True
        return True

    def knows(self, cookies: str) -> bool:
        """Say whether a Cookie header has our cookie."""
        right = False
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie_name:
                right |= hmac.compare_digest(value.encode(), self.cookie.encode())
        return right


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _secret(path: Path) -> bytes:
    """Return the secret in a file that only its owner can read; a new one where there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
            if not _is_secret(path):
                os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
        return path.read_bytes()
    except OSError as error:
        raise DiskError(
            f"Cannot keep the page's secret in {path} ({error.strerror}): set XDG_STATE_HOME to "
            "a folder that can be written to."
        ) from error


def _is_secret(path: Path) -> bool:
    """Say whether there is a whole secret that nobody else can read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    private = os.name != "posix" or not found.st_mode & 0o077
    return private and found.st_size == SECRET_BYTES
