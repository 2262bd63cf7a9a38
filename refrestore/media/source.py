"""A film as everybody is to see it: which of a file's streams, and what is done to its pictures.

The scan decides and the project remembers; whoever opens the film after it opens the same.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from refrestore.config import Deinterlace, ScanSettings
from refrestore.errors import MediaError, UsageError
from refrestore.media.fields import measure
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.sequences import read_sequence
from refrestore.media.streams import StreamInfo
from refrestore.media.treatment import STRONG_BITS, Deinterlaced, Treatment

GRAY_WITH_ALPHA = ("ya8", "ya16be", "ya16le")

RATES = {"frame": "one for each", "field": "one for each field, at twice the rate"}

CUT_OFF = 1
"""Failures of a recording that begins or ends anywhere: its last packet is not whole."""


def open_source(path: str | Path, settings: ScanSettings) -> VideoInfo:
    """Probe a film, and decide what is done to its pictures.

    Raises
    ------
    MediaError
        As `probe`.
    UsageError
        Its pictures cannot be treated as asked.
    """
    info = probe(path, settings.video_stream, settings.fps)
    if info.fps is not None:
        read_sequence(info.path).check_sizes()
        if info.pixel_format in GRAY_WITH_ALPHA:
            raise MediaError(
                f"{info.path} is gray with alpha ({info.pixel_format}), which is not taken: save "
                "the pictures as RGB with alpha, or as gray."
            )
    if settings.denoise == "strong" and info.bit_depth > STRONG_BITS:
        raise UsageError(
            f"--denoise strong takes films of {STRONG_BITS} bits, and {path} has {info.bit_depth}: "
            "give --denoise light."
        )
    if settings.denoise != "off" and settings.deinterlace == "off" and info.interlaced:
        raise UsageError(
            f"{path} is flagged interlaced, and --denoise would mix its two fields: give "
            "--deinterlace auto, frame or field with it, or --denoise off."
        )
    return treated(info, _decide(info, settings))


def treated(info: VideoInfo, treatment: Treatment) -> VideoInfo:
    """Return a film, as it was probed, whose pictures are treated when they are read."""
    return replace(
        info,
        treatment=treatment,
        interlaced=info.interlaced and treatment.deinterlace == "off",
        time_base=info.time_base / treatment.frames,
        average_rate=info.average_rate * treatment.frames,
        frames=None if info.frames is None else info.frames * treatment.frames,
    )


def source_notes(info: VideoInfo, asked: Deinterlace | None = None) -> list[str]:
    """Return what the user should hear of a film before it is read, a sentence each.

    Parameters
    ----------
    asked
        What the user asked for, where the scan is still to come: only then it is told which other
        streams could be chosen, and what was measured and left as it is.
    """
    notes = []
    name, done = info.path.name, info.treatment
    if asked is not None and info.fps is not None:
        notes.append(
            f"{info.path} is read as {info.frames} pictures at {float(info.fps):.6g} frames a "
            "second; --fps takes another rate."
        )
    if asked is not None and len(info.films) > 1:
        others = [_described(each) for each in info.films if each.index != info.stream]
        notes.append(
            f"{name} has {len(info.films)} video streams: {_described(info.streams[info.stream])} "
            f"is taken; --video-stream chooses another ({'; '.join(others)})."
        )
    found = f"{done.combed} of {done.judged} moving pictures measured are combed"
    if done.deinterlace != "off":
        order = {True: ", top field first", False: ", bottom field first", None: ""}[done.top_first]
        measured = f" ({found}{order})" if done.combed else ""
        notes.append(
            f"{name} is taken as interlaced{measured}: every picture is deinterlaced (bwdif, "
            f"{RATES[done.deinterlace]}), so the whole frame changes."
        )
    elif asked == "auto" and info.interlaced and not done.judged:
        notes.append(
            f"{name} is flagged interlaced, but nothing moves in the pictures measured: it is left "
            "as it is; --deinterlace frame deinterlaces it."
        )
    elif asked == "auto" and info.interlaced:
        notes.append(f"{name} is flagged interlaced, but {found}: it is not deinterlaced.")
    if done.denoise != "off":
        filters = " and ".join(each for each, _ in done.filters if each != "bwdif")
        notes.append(
            f"Noise is taken from the whole frame of {name} ({done.denoise}: {filters}), as "
            "--denoise asked."
        )
    return notes


def damage_notes(info: VideoInfo, failures: int) -> list[str]:
    """Return what the user should hear of a film that has been read, and did not come out whole.

    Parameters
    ----------
    failures
        `VideoReader.decode_failures`.
    """
    if failures <= CUT_OFF:
        return []
    return [
        f"{info.path.name} is damaged: {failures} times the decoder met what it could not read "
        "whole; its pictures are taken as they come out, and faces in broken ones may be missed."
    ]


def _decide(info: VideoInfo, settings: ScanSettings) -> Treatment:
    if settings.deinterlace == "off":
        return Treatment(denoise=settings.denoise)
    combing = measure(info)
    wanted: Deinterlaced = "frame" if combing.interlaced else "off"
    if settings.deinterlace != "auto":
        wanted = settings.deinterlace
    return Treatment(
        deinterlace=wanted,
        top_first=None if wanted == "off" else combing.top_first,
        denoise=settings.denoise,
        combed=combing.combed,
        judged=combing.judged,
    )


def _described(stream: StreamInfo) -> str:
    width, height = stream.size or (0, 0)
    programmes = "".join(f", {each}" for each in stream.programmes)
    return f"{stream.index}, {stream.codec} {width}x{height}{programmes}"
