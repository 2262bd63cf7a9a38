"""Usage errors, which repeat what was typed: often the names of files that a shell filled in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from refrestore.plain_text import plain

from .later import LaterGroup


class PlainGroup(LaterGroup):
    """The command line, whose usage errors are plain text."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the root's own options."""
        with _plain_usage():
            return super().make_context(*args, **kwargs)

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        """Read a command's options and run it."""
        with _plain_usage():
            return super().invoke(*args, **kwargs)


@contextmanager
def _plain_usage() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # By its attributes: some releases of typer carry a click of their own.
        if hasattr(error, "format_message") and isinstance(vars(error).get("message"), str):
            vars(error)["message"] = plain(vars(error)["message"])
        raise
