"""Values as people write them: times, bit rates."""

from __future__ import annotations

from fractions import Fraction

import typer

SUFFIXES = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
MOST_TIME_PARTS = 3
"""Hours, minutes, seconds."""


def parse_time(text: str) -> Fraction:
    """Return seconds of "75", "1:15", "0:01:15.5", exactly.

    Raises
    ------
    typer.BadParameter
        If it is no time.
    """
    parts = text.strip().split(":")
    try:
        if len(parts) > MOST_TIME_PARTS:
            raise ValueError
        values = [Fraction(part) for part in parts]
        if any(value < 0 for value in values[1:]):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(
            f"{text!r} is no time; write seconds (75.5) or hours:minutes:seconds (0:01:15.5)"
        ) from None
    seconds = Fraction(0)
    for value in values:
        seconds = seconds * 60 + value
    return seconds


def parse_bitrate(text: str) -> int:
    """Return bits per second of "2500k", "8M" or "8000000".

    Raises
    ------
    typer.BadParameter
        If it is no bit rate.
    """
    number, factor = text.strip(), 1
    if number and number[-1].lower() in SUFFIXES:
        number, factor = number[:-1], SUFFIXES[number[-1].lower()]
    try:
        bits = int(Fraction(number) * factor)
    except (ValueError, ZeroDivisionError):
        bits = 0
    if bits < 1:
        raise typer.BadParameter(f"{text!r} is no bit rate; write 8M, 2500k or bits per second")
    return bits
