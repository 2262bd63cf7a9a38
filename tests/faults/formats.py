"""Valid formats: what goes in comes out, or is named in the notes."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from .campaign import FaultClass, Trial, complaint, first, leftovers
from .films import Content, content
from .samples import FORMATS, write_samples

NEAREST = Fraction(1, 1000)
"""Matroska counts milliseconds."""

OUTPUTS = (("lossless.mkv", "--codec", "ffv1"), ("default{suffix}", "--crf", "20"))
"""Each format is rendered twice: so that frames can be compared, and as most people do."""

WRITABLE = (".mkv", ".mp4", ".mov")
"""Where the default codec belongs; other sources are rendered to Matroska."""

NAMED = {
    "audio streams": r"audio|sound",
    "subtitle streams": r"subtitle",
    "attachments": r"attach|font",
    "chapters": r"chapter",
    "timecode": r"timecode|tmcd|data",
    "bits": r"\bbit",
    "alpha": r"alpha|transparen",
    "RGB": r"RGB|YUV|yuv",
    "HDR metadata": r"mastering|HDR|light level",
    "title": r"title|tag|metadata",
}
"""What a note must say of each thing that is lost."""


ORDER = random.Random(0).sample(FORMATS, len(FORMATS))
"""A reduced round takes formats from all over the list."""


class Formats(FaultClass):
    """Videos as cameras, programs and broadcasters write them."""

    name = "formats"
    promise = (
        "Every frame of a valid video comes out at its time; sound, subtitles, chapters, "
        "attachments, bit depth, colours, rotation and aspect come out too, or the notes name "
        "what does not."
    )
    full, reduced = len(FORMATS), 5

    def row(self, number: int) -> str:
        """All formats stand in one row: a failure names its own."""
        return "formats, two outputs each"

    def run(self, trial: Trial) -> str | None:
        """Write a video, scan it, render it twice, compare."""
        name = ORDER[trial.number % len(ORDER)]
        ended = trial.start(write_samples, str(trial.folder), [name]).wait()
        if ended.status:
            return f"{name} could not be written: {ended.err.strip()[-300:]}"
        film = next(path for path in trial.folder.iterdir() if path.stem == name)
        scanned = trial.command("scan", film, "-p", "project", "--threads", "1").wait()
        wrong = complaint(scanned, must=True, what="scan")
        return f"{name}: {wrong}" if wrong else _rendered(trial, name, film)


def _rendered(trial: Trial, name: str, film: Path) -> str | None:
    wrongs = []
    for pattern, *options in OUTPUTS:
        suffix = film.suffix if film.suffix in WRITABLE else ".mkv"
        output = trial.folder / pattern.format(suffix=suffix)
        ended = trial.command(
            *("render", "-p", "project", "-o", output, *options, "--json", "--threads", "1")
        ).wait()
        wrong = complaint(ended, must=True)
        if wrong is None:
            notes = " ".join(json.loads(ended.out)["notes"])
            wrong = first(_differences(film, output, notes))
        if wrong is None:
            left = leftovers(trial.folder, trial.temporary)
            wrong = f"left behind: {', '.join(left)}" if left else None
        if wrong:
            wrongs.append(f"{name} to {output.name}: {wrong}")
    return "; ".join(wrongs) or None


@dataclass(frozen=True)
class Facts:
    """What a video has that a viewer would miss: a name and a value each."""

    counted: dict[str, Any]
    shape: dict[str, Any]
    read: Content


def facts(path: Path) -> Facts:
    """Read them with PyAV alone."""
    with av.open(str(path)) as file:
        film: Any = next(one for one in file.streams.video if not one.disposition & _COVER)
        kinds = [stream.type for stream in file.streams]
        form = film.codec_context.format
        frame = next(file.decode(film))
        side = {str(one.type) for one in frame.side_data}
        parts = form.components
        counted = {
            "audio streams": kinds.count("audio"),
            "subtitle streams": kinds.count("subtitle"),
            "attachments": kinds.count("attachment"),
            "chapters": len(file.chapters()),
            "timecode": int(any("timecode" in one.metadata for one in file.streams)),
            "bits": max(part.bits for part in parts),
            "alpha": int(any(part.is_alpha for part in parts)),
            "RGB": int(form.is_rgb),
            "HDR metadata": sum("MASTERING" in one or "LIGHT" in one for one in side),
            "title": int("title" in file.metadata),
        }
        aspect = film.sample_aspect_ratio or Fraction(1)
        shape = {
            "size": (film.width, film.height),
            "rotation": frame.rotation,
            "aspect": Fraction(aspect) or Fraction(1),
        }
    return Facts(counted, shape, content(path))


_COVER = av.stream.Disposition.attached_pic


def _differences(film: Path, output: Path, notes: str) -> Any:
    before, after = facts(film), facts(output)
    for what, value in before.counted.items():
        if after.counted[what] < value and not re.search(NAMED[what], notes, re.IGNORECASE):
            yield f"{what} lost ({value} to {after.counted[what]}), the notes say: {notes[:300]!r}"
    for what, value in before.shape.items():
        if after.shape[what] != value:
            yield f"{what} {after.shape[what]} instead of {value}"
    yield _times(before.read, after.read)
    if output.suffix == ".mkv" and after.read.streams != before.read.streams:
        yield _frames(film, output, before.read, after.read)
    yield _sound(before, after, film, output)


def _times(before: Content, after: Content) -> str | None:
    """Compare times from the first frame on that has one; a decoder may not know the first."""
    mine, its = before.times(), after.times()
    if len(mine) != len(its):
        return f"{len(its)} frames instead of {len(mine)}"
    pairs = [(a, b) for a, b in zip(mine, its, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    # A container may count from another zero: all of it moves together, or nothing does.
    shift = pairs[0][1] - pairs[0][0]
    worst = max(abs(b - a - shift) for a, b in pairs)
    return f"times are off by {float(worst):.4f} s" if worst > NEAREST else None


def _frames(film: Path, output: Path, before: Content, after: Content) -> str | None:
    """Compare pictures where the output is lossless and of the source's pixel format."""
    with av.open(str(film)) as one, av.open(str(output)) as other:
        formats = [file.streams.video[0].codec_context.pix_fmt for file in (one, other)]
        codec = other.streams.video[0].codec_context.name
    if codec != "ffv1" or formats[0] != formats[1]:
        return None
    same = sum(a[1] == b[1] for a, b in zip(before.frames, after.frames, strict=True))
    return None if same == len(before.frames) else f"{same} of {len(before.frames)} frames equal"


def _sound(before: Facts, after: Facts, film: Path, output: Path) -> str | None:
    """Compare the packets of sound tracks that were passed through; samples have none."""
    if before.counted["audio streams"] != after.counted["audio streams"]:
        return None
    packets = [_packets(one.read) for one in (before, after)]
    if packets[0] == packets[1]:
        return None
    codecs = [
        [one[1] for one in read.read.streams if one[0] == "audio"] for read in (before, after)
    ]
    if codecs[0] != codecs[1]:
        return None
    if all(codec.startswith("pcm") for codec in codecs[0]) and _samples(film) == _samples(output):
        return None
    return "other packets of sound"


def _samples(path: Path) -> list[bytes]:
    """Return the content of each sound track, however a demuxer cuts it into packets."""
    with av.open(str(path)) as file:
        tracks: dict[int, list[bytes]] = {stream.index: [] for stream in file.streams.audio}
        for packet in file.demux(*file.streams.audio):
            if packet.size:  # not of a decoder that is to be flushed
                tracks[packet.stream_index].append(bytes(packet))
    return [b"".join(track) for track in tracks.values()]


def _packets(read: Content) -> list[list[str]]:
    heard = [index for index, stream in enumerate(read.streams) if stream[0] == "audio"]
    return [[digest for index, _, digest in read.packets if index == one] for one in heard]
