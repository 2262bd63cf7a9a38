"""Which references suit a face: near in pose, mouth, eyes and light, sharp, and not all alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from refrestore.restore.bank import ReferenceBank
from refrestore.types import DENSE_LANDMARKS, FloatArray, IntArray

# MediaPipe's canonical topology: inner lips and both eyelid rings.
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318)
EYELIDS = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
EXPRESSION_WEIGHT = 4.0
"""Weight of a lip or eyelid point; the rest of the mesh, which says the pose, counts 1 a point."""

LIGHT_WEIGHT = 0.02
"""Mesh distances are about 0.02 (same pose) to 0.25 (profile against frontal); light differs by
about 0.1 to 1, so it decides only between references of a like pose."""

QUALITY_WEIGHT = 0.03
SOFT_SIZE = 256.0
"""References whose face had fewer pixels than this are counted as further away, in proportion."""

SHUT_COST = 0.05
"""What a close-up with shut eyes is counted as further away: it is there for lids."""

APART, FAR_APART = 1.0, 0.06
"""What a reference gains for each unit that its mesh is away from the nearest chosen before it, and
how far away is enough. Five frames of one moment show one mouth and one noise: their mean is no
better than one of them (docs/decisions/047)."""


def normalised_meshes(landmarks: FloatArray) -> FloatArray:
    """Centre meshes (N, 468, 2) and scale them to unit root-mean-square radius."""
    centred = landmarks - landmarks.mean(axis=1, keepdims=True)
    radius = np.sqrt((centred**2).sum(axis=2).mean(axis=1))
    result: FloatArray = (centred / np.maximum(radius, 1e-6)[:, None, None]).astype(np.float32)
    return result


def mesh_distances(targets: FloatArray, references: FloatArray) -> FloatArray:
    """Procrustes distance of every target mesh to every reference mesh.

    Parameters
    ----------
    targets : (B, 468, 2)
    references : (N, 468, 2)

    Returns
    -------
    (B, N) float32
        Weighted root-mean-square distance after the best similarity, in units of the mesh's
        radius. Turned heads, open mouths and shut eyes are far from frontal, closed and open ones.
    """
    weights = np.ones(DENSE_LANDMARKS, np.float32)
    weights[list(INNER_LIPS + EYELIDS)] = EXPRESSION_WEIGHT
    weights /= weights.sum()
    # As complex numbers the best rotation of one mesh onto another is the phase of their product.
    first, second = (
        np.ascontiguousarray(normalised_meshes(meshes)).view(np.complex64)[..., 0]
        for meshes in (np.asarray(targets, np.float32), np.asarray(references, np.float32))
    )
    # Row by row: a product of matrices rounds differently with the size of the batch, and what is
    # restored must not depend on what is restored beside it.
    others = second.conj().T
    product = np.stack([np.abs(row @ others) for row in first * weights])
    norm_first = ((np.abs(first) ** 2) * weights).sum(axis=1)
    norm_second = ((np.abs(second) ** 2) * weights).sum(axis=1)
    squared = norm_first[:, None] + norm_second[None] - 2 * product
    result: FloatArray = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
    return result


def select(
    bank: ReferenceBank,
    landmarks: FloatArray,
    light: FloatArray,
    count: int,
    *,
    exclude: Sequence[Collection[int] | None] | None = None,
    shut: FloatArray | None = None,
    shows: FloatArray | None = None,
) -> IntArray:
    """Choose the references for each of B faces of the bank's person.

    The nearest first, then again and again the one that is near and unlike those chosen. Close-ups
    with shut eyes come last, and a face whose eyes are shut has one of them.

    Parameters
    ----------
    bank
        The person's references.
    landmarks : (B, 468, 2) float32
        Meshes of the faces, crop pixels.
    light : (B, 64) float32
        `bank.light_of` the faces.
    count
        How many at most; 3 to 5 is what pays (ReF-LDM, NeurIPS 2024: identity similarity 0.52
        with one reference, 0.62 with three, 0.65 with five, 0.66 with eight).
    exclude
        Per face, rows of the bank that must not be used (its own frame).
    shut : (B,), optional
        How far the eyes of each face are shut, 0..1; default open.
    shows : (N,), optional
        1 for references whose eyes are shut; default none.

    Returns
    -------
    (B, count) int64
        Rows of the bank, best first; -1 where there are no more.
    """
    faces = len(landmarks)
    chosen = np.full((faces, count), -1, np.int64)
    if not len(bank) or not faces or not count:
        return chosen
    cost = mesh_distances(landmarks, bank.landmarks)
    cost += LIGHT_WEIGHT * np.sqrt(((light[:, None] - bank.light[None]) ** 2).mean(axis=2))
    cost += QUALITY_WEIGHT * (1 - bank.quality + np.maximum(0, 1 - bank.native_size / SOFT_SIZE))
    for face, rows in enumerate(exclude or ()):
        if rows:
            cost[face, list(rows)] = np.inf
    gains = APART * np.minimum(mesh_distances(bank.landmarks, bank.landmarks), FAR_APART)
    shows = np.zeros(len(bank), np.float32) if shows is None else shows
    lids = np.where(shows > 0, cost, np.inf)
    asleep = np.isfinite(lids).any(axis=1) & (count > 1)
    asleep &= np.zeros(faces, bool) if shut is None else shut > 0
    cost += np.where(shows > 0, SHUT_COST, 0)
    for face, own in enumerate(cost):
        gain = np.full(len(bank), APART * FAR_APART, np.float32)
        for place in range(min(count, len(bank))):
            best = int(np.argmin(own - gain))
            if not np.isfinite(own[best]):
                break
            chosen[face, place] = best
            own[best] = np.inf
            gain = np.minimum(gain, gains[best])
        taken = chosen[face, chosen[face] >= 0]
        if asleep[face] and not shows[taken].any():
            last = min(len(taken), count - 1)
            chosen[face, last] = int(np.argmin(lids[face]))
    return chosen
