"""HDR10 metadata: what the mastering display was like, and how bright the film gets."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

_CHROMATICITY = 50_000
"""Units of a chromaticity in SMPTE ST 2086, as x264 and x265 are told it."""

_LUMINANCE = 10_000
"""Units of a candela per square metre there."""

_RATIONALS = 10
"""Of AVMasteringDisplayMetadata: red, green, blue and white x and y, least and most luminance."""

NAMES: Mapping[str, str] = {
    "MASTERING_DISPLAY_METADATA": "mastering display metadata (HDR10)",
    "CONTENT_LIGHT_LEVEL": "content light levels (HDR10)",
    "DYNAMIC_HDR_PLUS": "dynamic metadata (HDR10+)",
    "DYNAMIC_HDR_VIVID": "dynamic metadata (HDR Vivid)",
    "DOVI_METADATA": "Dolby Vision metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "ICC_PROFILE": "ICC profile",
    "SPHERICAL": "spherical mapping",
    "STEREO3D": "stereo 3D arrangement",
}
"""Side data of pictures that changes how they are to be shown, as a user knows it."""


@dataclass(frozen=True, slots=True)
class HdrMetadata:
    """Static metadata of SMPTE ST 2086 and CTA-861.3.

    Parameters
    ----------
    primaries
        x and y of red, green, blue and white; None if not told.
    luminance
        Least and most of the mastering display, candela per square metre; None if not told.
    light
        Maximum content light level and frame average, candela per square metre; None if not told.
    """

    primaries: tuple[Fraction, ...] | None = None
    luminance: tuple[Fraction, Fraction] | None = None
    light: tuple[int, int] | None = None

    @classmethod
    def of(cls, picture: av.VideoFrame) -> HdrMetadata | None:
        """Return what a decoded picture says, None if nothing."""
        primaries = luminance = light = None
        for name, data in side_data_of(picture):
            content = bytes(data)
            if name == "MASTERING_DISPLAY_METADATA":
                values = struct.unpack_from(f"={2 * _RATIONALS + 2}i", content)
                pairs = zip(values[:-2:2], values[1:-2:2], strict=True)
                known = [Fraction(top, bottom or 1) for top, bottom in pairs]
                primaries = tuple(known[:8]) if values[-2] else None
                luminance = (known[8], known[9]) if values[-1] else None
            elif name == "CONTENT_LIGHT_LEVEL":
                light = struct.unpack_from("=2I", content)
        if primaries is None and luminance is None and light is None:
            return None
        return cls(primaries, luminance, light)

    def encoder_options(self, codec: str, options: Mapping[str, str]) -> dict[str, str]:
        """Return an encoder's options with this added, where it can write it in its packets."""
        words = []
        if codec == "libsvtav1":
            key, mastering, light = "svtav1-params", "mastering-display", "content-light"
        elif codec == "libx265":
            key, mastering, light = "x265-params", "master-display", "max-cll"
        elif codec == "libx264":
            key, mastering, light = "x264-params", "mastering-display", "cll"
        else:
            return dict(options)
        if self.primaries is not None and self.luminance is not None:
            words.append(f"{mastering}={self._display(whole=codec != 'libsvtav1')}")
        if self.light is not None:
            words.append(f"{light}={self.light[0]},{self.light[1]}")
        given = [options[key]] if key in options else []
        return {**options, key: ":".join([*given, *words])}

    def _display(self, *, whole: bool) -> str:
        assert self.primaries is not None
        assert self.luminance is not None

        def said(value: Fraction, unit: int) -> str:
            return str(round(value * unit)) if whole else f"{float(value):.6f}"

        red, green, blue, white = (
            ",".join(said(value, _CHROMATICITY) for value in self.primaries[at : at + 2])
            for at in range(0, 8, 2)
        )
        least, most = (said(value, _LUMINANCE) for value in self.luminance)
        return f"G({green})B({blue})R({red})WP({white})L({most},{least})"


def shown_differently(picture: av.VideoFrame) -> frozenset[str]:
    """Return which side data of `NAMES` a decoded picture has."""
    return frozenset(name for name, _ in side_data_of(picture)) & NAMES.keys()


def side_data_of(picture: av.VideoFrame) -> Iterator[tuple[str, Any]]:
    """Yield a picture's side data by libav's names.

    Of a picture with a kind that PyAV has no name for (EXIF, in 18.1) it gives none at all.
    """
    try:
        side_data: Any = picture.side_data  # the stub modules take it for a mapping of strings
    except ValueError:
        return
    for data in side_data:
        yield data.type.name, data
