"""Values as they are typed."""

from __future__ import annotations

import pytest
import typer

from refrestore.cli.parse import parse_batch


def test_a_batch_is_a_number_or_auto() -> None:
    assert parse_batch("auto") == "auto"
    assert parse_batch("16") == 16


@pytest.mark.parametrize("text", ["0", "-3", "many", "", "1.5"])
def test_what_is_no_batch_is_one_sentence(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="1 or more, or auto"):
        parse_batch(text)
