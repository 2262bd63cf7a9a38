"""What of a source the output's container can hold, found by writing a little of it.

A header alone tells too little: some muxers refuse at the first packet, some at the trailer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from refrestore.errors import DiskError, MediaError
from refrestore.media.containers import (
    FORMATS,
    begins_at_zero,
    keeps_times_before_zero,
    needs_display_size,
)
from refrestore.media.encoder import Encoder
from refrestore.media.failures import is_lack_of_room, reason
from refrestore.media.hdr import NAMES
from refrestore.media.join import Timestamps, film_packets
from refrestore.media.matroska import write_sample_aspect
from refrestore.media.mux import MuxedFilm, Trial, mux
from refrestore.media.open_film import open_input
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.reader import read_packets
from refrestore.media.segments import SegmentIndex
from refrestore.media.sound import SoundPlan, sound_plans
from refrestore.media.streams import StreamInfo, is_cover
from refrestore.media.timecode import is_timecode_track

TRIAL_PACKETS = 8
"""Of each stream: muxers look at the first one or two, (E-)AC-3's at up to six."""

TIME_SLACK = Fraction(1, 1000)
"""Seconds by which a picture's time may be off: Matroska counts in them."""

TRIAL_READ = 500
"""Packets read at most in search of them; subtitles may begin late."""


class Preflight:
    """Tries a source's streams in the output's container.

    Parameters
    ----------
    info
        The source.
    film
        Its film as it is to be written, a few pictures of it.
    codec
        What the film is called in sentences.
    folder
        For trials, which are removed.
    alone
        Whether all other streams are left out, as was asked.
    """

    def __init__(
        self, info: VideoInfo, film: MuxedFilm, codec: str, folder: Path, *, alone: bool = False
    ) -> None:
        self._alone = alone
        self._info, self._film, self._codec = info, film, codec
        self._path = folder / "trial"

    def fitted(self, encoder: Encoder) -> Encoder:
        """Return the encoder with what becomes of every stream, and what is lost said.

        Raises
        ------
        MediaError
            The container cannot hold the film, or a stream that must not be lost; the sentence
            says which, and a suffix whose container can.
        """
        info = self._info
        if encoder.container == "mxf":
            self._check_constant_rate(encoder)
        timecode = None if info.timecode is None else str(info.timecode)
        with open_input(info.path, fps=info.fps) as source:
            timecodes = [each.index for each in source.streams if is_timecode_track(each)]
            sounds = {
                each.index: sound_plans(each, encoder.container)
                for each in source.streams
                if each.type == "audio"
                and each.codec_context is not None
                and each.index not in info.foreign
            }
        chapters = [each.index for each in info.streams if each.chapters]
        left_out = (*timecodes, *chapters, *info.foreign)
        if self._alone:
            sounds = {}
            left_out = tuple(each.index for each in info.streams if each.index != info.stream)
        encoder = replace(encoder, timecode=timecode, left_out=left_out)
        refused = self._refusal(encoder, [])
        if refused is not None and timecode is not None:
            encoder = replace(encoder, timecode=None)
            refused = self._refusal(encoder, [])
        if refused is not None:
            raise MediaError(
                f"The film {self._codec} cannot be stored in {encoder.container}: {refused}"
                f"{self._elsewhere(encoder)}."
            )
        encoder, notes = self._streams(encoder, sounds)
        return replace(
            encoder,
            notes=(*encoder.notes, *notes, *self._lost(encoder, timecode, bool(timecodes))),
        )

    def _streams(
        self, encoder: Encoder, sounds: dict[int, list[SoundPlan]]
    ) -> tuple[Encoder, list[str]]:
        """Decide on every stream but the film; the last trial has all that are kept."""
        others = self._others(encoder)
        if encoder.container == "mxf":  # takes samples and no packets, which all begin at once
            plans = tuple(plans[0] for plans in sounds.values())
            encoder = replace(encoder, sounds=plans)
        notes = [_converted(plan, self._info, encoder) for plan in encoder.sounds]
        if self._refusal(encoder, [each.index for each in others]) is not None:
            for stream in others:
                encoder, note = self._stream(encoder, stream, sounds.get(stream.index, []))
                notes.append(note)
            gone = [each for each in others if each.index in encoder.left_out]
            notes.append(left_out_words(gone, encoder.container) if gone else None)
            kept = [each.index for each in self._others(encoder)]
            refused = self._refusal(encoder, kept)
            if refused is not None:
                raise MediaError(
                    f"The streams of {self._info.path} cannot be stored together in "
                    f"{encoder.container}: {refused}{self._elsewhere(encoder)}."
                )
        return encoder, [note for note in notes if note is not None]

    def _stream(
        self, encoder: Encoder, stream: StreamInfo, plans: Sequence[SoundPlan]
    ) -> tuple[Encoder, str | None]:
        refused = self._refusal(encoder, [stream.index])
        if refused is None:
            return encoder, None
        for plan in plans:
            converting = replace(encoder, sounds=(*encoder.sounds, plan))
            if self._refusal(converting, [stream.index]) is None:
                return converting, _converted(plan, self._info, encoder)
        if _may_be_lost(stream):
            return replace(encoder, left_out=(*encoder.left_out, stream.index)), None
        raise MediaError(
            f"{str(stream).capitalize()} of {self._info.path} cannot be stored in "
            f"{encoder.container} ({refused}){self._elsewhere(encoder)}."
        )

    def _others(self, encoder: Encoder) -> list[StreamInfo]:
        gone = {self._info.stream, *encoder.left_out}
        return [each for each in self._info.streams if each.index not in gone]

    def _refusal(self, encoder: Encoder, streams: Sequence[int]) -> str | None:
        """Write a trial with some of the streams; return why it cannot be, or None."""
        try:
            self._write(encoder, streams)
        except DiskError:
            raise
        except (av.FFmpegError, OSError, ValueError, MediaError) as error:
            if is_lack_of_room(error):
                raise
            return reason(error.__cause__ or error)
        return None

    def _write(self, encoder: Encoder, streams: Sequence[int]) -> None:
        film, trial = self._film, Trial(streams, TRIAL_PACKETS, TRIAL_READ)
        times: list[Fraction] = []

        def packets(target: av.VideoStream) -> Iterator[Any]:
            for packet in film.packets(target):
                times.append(packet.pts * packet.time_base)
                yield packet

        mux(self._path, self._info, encoder, replace(film, packets=packets), trial=trial)
        info = self._info
        films = [each for each in info.streams if each.kind == "video" and not each.cover]
        before = sum(each.index < info.stream and each.index in streams for each in films)
        self._check_times(sorted(times), before)
        if needs_display_size(encoder):
            write_sample_aspect(self._path, encoder.geometry)

    def _check_times(self, wanted: Sequence[Fraction], before: int) -> None:
        """Read the film's times again; so many other films are before it."""
        early = min(wanted, default=0) < 0
        # Those before 0 libav would make up: it reads none of them in Matroska.
        with open_input(self._path, {"fflags": "+nofillin"} if early else None) as file:
            stream = [each for each in file.streams.video if not is_cover(each)][before]
            packets = [each for each in read_packets(file, [stream]) if each.pts is not None]
            found = sorted(packet.pts * packet.time_base for packet in packets)
        if early:
            found, wanted = [[time for time in one if time >= 0] for one in (found, wanted)]
        if len(found) != len(wanted) or any(
            abs(one - other) > TIME_SLACK for one, other in zip(found, wanted, strict=True)
        ):
            raise ValueError("the times of its pictures are not kept")

    def _elsewhere(self, encoder: Encoder) -> str:
        """Return the end of a sentence: a suffix of a container that takes film and streams."""
        for suffix, container in FORMATS.items():
            if container in (encoder.container, "mxf"):
                continue
            other = replace(encoder, container=container, sounds=(), timecode=None)
            kept = [each.index for each in self._others(other) if not _may_be_lost(each)]
            if self._refusal(other, kept) is None:
                return f"; give the output a name that ends in {suffix}"
        return ""

    def _check_constant_rate(self, encoder: Encoder) -> None:
        """Refuse a film whose times are not those of a constant rate."""
        if (place := varying_picture(self._info, encoder.rate)) is not None:
            raise MediaError(
                f"{self._info.path} has a variable frame rate (its picture {place} is not at "
                f"{place} / {encoder.rate} seconds), which MXF cannot hold; give the output a "
                "name that ends in .mkv or .mov."
            )

    def _lost(self, encoder: Encoder, timecode: str | None, track: bool) -> list[str]:
        """Read a trial of the film again and return a sentence on each thing that is not in it."""
        info, place = self._info, encoder.container
        self._write(encoder, [])
        written = probe(self._path)
        lost = [NAMES[name] for name in sorted(info.side_data - written.side_data)]
        notes = [f"The source's {name} cannot be kept: {self._codec}, {place}." for name in lost]
        if info.foreign:
            notes.append("Streams of the multiplex's other programmes are left out.")
        if timecode is not None and written.timecode is None:
            notes.append(f"The timecode {timecode} cannot be kept in {place}.")
        elif track and place in ("matroska", "webm"):
            notes.append(
                f"The timecode track becomes a tag ({timecode}): {place} has no such tracks."
            )
        if info.chapters and not written.chapters:
            notes.append(f"The chapters cannot be kept in {place}.")
        if encoder.display_matrix is not None and written.display_matrix is None:
            notes.append(
                f"That the picture is to be turned by {info.geometry.rotation} degrees cannot be "
                f"kept in {place}."
            )
        if written.geometry.sample_aspect != encoder.geometry.sample_aspect:
            notes.append(
                f"The pixels' aspect ratio {encoder.geometry.sample_aspect} cannot be kept in "
                f"{place} with {self._codec}."
            )
        if (info.start and begins_at_zero(place)) or (
            info.start < 0 and not keeps_times_before_zero(place)
        ):
            notes.append(
                f"{place.upper()} files begin at 0: everything is moved by "
                f"{float(-info.start):.3f} seconds."
            )
        return notes


def _may_be_lost(stream: StreamInfo) -> bool:
    """Return whether a stream is left out where it cannot be stored.

    That is data, and what PyAV copies into nothing, as libav has no decoder for it (teletext).
    """
    return stream.kind in ("data", "unknown") or (stream.kind, stream.codec) == ("subtitle", "none")


def varying_picture(info: VideoInfo, rate: Fraction) -> int | None:
    """Return the first picture whose time is not that of a constant rate, None if none is.

    The rate is of frames, of which a picture may become two.
    """
    rate /= info.treatment.frames
    ticks = []
    with open_input(info.path, fps=info.fps) as source:
        stream = source.streams[info.stream]
        for packet in read_packets(source, [stream]):
            tick = packet.dts if packet.pts is None else packet.pts
            if tick is not None and not packet.is_discard:
                ticks.append(tick * info.file_tick)
    times, slack = sorted(ticks), max(info.file_tick, 1 / (4 * rate))
    return next(
        (place for place, time in enumerate(times) if abs(time - times[0] - place / rate) > slack),
        None,
    )


def left_out_words(streams: Sequence[StreamInfo], container: str) -> str:
    """Return one sentence on streams that are left out: a broadcast has a dozen."""
    if len(streams) == 1:
        name = str(streams[0]).capitalize()
        return f"{name} cannot be stored in {container} and is left out."
    *first, last = (str(stream).removeprefix("stream ") for stream in streams)
    return (
        f"Streams {', '.join(first)} and {last} cannot be stored in {container} and are left out."
    )


def encoded_film(
    segment: Path, stream: av.VideoStream, info: VideoInfo, container: str
) -> MuxedFilm:
    """Return the film of a trial segment."""
    indices = [SegmentIndex.read(segment)]
    # The trial's few pictures do not last until the film's end.
    timeline = Timestamps.of(indices, replace(info, duration=None), container=container)
    return MuxedFilm(stream, partial(film_packets, indices, timeline), timeline.span)


def _converted(plan: SoundPlan, info: VideoInfo, encoder: Encoder) -> str | None:
    stream = info.streams[plan.index]
    if stream.codec == plan.codec and encoder.container == "mxf":
        with open_input(info.path, fps=info.fps) as source:
            known: Any = source.streams[plan.index]
            if known.codec_context.rate == plan.rate:
                return None
    return (
        f"{str(stream).capitalize()} cannot be stored in {encoder.container} as it is and is "
        f"converted to {plan.title}."
    )
