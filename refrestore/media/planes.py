"""Planes of a picture as arrays, and copies of pictures that keep everything."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from refrestore.media.colour import FULL, swscale_arguments

Plane = NDArray[np.uint8] | NDArray[np.uint16]

# libswscale/swscale.h: SWS_BILINEAR, SWS_BICUBIC, SWS_AREA, SWS_LANCZOS and the exactness flags.
BILINEAR, BICUBIC, AREA, LANCZOS = 0x2, 0x4, 0x20, 0x200
EXACT = 0x2000 | 0x4000 | 0x40000 | 0x80000
"""Full chroma at input and output, accurate rounding, the same bits on every processor."""

PLANAR_EQUIVALENTS: Mapping[str, str] = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgb0": "gbrp",
    "bgr0": "gbrp",
    "0rgb": "gbrp",
    "0bgr": "gbrp",
    "pal8": "gbrp",
    "rgba": "gbrap",
    "bgra": "gbrap",
    "argb": "gbrap",
    "abgr": "gbrap",
    "rgb48le": "gbrp16le",
    "rgb48be": "gbrp16le",
    "rgba64le": "gbrap16le",
    "rgba64be": "gbrap16le",
    "gray16be": "gray16le",
}
"""Formats with interleaved samples and the planar one that holds the same samples."""


def convert(picture: av.VideoFrame, **arguments: Any) -> av.VideoFrame:
    """Reformat in one thread, so that slices cannot change the result.

    The picture's tags are borrowed during the call: never convert one picture in two threads.
    """
    try:
        return picture.reformat(threads=1, **arguments)
    except TypeError:  # PyAV < 17 has one thread only and no such argument
        return picture.reformat(**arguments)


def is_planar(pixel_format: av.VideoFormat) -> bool:
    """Return whether every component is a plane of 8 to 16 bit integers in native order."""
    components = pixel_format.components
    return (
        len({component.plane for component in components}) == len(components)
        and all(8 <= component.bits <= 16 for component in components)
        and not pixel_format.is_big_endian
        and not pixel_format.has_palette
        and not any(word in pixel_format.name for word in ("f16", "f32", "msb", "bayer", "xyz"))
    )


def planar(picture: av.VideoFrame) -> av.VideoFrame:
    """Return the same samples in planes; the picture itself if they are already."""
    pixel_format = picture.format
    if is_planar(pixel_format):
        return picture
    name = PLANAR_EQUIVALENTS.get(pixel_format.name)
    if name is None:
        deep = max(component.bits for component in pixel_format.components) > 8
        name = ("gbrp" if pixel_format.is_rgb else "yuv444p") + ("16le" if deep else "")
    source = swscale_arguments(picture)
    result = convert(
        picture,
        format=name,
        interpolation=BILINEAR | EXACT,
        dst_colorspace=source["src_colorspace"],
        dst_color_range=FULL if name.startswith("gbr") else source["src_color_range"],
        **source,
    )
    result.colorspace = picture.colorspace
    return result


def plane_views(picture: av.VideoFrame) -> list[Plane]:
    """Return a planar picture's components (Y, Cb, Cr or R, G, B, then alpha) as 2-D views."""
    views: list[Plane] = []
    for component in picture.format.components:
        plane = picture.planes[component.plane]
        dtype = np.dtype(np.uint8 if component.bits == 8 else np.uint16)
        stride = plane.line_size // dtype.itemsize
        buffer = np.frombuffer(plane, dtype=dtype, count=stride * plane.height)  # type: ignore[call-overload]
        views.append(buffer.reshape(plane.height, stride)[:, : plane.width])
    return views


def clone(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a picture with samples of its own and all properties (tags, fields, captions).

    A filter graph hands on a reference with all properties, which PyAV has no call for.
    """
    time = picture.pts, picture.time_base
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=time[1] or Fraction(1, 1000),
    )
    sink = graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    source.push(picture)
    copy = sink.pull()
    assert isinstance(copy, av.VideoFrame)
    copy.make_writable()
    for each in (copy, picture):  # a push takes the time of what is pushed
        each.pts = time[0]
        if time[1] is not None:
            each.time_base = time[1]
    return copy
