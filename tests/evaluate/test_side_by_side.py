"""The comparison video's pictures."""

from __future__ import annotations

import numpy as np

from refrestore.evaluate.page import SUBJECTS, Gallery
from refrestore.evaluate.side_by_side import TILE, boards, tile, windows


def test_two_people_share_a_tile() -> None:
    picture = np.zeros((200, 400, 3), np.uint8)
    picture[80:120, 80:120] = (255, 0, 0)
    picture[80:120, 280:320] = (0, 255, 0)
    points = [
        np.full((3, 5, 2), (100, 100), np.float32),
        np.full((3, 5, 2), (300, 100), np.float32),
    ]
    strips = windows(points, [40, 40])
    made = tile(picture, strips)
    assert made.shape == (TILE, TILE, 3)
    assert made[TILE // 2, TILE // 4].tolist() == [255, 0, 0]
    assert made[TILE // 2, 3 * TILE // 4].tolist() == [0, 255, 0]


def test_three_people_fill_a_tile_too() -> None:
    picture = np.zeros((100, 300, 3), np.uint8)
    points = [np.full((1, 5, 2), (x, 50), np.float32) for x in (50, 150, 250)]
    assert tile(picture, windows(points, [30, 30, 30])).shape == (TILE, TILE, 3)


def test_a_board_has_every_row_and_an_even_size() -> None:
    names = ["one", "two", "three", "four", "five"]
    tiles = {name: np.full((TILE, TILE, 3), 40 * n, np.uint8) for n, name in enumerate(names, 1)}
    [board] = boards([("a caption", tiles)], names)
    assert board.shape[0] % 2 == 0
    assert board.shape[1] % 2 == 0
    for value in range(1, 6):
        share = (board == 40 * value).all(axis=2).sum()
        assert share >= TILE * TILE


def test_the_gallery_keeps_few_faces_with_all_their_rows() -> None:
    gallery = Gallery()
    crop = np.zeros((512, 512, 3), np.uint8)
    for number in range(SUBJECTS + 3):
        for row in ("input", "truth"):
            gallery.add("stills, severe", f"face {number}", row, crop)
    kept = gallery.strips["stills, severe"]
    assert len(kept) == SUBJECTS
    assert all(set(rows) == {"input", "truth"} for rows in kept.values())
