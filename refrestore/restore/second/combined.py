"""What of a second stage is shown: detail where no reference says what is there."""

from __future__ import annotations

import torch

from refrestore.restore.fusion_bands import missing_octaves
from refrestore.restore.light import collapse, luma_of, pyramid

INPUT_BANDS = 5
"""Octaves of a whole crop that are the second stage's; what is coarser (light, gaze, expression)
stays the input's."""


def combine(
    faces: torch.Tensor,
    generated: torch.Tensor,
    confidence: torch.Tensor,
    eyes: torch.Tensor | None = None,
) -> torch.Tensor:
    """Take detail from the fused face where it is confident, else from the second stage.

    A pixel changes by no more than its confidence leaves, whatever its neighbours' is.

    Parameters
    ----------
    faces, generated : (B, 3, S, S)
        RGB 0..1; S a multiple of 32.
    confidence : (B, 1, S, S)
        0..1.
    eyes : (B, 1, S, S), optional
        Where colour stays the fused face's, so that eyes keep theirs.

    Returns
    -------
    (B, 3, S, S)
        0..1; what changes is finer than `INPUT_BANDS` octaves, but for the confidence's own edges.
    """
    octaves = INPUT_BANDS - missing_octaves(faces.shape[-1])
    bands, rest = pyramid(generated - faces, octaves)
    change = collapse(bands, torch.zeros_like(rest))
    if eyes is not None:
        # No channel may be cut off at black or white by itself: that would be a colour.
        least, most = -faces.amin(1, keepdim=True), 1 - faces.amax(1, keepdim=True)
        brighter = luma_of(change)[:, None].clamp(least, most)
        change = torch.lerp(change, brighter.expand_as(change), eyes)
    return (faces + (1 - confidence) * change).clamp(0, 1)
