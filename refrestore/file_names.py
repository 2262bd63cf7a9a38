"""Names of files: which can be used, and how they are written in a sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

PATH_ERRORS = {
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.ELOOP: "it is a link that leads back to itself",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}
"""What the system says of a path that no file can be opened by, whatever else is tried."""

_SHOWN_NAME = 120
"""Letters of a name that a sentence shows."""


def readable_name(path: str | Path) -> str:
    r"""Return a name for people, short and in UTF-8: bytes that are none are written as `\xff`."""
    name = os.fspath(path)
    half = _SHOWN_NAME // 2
    short = name if len(name) <= _SHOWN_NAME else f"{name[:half]}…{name[-half:]}"
    return short.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_utf8(path: str | Path) -> bool:
    """Return whether a name can be written down: in projects, reports and for libav."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
