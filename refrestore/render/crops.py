"""Aligned crops straight from the storage grid: each pixel of the source is resampled once."""

from __future__ import annotations

import numpy as np
from torch import Tensor, from_numpy, uint8

from refrestore.faces.align import (
    ARCFACE_SIZE,
    ARCFACE_TEMPLATE,
    CROP_SIZE,
    FFHQ_TEMPLATE,
    compose,
    invert,
    similarity,
    transform,
)
from refrestore.faces.landmarker import mesh_squares
from refrestore.faces.pose import mesh_keypoints
from refrestore.media import tensors
from refrestore.media.tensors import FrameTensor
from refrestore.types import DoubleArray, Faces, FloatArray, Geometry, ImageArray, IntArray

_GRID = 17
"""Points a side at which a crop is tried for being in the picture."""


def storage_to_crop(keypoints: FloatArray, geometry: Geometry) -> DoubleArray:
    """Return (N, 2, 3) matrices from storage pixels to 512-px FFHQ crops.

    Parameters
    ----------
    keypoints : (N, 5, 2)
        Display pixels.
    geometry
        Of the picture the crops are cut from.
    """
    aligned = similarity(keypoints, FFHQ_TEMPLATE)
    return compose(aligned, geometry.storage_to_display()[None])


def at_sides(matrices: DoubleArray, sides: IntArray) -> DoubleArray:
    """Return matrices (N, 2, 3) to 512-px crops as those to crops of other sides, (N,).

    The crops show the same: their edges stay where they are.
    """
    factor = (sides / CROP_SIZE)[:, None, None]
    sized = matrices * factor
    sized[:, :, 2] += (factor[:, 0] - 1) / 2
    return sized


def inside(matrices: DoubleArray, geometry: Geometry) -> FloatArray:
    """Return the share (N,) of each 512-px crop that the picture fills; the rest is mirrored.

    Parameters
    ----------
    matrices : (N, 2, 3)
        Storage pixels to crop, from `storage_to_crop`.
    geometry
        Of the picture.
    """
    steps = np.linspace(0, CROP_SIZE - 1, _GRID)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(1, -1, 2)
    points = transform(invert(matrices), grid)
    # A pixel covers half of one to each side of its centre.
    held = (points >= -0.5) & (points <= np.array([geometry.width, geometry.height]) - 0.5)
    share: FloatArray = held.all(-1).mean(-1).astype(np.float32)
    return share


def storage_to_square(faces: Faces, geometry: Geometry) -> DoubleArray:
    """Return (N, 2, 3) matrices from storage pixels to the squares the mesh is looked for in."""
    squares = mesh_squares(faces.box, faces.keypoints)
    return compose(squares, geometry.storage_to_display()[None])


def enlarged(matrices: DoubleArray, scale: int) -> DoubleArray:
    """Return matrices that take pixels of a picture enlarged `scale` times instead.

    Enlarging keeps edges: pixel x of the large picture lies at (x + 0.5) / scale - 0.5.
    """
    shrink = np.array([[1, 0, 0.5], [0, 1, 0.5]]) / scale
    shrink[:, 2] -= 0.5
    return compose(matrices, shrink[None])


def from_uint8(images: ImageArray) -> Tensor:
    """Return (N, 3, H, W) RGB 0..1 of (N, H, W, 3) uint8."""
    return from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255


def to_uint8(images: Tensor) -> ImageArray:
    """Return (N, H, W, 3) uint8 of (N, 3, H, W) RGB 0..1."""
    result: ImageArray = bytes_of(images).cpu().numpy()
    return result


def bytes_of(images: Tensor) -> Tensor:
    """Return the same where it lies, (N, H, W, 3) uint8."""
    scaled = (images.float() * 255).round_().clamp_(0, 255).to(uint8)
    return scaled.permute(0, 2, 3, 1).contiguous()


def arcface_crops(faces: Tensor, landmarks: FloatArray) -> Tensor:
    """Return (N, 112, 112, 3) uint8 recogniser inputs cut from aligned crops, where these lie.

    Parameters
    ----------
    faces : (N, 3, S, S) 0..1 on any device
        Aligned crops, RGB.
    landmarks : (N, 468, 2)
        Dense landmarks in pixels of the crops.
    """
    if not len(faces):
        return faces.new_zeros((0, ARCFACE_SIZE, ARCFACE_SIZE, 3), dtype=uint8)
    matrices = similarity(mesh_keypoints(landmarks), ARCFACE_TEMPLATE)
    pictures = [FrameTensor.of_rgb(face) for face in faces.float()]
    return bytes_of(tensors.crops(pictures, matrices, ARCFACE_SIZE))
