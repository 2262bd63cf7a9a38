"""Encoders by name: visually lossless settings, options, pixel formats."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import av
from av.codec import codecs_available

from refrestore.config import EncoderSettings
from refrestore.errors import UsageError
from refrestore.media.coding import subsampling
from refrestore.media.probe import bit_depth


@dataclass(frozen=True, slots=True)
class CodecProfile:
    """How one encoder is told quality and effort.

    Parameters
    ----------
    quality_option
        Name of its constant-quality option; None if it has none.
    quality, preset
        Defaults; visually lossless, so that what the source kept of a face is kept again.
    preset_option
        Name of its effort option; None if it has none.
    options
        Always given.
    bits_per_pixel
        A low estimate of the size, to refuse disks that are certainly too small.
    """

    quality_option: str | None = "crf"
    quality: float | None = None
    preset_option: str | None = "preset"
    preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    bits_per_pixel: float = 0.02


_NVENC = CodecProfile("cq", 19, preset="p6", options={"rc": "vbr", "tune": "hq"})
_QSV = CodecProfile("global_quality", 18, preset="slow")

# x264's macroblock tree reads memory that it never wrote (core 165, seen with MALLOC_PERTURB_), so
# that the same pictures give other bytes. At this quality it saves next to nothing.
_X264 = CodecProfile(quality=15, preset="medium", options={"mbtree": "0"})

PROFILES: Mapping[str, CodecProfile] = {
    # x264 and x265 are transparent at about 17 and 19 (their guides' "visually lossless");
    # a little below that, as the source has been through an encoder already.
    "libx264": _X264,
    "libx264rgb": _X264,
    # Closed GOPs: no picture may lean on a neighbouring segment.
    "libx265": CodecProfile(
        quality=16, preset="medium", options={"x265-params": "log-level=error:open-gop=0"}
    ),
    "libsvtav1": CodecProfile(quality=18, preset="6"),
    "libvpx-vp9": CodecProfile(
        quality=15, preset_option="cpu-used", preset="2", options={"row-mt": "1"}
    ),
    # Version 3 with checksums per slice; every picture a key picture, as archives ask for.
    "ffv1": CodecProfile(
        None,
        preset_option=None,
        options={"level": "3", "slicecrc": "1", "g": "1"},
        bits_per_pixel=2.0,
    ),
    "prores_ks": CodecProfile(None, preset_option="profile", preset="hq", bits_per_pixel=1.0),
    "dnxhd": CodecProfile(None, preset_option="profile", preset="dnxhr_hq", bits_per_pixel=1.0),
    "png": CodecProfile(None, preset_option=None, bits_per_pixel=4.0),
    "tiff": CodecProfile(
        None, preset_option=None, options={"compression_algo": "deflate"}, bits_per_pixel=4.0
    ),
    "mpeg4": CodecProfile("qscale", 2, preset_option=None),
    "mpeg2video": CodecProfile("qscale", 2, preset_option=None),
    "h264_nvenc": _NVENC,
    "hevc_nvenc": _NVENC,
    "av1_nvenc": _NVENC,
    "h264_qsv": _QSV,
    "hevc_qsv": _QSV,
    "av1_qsv": _QSV,
}
"""Encoders with known settings; any other one works with --bitrate or its own defaults."""

_WHOLE_CHROMA = ("libx264", "libx265", "h264_", "hevc_")
"""Encoders that refuse sizes which their chroma planes do not divide."""

PALETTE_COLOURS = "bgra"
"""What the samples of a palette are."""

SUGGESTIONS = 4
"""Encoders named where one was misspelt."""

X265_LEAST_WIDTH = 64
"""Below its largest block, x265 (4.1) writes past its buffers and takes the process with it."""

ALIASES: Mapping[str, str] = {
    "h264": "libx264",
    "x264": "libx264",
    "avc": "libx264",
    "h265": "libx265",
    "x265": "libx265",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "prores": "prores_ks",
    "dnxhr": "dnxhd",
}
"""What people call codecs, and the encoder that they mean; libav's own encoders of some of these
names are slower and worse."""

_HIDDEN_ALPHA = ("libvpx-vp9", "libx265")
"""Encoders that keep alpha where players, and libav's own decoders, do not look for it."""

_PROFILES_BY_FORMAT = {
    "prores_ks": (("444", "4444"),),
    "dnxhd": (("444", "dnxhr_444"), ("gbrp", "dnxhr_444"), ("10", "dnxhr_hqx")),
}
"""Encoders whose profile is chosen by words in the pixel format's name, the first that fits."""


def find_codec(name: str) -> av.Codec:
    """Return the video encoder of that name, or what people mean by it.

    Raises
    ------
    UsageError
        There is none; the sentence names similar ones.
    """
    known = sorted(set(PROFILES) & set(codecs_available))
    meant = ALIASES.get(name.lower(), name)
    try:
        codec = av.Codec(meant, "w")
        if codec.type == "video":
            return codec
    except ValueError:
        pass
    # Encoders with known settings first, whichever name of theirs it is that is near.
    near = [ALIASES.get(each, each) for each in _near(name.lower(), [*known, *ALIASES])]
    near = list(dict.fromkeys([*near, *_near(name, video_encoders())]))[:SUGGESTIONS]
    raise UsageError(
        f"There is no video encoder {name!r}; {'did you mean' if near else 'there are'} "
        f"{', '.join(near or known)}{'?' if near else '.'}"
    )


def _near(name: str, names: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, names, n=SUGGESTIONS, cutoff=0.5)


def video_encoders() -> list[str]:
    """Return the names of all video encoders of this build of libav."""
    names = []
    for name in sorted(codecs_available):
        try:
            codec = av.Codec(name, "w")
        except ValueError:
            continue
        if codec.type == "video" and codec.name == name:
            names.append(name)
    return names


def codec_options(
    settings: EncoderSettings, codec: av.Codec, pixel_format: str
) -> tuple[dict[str, str], int]:
    """Return the encoder's options and its bit rate (0 for constant quality).

    Raises
    ------
    UsageError
        Settings that contradict each other or that this encoder does not have.
    """
    name = codec.name
    if settings.crf is not None and settings.bitrate is not None:
        raise UsageError("--crf and --bitrate contradict each other: give one of them.")
    profile = PROFILES.get(name, CodecProfile(None, preset_option="preset"))
    options = dict(profile.options)
    if settings.crf is not None and profile.quality_option is None:
        raise UsageError(
            f"Encoder {name} has no constant quality (--crf) that is known here; "
            "leave it out or give --bitrate."
        )
    if settings.preset is not None and profile.preset_option is None:
        raise UsageError(f"Encoder {name} has no --encoder-preset; leave it out.")
    if settings.bitrate is None and profile.quality_option is not None:
        quality = profile.quality if settings.crf is None else settings.crf
        options[profile.quality_option] = f"{quality:g}"
    preset = settings.preset or profile.preset
    if settings.preset is None:
        fitting = _PROFILES_BY_FORMAT.get(name, ())
        preset = next((mode for word, mode in fitting if word in pixel_format), preset)
    if preset is not None and profile.preset_option is not None:
        options[profile.preset_option] = preset
    return options, settings.bitrate or 0


def choose_pixel_format(
    codec: av.Codec, source: str, wanted: str | None, size: tuple[int, int]
) -> tuple[str, str | None]:
    """Return the pixel format to encode, and a sentence if something is lost by it.

    The source's where the encoder takes it, else the nearest of at least the same depth. Encoders
    of H.264 and HEVC want whole chroma samples: at odd sizes a format with more of them is taken,
    which is said too.

    Raises
    ------
    UsageError
        `wanted` does not exist or the encoder does not take it.
    """
    formats = {
        each.name: each
        for each in codec.video_formats or []
        if each.components
        and _takes_size(codec, each, size)
        and not (codec.name in _HIDDEN_ALPHA and _has_alpha(each))
    }
    if codec.name == "libx265" and size[0] < X265_LEAST_WIDTH:
        raise UsageError(
            f"Encoder libx265 cannot be used for a picture {size[0]} pixels wide; "
            f"it needs {X265_LEAST_WIDTH}, use libx264."
        )
    shown = f"{size[0]}x{size[1]} as {wanted or source}"
    if av.VideoFormat(source).has_palette:
        source = PALETTE_COLOURS
    if wanted is not None:
        try:
            av.VideoFormat(wanted)
        except ValueError as error:
            raise UsageError(f"There is no pixel format {wanted!r} (--pix-fmt).") from error
        if formats and wanted not in formats:
            raise UsageError(
                f"Encoder {codec.name} does not take {shown} (--pix-fmt); "
                f"it takes {', '.join(formats)}."
            )
        losses = losses_between(source, wanted, codec.name)
        return wanted, f"Encoded as {wanted} as asked: {losses}." if losses else None
    if source in formats or not formats:
        losses = losses_between(source, source, codec.name)
        return source, f"Encoder {codec.name} keeps {source} in part: {losses}." if losses else None
    nearest = nearest_format(source, formats)
    losses = losses_between(source, nearest, codec.name)
    if not losses and source in (each.name for each in codec.video_formats or []):
        losses = "not every player shows that"  # the size's fault
    return nearest, losses and (
        f"Encoder {codec.name} does not take {shown}; {nearest} is encoded instead: {losses}."
    )


def nearest_format(source: str, names: Iterable[str]) -> str:
    """Return the pixel format that keeps most of another, and wastes least."""
    have = av.VideoFormat(source)
    return min(names, key=lambda name: _distance(have, av.VideoFormat(name)))


def losses_between(source: str, target: str, codec: str) -> str | None:
    """Return what a conversion between pixel formats loses, in words; None if nothing."""
    have, get = av.VideoFormat(source), av.VideoFormat(target)
    depth, lower = bit_depth(have), bit_depth(get)
    losses = []
    if lower < depth:
        losses.append(f"{depth} bits a sample become {lower}")
    if _has_alpha(have) and (not _has_alpha(get) or codec in _HIDDEN_ALPHA):
        losses.append("alpha is lost")
    gray = len(get.components) < 3
    if have.is_rgb and not get.is_rgb:
        losses.append("RGB becomes gray" if gray else "RGB becomes YUV")
    elif gray and len(have.components) >= 3:
        losses.append("colour is lost")
    if not gray and len(have.components) >= 3:
        across, down = (b > a for a, b in zip(subsampling(have), subsampling(get), strict=True))
        if across or down:
            losses.append("colour becomes coarser")
    return ", ".join(losses) or None


def _has_alpha(pixel_format: av.VideoFormat) -> bool:
    return any(component.is_alpha for component in pixel_format.components)


def _takes_size(codec: av.Codec, pixel_format: av.VideoFormat, size: tuple[int, int]) -> bool:
    if not codec.name.startswith(_WHOLE_CHROMA):
        return True
    step_x, step_y = subsampling(pixel_format)
    return size[0] % step_x == 0 and size[1] % step_y == 0


def _distance(source: av.VideoFormat, other: av.VideoFormat) -> tuple[int, ...]:
    """Return what is lost, worst first, then what is wasted."""

    def shape(each: av.VideoFormat) -> tuple[int, int, int]:
        chroma = (
            (16, 16)
            if each.is_rgb
            else (0, 0)
            if len(each.components) < 3
            else (each.chroma_width(16), each.chroma_height(16))
        )
        return (chroma[0], chroma[1], sum(part.is_alpha for part in each.components))

    depth, other_depth = bit_depth(source), bit_depth(other)
    have, get = shape(source), shape(other)
    return (
        max(0, depth - other_depth),
        sum(max(0, a - b) for a, b in zip(have[:2], get[:2], strict=True)),
        int(source.is_rgb != other.is_rgb),
        max(0, have[2] - get[2]),
        other_depth - depth,
        sum(max(0, b - a) for a, b in zip(have, get, strict=True)),
        int(other.name != source.name.replace("yuvj", "yuv")),
        int(len({part.plane for part in other.components}) != len(other.components)),
    )
