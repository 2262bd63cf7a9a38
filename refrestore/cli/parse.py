"""Values as people write them: times, bit rates."""

from __future__ import annotations

from typing import Literal

import typer

from refrestore.config import bits_per_second
from refrestore.moment import Moment, parse_moment


def parse_time(text: str) -> Moment:
    """Return the moment that was typed (`parse_moment`).

    Raises
    ------
    typer.BadParameter
        If it is none.
    """
    try:
        return parse_moment(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of "X,Y,W,H".

    Raises
    ------
    typer.BadParameter
        If it is no box.
    """
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no box; write left,top,width,height in pixels, as 310,42,80,100"
        ) from None
    return left, top, left + width, top + height


def parse_bitrate(text: str) -> int:
    """Return bits per second of "2500k", "8M" or "8000000".

    Raises
    ------
    typer.BadParameter
        If it is no bit rate.
    """
    try:
        return bits_per_second(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def parse_batch(text: str) -> int | Literal["auto"]:
    """Return a number of faces, or "auto".

    Raises
    ------
    typer.BadParameter
        If it is neither.
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is no number of faces; write 1 or more, or auto")
    return int(text)
