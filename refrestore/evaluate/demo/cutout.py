"""The astronaut, cut out of her portrait so that she can walk through another scene."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.evaluate.demo.packaged import portrait_photo

OUTLINE = (
    *((28, 520), (28, 487), (23, 464), (23, 440), (19, 412), (21, 394), (27, 356), (34, 323)),
    *((44, 291), (56, 267), (75, 241), (96, 225), (111, 210), (113, 201), (112, 190), (118, 184)),
    *((124, 176), (136, 161), (150, 153), (169, 148), (182, 149), (183, 141), (182, 134)),
    *((176, 130), (172, 120), (162, 106), (155, 89), (154, 73), (156, 63), (164, 52), (176, 42)),
    *((191, 31), (206, 21), (230, 15), (248, 18), (267, 25), (284, 36), (296, 53), (300, 70)),
    *((301, 89), (296, 108), (286, 121), (277, 130), (274, 135), (266, 138), (265, 155)),
    *((258, 170), (272, 180), (286, 194), (298, 211), (304, 227), (306, 236), (319, 239)),
    *((335, 255), (345, 272), (349, 284), (355, 300), (360, 323), (363, 348), (371, 347)),
    *((394, 344), (422, 347), (450, 358), (471, 377), (485, 398), (493, 422), (497, 445)),
    *((503, 462), (503, 520)),
)
"""Her outline in the portrait, drawn by hand to within `BAND` pixels (x, y)."""

BAND = 5
"""GrabCut finds the edge this many pixels to either side of the outline."""

EYES = (227, 102)
"""The point between her eyes (x, y)."""


def cut_out_portrait() -> NDArray[np.float32]:
    """Return the astronaut, (512, 512, 4): RGB in 0..255 times alpha, and alpha in 0..1.

    GrabCut (Rother et al., SIGGRAPH 2004) in a band around the outline; the edge is then softened
    and its colour taken from inside, so that nothing of the old background shines through.

    Raises
    ------
    MediaError
        If scikit-image does not hold the portrait.
    """
    photo = portrait_photo()
    inside = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.array(OUTLINE, np.int32)], 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1))
    # she leaves the portrait below: its border is no edge of hers
    surely = cv2.erode(inside, kernel, borderType=cv2.BORDER_REPLICATE)
    perhaps = cv2.dilate(inside, kernel)
    labels = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[surely > 0] = cv2.GC_FGD
    labels[perhaps == 0] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # its clusters start at random
    # with a mask the rectangle does not count; the two others are room to work in
    work = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(photo, labels, (0, 0, 1, 1), *work, 4, cv2.GC_INIT_WITH_MASK)
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.medianBlur(found, 5).astype(np.float32)
    # half a pixel inwards: what is left of the old background lies outside
    alpha = np.clip((cv2.GaussianBlur(found, (0, 0), 1.4) - 0.35) / 0.6, 0, 1)
    certain = cv2.erode(found, np.ones((3, 3), np.uint8), iterations=2)[..., None]
    spread = cv2.GaussianBlur(photo * certain, (0, 0), 2.5)
    weight = cv2.GaussianBlur(certain, (0, 0), 2.5)[..., None]
    clean = np.where(certain > 0, photo, spread / np.maximum(weight, 1e-3))
    premultiplied = clean * alpha[..., None]
    return np.concatenate([premultiplied, alpha[..., None]], axis=2).astype(np.float32)
