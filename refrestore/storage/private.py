"""Modes of what is new on POSIX: projects and profiles hold faces, which are nobody else's."""

from __future__ import annotations

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
