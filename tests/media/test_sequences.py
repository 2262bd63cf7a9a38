from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refrestore.config import EncoderSettings, ScanSettings
from refrestore.errors import MediaError, UsageError
from refrestore.media.compose import compose
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.frame_files import output_of, publish_pictures
from refrestore.media.patch import Patch
from refrestore.media.planes import planar, plane_views
from refrestore.media.probe import fingerprint, probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter
from refrestore.media.sequences import is_pattern, sequence_path
from refrestore.media.source import open_source
from refrestore.media.unchanged import Unchanged

CODECS = {".png": "png", ".tif": "tiff", ".jpg": "mjpeg", ".dpx": "dpx"}
SIZE = (64, 48)


def noise(pixel_format: str, seed: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    """A picture of random samples, each of as many bits as the format has."""
    picture, rng = av.VideoFrame(*size, pixel_format), np.random.default_rng(seed)
    for plane in picture.planes:
        plane.update(rng.integers(0, 255, plane.buffer_size, np.uint8).tobytes())
    if "10" in pixel_format:
        for view in plane_views(picture):
            np.bitwise_and(view, 1023, out=view)
    return picture


def encoded(picture: av.VideoFrame, codec: str) -> bytes:
    """A picture as a file."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = (
        picture.width,
        picture.height,
        picture.format.name,
    )
    context.time_base, context.sample_aspect_ratio = Fraction(1, 25), Fraction(4, 3)
    picture.pts = 0
    return b"".join(bytes(one) for one in [*context.encode(picture), *context.encode(None)])


def write_pictures(
    folder: Path,
    name: str = "shot_%04d.png",
    pixel_format: str = "rgb24",
    numbers: range = range(7, 12),
    size: tuple[int, int] = SIZE,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        file = folder / (name % number)
        file.write_bytes(encoded(noise(pixel_format, number, size), CODECS[file.suffix]))
    return folder / name


def samples(picture: av.VideoFrame) -> list[np.ndarray]:
    return [view.copy() for view in plane_views(planar(picture))]


@pytest.mark.parametrize(
    ("name", "pixel_format"),
    [
        ("%04d.png", "rgb24"),
        ("%04d.png", "rgb48be"),
        ("%04d.png", "rgba"),
        ("%04d.png", "rgba64be"),
        ("%04d.png", "gray"),
        ("%04d.png", "gray16be"),
        ("%d.tif", "rgb24"),
        ("x%03d.tif", "rgb48le"),
        ("x%03d.tif", "gray16le"),
        ("x%03d.tif", "rgba64le"),
        ("x%03d.jpg", "yuvj444p"),
        ("x%03d.dpx", "gbrp10le"),
    ],
)
def test_pictures_are_read_as_they_are(name, pixel_format, tmp_path):
    pattern = write_pictures(tmp_path / "100% of it", name, pixel_format, range(8, 12))
    info = probe(pattern, fps=Fraction(24000, 1001))
    assert (info.fps, info.average_rate, info.start) == (
        Fraction(24000, 1001),
        Fraction(24000, 1001),
        0,
    )
    assert (info.frames, info.pixel_format) == (4, pixel_format)
    assert info.geometry.sample_aspect == Fraction(4, 3)
    with VideoReader(pattern, info=info) as reader:
        frames = list(reader)
    assert [frame.time for frame in frames] == [k * Fraction(1001, 24000) for k in range(4)]
    if not pixel_format.startswith("yuvj"):
        for number, frame in zip(range(8, 12), frames, strict=True):
            for one, other in zip(
                samples(frame.picture), samples(noise(pixel_format, number)), strict=True
            ):
                np.testing.assert_array_equal(one, other)
    with VideoReader(pattern, info=info, enter=(2, frames[2].time)) as reader:
        assert [frame.index for frame in reader] == [2, 3]


@pytest.mark.parametrize("pixel_format", ["rgb24", "rgb48be", "rgba", "rgba64be", "gray16be"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_written_pictures_have_the_sources_samples_and_numbers(pixel_format, suffix, tmp_path):
    """Also where something was added: nothing but that changes."""
    import torch

    pattern = write_pictures(tmp_path / "in", "%04d.png", pixel_format)
    info = probe(pattern)
    output, settings = output_of(tmp_path / "out" / f"new.%05d{suffix}", EncoderSettings())
    assert output == tmp_path / "out"
    encoder = resolve_encoder(settings, info, scale=1, output=output)
    assert encoder.notes == ()
    patch = Patch(8, 8, torch.full((16, 16, 3), 0.2), torch.ones(16, 16))
    segments = [tmp_path / "a.segment", tmp_path / "b.segment"]
    with VideoReader(pattern, info=info) as reader:
        frames = list(reader)
    for segment, part in zip(segments, (frames[1:3], frames[3:]), strict=True):
        with SegmentWriter(segment, encoder) as writer:
            for frame in part:
                patches = [patch] if frame.index == 2 else []
                writer.write(compose(frame, patches), frame.time)
    publish_pictures(segments, encoder, info, output, first=1, work=tmp_path)
    assert sorted(os.listdir(output)) == [f"new.{number:05d}{suffix}" for number in range(8, 12)]
    written = probe(output)
    assert written.bit_depth == info.bit_depth
    assert written.geometry == info.geometry
    with VideoReader(written.path, info=written) as reader:
        after = list(reader)
    for frame, other in zip(frames[1:], after, strict=True):
        for one, two in zip(samples(frame.picture), samples(other.picture), strict=True):
            changed = one != two
            inside = changed[8:24, 8:24].copy()
            changed[8:24, 8:24] = False
            assert not changed.any()
            assert frame.index == 2 or not inside.any()


def test_a_film_becomes_pictures_numbered_as_its_frames_and_what_is_lost_is_said(videos, tmp_path):
    info = probe(videos("everything"))
    output, settings = output_of(tmp_path / "new" / "%06d.tif", EncoderSettings())
    encoder = resolve_encoder(settings, info, scale=2, output=output)
    said = " ".join(encoder.notes)
    assert "left out" in said
    assert "chapters cannot be kept in numbered pictures" in said
    assert "turned by 90 degrees" in said
    assert "varies" not in said
    segment = tmp_path / "one.segment"
    with VideoReader(info.path, info=info) as reader, SegmentWriter(segment, encoder) as writer:
        for frame in list(reader)[3:6]:
            writer.write(compose(frame, [], scale=2), frame.time)
    publish_pictures([segment], encoder, info, output, first=3, work=tmp_path)
    assert sorted(os.listdir(output)) == ["000003.tif", "000004.tif", "000005.tif"]
    assert probe(output).geometry.width == 128


def test_a_varying_rate_is_said(videos, tmp_path):
    output, settings = output_of(tmp_path / "new" / "%d.png", EncoderSettings())
    info = probe(videos("variable_rate"))
    assert "rate varies" in resolve_encoder(settings, info, scale=1, output=output).notes[-1]


def test_ten_bits_become_sixteen(videos, tmp_path):
    output, settings = output_of(tmp_path / "new" / "%d.png", EncoderSettings())
    info = probe(videos("ten_bit_hdr"))
    encoder = resolve_encoder(settings, info, scale=1, output=output)
    assert encoder.pixel_format == "rgb48be"


def test_outputs_that_cannot_be(videos, tmp_path):
    info = probe(videos("plain"))

    def resolve(name: str, **settings: Any) -> None:
        output, asked = output_of(tmp_path / name, EncoderSettings(**settings))
        resolve_encoder(asked, info, scale=1, output=output)

    with pytest.raises(UsageError, match=r"written as \.png, \.tif"):
        resolve("new/%d.jpg")
    with pytest.raises(UsageError, match=r"--codec h265 writes no \.png pictures"):
        resolve("new/%d.png", codec="h265")
    with pytest.raises(UsageError, match="no constant quality"):
        resolve("new/%d.png", crf=3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(UsageError, match="is not empty: give the pictures a new one"):
        resolve("full/%d.png")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        resolve("file/%d.png")


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["a0001.png", "a0002.png", "notes.txt", "cover.jpg"], "a%04d.png"),
        (["9.TIF", "10.TIF", "11.TIF"], "%d.TIF"),
        (["099.png", "100.png", "1000.png"], "%03d.png"),
        (["take2_008.dpx", "take2_009.dpx"], "take2_%03d.dpx"),
    ],
)
def test_a_folder_names_its_sequence(names, pattern, tmp_path):
    for name in names:
        (tmp_path / name).touch()
    assert sequence_path(tmp_path) == tmp_path / pattern
    assert is_pattern(tmp_path / pattern)


def test_folders_of_several_sequences_or_none_are_refused(tmp_path):
    with pytest.raises(MediaError, match="is a folder, without numbered pictures"):
        probe(tmp_path)
    for name in ("a1.png", "b1.png"):
        (tmp_path / name).touch()
    with pytest.raises(MediaError, match=r"several sequences .*\(a%d\.png, b%d\.png\)"):
        probe(tmp_path)


def test_missing_numbers_are_named(tmp_path):
    pattern = write_pictures(tmp_path, numbers=range(1, 12))
    for number in (3, 5, 6, 7):
        (tmp_path / f"shot_{number:04d}.png").unlink()
    with pytest.raises(MediaError) as error:
        probe(tmp_path)
    assert str(error.value) == (
        f"{pattern} has 4 of its 11 pictures missing (shot_0003.png, shot_0005.png to "
        "shot_0007.png): put them there, or number the others without gaps."
    )


def test_sizes_that_differ_are_refused_before_the_first_is_read(tmp_path):
    pattern = write_pictures(tmp_path)
    write_pictures(tmp_path, numbers=range(10, 11), size=(80, 48))
    with pytest.raises(MediaError, match=r"shot_0010\.png is 80x48, and shot_0007\.png is 64x48"):
        open_source(pattern, ScanSettings())


def test_gray_with_alpha_is_refused(tmp_path):
    pattern = write_pictures(tmp_path, pixel_format="ya8")
    with pytest.raises(MediaError, match=r"gray with alpha \(ya8\), which is not taken"):
        open_source(pattern, ScanSettings())


def test_empty_and_missing_pictures(tmp_path):
    with pytest.raises(MediaError, match="There are no pictures"):
        probe(tmp_path / "%d.png")
    with pytest.raises(MediaError, match="cannot be read"):
        probe(tmp_path / "nowhere" / "%d.png")
    pattern = write_pictures(tmp_path)
    (tmp_path / "shot_0009.png").write_bytes(b"")
    with pytest.raises(MediaError, match=r"shot_0009\.png is empty"):
        probe(pattern)


def test_a_changed_sequence_is_known(tmp_path):
    pattern = write_pictures(tmp_path)
    info = probe(pattern)
    unchanged, before = Unchanged(info), fingerprint(pattern)
    unchanged.check()
    one = tmp_path / "shot_0009.png"
    as_it_was = one.read_bytes()
    one.write_bytes(encoded(noise("rgb24", 99), "png"))
    assert fingerprint(pattern) != before
    with pytest.raises(MediaError, match="was changed while it was being read"):
        unchanged.check()
    with pytest.raises(MediaError, match="was changed"):
        Unchanged(info)
    one.write_bytes(as_it_was)
    assert fingerprint(pattern) == before
    write_pictures(tmp_path, numbers=range(12, 13))
    assert fingerprint(pattern) != before
    (tmp_path / "shot_0008.png").unlink()
    with pytest.raises(MediaError, match="cannot be read any more"):
        unchanged.check()


def test_a_rate_is_for_pictures(videos, tmp_path):
    with pytest.raises(UsageError, match="--fps is for numbered pictures"):
        probe(videos("plain"), fps=Fraction(25))
    assert ScanSettings(fps="23.976").fps == Fraction(24000, 1001)
    assert ScanSettings(fps=5).fps == 5
    assert ScanSettings.model_validate_json(
        ScanSettings(fps="29.97").model_dump_json()
    ).fps == Fraction(30000, 1001)
    for wrong in ("none", "0", "-3", "1/0", "2000", "nan", "inf"):
        with pytest.raises(ValueError, match="no frame rate"):
            ScanSettings(fps=wrong)
