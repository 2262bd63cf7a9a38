"""Values as people write them, where they are no settings: times, boxes."""

from __future__ import annotations

import typer

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
