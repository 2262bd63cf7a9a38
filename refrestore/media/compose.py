"""Differences into decoded pictures, at the source's own format and depth.

Adding a difference in code values is blending without ever converting the source: nothing is
rounded twice, 10 bits stay 10, and a sample to which nothing is added is bit for bit what was
decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import av

from refrestore.media.coding import subsampling
from refrestore.media.colour import matrix_of, swscale_arguments
from refrestore.media.patch import Patch
from refrestore.media.planes import EXACT, LANCZOS, clone, convert, planar, plane_views
from refrestore.types import Frame

if TYPE_CHECKING:
    from refrestore.media.paste import Touched


def compose(
    frame: Frame,
    patches: Sequence[Patch],
    *,
    scale: int = 1,
    enlarged: av.VideoFrame | None = None,
    later: Touched | None = None,
) -> av.VideoFrame:
    """Return the frame's picture, enlarged and with patches added.

    Parameters
    ----------
    frame
        The decoded frame; it is not written to.
    patches
        Where they overlap, their sum is added.
    scale
        Whole factor by which the picture is enlarged first (Lanczos).
    enlarged
        What `enlarge` gave for it, if it was called already; not written to.
    later
        Takes what `paste.bring_back` has yet to bring from a GPU, so that several pictures are
        waited for once; without it they are waited for here.

    Returns
    -------
    av.VideoFrame
        With the time, tags and side data of the source. Without a patch in the picture and at scale
        1 it *is* the decoded picture.
    """
    picture = enlarged or (frame.picture if scale == 1 else enlarge(frame.picture, scale))
    if not any(_visible(patch, picture) for patch in patches):
        return picture
    from refrestore.media.paste import bring_back, paste  # torch takes a second to import

    result = clone(planar(picture))
    touched = paste(result, patches)
    if later is None:
        bring_back(touched)
    else:
        later += touched
    return result


def _visible(patch: Patch, picture: av.VideoFrame) -> bool:
    rows, columns = patch.alpha.shape
    across = -columns < patch.left < picture.width
    return across and -rows < patch.top < picture.height and rows * columns > 0


def enlarge(picture: av.VideoFrame, scale: int) -> av.VideoFrame:
    """Return the picture enlarged by a whole factor (Lanczos, format and tags kept)."""
    splits = picture.height % (2 * subsampling(picture.format)[1]) == 0
    if not (picture.interlaced_frame and splits):
        return _lanczos(picture, picture.width * scale, picture.height * scale)
    source = planar(picture)
    result = _lanczos(source, source.width * scale, source.height * scale)
    result.make_writable()
    for parity in (0, 1):
        field = av.VideoFrame(source.width, source.height // 2, source.format.name)
        field.colorspace, field.color_range = source.colorspace, source.color_range
        for target, plane in zip(plane_views(field), plane_views(source), strict=True):
            target[:] = plane[parity::2]
        enlarged = _lanczos(field, result.width, result.height // 2)
        for target, plane in zip(plane_views(result), plane_views(enlarged), strict=True):
            target[parity::2] = plane
    return result


def _lanczos(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    colour = swscale_arguments(picture)
    result = convert(
        picture,
        width=width,
        height=height,
        format=picture.format.name,
        interpolation=LANCZOS | EXACT,
        dst_colorspace=colour["src_colorspace"],
        dst_color_range=colour["src_color_range"],
        **colour,
    )
    # The matrix is said from here on: guessed from the new height it might be another one.
    if not picture.format.is_rgb:
        result.colorspace = matrix_of(picture)
    result.color_range = picture.color_range
    return result
