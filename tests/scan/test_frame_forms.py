"""What a scan looks at of a frame lies where the whole picture has it."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from refrestore.faces.align import crops
from refrestore.media.pixels import display_rgb
from refrestore.scan.frame_forms import FrameForms
from refrestore.types import Faces, Frame, Geometry

WIDTH, HEIGHT = 320, 180


def frame_of(pixel_format="yuv420p", aspect=Fraction(1), rotation=0) -> Frame:
    """Return a smooth coloured picture with edges, of some format and geometry."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    red = 120 + 100 * np.sin(x / 11)
    green = 128 + 90 * np.cos(y / 9 + x / 40)
    blue = np.where((x // 40 + y // 30) % 2, 60, 190)
    picture = np.stack([red, green, blue], -1).astype(np.uint8)
    picture = cv2.GaussianBlur(picture, (0, 0), 1.5)
    decoded = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel_format)
    geometry = Geometry(WIDTH, HEIGHT, aspect, rotation)
    return Frame(7, Fraction(7, 25), decoded, geometry)


KINDS = [
    frame_of(),
    frame_of("yuv420p10le"),
    frame_of(aspect=Fraction(27, 20)),
    frame_of(aspect=Fraction(16, 11), rotation=90),
    frame_of("gray"),
]


@pytest.mark.parametrize("frame", KINDS, ids=repr)
def test_crops_for_the_mesh_are_those_of_the_display_picture(frame) -> None:
    picture = FrameForms(frame)
    turn = np.array([[0.8, 0.3, -20.0], [-0.3, 0.8, 40.0]])
    matrices = np.stack([turn, turn * 0.4, turn * 1.5])
    got = picture.crops(matrices, 96).astype(float)
    wanted = crops(display_rgb(frame), matrices, 96).astype(float)
    assert np.abs(got - wanted).mean() < 3
    assert np.abs(got - np.roll(wanted, 2, axis=2)).mean() > 2 * np.abs(got - wanted).mean()


@pytest.mark.parametrize("frame", KINDS, ids=repr)
def test_a_shrunk_picture_is_the_mean_of_the_whole_one(frame) -> None:
    whole = display_rgb(frame)
    small = FrameForms(frame).shrunk(128)
    assert max(small.shape[:2]) == 128
    wanted = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(float) - wanted).mean() < 1.5
    assert FrameForms(frame).shrunk(4096).shape == whole.shape


def test_faces_of_a_shrunk_picture_are_moved_to_their_place() -> None:
    picture = FrameForms(frame_of(aspect=Fraction(27, 20)))
    shown = picture.shrunk(144)
    height, width = picture.display.shape[:2]
    corners = np.array([-0.5, -0.5, shown.shape[1] - 0.5, shown.shape[0] - 0.5], np.float32)
    faces = Faces(
        frame=np.array([7]),
        box=corners[None],
        keypoints=np.tile(corners[2:], (1, 5, 1)),
        score=np.ones(1, np.float32),
    )
    moved = picture.in_display(faces, shown)
    assert moved.box[0] == pytest.approx([-0.5, -0.5, width - 0.5, height - 0.5], abs=1e-3)
    assert moved.keypoints[0, 0] == pytest.approx([width - 0.5, height - 0.5], abs=1e-3)
