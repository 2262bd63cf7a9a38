"""Restored faces alone, with alpha: what is laid over the film in an editor.

Colour C and alpha A of a pixel are such that C A + S (1 - A) is the render's pixel, where S is the
source's: straight alpha, as PNG and ProRes 4444 have it. Outside the faces A is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import av
import numpy as np

from refrestore.config import EncoderSettings
from refrestore.errors import UsageError
from refrestore.media.coding import read_region
from refrestore.media.colour import FULL, matrix_of
from refrestore.media.compose import enlarge
from refrestore.media.patch import Patch
from refrestore.media.planes import plane_views
from refrestore.media.probe import VideoInfo
from refrestore.types import Frame

CODECS = {"mov": "prores_ks", "matroska": "ffv1"}
"""Encoders that are taken unasked, by container; a picture's is by its suffix."""

NOTE = (
    "The layer has the restored faces alone, with alpha: lay it over the film{scaled}, whose sound "
    "and all else stay there."
)


def layer_settings(settings: EncoderSettings, container: str) -> EncoderSettings:
    """Return settings whose encoder is one with alpha, unless the user said which.

    Raises
    ------
    UsageError
        No encoder with alpha is usual in such a file.
    """
    if settings.pictures is not None or "codec" in settings.model_fields_set:
        return settings
    if container not in CODECS:
        raise UsageError(
            f"A --layer needs alpha, which {container} files seldom have: give the output a name "
            "that ends in .mov (ProRes 4444) or .mkv, or one as layer/%06d.png."
        )
    return settings.model_copy(update={"codec": CODECS[container]})


def layer_info(info: VideoInfo) -> VideoInfo:
    """Return a film as the encoder of its layer sees it: RGB with alpha, nothing else in it."""
    deep = info.bit_depth > 8
    return replace(
        info,
        pixel_format="gbrap16le" if deep else "gbrap",
        bit_depth=16 if deep else 8,
        interlaced=False,
        hdr=None,
        side_data=frozenset(),
    )


def check_alpha(pixel_format: str, codec: str) -> None:
    """Refuse an encoder that keeps no alpha.

    Raises
    ------
    UsageError
        It does not.
    """
    if not any(one.is_alpha for one in av.VideoFormat(pixel_format).components):
        raise UsageError(
            f"A --layer needs alpha, which {codec} does not keep as {pixel_format}: take --codec "
            "prores (.mov), --codec ffv1 (.mkv), or an output as layer/%06d.png."
        )


def layer(frame: Frame, patches: Sequence[Patch], *, scale: int = 1) -> av.VideoFrame:
    """Return a picture of what patches make of a frame where they are, transparent elsewhere.

    Parameters
    ----------
    frame
        The decoded frame; it is not written to.
    patches
        Where they overlap, their sum is laid.
    scale
        Whole factor by which the output is larger.

    Returns
    -------
    av.VideoFrame
        Planar RGB with straight alpha, of 8 bits, or of 16 for deeper sources.
    """
    source = frame.picture
    width, height = source.width * scale, source.height * scale
    deep = max(one.bits for one in source.format.components) > 8
    result = av.VideoFrame(width, height, "gbrap16le" if deep else "gbrap")
    result.colorspace, result.color_range = matrix_of(source), FULL
    planes = plane_views(result)
    for plane in planes:
        plane[:] = 0
    boxes = [(one, _inside(one, width, height)) for one in patches]
    shown = [(one, box) for one, box in boxes if box[0] < box[2] and box[1] < box[3]]
    if not shown:
        return result
    left, top = (min(box[side] for _, box in shown) for side in (0, 1))
    right, bottom = (max(box[side] for _, box in shown) for side in (2, 3))
    added = np.zeros((bottom - top, right - left, 3), np.float32)
    clear = np.ones((bottom - top, right - left), np.float32)
    for patch, box in shown:
        here = slice(box[1] - top, box[3] - top), slice(box[0] - left, box[2] - left)
        there = (
            slice(box[1] - patch.top, box[3] - patch.top),
            slice(box[0] - patch.left, box[2] - patch.left),
        )
        added[here] += patch.delta[there].cpu().numpy()
        clear[here] *= 1 - patch.alpha[there].cpu().numpy()
    picture = source if scale == 1 else enlarge(source, scale)
    below = read_region(picture, left, top, right - left, bottom - top)
    most = 65535 if deep else 255
    codes = np.rint((1 - clear) * most)
    alpha = codes / most
    # Of the alpha as it is stored, so that its rounding changes nothing below.
    colour = below + added / np.maximum(alpha, 1 / most)[..., None]
    stored = np.rint(np.clip(colour, 0, 1) * most)
    stored[codes == 0] = 0
    for plane, values in zip(planes, (*np.moveaxis(stored, 2, 0), codes), strict=True):
        plane[top:bottom, left:right] = values
    return result


def _inside(patch: Patch, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the patch's box as far as it is in the picture: left, top, right, bottom."""
    rows, columns = patch.alpha.shape
    return (
        max(patch.left, 0),
        max(patch.top, 0),
        min(patch.left + columns, width),
        min(patch.top + rows, height),
    )
