"""How much a face in a picture can tell: terms of 0..1 and their product.

Measured at native resolution: a crop is never enlarged before it is judged.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.faces.align import (
    CROP_SIZE,
    FFHQ_TEMPLATE,
    crops,
    resized,
    scale_of,
    similarity,
    transform,
)
from refrestore.faces.hull import hull_polygon
from refrestore.faces.pose import mesh_keypoints
from refrestore.types import FloatArray, ImageArray

# Features of the mesh that every face has and that are finely drawn in every sharp one: each eye
# with its brow, and the lips. Their convex hulls are taken.
_FEATURES = (
    (33, 133, 159, 145, 153, 144, 46, 53, 52, 65, 55, 70, 63, 105, 66, 107),
    (362, 263, 386, 374, 380, 373, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336),
    (61, 291, 0, 17, 37, 267, 84, 314, 40, 270, 91, 321, 185, 409, 146, 375),
)

_SMALLEST_CROP = 24

_OCTAVES = (1.0, 2.0, 4.0)
"""Sigmas in native pixels; the bands between them are octaves. A sharp picture of a face, whatever
its size, has about as much energy in each (natural images: power falls as 1/f^2)."""

_SHARE_BLURRED = 0.10
_SHARE_SHARP = 0.42
"""Finest octave's share of the detail. 24 portraits shrunk to 512, 256, 128, 64 and 40 px, mean
share: as they are 0.43, 0.45, 0.51, 0.53, 0.45; enlarged twofold 0.31, 0.33, 0.37, 0.30, 0.24;
blurred by sigma 1: 0.26, 0.28, 0.31, 0.23, 0.13; by sigma 4: 0.10 and less."""

_FAINT, _PLAIN = 0.5 / 255, 3 / 255
"""Detail (RMS of the finest octave) that is lost in rounding, and that is plainly there. Without
this a face in the dark, all noise of the encoder, passes for a sharp one."""

_MAD_TO_SIGMA = 1.4826
"""Standard deviation over the median absolute deviation of a normal distribution."""

_RESOLVED_SHARPNESS = (0.0, 0.04, 0.22, 0.43, 0.54, 0.69, 0.76, 0.82, 0.85, 0.88, 0.96)
_RESOLVED_SHARE = [1 / factor for factor in (12, 6, 4, 3, 2.5, 2, 1.75, 1.5, 1.3, 1.15, 1)]
"""Mean sharpness of sharp faces of 50, 64 and 110 px that were shrunk by known factors and enlarged
again, and those factors (benchmarks/need.py). Noise and JPEG at quality 75 lower it by 0.02; a
blurred face that lost as much has the same. Of a single face it is a rough measure: eight of ten
halved ones are told as 0.35 to 0.89. What has none at all has lost more than a factor of 6: twice
that is meant."""

MOST_RESOLVED = 330.0
"""Face size (display pixels) that fills a 512-px crop: no crop, and no reference, shows more."""

_SIZE_USELESS = 16.0
_SIZE_ENOUGH = 256.0
"""Face sizes (display pixels) at which the size term is 0 and 1: a 256-px face fills a 512 crop."""

_YAW_SPREAD = 45.0
_PITCH_SPREAD = 35.0
"""Degrees at which a turned head is worth exp(-1/2): recognisers and the mesh fall off about
there, and up and down show less of a face than left and right."""

_DARK, _DIM, _BRIGHT, _GLARING = 0.05, 0.2, 0.8, 0.97
_CLIPPED_LOW, _CLIPPED_HIGH = 4 / 255, 251 / 255
_CLIPPED_TOLERATED = 0.5
"""Mean brightness (0..1 of the code values) outside and inside which the exposure term is 0 and
1; share of black or white pixels at which nothing is left."""

_DISAGREEMENT = 0.15
"""Distance of detector's and mesh's keypoints, over the face's scale, that is worth exp(-1/2);
0.04 is usual on unoccluded portraits."""

_TEMPLATE_RADIUS = float(np.sqrt(((FFHQ_TEMPLATE - FFHQ_TEMPLATE.mean(0)) ** 2).sum(1).mean()))
_TEMPLATE_EYES = float(np.linalg.norm(FFHQ_TEMPLATE[1] - FFHQ_TEMPLATE[0]))


class _NativeFace(NamedTuple):
    """A face at its own resolution: grey crop, and where features and plain skin are."""

    grey: FloatArray
    face: NDArray[np.bool_]
    features: NDArray[np.bool_]
    skin: NDArray[np.bool_]


def _native_faces(image: ImageArray, landmarks: FloatArray) -> list[_NativeFace]:
    matrices = similarity(mesh_keypoints(landmarks), FFHQ_TEMPLATE)
    result = []
    for row, side in enumerate(CROP_SIZE / scale_of(matrices)):
        size = int(np.clip(round(side), _SMALLEST_CROP, CROP_SIZE))
        matrix = resized(matrices[row : row + 1], size / CROP_SIZE)
        crop = crops(image, matrix, size)[0]
        points = transform(matrix, landmarks[row : row + 1]).astype(np.float32)
        face = hull_polygon(points, size)[0] > 0
        features = np.any([hull_polygon(points[:, part], size)[0] > 0 for part in _FEATURES], 0)
        near = cv2.dilate(features.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2) > 0
        inner = cv2.erode(face.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2) > 0
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        result.append(_NativeFace(grey, face, features & face, inner & ~near))
    return result


def sharpness(image: ImageArray, landmarks: FloatArray) -> FloatArray:
    """Return how much of the resolution a face has is really used, (N,) in 0..1.

    The share of the finest octave in the detail of eyes, brows and lips. Relative, so light and
    contrast do not matter as long as there is any; at native resolution (at most a 512-px crop),
    so faces of different size compare. What the finest octave holds on plain skin too (noise,
    block edges) is measured there robustly (Donoho's median rule) and taken off.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB picture with square pixels.
    landmarks : (N, 468, 2)
        In pixels of the picture.

    Returns
    -------
    (N,) float32
        1 for a sharp photograph, about 0.7 when enlarged twofold, 0.5 blurred by a pixel, 0
        by four.
    """
    faces = _native_faces(image, landmarks) if len(landmarks) else []
    return np.array([_sharpness(face) for face in faces], np.float32)


def noise(image: ImageArray, landmarks: FloatArray) -> FloatArray:
    """Return what is no detail in the finest octave of plain skin, (N,) grey levels of 255 (RMS).

    Grain and codec noise, as `sharpness` measures and leaves them out.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB picture with square pixels.
    landmarks : (N, 468, 2)
        In pixels of the picture.
    """
    faces = _native_faces(image, landmarks) if len(landmarks) else []
    levels = [
        _noise(face, face.grey - cv2.GaussianBlur(face.grey, (0, 0), _OCTAVES[0])) for face in faces
    ]
    return 255 * np.array(levels, np.float32)


def _noise(face: _NativeFace, finest: FloatArray) -> float:
    skin = finest[face.skin]
    return _MAD_TO_SIGMA * float(np.median(np.abs(skin))) if len(skin) else 0.0


def _sharpness(face: _NativeFace) -> float:
    if not face.features.any():
        return 0.0
    levels = [face.grey, *(cv2.GaussianBlur(face.grey, (0, 0), sigma) for sigma in _OCTAVES)]
    bands = [fine - coarse for fine, coarse in pairwise(levels)]
    energies = [float(np.square(band[face.features]).mean()) for band in bands]
    noise = _noise(face, bands[0]) ** 2
    total = sum(energies)
    if total <= 0:
        return 0.0
    share = np.sqrt(max(0.0, energies[0] - noise) / total)
    visible = _ramp(float(np.sqrt(energies[0])), _FAINT, _PLAIN)
    return visible * _ramp(share, _SHARE_BLURRED, _SHARE_SHARP)


def resolved_size(
    size: NDArray[np.floating], sharpness: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return how many pixels a sharp face would have that shows as much, in display pixels.

    Parameters
    ----------
    size : (N,)
        Face size in display pixels (`Faces.size`, `Reference.native_size`).
    sharpness : (N,)
        As `sharpness` gives it.
    """
    share = np.interp(sharpness, _RESOLVED_SHARPNESS, _RESOLVED_SHARE)
    resolved: NDArray[np.float64] = share * np.minimum(size, MOST_RESOLVED)
    return resolved


def exposure(image: ImageArray, landmarks: FloatArray) -> FloatArray:
    """Return how well faces are lit, (N,) in 0..1: neither dark nor glaring, little clipped."""
    faces = _native_faces(image, landmarks) if len(landmarks) else []
    return np.array([_exposure(face) for face in faces], np.float32)


def sharpness_and_exposure(
    image: ImageArray, landmarks: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return `sharpness` and `exposure` of faces, cutting each out only once."""
    faces = _native_faces(image, landmarks) if len(landmarks) else []
    return (
        np.array([_sharpness(face) for face in faces], np.float32),
        np.array([_exposure(face) for face in faces], np.float32),
    )


def _exposure(face: _NativeFace) -> float:
    inside = face.grey[face.face]
    if not len(inside):
        return 0.0
    mean = float(inside.mean())
    lit = _ramp(mean, _DARK, _DIM) * _ramp(mean, _GLARING, _BRIGHT)
    clipped = float(((inside <= _CLIPPED_LOW) | (inside >= _CLIPPED_HIGH)).mean())
    return lit * max(0.0, 1 - clipped / _CLIPPED_TOLERATED)


def size_term(size: FloatArray) -> FloatArray:
    """Return 0..1 (N,) from the face size in display pixels: logarithmic from 16 to 256."""
    span = np.log(_SIZE_ENOUGH / _SIZE_USELESS)
    term: FloatArray = np.clip(np.log(np.maximum(size, 1e-3) / _SIZE_USELESS) / span, 0, 1).astype(
        np.float32
    )
    return term


def pose_term(pose: FloatArray) -> FloatArray:
    """Return 0..1 (N,) from yaw, pitch, roll in degrees (N, 3): 1 frontal, 0.6 at 45° of yaw."""
    turned = np.square(pose[:, 0] / _YAW_SPREAD) + np.square(pose[:, 1] / _PITCH_SPREAD)
    term: FloatArray = np.exp(-turned / 2).astype(np.float32)
    return term


def visibility_term(
    keypoints: FloatArray, landmarks: FloatArray, presence: FloatArray
) -> FloatArray:
    """Return 0..1 (N,): falls where something covers the face or is none.

    The mesh network's presence, times the agreement of its keypoints with the detector's (N, 5,
    2): two networks that see different things guess differently where they cannot see.
    """
    offset = np.square(mesh_keypoints(landmarks) - keypoints).sum(-1).mean(-1)
    centred = keypoints - keypoints.mean(1, keepdims=True)
    radius = np.sqrt(np.square(centred).sum(-1).mean(-1))
    scale = np.maximum(radius * _TEMPLATE_EYES / _TEMPLATE_RADIUS, 1e-6)
    agreement = np.exp(-offset / np.square(_DISAGREEMENT * scale) / 2)
    term: FloatArray = (presence * agreement).astype(np.float32)
    return term


def quality(
    *,
    size: FloatArray,
    sharpness: FloatArray,
    pose: FloatArray,
    exposure: FloatArray,
    visibility: FloatArray,
) -> FloatArray:
    """Return the quality (N,) in 0..1: the product of all terms, `size` and `pose` being raw.

    Parameters
    ----------
    size : (N,)
        Face size in display pixels (`Faces.size`).
    pose : (N, 3)
        Degrees.
    sharpness, exposure, visibility : (N,)
        Terms as given by the functions of the same name.
    """
    product: FloatArray = (
        size_term(size) * sharpness * pose_term(pose) * exposure * visibility
    ).astype(np.float32)
    return product


def _ramp(value: float, zero: float, one: float) -> float:
    """Return 0 at `zero`, 1 at `one`, linear between, clipped beyond."""
    return float(np.clip((value - zero) / (one - zero), 0, 1))
