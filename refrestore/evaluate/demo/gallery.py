"""A gallery whose wall shows the group photo: a wide shot with a natural border."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.evaluate.demo.packaged import group_photo, packaged_picture
from refrestore.types import ImageArray

WIDTH, HEIGHT = 2600, 1000
"""Size of the wall and floor together, pixels."""

FLOOR = 800
"""Row where the wall ends."""

WALL = (84, 104, 108)
WOOD = (58, 49, 44)
GOLD = (164, 124, 66)
MAT = (226, 220, 206)
VELVET = (120, 26, 34)


@dataclass(frozen=True, slots=True)
class Hanging:
    """A picture on the wall: its centre and width, and the widths of mat and frame, pixels."""

    picture: ImageArray
    x: int
    y: int
    width: int
    mat: int = 14
    frame: int = 16

    @property
    def size(self) -> tuple[int, int]:
        """Width and height without mat and frame."""
        height, width = self.picture.shape[:2]
        return self.width, round(self.width * height / width)


def gallery_wall(random: np.random.Generator) -> ImageArray:
    """Return the wall with its pictures and the floor that mirrors it, (1000, 2600, 3) RGB.

    Raises
    ------
    MediaError
        If a package does not hold its picture.
    """
    hangings = (
        Hanging(packaged_picture("skimage", "data/rocket.jpg"), 390, 350, 330),
        Hanging(group_photo(), 1100, 355, 800),
        Hanging(packaged_picture("skimage", "data/hubble_deep_field.jpg"), 1815, 345, 330),
        Hanging(packaged_picture("skimage", "data/coffee.png"), 2310, 350, 380),
    )
    wall = _plaster(random)
    light = np.full((FLOOR, WIDTH), 0.5, np.float32)
    rows, columns = np.mgrid[:FLOOR, :WIDTH].astype(np.float32)
    for hanging in hangings:
        width, height = hanging.size
        across = (columns - hanging.x) / (0.62 * width + 90)
        down = (rows - hanging.y + 0.25 * height) / (0.75 * height + 120)
        light += 0.75 * np.exp(-0.5 * (across**2 + down**2))
    wall *= np.minimum(light, 1.35)[..., None]
    wall[FLOOR - 26 :] = np.array(WOOD, np.float32) * 1.25
    wall[FLOOR - 26 : FLOOR - 23] *= 1.5
    for hanging in hangings:
        _hang(wall, hanging)
    whole = np.concatenate([wall, _floor(wall, random)])
    return np.asarray(np.clip(np.rint(whole), 0, 255), np.uint8)


def _plaster(random: np.random.Generator) -> NDArray[np.float32]:
    """Return (FLOOR, WIDTH, 3) of wall paint, not quite even."""
    grain = random.normal(0, 1, (FLOOR, WIDTH)).astype(np.float32)
    fine = cv2.GaussianBlur(grain, (0, 0), 1.2) * 4
    broad = cv2.GaussianBlur(grain, (0, 0), 14) * 45
    return np.array(WALL, np.float32) + (fine + broad)[..., None]


def _hang(wall: NDArray[np.float32], hanging: Hanging) -> None:
    """Draw shadow, frame, mat and picture."""
    width, height = hanging.size
    left, top = hanging.x - width // 2, hanging.y - height // 2
    box = left, top, width, height
    border = hanging.mat + hanging.frame
    shadow = np.zeros(wall.shape[:2], np.float32)
    shadow[top - border + 14 : top + height + border + 20, left - border + 6 :][
        :, : width + 2 * border + 4
    ] = 0.6
    wall *= 1 - cv2.GaussianBlur(shadow, (0, 0), 11)[..., None]
    for depth in range(hanging.frame):
        # a rounded bar: bright where it faces the lamp above
        bulge = np.sin(np.pi * (depth + 0.5) / hanging.frame)
        edge = border - depth
        _rectangle(wall, box, edge, np.array(GOLD) * (0.55 + 0.6 * bulge))
    _rectangle(wall, box, hanging.mat, np.array(MAT))
    _rectangle(wall, box, 2, np.array(MAT) * 0.75)
    picture = cv2.resize(hanging.picture, (width, height), interpolation=cv2.INTER_AREA)
    wall[top : top + height, left : left + width] = picture


def _rectangle(
    wall: NDArray[np.float32],
    box: tuple[int, int, int, int],
    edge: int,
    colour: NDArray[np.float64],
) -> None:
    """Fill (left, top, width, height) and `edge` pixels around it."""
    left, top, width, height = box
    wall[top - edge : top + height + edge, left - edge : left + width + edge] = colour


def _floor(wall: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return (HEIGHT - FLOOR, WIDTH, 3) of polished boards with the wall mirrored in them."""
    depth = HEIGHT - FLOOR
    mirrored = cv2.GaussianBlur(wall[::-1][: 3 * depth], (0, 0), sigmaX=5, sigmaY=16)
    mirrored = cv2.resize(mirrored, (WIDTH, depth), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[:depth, :WIDTH].astype(np.float32)
    # boards run towards a vanishing point above the middle of the wall
    board = np.floor((columns - WIDTH / 2) / (1 + rows / 260) / 58).astype(int)
    tone = random.uniform(0.86, 1.14, int(board.max() - board.min()) + 1)[board - board.min()]
    wood = np.array(WOOD, np.float32) * tone[..., None].astype(np.float32)
    wood = cv2.GaussianBlur(wood, (0, 0), 0.8)
    fade = (0.42 - 0.2 * rows / depth)[..., None]
    return np.asarray(wood * (0.8 + 0.3 * rows[..., None] / depth) + fade * mirrored, np.float32)


def rope(spacing: int = 420) -> NDArray[np.float32]:
    """Return posts with a velvet rope before the wall, (1000, 2600, 4), premultiplied."""
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    top, foot = 700, 892
    steps = np.linspace(0, 1, 60)
    for left in range(-spacing // 2, WIDTH + spacing, spacing):
        sag = np.stack([left + steps * spacing, top + 18 + 4 * 62 * steps * (1 - steps)], axis=1)
        points = [np.rint(sag * 16).astype(np.int32)]
        for layer, dark, bright in ((canvas, VELVET, (168, 52, 56)), (alpha, (255,), (255,))):
            cv2.polylines(layer, points, False, dark, 11, cv2.LINE_AA, 4)
            if layer is canvas:
                lit = [points[0] - np.array([0, 40], np.int32)]
                cv2.polylines(layer, lit, False, bright, 3, cv2.LINE_AA, 4)
    for left in range(-spacing // 2, WIDTH + spacing, spacing):
        _post(canvas, alpha, left, top, foot)
    opacity = (alpha / 255).astype(np.float32)[..., None]
    # drawn smoothly on black, the colours are multiplied by their coverage already
    return np.concatenate([canvas.astype(np.float32), opacity], axis=2)


def _post(canvas: ImageArray, alpha: NDArray[np.uint8], x: int, top: int, foot: int) -> None:
    brass, bright = (150, 118, 66), (230, 205, 150)
    for layer, body, shine in ((canvas, brass, bright), (alpha, (255,), (255,))):
        cv2.ellipse(layer, (x, foot), (44, 12), 0, 0, 360, body, -1, cv2.LINE_AA)
        cv2.rectangle(layer, (x - 7, top), (x + 7, foot), body, -1, cv2.LINE_AA)
        cv2.circle(layer, (x, top - 6), 13, body, -1, cv2.LINE_AA)
        cv2.line(layer, (x - 2, top + 8), (x - 2, foot - 6), shine, 3, cv2.LINE_AA)
        cv2.circle(layer, (x - 3, top - 9), 4, shine, -1, cv2.LINE_AA)
