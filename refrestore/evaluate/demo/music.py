"""The demo film's sound: slow chords, plucked notes, steps on a floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SOUND_RATE = 48_000
"""Samples a second."""

CHORDS = ((57, 60, 64, 69), (53, 57, 60, 65), (48, 55, 60, 64), (55, 59, 62, 67))
"""Am, F, C, G as MIDI notes."""

BEAT = 0.375
"""Seconds between plucked notes."""

BEATS = 8
"""Plucked notes to a chord."""

Steps = tuple[float, float, float]
"""Start and end of a walk in seconds, and its steps a second."""


def music(seconds: float, walks: Sequence[Steps] = ()) -> NDArray[np.float32]:
    """Return the sound track, (2, samples) in -1..1, that fades in and out."""
    count = round(seconds * SOUND_RATE)
    tail = 4 * SOUND_RATE
    sound = np.zeros((2, count + tail))
    for place in range(int(seconds / BEAT) + 1):
        chord = CHORDS[place // BEATS % len(CHORDS)]
        if place % BEATS == 0:
            for voice, note in enumerate(chord):
                _add(sound, place * BEAT, _pad(_pitch(note - 12), BEAT * BEATS), voice / 3)
        order = (0, 2, 1, 3, 2, 3, 1, 2)[place % 8]
        _add(sound, place * BEAT, _pluck(_pitch(chord[order] + 12)), (order + 0.5) / 4)
    for start, end, rate in walks:
        for number in range(int((end - start) * rate)):
            share = number / max(1.0, (end - start) * rate)
            _add(sound, start + number / rate, _footstep(), 0.2 + 0.6 * share)
    sound = sound[:, :count]
    for delay, gain in ((0.11, 0.25), (0.19, 0.18), (0.31, 0.12)):
        late = round(delay * SOUND_RATE)
        if late < count:
            sound[:, late:] += gain * sound[::-1, : count - late]
    fade = min(count // 2, SOUND_RATE)
    if fade:
        sound[:, count - fade :] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
        short = fade // 8
        sound[:, :short] *= np.linspace(0, 1, short)
    loudest = float(np.abs(sound).max(initial=1e-9))
    return (0.5 * sound / max(loudest, 0.5)).astype(np.float32)


def _pitch(note: int) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _add(sound: NDArray[np.float64], start: float, tone: NDArray[np.float64], pan: float) -> None:
    """Add a mono tone, from left (0) to right (1) with even loudness."""
    first = round(start * SOUND_RATE)
    tone = tone[: max(0, sound.shape[1] - first)]
    sides = np.array([np.cos(pan * np.pi / 2), np.sin(pan * np.pi / 2)])
    sound[:, first : first + len(tone)] += sides[:, None] * tone


def _pad(pitch: float, seconds: float) -> NDArray[np.float64]:
    """Return a soft chord tone that swells and gives way to the next."""
    time = np.arange(round((seconds + 0.8) * SOUND_RATE)) / SOUND_RATE
    swell = np.minimum(1, time / 0.7) * np.clip((seconds + 0.8 - time) / 0.8, 0, 1)
    tone = sum(
        gain * np.sin(2 * np.pi * pitch * ratio * time)
        for ratio, gain in ((1.0, 1.0), (1.004, 0.7), (2.0, 0.25), (3.0, 0.08))
    )
    return np.asarray(0.05 * swell * tone)


def _pluck(pitch: float) -> NDArray[np.float64]:
    """Return a note whose overtones die first."""
    time = np.arange(round(1.6 * SOUND_RATE)) / SOUND_RATE
    attack = np.minimum(1, time / 0.004)
    tone = sum(
        np.exp(-(2.2 + 1.6 * number) * time)
        * np.sin(2 * np.pi * pitch * number * time)
        / number**1.6
        for number in range(1, 6)
    )
    return np.asarray(0.11 * attack * tone * np.clip((1.6 - time) / 0.2, 0, 1))


def _footstep() -> NDArray[np.float64]:
    """Return a sole on wood: a dull knock with a little noise."""
    time = np.arange(round(0.18 * SOUND_RATE)) / SOUND_RATE
    knock = np.sin(2 * np.pi * (95 - 150 * time) * time) * np.exp(-32 * time)
    scrape = np.random.default_rng(7).normal(0, 1, len(time))
    scrape = np.convolve(scrape, np.ones(24) / 24, mode="same") * np.exp(-60 * time)
    return np.asarray(0.22 * knock + 0.10 * scrape)
