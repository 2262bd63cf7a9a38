"""Levels of conditioning of the second stage on the person's references, as they were tried.

W+ codes of references blended into the face's, their SFT maps warped onto it and fused with its
own, and the detail of eyes and mouth taken from the one reference that has them as the face has.
All of it is batched, on the tensors' device, and has no randomness.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.faces.eyes import EYES
from refrestore.restore.light import collapse, match_light, pyramid
from refrestore.restore.second.gfpgan import Codes
from refrestore.restore.select import INNER_LIPS, mesh_distances, normalised_meshes
from refrestore.restore.warp import warp

POSE_WIDTH = 0.03
"""Distance of meshes at which a reference counts 1/e of one with the face's own pose."""

HULL_STEPS = 64
"""Of Frank-Wolfe; five corners are settled after a dozen."""

LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
COMPONENTS = {"eyes": (*EYES[0], *EYES[1]), "mouth": (*LIPS, *INNER_LIPS)}
ELLIPSES = {"eyes": EYES, "mouth": (LIPS,)}
GROWTH = {"eyes": (0.75, 0.5), "mouth": (0.62, 0.45)}
"""Half axes over the component's width: lids and lashes, lips and the shade below them."""


def pose_weights(landmarks: np.ndarray, references: np.ndarray) -> Tensor:
    """Return how much each reference counts for a face, (B, K), by the likeness of their meshes.

    Parameters
    ----------
    landmarks : (B, 468, 2)
    references : (B, K, 468, 2)
    """
    pairs = zip(landmarks, references, strict=True)
    far = [mesh_distances(own[None], their)[0] for own, their in pairs]
    return torch.softmax(-torch.from_numpy(np.stack(far)).float() / POSE_WIDTH, 1)


def nearest_in_hull(styles: Tensor, references: Tensor) -> Tensor:
    """Return the weights (B, K), >= 0 and of sum 1, of the hull's point nearest to each code.

    Parameters
    ----------
    styles : (B, L, S)
    references : (B, K, L, S)
        Corners of the hull.
    """
    corners, goal = references.flatten(2).float(), styles.flatten(1).float()
    gram = corners @ corners.transpose(1, 2)
    pull = (corners @ goal[..., None])[..., 0]
    weights = torch.full_like(pull, 1 / pull.shape[1])
    for _ in range(HULL_STEPS):  # Frank-Wolfe with an exact step
        slope = (gram @ weights[..., None])[..., 0] - pull
        way = F.one_hot(slope.argmin(1), pull.shape[1]).to(weights) - weights
        curve = (way[:, None] @ gram @ way[..., None])[:, 0, 0].clamp(min=1e-12)
        step = (-(way * slope).sum(1) / curve).clamp(0, 1)
        weights = weights + step[:, None] * way
    return weights


def blended(codes: Codes, references: Tensor, weights: Tensor, share: float, first: int) -> Codes:
    """Move W+ codes towards a point in the hull of the references'.

    Parameters
    ----------
    codes
        Of B faces.
    references : (B, K, L, S)
        W+ codes of K references of each.
    weights : (B, K)
        Of sum 1: the result is inside the hull of face and references.
    share
        0..1.
    first
        Layers before this one keep the face's own codes.
    """
    middle = torch.einsum("bk,bkls->bls", weights.to(references), references)
    styles = torch.cat(
        [codes.styles[:, :first], torch.lerp(codes.styles, middle, share)[:, first:]], 1
    )
    return Codes(styles, codes.scales, codes.shifts)


def fused_maps(
    codes: Codes,
    references: Codes,
    offsets: Tensor,
    weights: Tensor,
    trust: Tensor,
    share: float,
    *,
    matched: bool = False,
) -> Codes:
    """Fuse the references' SFT maps, warped onto the faces, into the faces' own.

    Parameters
    ----------
    codes, references
        Of B faces; of their B * K references.
    offsets : (B, K, 2, g, g)
        Displacement of each reference onto its face in crop pixels, 4 a cell.
    weights : (B, K)
        Of sum 1.
    trust : (B, 1, S, S)
        0..1: where references agree.
    share
        Greatest share of the references, 0..1.
    matched
        Give the warped maps the mean and spread of the face's own first (a channel's, over the
        picture), as AdaIN does.
    """
    batch, count = weights.shape

    def fused(own: Tensor, their: Tensor) -> Tensor:
        side = own.shape[-1]
        field = F.interpolate(offsets.flatten(0, 1), size=side, mode="bilinear", antialias=True)
        placed = warp(their, field * (side / trust.shape[-1]))
        placed = placed.unflatten(0, (batch, count))
        if matched:
            mean, spread = placed.mean((3, 4), keepdim=True), placed.std((3, 4), keepdim=True)
            wanted = own[:, None].float()
            placed = (placed - mean) / (spread + 1e-5) * wanted.std((3, 4), keepdim=True)
            placed = placed + wanted.mean((3, 4), keepdim=True)
        middle = torch.einsum("bk,bkchw->bchw", weights.to(placed), placed).to(own.dtype)
        where = F.interpolate(trust, size=side, mode="area").to(own.dtype) * share
        return own + where * (middle - own)

    return Codes(
        codes.styles,
        tuple(map(fused, codes.scales, references.scales)),
        tuple(map(fused, codes.shifts, references.shifts)),
    )


def component_mask(landmarks: np.ndarray, name: str, size: int = 512) -> Tensor:
    """Return where a component is, 0..1 with a soft edge, (B, 1, size, size)."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    masks = np.zeros((len(landmarks), 1, size, size), np.float32)
    for face, mesh in enumerate(landmarks):
        for ring in ELLIPSES[name]:
            points = mesh[list(ring)]
            middle = (points.min(0) + points.max(0)) / 2
            half = [np.ptp(points[:, 0]) * part + 4 for part in GROWTH[name]]
            far = np.hypot((x - middle[0]) / half[0], (y - middle[1]) / half[1])
            masks[face, 0] = np.maximum(masks[face, 0], np.clip((1.3 - far) / 0.6, 0, 1))
    return torch.from_numpy(masks)


def unlikeness(mesh: np.ndarray, references: np.ndarray, name: str) -> np.ndarray:
    """Return how unlike each reference's eyes or mouth are in shape and opening, (N,).

    Parameters
    ----------
    mesh : (468, 2)
    references : (N, 468, 2)
    """
    points = list(COMPONENTS[name])
    shapes = normalised_meshes(np.concatenate([mesh[None], references]))[:, points]
    if name == "eyes":  # each about its own middle: the distance of the eyes is the face's
        shapes = shapes.reshape(len(shapes), 2, -1, 2)
        shapes = (shapes - shapes.mean(2, keepdims=True)).reshape(len(shapes), -1, 2)
    else:
        shapes = shapes - shapes.mean(1, keepdims=True)
    return np.sqrt(((shapes[1:] - shapes[0]) ** 2).mean((1, 2)))


def with_component(
    faces: Tensor, reference: Tensor, offsets: Tensor, mask: Tensor, share: float, bands: int
) -> Tensor:
    """Take the finest octaves of a component from one reference.

    Parameters
    ----------
    faces : (B, 3, S, S)
        RGB 0..1.
    reference : (B, 3, S, S)
        Each face's reference, RGB 0..1.
    offsets : (B, 2, g, g)
        Of it onto its face.
    mask : (B, 1, S, S)
    share
        0..1.
    bands
        Octaves taken.
    """
    placed = match_light(warp(reference, offsets, size=faces.shape[-2:])[:, None], faces)[:, 0]
    theirs, _ = pyramid(placed, bands)
    own, rest = pyramid(faces, bands)
    mixed = [
        torch.lerp(mine, their, F.interpolate(mask, size=mine.shape[-1], mode="area") * share)
        for mine, their in zip(own, theirs, strict=True)
    ]
    return collapse(mixed, rest).clamp(0, 1)
