"""The output as numbered pictures: a folder of them that is there only when it is complete.

Their packets are encoded in segments like any film's, and each is a file as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from refrestore.config import EncoderSettings
from refrestore.errors import DiskError, UsageError
from refrestore.media.codecs import find_codec
from refrestore.media.failures import writing
from refrestore.media.hdr import NAMES
from refrestore.media.preflight import left_out_words, varying_picture
from refrestore.media.probe import VideoInfo
from refrestore.media.segments import SegmentIndex, open_segment, segment_packets
from refrestore.media.sequences import file_name, is_pattern, read_sequence

if TYPE_CHECKING:
    from refrestore.media.encoder import Encoder

CONTAINER = "image2"
"""What stands in an `Encoder`'s place of a container where there is none."""

CODECS = {".png": "png", ".tif": "tiff", ".tiff": "tiff"}
"""Encoders of the pictures that are written, by suffix."""

_PLACE = "numbered pictures"


def output_of(output: Path, settings: EncoderSettings) -> tuple[Path, EncoderSettings]:
    """Return the folder that a pattern's pictures are written to, and the settings with the names.

    Any other output is returned as it is.
    """
    if not is_pattern(output):
        return output, settings
    return output.parent, settings.model_copy(update={"pictures": output.name})


def picture_codec(settings: EncoderSettings) -> str:
    """Return the encoder of numbered pictures.

    Raises
    ------
    UsageError
        Such pictures are not written, or another encoder was asked for.
    """
    assert settings.pictures is not None
    suffix = Path(settings.pictures).suffix.lower()
    if suffix not in CODECS:
        raise UsageError(
            f"Numbered pictures are written as {', '.join(CODECS)}; {settings.pictures} is none of "
            "these."
        )
    asked = "codec" in settings.model_fields_set
    if asked and find_codec(settings.codec).name != CODECS[suffix]:
        raise UsageError(f"--codec {settings.codec} writes no {suffix} pictures: leave it out.")
    return CODECS[suffix]


def check_folder(folder: Path) -> None:
    """Refuse a folder with something in it.

    Raises
    ------
    UsageError
        It is a file, or not empty.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: give the pictures a folder of their own.")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"The folder {folder} is not empty: give the pictures a new one.")


def losses(encoder: Encoder, info: VideoInfo) -> list[str]:
    """Return a sentence on each thing of a film that pictures do not hold."""
    others = [each for each in info.streams if each.index != info.stream]
    notes = [left_out_words(others, _PLACE)] if others else []
    if info.fps is None and (place := varying_picture(info, encoder.rate)) is not None:
        notes.append(
            f"The frame rate varies (picture {place} is the first that comes at another time than "
            f"{encoder.rate} a second say), which {_PLACE} do not tell."
        )
    if info.timecode is not None:
        notes.append(f"The timecode {info.timecode} cannot be kept in {_PLACE}.")
    if info.chapters:
        notes.append(f"The chapters cannot be kept in {_PLACE}.")
    if encoder.display_matrix is not None:
        notes.append(
            f"That the picture is to be turned by {info.geometry.rotation} degrees cannot be kept "
            f"in {_PLACE}."
        )
    names = [NAMES[name] for name in sorted(info.side_data)]
    return [*notes, *(f"The source's {name} cannot be kept: {_PLACE}." for name in names)]


def publish_pictures(
    segments: Sequence[Path],
    encoder: Encoder,
    info: VideoInfo,
    folder: Path,
    *,
    first: int,
    work: Path,
) -> None:
    """Write the pictures of segments.

    They have the numbers of the source's pictures or, of a film, those of its frames from 0 on.

    Parameters
    ----------
    first
        Frame that the segments begin with.
    work
        Folder for what is not complete, on the output's disk.

    Raises
    ------
    DiskError
        They cannot be written; the folder is as it was.
    MediaError
        A segment is missing or damaged.
    """
    assert encoder.pictures is not None
    begins = 0 if info.fps is None else read_sequence(info.path).first
    partial = work / f".{folder.name}.partial"
    count = first
    try:
        with writing(folder):
            partial.mkdir()
            for segment in segments:
                ranks = {
                    at: n for n, at in enumerate(sorted(SegmentIndex.read(segment).timestamps))
                }
                with open_segment(segment) as (container, stream):
                    for tick, packet in segment_packets(container, stream):
                        number = count + ranks[tick] if info.fps is None else begins + tick
                        name = file_name(encoder.pictures, number)
                        (partial / name).write_bytes(bytes(packet))
                count += len(ranks)
            if folder.exists():
                folder.rmdir()  # empty; not every system renames over it
            partial.rename(folder)
    except OSError as error:
        raise DiskError(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
