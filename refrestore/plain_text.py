"""Text from elsewhere made safe to look at: names, titles, file names, what a file says of itself.

A terminal obeys escape sequences, a line break in a name forges a line, an override of the writing
direction turns a name around. Whatever people read goes through `plain`; whatever programs read
goes through `json_text`, which says the same characters exactly, as JSON's own escapes.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
"""Line breaks, tabs and separators."""

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u2028\u2029"  # line and paragraph separator
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates of direction
    "\ud800-\udfff"  # half characters: bytes of a name that are no UTF-8
    "\ufffe\uffff]"  # no characters, and no XML
)


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return "1 face", "0 faces", "1,200 faces"; what does not end in an s is given."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def plain(text: str) -> str:
    """Return one line that only shows characters: breaks are blanks, the rest is replaced."""
    return _UNSAFE.sub(REPLACEMENT, _BREAKS.sub(" ", text))


def plain_if_text(value: Any) -> Any:
    """Return what a page says: names and titles as plain text, markup of ours as it is."""
    return plain(value) if type(value) is str else value


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Return JSON for programs that is as safe to look at; nothing in it is lost."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "\n".join(_UNSAFE.sub(_escaped, line) for line in text.split("\n"))


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


class PlainFormatter(logging.Formatter):
    """Logged sentences, one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's message without anything a terminal obeys."""
        return plain(super().format(record))
