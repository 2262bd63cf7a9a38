"""The time of what is written down."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """Return the time as ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
