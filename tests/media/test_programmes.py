"""A multiplex of several programmes: its films are named, and one is taken with its own sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refrestore.config import EncoderSettings, ScanSettings
from refrestore.errors import MediaError
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.probe import probe
from refrestore.media.programmes import Programme, programmes
from refrestore.media.reader import VideoReader
from refrestore.media.source import open_source, source_notes
from tests.analogue import luma

SIZES = ((96, 64), (64, 48))
TABLES = (0x0000, 0x0011, 0x1000)
"""Places of libav's own tables."""

TELETEXT = b"\x56\x05eng\x09\x00"
"""Descriptor of a stream that libav knows and has no decoder for."""


def checksum(content: bytes) -> bytes:
    """CRC-32/MPEG-2, which libav checks."""
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def section(kind: int, number: int, body: bytes) -> bytes:
    start = number.to_bytes(2, "big") + b"\xc1\x00\x00" + body
    content = bytes([kind]) + (0xB000 | len(start) + 4).to_bytes(2, "big") + start
    return content + checksum(content)


def packets(pid: int, content: bytes) -> bytes:
    """The transport packets of a table, as many as it takes."""
    content, result, start = b"\0" + content, b"", 0x4000
    for count, at in enumerate(range(0, len(content), 184)):
        payload = content[at : at + 184].ljust(184, b"\xff")
        result += b"G" + (pid | start).to_bytes(2, "big") + bytes([0x10 | count % 16]) + payload
        start = 0
    return result


def programme_map(number: int, streams: dict[int, int], padding: int = 0) -> bytes:
    filler = (b"\x0e\xff" + bytes(255)) * padding
    body = (0xE000 | next(iter(streams))).to_bytes(2, "big")
    body += (0xF000 | len(filler)).to_bytes(2, "big") + filler
    for pid, kind in streams.items():
        told = TELETEXT if kind == 6 else b""
        body += bytes([kind]) + (0xE000 | pid).to_bytes(2, "big")
        body += (0xF000 | len(told)).to_bytes(2, "big") + told
    return section(0x02, number, body)


def tables(maps: dict[int, dict[int, int]], names: dict[int, bytes]) -> bytes:
    places = {number: 0x500 + number for number in maps}
    joined = b"".join(
        number.to_bytes(2, "big") + (0xE000 | place).to_bytes(2, "big")
        for number, place in places.items()
    )
    services = b"\0\x01\xff"
    for number, name in names.items():
        told = b"\x48" + bytes([3 + len(name), 1, 0, len(name)]) + name
        services += number.to_bytes(2, "big") + b"\xfc\x80" + bytes([len(told)]) + told
    return (
        packets(0x0000, section(0x00, 1, joined))
        + packets(0x0011, section(0x42, 1, services))
        + b"".join(packets(places[number], programme_map(number, maps[number])) for number in maps)
    )


@pytest.fixture(scope="module")
def multiplex(tmp_path_factory) -> Path:
    """A file of two programmes, each a film and its sound."""
    path = tmp_path_factory.mktemp("multiplex") / "multiplex.ts"
    with av.open(str(path), "w") as output:
        films: list[Any] = []
        sounds: list[Any] = []
        for size in SIZES:
            film: Any = output.add_stream("mpeg2video", rate=25)
            film.width, film.height = size
            film.pix_fmt = "yuv420p"
            sound: Any = output.add_stream("mp2", rate=48_000)
            sound.layout = "mono"
            films.append(film)
            sounds.append(sound)
        for number in range(20):
            for film, sound, size in zip(films, sounds, SIZES, strict=True):
                picture = av.VideoFrame.from_ndarray(luma(size, number, "progressive"), "gray")
                picture = picture.reformat(format="yuv420p")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                output.mux(film.encode(picture))
                wave = np.zeros((1, 1920), np.int16)
                heard = av.AudioFrame.from_ndarray(wave, "s16", "mono")
                heard.sample_rate, heard.pts = 48_000, number * 1920
                heard.time_base = Fraction(1, 48_000)
                output.mux(sound.encode(heard))
        for stream in (*films, *sounds):
            output.mux(stream.encode(None))
    content = path.read_bytes()
    kept = [content[at : at + 188] for at in range(0, len(content), 188)]
    kept = [one for one in kept if (int.from_bytes(one[1:3], "big") & 0x1FFF) not in TABLES]
    maps = {7: {0x100: 2, 0x101: 3, 0x104: 6}, 9: {0x102: 2, 0x103: 3}}
    path.write_bytes(tables(maps, {7: b"First", 9: b"\x05Second"}) + b"".join(kept))
    return path


def test_programmes_are_read_from_the_tables(multiplex):
    first, second = programmes(multiplex)
    assert first == Programme(7, frozenset({0x100, 0x101, 0x104}), "First")
    assert (str(first), str(second)) == ("programme First", "programme Second")


@pytest.mark.parametrize("size", [188, 192, 204])
def test_packets_of_every_size_and_tables_longer_than_one(tmp_path, size):
    long = packets(0x0507, programme_map(7, {0x100: 2}, padding=2))
    assert len(long) > 188
    content = tables({7: {0x99: 2}}, {}) + long + packets(0x1FFF, b"") * 8
    packed = [content[at : at + 188] for at in range(0, len(content), 188)]
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(
        bytes(size - 188) + one if size == 192 else one + bytes(size - 188) for one in packed
    ))  # fmt: skip
    assert programmes(path) == [Programme(7, frozenset({0x100}))]
    assert str(programmes(path)[0]) == "programme 7"


@pytest.mark.parametrize("content", [b"", b"G" * 100, b"G" * 5000, bytes(5000)])
def test_what_is_no_transport_stream_has_none(tmp_path, content):
    (tmp_path / "film.ts").write_bytes(content)
    assert programmes(tmp_path / "film.ts") == []


def test_damaged_tables_are_passed_over(multiplex, tmp_path):
    content = bytearray(multiplex.read_bytes())
    rng = np.random.default_rng(1)
    path = tmp_path / "film.ts"
    for _ in range(30):
        damaged = bytearray(content)
        for at in rng.integers(0, 188 * 4, 20):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        programmes(path)


def test_a_film_of_the_multiplex_is_chosen_with_its_sound(multiplex, tmp_path):
    info = probe(multiplex)
    assert (info.stream, info.chosen, info.geometry.width) == (0, None, 96)
    assert info.foreign == (3, 4)
    other = open_source(multiplex, ScanSettings(video_stream=3))
    assert (other.stream, other.chosen, other.geometry.width) == (3, 3, 64)
    assert set(other.foreign) == {0, 1, 2}
    assert probe(multiplex, 0).chosen is None
    (note,) = source_notes(other, "auto")
    assert "2 video streams: 3, mpeg2video 64x48, programme Second is taken" in note
    assert "(0, mpeg2video 96x64, programme First)" in note
    with VideoReader(multiplex, info=other) as reader:
        assert {frame.picture.width for frame in reader} == {64}
    encoder = resolve_encoder(EncoderSettings(), other, scale=1, output=tmp_path / "out.mkv")
    assert set(encoder.left_out) >= {0, 1, 2}
    assert 4 not in encoder.left_out
    assert "Streams of the multiplex's other programmes are left out." in encoder.notes


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_teletext_is_left_out_and_said(multiplex, tmp_path, suffix):
    info = probe(multiplex)
    (text,) = [each for each in info.streams if each.kind == "subtitle"]
    assert text.codec == "none"
    encoder = resolve_encoder(EncoderSettings(), info, scale=1, output=tmp_path / f"out{suffix}")
    assert text.index in encoder.left_out
    assert any("(subtitle, none) cannot be stored" in note for note in encoder.notes)


def test_a_stream_that_is_no_film_is_refused(multiplex):
    with pytest.raises(MediaError, match="no video stream 1: --video-stream takes 0, 3"):
        probe(multiplex, 1)


def test_a_file_without_programmes_keeps_its_other_films(videos):
    info = probe(videos("two_sounds"))
    assert info.foreign == ()
    assert info.chosen is None
    assert source_notes(info, "auto") == []
