"""What each container makes of real sources: everything comes out, or is named beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refrestore.config import EncoderSettings
from refrestore.errors import MediaError
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.hdr import HdrMetadata
from refrestore.media.preflight import left_out_words
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.streams import StreamInfo
from refrestore.moment import Timecode

RATE = Fraction(25)
FRAMES = 12
SAMPLES = 48_000
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
"""Of a P3 display of 1,000 cd/m2, as x265 is told it."""

HDR = HdrMetadata(
    tuple(Fraction(n, 50_000) for n in (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)),
    (Fraction(50, 10_000), Fraction(1000)),
    (1000, 400),
)


@dataclass(frozen=True)
class Made:
    """How a source is made."""

    name: str
    codec: str
    pixel_format: str
    size: tuple[int, int] = (256, 128)
    sound: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    timecode: str | None = None
    rate: Fraction = RATE
    sound_delay: int = 0


SOURCES = {
    one.name.split(".")[0]: one
    for one in (
        Made("h264.mp4", "libx264", "yuv420p", sound="aac"),
        Made(
            "hdr.mp4",
            "libx265",
            "yuv420p10le",
            sound="aac",
            options=(
                ("x265-params", f"log-level=error:master-display={DISPLAY}:max-cll=1000,400"),
                ("preset", "ultrafast"),
            ),
        ),
        Made("alpha.mov", "prores_ks", "yuva444p10le", sound="pcm_s24le"),
        Made("deep.mkv", "ffv1", "yuv444p16le", sound="flac"),
        Made("rgb.mov", "qtrle", "rgb24", sound="pcm_s16le"),
        Made("pal.dv", "dvvideo", "yuv420p", (720, 576), "pcm_s16le"),
        Made("ntsc.avi", "dvvideo", "yuv411p", (720, 480), "pcm_s16le", rate=Fraction(30000, 1001)),
        Made("coded.mov", "libx264", "yuv420p", sound="pcm_s16le", timecode="01:00:00:00"),
        Made("late.mkv", "ffv1", "yuv420p", sound="pcm_s16le", sound_delay=4800),
    )
}


def tone(first: int, count: int) -> np.ndarray:
    """Return part of a sound in which no two stretches are alike, 16 bits."""
    at = np.arange(first, first + count, dtype=np.float64)
    return np.rint(9000 * np.sin(at**1.5 / 3000)).astype(np.int16)


def write_source(folder: Path, made: Made) -> Path:
    path = folder / made.name
    with av.open(str(path), "w") as output:
        film: Any = output.add_stream(made.codec, rate=made.rate, options=dict(made.options))
        film.width, film.height = made.size
        film.pix_fmt = made.pixel_format
        if made.timecode:
            film.metadata["timecode"] = made.timecode
        sound: Any = None
        if made.sound:
            sound = output.add_stream(made.sound, rate=SAMPLES)
            sound.layout = "stereo"
        for number in range(FRAMES):
            picture = av.VideoFrame(*made.size, made.pixel_format)
            for plane in picture.planes:
                rows = np.arange(plane.buffer_size) * (number + 3) % 251
                plane.update(rows.astype(np.uint8).tobytes())
            picture.pts, picture.time_base = number, 1 / made.rate
            output.mux(film.encode(picture))
            if sound is not None:
                output.mux(sound.encode(_block(sound, made, number)))
        output.mux(film.encode())
        if sound is not None:
            output.mux(sound.encode())
    return path


def _block(sound: Any, made: Made, number: int) -> av.AudioFrame:
    first, last = (round(SAMPLES * n / made.rate) for n in (number, number + 1))
    wanted = sound.codec_context.format.name
    wave = tone(first, last - first)
    if wanted.startswith("s32"):
        wave = wave.astype(np.int32) << 16
    elif wanted.startswith("flt"):
        wave = (wave / 32768).astype(np.float32)
    pair = np.stack([wave, wave]) if wanted.endswith("p") else np.repeat(wave, 2)[None]
    block = av.AudioFrame.from_ndarray(np.ascontiguousarray(pair), wanted, "stereo")
    block.sample_rate, block.pts = SAMPLES, made.sound_delay + first
    block.time_base = Fraction(1, SAMPLES)
    return block


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")

    def source(name: str) -> Path:
        path = folder / SOURCES[name].name
        return path if path.exists() else write_source(folder, SOURCES[name])

    return source


def times(path: Path) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.time for frame in reader]


def heard(path: Path) -> tuple[Fraction, np.ndarray]:
    """Return when a file's sound begins, and its first channel, 16 bits."""
    parts, start = [], None
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("s16p", "stereo", SAMPLES)
        for frame in container.decode(stream):
            if start is None:
                start = frame.pts * frame.time_base
            parts += [each.to_ndarray()[0] for each in resampler.resample(frame)]
    return start, np.concatenate(parts)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".mxf"])
@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_comes_out_whole_or_what_does_not_is_named(
    name, suffix, sources, render, tmp_path
):
    source, output = sources(name), tmp_path / f"out{suffix}"
    before = probe(source)
    encoder = render(source, output, codec="libx264", preset="ultrafast", segments=2)
    after, said = probe(output), " ".join(encoder.notes)
    slack = Fraction(1, 1000) if suffix == ".mkv" else 0
    for one, other in zip(times(source), times(output), strict=True):
        assert abs(one - other) <= slack
    assert abs(after.duration - before.duration) <= slack
    wide, high = before.geometry.display_size
    assert after.geometry.display_size == (wide, high)
    # Depth, alpha, RGB.
    kept, had = av.VideoFormat(after.pixel_format), av.VideoFormat(before.pixel_format)
    assert after.bit_depth >= before.bit_depth or "bits a sample become" in said
    assert sum(part.is_alpha for part in kept.components) or not any(
        part.is_alpha for part in had.components
    ) or "alpha is lost" in said  # fmt: skip
    assert kept.is_rgb or not had.is_rgb or "RGB becomes YUV" in said
    # HDR10.
    assert after.hdr == before.hdr or "HDR10" in said
    # Timecode.
    if SOURCES[name].timecode:
        assert str(after.timecode) == SOURCES[name].timecode
    # Sound.
    sounds = [each for each in after.streams if each.kind == "audio"]
    assert len(sounds) == 1
    source_sound = next(each for each in before.streams if each.kind == "audio")
    if source_sound.codec == sounds[0].codec:
        assert "converted" not in said or suffix == ".mxf"
    else:
        assert "converted to" in said
        assert source_sound.codec in said
    if source_sound.codec.startswith(("pcm", "flac")):
        start, wave = heard(output)
        delay = round(start * SAMPLES)
        wanted = tone(0, len(wave) + delay)
        if suffix == ".mxf":  # begins with the film
            assert start == 0
            silence = SOURCES[name].sound_delay
            wanted = np.concatenate([np.zeros(silence, np.int16), wanted])
        elif SOURCES[name].sound_delay:
            assert abs(start - Fraction(SOURCES[name].sound_delay, SAMPLES)) <= Fraction(1, 1000)
            wanted = tone(0, len(wave))
        np.testing.assert_array_equal(wave[:15_000], wanted[: len(wave)][:15_000])


@pytest.mark.parametrize("codec", ["ffv1", "prores_ks", "dnxhd"])
@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mxf"])
def test_codecs_of_archives_and_cutting_rooms(codec, suffix, sources, render, tmp_path):
    source, output = sources("h264"), tmp_path / f"out{suffix}"
    nowhere = {("ffv1", ".mov"): ".mkv", ("dnxhd", ".mkv"): ".mov"}
    if (codec, suffix) in nowhere:
        with pytest.raises(MediaError, match=rf"{nowhere[codec, suffix]}\.$") as error:
            render(source, output, codec=codec)
        assert codec in str(error.value)
        return
    render(source, output, codec=codec)
    after = probe(output)
    assert times(output) == times(source)
    assert after.codec == {"prores_ks": "prores"}.get(codec, codec)
    assert after.duration == probe(source).duration
    if suffix == ".mxf":
        assert [each.codec for each in after.streams if each.kind == "audio"] == ["pcm_s24le"]
    else:
        assert packets_of(output) == packets_of(source)


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("pixel_format", "profile"),
    [("yuv422p", "dnxhr_hq"), ("yuv422p10le", "dnxhr_hqx"), ("gbrp10le", "dnxhr_444")],
)
def test_dnxhr_profile_follows_the_pixels(pixel_format, profile, sources, tmp_path):
    settings = EncoderSettings(codec="dnxhr", pixel_format=pixel_format)
    info = probe(sources("h264"))
    encoder = resolve_encoder(settings, info, scale=1, output=tmp_path / "out.mov")
    assert encoder.options["profile"] == profile


def test_prores_4444_is_still_called_that(sources, render, tmp_path):
    """Players take the depth and the alpha of ProRes from its four letters."""
    for suffix in (".mov", ".mkv", ".mxf"):
        output = tmp_path / f"out{suffix}"
        render(sources("alpha"), output, codec="prores")
        assert probe(output).pixel_format == "yuva444p12le"


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "ffv1", "libvpx-vp9"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_hdr10_metadata_is_kept_however_it_is_cut(codec, suffix, sources, render, tmp_path):
    output = tmp_path / f"out{suffix}"
    presets = {"libsvtav1": "10", "libvpx-vp9": "8", "ffv1": None}
    preset = presets.get(codec, "ultrafast")
    options = {} if preset is None else {"preset": preset}
    encoder = render(sources("hdr"), output, codec=codec, segments=3, **options)
    found = probe(output).hdr
    assert not any("HDR" in note for note in encoder.notes)
    assert found.light == HDR.light
    values = (*found.primaries, *found.luminance)
    for one, other in zip(values, (*HDR.primaries, *HDR.luminance), strict=True):
        assert abs(one - other) < Fraction(1, 1000)  # AV1 counts in 1/65536 and 1/256


def test_dynamic_metadata_that_cannot_be_kept_is_named(sources, tmp_path):
    from dataclasses import replace

    info = replace(probe(sources("hdr")), side_data=frozenset({"DYNAMIC_HDR_PLUS"}))
    encoder = resolve_encoder(EncoderSettings(), info, scale=1, output=tmp_path / "out.mkv")
    assert any("HDR10+" in note for note in encoder.notes)


def test_a_timecode_goes_on_from_the_range(sources, render, tmp_path):
    start = Fraction(5, 25)
    for suffix in (".mov", ".mp4", ".mkv", ".mxf"):
        output = tmp_path / f"out{suffix}"
        encoder = render(sources("coded"), output, codec="libx264", start=start)
        assert str(probe(output).timecode) == "01:00:00:05"
        with av.open(str(output)) as container:
            tracks = [each.type for each in container.streams].count("data")
        assert tracks == (1 if suffix in (".mov", ".mp4") else 0)
        assert any("becomes a tag" in note for note in encoder.notes) == (suffix == ".mkv")


def test_drop_frame_timecodes():
    ntsc = Fraction(30000, 1001)

    def advanced(timecode, frames, rate):
        return str(Timecode.parse(timecode).advanced(frames, rate))

    assert advanced("00:00:59;29", 1, ntsc) == "00:01:00;02"
    assert advanced("00:09:59;29", 1, ntsc) == "00:10:00;00"
    assert advanced("00:00:00;00", 17982, ntsc) == "00:10:00;00"
    assert advanced("23:59:59:24", 1, Fraction(25)) == "00:00:00:00"
    assert advanced("01:00:00:00", 61, Fraction(24000, 1001)) == "01:00:02:13"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mxf", ".mkv"])
def test_converted_sound_of_a_range_is_cut_at_the_sample(suffix, sources, render, tmp_path):
    source, output = sources("ntsc"), tmp_path / f"out{suffix}"
    start, end = Fraction(3003, 30000), Fraction(9009, 30000)
    encoder = render(source, output, codec="libx264", start=start, end=end, preset="ultrafast")
    begun, wave = heard(output)
    first = round(start * SAMPLES)
    if encoder.sounds:
        assert begun == 0
        np.testing.assert_array_equal(wave, tone(first, round((end - start) * SAMPLES)))
    else:  # whole packets, at their own times
        shift = round(begun * SAMPLES)
        slack = 50 if suffix == ".mkv" else 0
        places = range(first + shift - slack, first + shift + slack + 1)
        assert any(np.array_equal(wave, tone(place, len(wave))) for place in places)


def test_opus_for_webm(sources, render, tmp_path):
    output = tmp_path / "out.webm"
    encoder = render(sources("h264"), output, codec="vp9", preset="8")
    assert "converted to Opus" in encoder.notes[0]
    begun, wave = heard(output)
    wanted = tone(0, len(wave))
    shifts = range(-100, 101)
    errors = [np.abs(np.roll(wanted, shift) - wave)[4000:12000].mean() for shift in shifts]
    assert abs(shifts[int(np.argmin(errors))]) <= 48  # Matroska's milliseconds
    assert abs(begun) <= Fraction(1, 1000)


def test_gaps_in_converted_sound_stay(render, tmp_path):
    """Half a second of sound is missing in the middle: what follows stays where it was."""
    source = tmp_path / "gap.avi.mkv"
    made = Made(source.name, "ffv1", "yuv420p", (64, 48), "pcm_s16le")
    with av.open(str(source), "w") as output:
        film: Any = output.add_stream(made.codec, rate=RATE)
        film.width, film.height = made.size
        sound: Any = output.add_stream(made.sound, rate=SAMPLES)
        sound.layout = "stereo"
        for number in range(30):
            picture = av.VideoFrame(*made.size, "yuv420p")
            picture.pts, picture.time_base = number, 1 / RATE
            output.mux(film.encode(picture))
            if not 10 <= number < 20:
                output.mux(sound.encode(_block(sound, made, number)))
        output.mux(film.encode())
    output = tmp_path / "out.mxf"
    render(source, output, codec="ffv1")
    _, wave = heard(output)
    wanted = tone(0, 30 * 1920)
    wanted[10 * 1920 : 20 * 1920] = 0
    np.testing.assert_array_equal(wave, wanted)


def test_mxf_wants_a_constant_rate(videos, tmp_path):
    info = probe(videos("variable_rate"))
    with pytest.raises(MediaError, match=r"variable frame rate.*\.mkv or \.mov"):
        resolve_encoder(EncoderSettings(codec="ffv1"), info, scale=1, output=tmp_path / "o.mxf")


def test_mxf_begins_at_zero_and_says_so(videos, render, tmp_path):
    output = tmp_path / "out.mxf"
    encoder = render(videos("starts_late"), output, codec="ffv1")
    assert any("begin at 0" in note for note in encoder.notes)
    before = times(videos("starts_late"))
    assert times(output) == [time - before[0] for time in before]


def test_chapters_and_rotation_that_are_lost_are_named(videos, tmp_path):
    for name, words in (("chapters", "chapters"), ("rotated_180", "180 degrees")):
        info = probe(videos(name))
        settings = EncoderSettings(codec="ffv1")
        encoder = resolve_encoder(settings, info, scale=1, output=tmp_path / "out.mxf")
        assert any(words in note for note in encoder.notes)


def test_the_stream_and_a_container_that_takes_it_are_named(videos, tmp_path):
    for name, codec, suffix, words in (
        ("subtitles", "libx264", ".mp4", r"Stream \d \(subtitle, srt\).*ends in \.mkv\.$"),
        ("attachment", "libx264", ".mp4", r"Stream \d \(attachment.*ends in \.mkv\.$"),
        ("subtitles", "prores_ks", ".mxf", r"Stream \d \(subtitle, srt\).*ends in \.mkv\.$"),
        ("no_sound", "prores_ks", ".mp4", r"^The film encoded with prores_ks.*ends in \.mkv\.$"),
        ("no_sound", "libx264", ".webm", r"^The film encoded with libx264.*ends in \.mkv\.$"),
    ):
        info, output = probe(videos(name)), tmp_path / f"out{suffix}"
        with pytest.raises(MediaError, match=words):
            resolve_encoder(EncoderSettings(codec=codec), info, scale=1, output=output)
    assert list(tmp_path.iterdir()) == []


def test_a_second_film_is_copied(render, tmp_path):
    """Whichever of the two is the larger, and at other times."""
    source, output = tmp_path / "two.mkv", tmp_path / "out.mp4"
    with av.open(str(source), "w") as file:
        films: list[Any] = [file.add_stream("libx264", rate=rate) for rate in (10, 25)]
        sizes = ((64, 48), (128, 96))
        for film, size in zip(films, sizes, strict=True):
            film.width, film.height, film.pix_fmt = *size, "yuv420p"
        for film, size in zip(films, sizes, strict=True):
            for _ in range(9):
                file.mux(film.encode(av.VideoFrame(*size, "yuv420p")))
            file.mux(film.encode())
    encoder = render(source, output, codec="libx264", scale=1)
    assert encoder.notes == ()
    with av.open(str(source)) as one, av.open(str(output)) as other:
        chosen = probe(source).stream
        wanted = [bytes(p) for p in one.demux(one.streams.video[1 - chosen]) if p.size]
        found = [bytes(p) for p in other.demux(other.streams.video[1 - chosen]) if p.size]
    assert found == wanted


def test_interlacing_that_is_not_marked_is_named(videos, tmp_path):
    info = probe(videos("interlaced"))
    settings = EncoderSettings(codec="av1", preset="10")
    encoder = resolve_encoder(settings, info, scale=1, output=tmp_path / "o.mkv")
    assert any("interlaced" in note for note in encoder.notes)


def test_streams_that_are_left_out_are_one_sentence():
    one, two, text = (
        StreamInfo(4, "unknown", "none"),
        StreamInfo(6, "data", "none"),
        StreamInfo(9, "subtitle", "none"),
    )
    assert left_out_words([one], "mp4") == (
        "Stream 4 (unknown, none) cannot be stored in mp4 and is left out."
    )
    assert left_out_words([one, two, text], "mp4") == (
        "Streams 4 (unknown, none), 6 (data, none) and 9 (subtitle, none) cannot be stored in mp4 "
        "and are left out."
    )
