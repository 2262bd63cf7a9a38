from __future__ import annotations

import json
import logging
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.plain_text import PlainFormatter, counted, json_text, plain

HOSTILE = "a\x1b]0;owned\x07b\x9b31mc\nd\te\x00f\u202eg\u2066h\u2028i\udcffj\x7fk\r\nl"
"""An escape sequence in both spellings, breaks, overrides of direction, half a character."""

ANY_TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, categories=None))


def assert_plain(text: str) -> None:
    assert not {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cs", "Zl")}
    assert not set(text) & set("\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_what_a_terminal_obeys_is_replaced():
    assert (
        plain(HOSTILE)
        == "a\ufffd]0;owned\ufffdb\ufffd31mc d e\ufffdf\ufffdg\ufffdh i\ufffdj\ufffdk l"
    )
    kept = "Anna Müller, Анна, 安娜, עברית, 👩\u200d🔬 [red]x[/red] {y}"
    assert plain(kept) == kept


@given(ANY_TEXT)
def test_any_text_becomes_plain_and_json_of_it_is_exact(text):
    assert_plain(plain(text))
    said = json_text({text: [text]}, indent=None)
    assert_plain(said)
    said.encode()
    assert json.loads(said) == {text: [text]}


def test_warnings_are_plain():
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "%s", (HOSTILE,), None)
    assert_plain(PlainFormatter().format(record))


@pytest.mark.skipif(sys.platform == "win32", reason="names of bytes")
def test_json_keeps_the_bytes_of_a_name():
    name = b"film-\xff\xfe.mp4".decode(sys.getfilesystemencoding(), "surrogateescape")
    assert json.loads(json_text({"name": name}))["name"] == name


def test_one_is_not_counted_as_several() -> None:
    assert [counted(number, "face") for number in (0, 1, 1200)] == [
        "0 faces",
        "1 face",
        "1,200 faces",
    ]
    assert [counted(number, "person", "people") for number in (1, 2)] == ["1 person", "2 people"]
