"""Where a warped reference really belongs: its low frequencies laid over the blurred face's.

A mesh found on a face of 24 pixels is off by 16 pixels of the 512-px crop on the mean, most of it
the whole mesh moved at once. The blurred face still shows where eyes, nose and mouth are: a few
Gauss-Newton steps (Lucas and Kanade, IJCAI 1981) over shift, scale and turn find it again. The
error is the target mesh's, so it is the same for all references and estimated from all of them.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.light import shrunk, stretch
from refrestore.restore.warp import warp

STEPS = 6
SMOOTHING = (3, 3, 2, 2, 1, 1)
"""Passes of a 3 x 3 box before each step: coarse to fine."""

ALIKE = 2
"""Passes of it before it is asked whether the motion made the two more alike."""

BACKGROUND = 8
"""Cells a side of the blocks whose mean is taken off first: light goes, features stay."""

PRIOR = (0.01, 0.01, 0.3, 0.3)
"""Damping of shift x, shift y, scale, turn (in radii), relative to the image's own evidence."""

FURTHEST = 4.5
"""Limit of the shift, cells of 8 pixels: what the worst meshes are off by."""

LARGEST = 0.12
"""Limit of scale and turn, as fractions."""


def register(
    faces: torch.Tensor, references: torch.Tensor, valid: torch.Tensor, hull: torch.Tensor
) -> torch.Tensor:
    """Find one correction per face of where its warped references lie.

    Parameters
    ----------
    faces : (B, 3, h, w)
        Degraded faces at one cell a pixel, RGB 0..1.
    references : (B, K, 3, h, w)
        References warped onto them by the mesh, light matched.
    valid : (B, K) bool or float32
        How much each reference counts.
    hull : (B, 1, h, w)
        Where to look, 0..1.

    Returns
    -------
    (B, 2, h, w) float32
        x and y to add to the displacement fields, in cells; zero where there is no evidence or
        where it would not make the two more alike.
    """
    batch, count, _, height, width = references.shape
    where = hull[:, 0] / hull.sum((1, 2, 3)).clamp(min=1)[:, None, None]
    target = _features(faces.mean(1))
    sources = _features(references.mean(2).flatten(0, 1)).reshape(batch, count, height, width)
    present = valid.to(target.dtype)
    # One picture to register to: what the references have in common.
    share = present / present.sum(1, keepdim=True).clamp(min=1e-3)
    source = (sources * share[:, :, None, None]).sum(1)
    y = torch.arange(height, dtype=target.dtype, device=target.device)[None, :, None]
    x = torch.arange(width, dtype=target.dtype, device=target.device)[None, None]
    middle_x = (where * x).sum((1, 2))[:, None, None]
    middle_y = (where * y).sum((1, 2))[:, None, None]
    radius = width / 4
    u = ((x - middle_x) / radius).expand(batch, height, width)
    v = ((y - middle_y) / radius).expand(batch, height, width)
    motion = target.new_zeros((batch, 4))
    limits = target.new_tensor([FURTHEST, FURTHEST, LARGEST * radius, LARGEST * radius])
    smooth = [torch.stack([target, source], 1)]
    for _ in range(max(SMOOTHING)):
        smooth.append(F.avg_pool2d(smooth[-1], 3, 1, 1, count_include_pad=False))
    goals = [_normal(pair[:, 0], where) for pair in smooth]
    for passes in SMOOTHING:
        goal = goals[passes]
        moved = _normal(warp(smooth[passes][:, 1:], _flow(motion, u, v))[:, 0], where)
        slope_x, slope_y = _slopes(moved)
        columns = torch.stack(
            [slope_x, slope_y, slope_x * u + slope_y * v, slope_y * u - slope_x * v], 1
        )
        weighted = columns * where[:, None]
        normal = torch.einsum("bihw,bjhw->bij", weighted, columns)
        right = torch.einsum("bihw,bhw->bi", weighted, goal - moved)
        evidence = torch.diagonal(normal, dim1=1, dim2=2).mean(1, keepdim=True)
        prior = evidence * target.new_tensor(PRIOR) + 1e-6
        # The prior pulls the whole motion towards none, not only the step.
        step = torch.linalg.solve(normal + torch.diag_embed(prior), right - prior * motion)
        motion = torch.maximum(torch.minimum(motion + step, limits), -limits)
    found = _flow(motion, u, v)
    placed = _smooth(warp(source[:, None], found)[:, 0])
    before, after = (
        (goals[ALIKE] * _normal(one, where) * where).sum((1, 2))
        for one in (smooth[ALIKE][:, 1], placed)
    )
    better = ((after > before) & (valid > 0).any(1))[:, None, None, None]
    return found * better


def _features(images: torch.Tensor) -> torch.Tensor:
    """Take the light off (N, h, w)."""
    around = stretch(shrunk(images[:, None], BACKGROUND), *images.shape[-2:])[:, 0]
    return images - around


def _smooth(images: torch.Tensor) -> torch.Tensor:
    for _ in range(ALIKE):
        images = F.avg_pool2d(images[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    return images


def _normal(images: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    centred = images - (images * where).sum((1, 2), keepdim=True)
    spread = (centred.square() * where).sum((1, 2), keepdim=True).sqrt()
    return centred / (spread + 1e-4)


def _slopes(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    padded = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    return (
        (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2,
        (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2,
    )


def _flow(motion: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Displacement (B, 2, h, w) in cells of shift, scale and turn (B, 4)."""
    shift_x, shift_y, scale, turn = (value[:, None, None] for value in motion.unbind(1))
    return torch.stack([shift_x + scale * u - turn * v, shift_y + scale * v + turn * u], 1)
