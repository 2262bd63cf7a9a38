from __future__ import annotations

import os
import pickle
from fractions import Fraction

import pytest

from refrestore.config import EncoderSettings
from refrestore.errors import DiskError, MediaError, RefrestoreError, UsageError
from refrestore.media.codecs import PROFILES, choose_pixel_format, find_codec, video_encoders
from refrestore.media.encoder_choice import nominal_rate, resolve_encoder
from refrestore.media.pixels import rgb
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader


def refused(kind, info, output, words, *, scale=1, **settings):
    with pytest.raises(kind, match=words) as error:
        resolve_encoder(EncoderSettings(**settings), info, scale=scale, output=output)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, RefrestoreError)
    if output.parent.is_dir():
        assert not [path for path in output.parent.iterdir() if output.name in path.name[1:]]
    return str(error.value)


def test_default_is_x264_and_keeps_the_source(videos, tmp_path):
    info = probe(videos("aspect"))
    encoder = resolve_encoder(EncoderSettings(), info, scale=2, output=tmp_path / "out.mp4")
    assert encoder.codec == "libx264"
    assert encoder.options == {"mbtree": "0", "crf": "15", "preset": "medium"}
    assert encoder.pixel_format == "yuv420p"
    assert encoder.geometry == info.geometry.scaled(2)
    assert encoder.color.matrix == 6  # said, as 72 lines do not say it
    assert encoder.notes == ()
    assert pickle.loads(pickle.dumps(encoder)) == encoder
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("codec", "source", "expected"),
    [
        ("libx264", "yuv420p10le", "yuv420p10le"),
        ("libx264", "gbrp", "yuv444p"),
        ("libx264", "gbrp10le", "yuv444p10le"),
        ("libx264", "yuv420p12le", "yuv420p10le"),
        ("libx264", "nv12", "nv12"),
        ("libx264", "gray", "gray"),
        ("libx264", "yuva420p", "yuv420p"),
        ("libsvtav1", "yuvj420p", "yuv420p"),
        ("libsvtav1", "yuv422p10le", "yuv420p10le"),
        ("libvpx-vp9", "yuv444p", "yuv444p"),
        ("ffv1", "gbrp", "bgr0"),
        ("prores_ks", "yuv420p", "yuv422p10le"),
        ("mpeg4", "yuv420p10le", "yuv420p"),
    ],
)
def test_pixel_format_is_the_nearest(codec, source, expected):
    chosen, note = choose_pixel_format(find_codec(codec), source, None, (64, 48))
    assert chosen == expected
    if note:
        assert source in note
        assert chosen in note


@pytest.mark.parametrize(
    ("codec", "source", "words"),
    [
        ("libx264", "yuv420p12le", ["12 bits", "10"]),
        ("libx264", "gray16le", ["16 bits", "10"]),
        ("libx264", "yuva444p10le", ["alpha is lost"]),
        ("libx264", "rgb24", ["RGB becomes YUV"]),
        ("libx264", "rgba64le", ["16 bits", "alpha", "RGB"]),
        ("libsvtav1", "yuv422p", ["colour becomes coarser"]),
        ("libvpx-vp9", "yuva420p", ["alpha is lost"]),
        ("libx264", "pal8", ["RGB becomes YUV"]),
        ("libx265", "yuv444p12le", []),
        ("ffv1", "gbrap16le", []),
        ("ffv1", "gray12le", []),
        ("prores_ks", "yuva444p10le", []),
        ("dnxhd", "gbrp10le", []),
        ("libx264", "yuv411p", []),
    ],
)
def test_what_a_pixel_format_loses_is_said(codec, source, words):
    chosen, note = choose_pixel_format(find_codec(codec), source, None, (64, 48))
    assert (note is None) == (not words), note
    assert all(word in note for word in words)
    assert source not in ("rgb24", "pal8") or chosen == "yuv444p"


def test_names_that_people_use(videos, tmp_path):
    names = {"h264": "libx264", "H265": "libx265", "hevc": "libx265", "av1": "libsvtav1",
             "vp9": "libvpx-vp9", "prores": "prores_ks", "dnxhr": "dnxhd"}  # fmt: skip
    assert {name: find_codec(name).name for name in names} == names
    with pytest.raises(UsageError, match=r"did you mean libx265") as error:
        find_codec("h256")
    assert "h263" not in str(error.value).split(",")[0]


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1", "libvpx-vp9", "prores_ks"])
def test_odd_sizes(codec, videos, render, tmp_path):
    output = tmp_path / ("out.mov" if codec == "prores_ks" else "out.mkv")
    encoder = render(videos("odd"), output, codec=codec)
    assert probe(output).geometry == probe(videos("odd")).geometry
    if codec == "libx264":
        assert encoder.pixel_format == "yuv444p"
        assert "33x17" in encoder.notes[0]


def test_every_profile_here_encodes(videos, tmp_path):
    info = probe(videos("no_sound"))
    software = [name for name in PROFILES if name in video_encoders() and "_" not in name]
    for name in [*software, "prores_ks"]:
        suffix = {"libvpx-vp9": ".webm", "prores_ks": ".mov", "png": ".mov", "tiff": ".mov"}.get(
            name, ".mkv"
        )
        try:
            encoder = resolve_encoder(
                EncoderSettings(codec=name), info, scale=4, output=tmp_path / f"o{suffix}"
            )
        except MediaError as error:  # dnxhd wants large pictures, and says so
            assert name == "dnxhd", error  # noqa: PT017
            continue
        assert encoder.codec == name


def test_settings_reach_the_encoder(videos, tmp_path):
    info = probe(videos("plain"))
    output = tmp_path / "out.mkv"
    settings = EncoderSettings(codec="libx265", crf=30, preset="ultrafast")
    encoder = resolve_encoder(settings, info, scale=1, output=output)
    assert encoder.options["crf"] == "30"
    assert encoder.options["preset"] == "ultrafast"
    assert "open-gop=0" in encoder.options["x265-params"]
    encoder = resolve_encoder(EncoderSettings(bitrate=90_000), info, scale=1, output=output)
    assert encoder.bitrate == 90_000
    assert "crf" not in encoder.options
    settings = EncoderSettings(pixel_format="yuv444p10le")
    encoder = resolve_encoder(settings, info, scale=1, output=output)
    assert encoder.pixel_format == "yuv444p10le"
    assert encoder.notes == ()


def test_settings_that_cannot_be(videos, tmp_path):
    info, output = probe(videos("plain")), tmp_path / "out.mp4"
    assert "libx264" in refused(UsageError, info, output, "did you mean", codec="libx246")
    refused(UsageError, info, output, "there are", codec="zzzzzz")
    refused(UsageError, info, output, "no video encoder", codec="aac")
    refused(UsageError, info, output, "contradict", crf=10, bitrate=1000)
    refused(UsageError, info, output, "no constant quality", codec="ffv1", crf=10)
    refused(UsageError, info, output, "no --encoder-preset", codec="mpeg4", preset="fast")
    refused(UsageError, info, output, "no pixel format", pixel_format="yuv4711p")
    refused(UsageError, info, output, "does not take", pixel_format="gbrp12le")
    refused(UsageError, probe(videos("odd")), output, "pixels wide", codec="libx265")
    refused(MediaError, info, output, "cannot encode", preset="no-such-preset")


def test_hardware_that_is_not_there(videos, tmp_path):
    info = probe(videos("plain"))
    for codec in ("h264_nvenc", "h264_qsv", "h264_vaapi"):
        if codec in video_encoders() and not os.path.exists("/dev/nvidia0"):
            refused(MediaError, info, tmp_path / "out.mp4", codec, codec=codec)


def test_places_that_cannot_be(videos, tmp_path):
    source = tmp_path / "film.mp4"
    source.write_bytes(videos("plain").read_bytes())
    info = probe(source)
    with pytest.raises(UsageError, match="is the input"):
        resolve_encoder(EncoderSettings(), info, scale=1, output=source)
    (tmp_path / "link.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    (tmp_path / "sub").mkdir()
    for other in (
        tmp_path / "link.mp4",
        tmp_path / "hard.mp4",
        tmp_path / "sub" / ".." / "film.mp4",
    ):
        with pytest.raises(UsageError, match="is the input"):
            resolve_encoder(EncoderSettings(), info, scale=1, output=other)
    refused(UsageError, info, tmp_path / "out.xyz", "ends in")
    refused(UsageError, info, tmp_path / "out", "ends in")
    refused(DiskError, info, tmp_path / "none" / "out.mp4", "create it first")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        resolve_encoder(EncoderSettings(), info, scale=1, output=tmp_path / "folder.mp4")


def test_folder_that_may_not_be_written(videos):
    # Even root may not create files in /proc.
    with pytest.raises(DiskError, match="cannot be written"):
        resolve_encoder(
            EncoderSettings(), probe(videos("plain")), scale=1, output="/proc/self/out.mp4"
        )


def test_streams_that_the_container_cannot_hold(videos, tmp_path):
    message = refused(MediaError, probe(videos("subtitles")), tmp_path / "out.mp4", "subtitle")
    assert ".mkv" in message
    refused(MediaError, probe(videos("attachment")), tmp_path / "out.mp4", "attachment")
    refused(MediaError, probe(videos("plain")), tmp_path / "out.webm", "cannot be stored")
    refused(MediaError, probe(videos("no_sound")), tmp_path / "o.mp4", "stored", codec="prores_ks")


def test_interlaced_source_is_encoded_interlaced(videos, render, tmp_path):
    output = tmp_path / "out.mp4"
    render(videos("interlaced"), output, codec="libx264")
    assert probe(output).interlaced


def test_gray_and_rgb_keep_their_look(videos, render, tmp_path):
    for name, codec in [("gray", "libsvtav1"), ("rgb_packed", "libx264"), ("gray_ten", "libx265")]:
        source, output = videos(name), tmp_path / f"{name}.mkv"
        render(source, output, codec=codec, crf=1)
        with VideoReader(source) as reader, VideoReader(output) as again:
            one, other = rgb(next(reader)).astype(int), rgb(next(again)).astype(int)
        assert abs(one.mean() - other.mean()) < 1.5


def test_rate_of_odd_sources():
    assert nominal_rate(Fraction(30000, 1001)) == Fraction(30000, 1001)
    assert nominal_rate(Fraction(90000)) == 60000
    assert nominal_rate(Fraction(1, 5000)) == 1
    for rate in (Fraction(359, 12), Fraction(10_000_019, 333_667)):
        assert abs(nominal_rate(rate) - rate) < 0.01
