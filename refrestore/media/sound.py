"""Sound that the output's container cannot take as it is, converted while the file is joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BLOCK = 1024
"""Samples given at a time to encoders that take any number."""

SLACK = Fraction(1, 500)
"""Seconds by which packets may be off the count of their samples: containers round times to
milliseconds, and a gap that is heard is longer."""

BITS_PER_CHANNEL = 160_000
"""Bit rate of AAC and Opus: transparent at 64 to 128 kbit/s (their listening tests), and more."""

WEBM_RATE = 48_000
"""Opus counts in it, whatever it is given (RFC 7845)."""

_LAYOUTS = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"
}  # fmt: skip
"""What a number of channels means where a file does not say."""

_QUICKTIME = ("mp4", "mov")


@dataclass(frozen=True)
class SoundPlan:
    """How one sound stream of the source is converted. Picklable.

    Parameters
    ----------
    index
        Of the stream in the source.
    codec, sample_format, rate, layout
        As libav names what is written; samples a second.
    title
        For people.
    bitrate
        Bits a second, 0 where the codec is lossless.
    """

    index: int
    codec: str
    sample_format: str
    rate: int
    layout: str
    title: str
    bitrate: int = 0

    def add_stream(self, container: av.container.OutputContainer) -> Any:
        """Add a stream with a fresh encoder."""
        stream: Any = container.add_stream(self.codec, rate=self.rate)
        stream.codec_context.layout = self.layout
        stream.codec_context.format = self.sample_format
        stream.codec_context.time_base = Fraction(1, self.rate)
        if self.bitrate:
            stream.codec_context.bit_rate = self.bitrate
        return stream


def sound_plans(stream: Any, container: str) -> list[SoundPlan]:
    """Return the conversions to try for a sound stream, best first.

    Parameters
    ----------
    stream
        Of the source.
    container
        libav's name of the output's format.
    """
    context = stream.codec_context
    layout = _layout(context)
    coding: Mapping[str, Any] = {"index": stream.index, "layout": layout, "rate": context.rate}
    lossy = {"bitrate": BITS_PER_CHANNEL * context.channels}
    depth = lossless_depth(context)
    if container == "mxf":
        deep = depth != 16
        codec, sample_format = ("pcm_s24le", "s32") if deep else ("pcm_s16le", "s16")
        title = f"PCM {24 if deep else 16} bit, {WEBM_RATE} Hz"
        return [SoundPlan(**{**coding, "rate": WEBM_RATE}, codec=codec, sample_format=sample_format,
                          title=title)]  # fmt: skip
    plans = []
    if container in _QUICKTIME and depth:
        shape = "s16p" if depth == 16 else "s32p"
        plans.append(SoundPlan(**coding, codec="alac", sample_format=shape, title="ALAC"))
    if container in _QUICKTIME:
        plans.append(SoundPlan(**coding, **lossy, codec="aac", sample_format="fltp", title="AAC"))
    if container == "webm":
        opus = {**coding, **lossy, "rate": WEBM_RATE}
        plans.append(SoundPlan(**opus, codec="libopus", sample_format="flt", title="Opus"))
    return plans


def lossless_depth(context: Any) -> int | None:
    """Return the bits, 16 or 24, that hold a lossless stream's samples; None if none do."""
    name, sample_format = context.name, context.format.name
    if name in ("pcm_alaw", "pcm_mulaw") or name.startswith(("pcm_s8", "pcm_u8", "pcm_s16")):
        return 16
    if name.startswith("pcm_"):
        return 24 if any(deep in name for deep in ("s24", "s20", "u24", "bluray", "dvd")) else None
    if name in ("flac", "alac", "tta", "wavpack", "truehd", "mlp", "ape"):
        return {"s16": 16, "s16p": 16, "s32": 24, "s32p": 24, "u8": 16, "u8p": 16}.get(
            sample_format
        )
    return None


class SoundConverter:
    """Decodes a sound stream's packets and encodes them anew, sample for sample in time.

    Times are those of the source less `shift`; gaps become silence, so that what follows stays
    where it was. A range is cut at the sample.

    Parameters
    ----------
    plan
        How.
    source, target
        The stream that is read, and the one that `plan.add_stream` has added.
    shift
        Seconds taken from every time.
    first, stop
        Range in the source's seconds, or None.
    filled
        Whether there is sound all over the range: silence where the source has none.
    """

    def __init__(
        self,
        plan: SoundPlan,
        source: Any,
        target: Any,
        *,
        shift: Fraction,
        first: Fraction | None,
        stop: Fraction | None,
        filled: bool = False,
    ) -> None:
        self._plan, self._target, self._decoder = plan, target, source.codec_context
        self._shift = shift
        self._least = None if first is None else self._place(first)
        self._stop = None if stop is None else self._place(stop)
        self._filled = filled
        self._resampler: av.AudioResampler | None = None
        self._planar = f"{plan.sample_format.removesuffix('p')}p"
        self._next: int | None = None  # place of the next sample that is to be encoded
        self._waiting: list[NDArray[Any]] = []

    def convert(self, packet: Any) -> Iterator[Any]:
        """Yield what comes out when a packet of the source goes in."""
        try:
            frames = self._decoder.decode(packet)
        except (av.FFmpegError, ValueError):
            return  # what cannot be decoded is a gap
        for frame in frames:
            if frame.pts is None:
                continue
            for resampled in self._resampled(frame):
                yield from self._take(resampled)

    def finish(self) -> Iterator[Any]:
        """Yield what is still inside."""
        try:
            frames = self._decoder.decode(None)
        except (av.FFmpegError, ValueError):
            frames = []
        for frame in frames:
            for resampled in self._resampled(frame):
                yield from self._take(resampled)
        if self._resampler is not None:
            for resampled in self._resampler.resample(None):
                yield from self._take(resampled)
        if self._filled:
            self._fill()
        yield from self._encode(last=True)
        if self._next is not None:
            yield from self._stamped(self._target.encode(None))

    def _fill(self) -> None:
        assert self._least is not None
        assert self._stop is not None
        self._next = self._least if self._next is None else self._next
        lacking = self._stop - self._next - sum(part.shape[1] for part in self._waiting)
        channels = av.AudioLayout(self._plan.layout).nb_channels
        kind = {"s16p": np.int16, "s32p": np.int32, "fltp": np.float32}[self._planar]
        self._waiting.append(np.zeros((channels, max(0, lacking)), kind))

    def _place(self, time: Fraction) -> int:
        return round((time - self._shift) * self._plan.rate)

    def _resampled(self, frame: Any) -> Sequence[Any]:
        known = _said_layout(frame)
        if self._resampler is None:
            self._resampler = av.AudioResampler(self._planar, self._plan.layout, self._plan.rate)
        return self._resampler.resample(known)

    def _take(self, frame: Any) -> Iterator[Any]:
        """Put a frame's samples behind those that wait, at their place."""
        samples: NDArray[Any] = frame.to_ndarray()
        at = self._place(frame.pts * frame.time_base)
        slack = SLACK * self._plan.rate
        if self._next is None:
            if self._least is not None and at + samples.shape[1] <= self._least:
                return  # before the range
            self._next, slack = at if self._least is None else self._least, Fraction(0)
        waiting = self._next + sum(part.shape[1] for part in self._waiting)
        if self._stop is not None:
            at = min(at, self._stop)  # a gap is filled to the end of the range at most
        off = at - waiting
        if off > slack:
            self._waiting.append(np.zeros((len(samples), off), samples.dtype))
        elif -off > slack:
            samples = samples[:, -off:]
            if not samples.shape[1]:
                return
        if self._stop is not None:
            waiting = self._next + sum(part.shape[1] for part in self._waiting)
            samples = samples[:, : max(0, self._stop - waiting)]
        self._waiting.append(samples)
        yield from self._encode(last=False)

    def _encode(self, *, last: bool) -> Iterator[Any]:
        if not self._waiting or self._next is None:
            return
        size = self._target.codec_context.frame_size or BLOCK
        samples = np.concatenate(self._waiting, axis=1)
        count = samples.shape[1]
        whole = count if last else count - count % size
        for start in range(0, whole, size):
            block = samples[:, start : min(start + size, whole)]
            frame = self._frame(block)
            frame.pts, frame.time_base = self._next, Fraction(1, self._plan.rate)
            self._next += block.shape[1]
            yield from self._stamped(self._target.encode(frame))
        self._waiting = [samples[:, whole:]]

    def _frame(self, block: NDArray[Any]) -> av.AudioFrame:
        packed = not self._plan.sample_format.endswith("p")
        laid = block.T.reshape(1, -1) if packed else block
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(laid), self._plan.sample_format, self._plan.layout
        )
        frame.sample_rate = self._plan.rate
        return frame

    def _stamped(self, packets: Sequence[Any]) -> Iterator[Any]:
        for packet in packets:
            packet.stream = self._target
            yield packet


def _layout(context: Any) -> str:
    """Return the layout's name, or what its number of channels usually means."""
    name = str(context.layout.name)
    return _LAYOUTS.get(context.channels, name) if _without_places(name) else name


def _without_places(layout: str) -> bool:
    return layout.endswith(" channels")  # "2 channels": libav's name where a file does not say


def _said_layout(frame: Any) -> Any:
    """Return a frame whose channels have places, which conversions need."""
    if not _without_places(frame.layout.name):
        return frame
    layout = _LAYOUTS.get(frame.layout.nb_channels, frame.layout.name)
    known = av.AudioFrame.from_ndarray(frame.to_ndarray(), frame.format.name, layout)
    known.sample_rate, known.pts, known.time_base = frame.rate, frame.pts, frame.time_base
    return known
