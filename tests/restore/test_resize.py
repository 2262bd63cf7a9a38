"""Pictures of several sides in one batch come out as each by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from refrestore.restore.resize import cells_around, resized, resized_window, window_of

IMAGES = torch.rand((3, 2, 64, 64), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("antialias", [False, True])
def test_each_is_resized_as_it_would_be_alone(antialias: bool) -> None:
    own, wanted = np.array([64, 64, 40]), np.array([30, 50, 64])
    made = resized(IMAGES, own, wanted, antialias=antialias)
    assert made.shape == (3, 2, 64, 64)
    for row, (before, after) in enumerate(zip(own, wanted, strict=True)):
        alone = F.interpolate(
            IMAGES[row : row + 1, :, :before, :before],
            size=(int(after),) * 2,
            mode="bilinear",
            antialias=antialias,
        )[0]
        torch.testing.assert_close(made[row, :, :after, :after], alone, atol=1e-5, rtol=0)
        assert torch.equal(
            made[row, :, after:, 0], made[row, :, after - 1 : after, 0].expand(-1, 64 - after)
        )
        assert torch.equal(
            resized(IMAGES[row : row + 1], *np.array([[before], [after]]), antialias=antialias)[0],
            alone,
        )


def test_one_side_is_left_as_it_is() -> None:
    assert resized(IMAGES, np.full(3, 64), np.full(3, 64)) is not None
    assert torch.equal(resized(IMAGES, np.full(3, 64), np.full(3, 64)), IMAGES)


def test_a_window_is_the_whole_ones_part() -> None:
    own, wanted = np.array([48, 64, 33]), np.full(3, 128)
    window = slice(40, 90), slice(31, 77)
    seen = slice(0, 60), slice(3, 61)
    made = resized_window(IMAGES[..., seen[0], seen[1]], seen, own, wanted, window)
    for row, before in enumerate(own):
        alone = F.interpolate(IMAGES[row : row + 1, :, :before, :before], size=128, mode="bicubic")[
            0, :, window[0], window[1]
        ]
        torch.testing.assert_close(made[row], alone, atol=2e-5, rtol=0)


def test_windows_hold_all_boxes_that_are_not_empty() -> None:
    boxes = np.array([[10, 20, 30, 44], [5, 5, 5, 9], [12, 8, 31, 40]])
    assert window_of(boxes, 1, 2, 45) == (slice(6, 45), slice(8, 33))
    assert window_of(boxes, np.array([0.5, 1, 1]), 0, 64) == (slice(8, 40), slice(5, 31))
    assert window_of(boxes[1:2], 1, 2, 45) == (slice(0, 0), slice(0, 0))


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ([70, 90, 150, 200], (80, 208, 56, 160)),
        ([0, 100, 40, 240], (88, 248, 0, 48)),
        ([5, 3, 250, 251], (0, 256, 0, 256)),
    ],
)
def test_whole_cells_are_around_every_box(
    box: list[int], window: tuple[int, int, int, int]
) -> None:
    rows, columns = cells_around(np.array([box]), 256, 8)
    assert (rows.start, rows.stop, columns.start, columns.stop) == window
