"""How much a patch changes, in grey levels of 8-bit pixels."""

from __future__ import annotations

import pytest
import torch

from refrestore.media.patch import Patch


def patch(levels: float, alpha: torch.Tensor) -> Patch:
    residual = torch.full((*alpha.shape, 3), levels / 255)
    residual[::2] *= -1  # what is added and taken away does not cancel out
    return Patch(0, 0, residual, alpha)


def face(share: float = 1.0) -> torch.Tensor:
    """Return an alpha that is 0 in the outer half."""
    alpha = torch.zeros(8, 8)
    alpha[2:6, 2:6] = share
    return alpha


def test_only_the_face_counts() -> None:
    assert float(patch(6, face()).change) == pytest.approx(6)


def test_what_is_half_shown_changes_half_as_much() -> None:
    assert float(patch(6, face(0.5)).change) == pytest.approx(3)


@pytest.mark.parametrize(("levels", "seen"), [(0.4, 0), (0.6, 1), (1.4, 1)])
def test_pixels_of_8_bits_change_by_whole_levels(levels, seen) -> None:
    assert float(patch(levels, face()).change) == pytest.approx(seen)


def test_what_shows_nowhere_changes_nothing() -> None:
    assert float(patch(9, face(0)).change) == 0
