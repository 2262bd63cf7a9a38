"""Values as they are typed."""

from __future__ import annotations

import pytest

from refrestore.config import faces_at_a_time


def test_a_batch_is_a_number_or_auto() -> None:
    assert faces_at_a_time("auto") == "auto"
    assert faces_at_a_time("16") == 16


@pytest.mark.parametrize("text", ["0", "-3", "many", "", "1.5"])
def test_what_is_no_batch_is_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="1 or more, or auto"):
        faces_at_a_time(text)
