"""Eyes that are shut in a picture: lids are drawn down over them."""

import cv2
import numpy as np

from refrestore.faces.eyes import EYES
from refrestore.restore.bank import LIDS_STEPS
from refrestore.restore.drawn_lids import BROWS, draw_lids
from tests.restore.test_lids import banked

SKIN, BROW, WHITE, IRIS = (200, 160, 140), (60, 40, 30), (240, 240, 240), (40, 80, 60)
EYE_Y, HALF, TALL = 240, 34, 12


def face(turn=0.0):
    """Return a face of 512 px with eyes, brows and nothing else, and its mesh, turned."""
    picture = np.full((512, 512, 3), SKIN, np.uint8)
    mesh = np.zeros((468, 2), np.float32)
    angles = np.linspace(np.pi, -np.pi, 16, endpoint=False)
    for ring, brow, x in zip(EYES, BROWS, (180, 332), strict=True):
        cv2.ellipse(picture, (x, EYE_Y), (HALF - 2, TALL - 1), 0, 0, 360, WHITE, -1)
        cv2.circle(picture, (x, EYE_Y), TALL - 3, IRIS, -1)
        cv2.rectangle(picture, (x - HALF, EYE_Y - 40), (x + HALF, EYE_Y - 30), BROW, -1)
        eye = np.stack([x + HALF * np.cos(angles), EYE_Y + TALL * np.sin(angles)], 1)
        mesh[list(ring)] = eye
        mesh[list(brow)] = np.stack([np.linspace(x - HALF, x + HALF, 5), np.full(5, EYE_Y - 30)], 1)
    matrix = cv2.getRotationMatrix2D((256, 256), turn, 1)
    turned = cv2.warpAffine(picture, matrix, (512, 512), borderValue=SKIN)
    return turned, (mesh @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def unlike(picture, colour, reach=60):
    """Return how many pixels are nearly so coloured."""
    return int((np.abs(picture.astype(int) - colour).max(2) < reach).sum())


def test_nothing_of_an_eye_is_left_and_brows_stay():
    for turn in (0, 25):
        picture, mesh = face(turn)
        shut = draw_lids(picture, mesh, 1)
        assert unlike(picture, WHITE, 10) > 1000
        assert unlike(shut, WHITE, 10) < 40
        assert unlike(shut, IRIS, 30) < 40
        assert abs(unlike(shut, BROW, 20) - unlike(picture, BROW, 20)) < 30


def test_lids_come_down_as_far_as_said():
    picture, mesh = face()
    seen = [unlike(draw_lids(picture, mesh, share), WHITE, 10) for share in (0, 0.5, 1)]
    assert seen[0] == unlike(picture, WHITE, 10)
    assert 0.3 * seen[0] < seen[1] < 0.7 * seen[0]
    below = slice(EYE_Y + 2 * TALL, None)
    assert np.array_equal(draw_lids(picture, mesh, 1)[below], picture[below])


def test_a_face_at_the_pictures_edge_is_no_error():
    picture, mesh = face()
    for offset in ((-190, 0), (0, -245), (400, 400), (-900, 0)):
        draw_lids(picture, (mesh + offset).astype(np.float32), 1)
    draw_lids(picture, np.zeros((468, 2), np.float32), 1)


def test_a_banks_lids_are_lowered_once_a_step():
    own = banked(2)
    assert own.lowered(0.2) is own
    assert own.lowered(1) is own.lowered(0.9)
    assert not np.array_equal(own.lowered(1).images, own.images)
    assert np.array_equal(own.lowered(1).embeddings, own.embeddings)
    assert len({id(own.lowered(share)) for share in (0.5, 1)}) == LIDS_STEPS
