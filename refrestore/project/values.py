"""Checks of single values that come from a file nobody need trust."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

from .damage import DamageError

_Value = TypeVar("_Value")

_FRACTION = re.compile(r"-?[0-9]{1,30}(/[0-9]{1,30})?")
"""As `str` writes one. `Fraction` itself takes exponents, which can take for ever."""

MOST_SECONDS = 10**9


def whole(low: int, high: int) -> Callable[[Any], int]:
    """Return a check for a whole number within bounds, both included."""

    def check(value: Any) -> int:
        if type(value) is not int:
            raise DamageError(f"it is {_kind(value)} and not a whole number")
        if not low <= value <= high:
            raise DamageError("it is out of range")
        return value

    return check


def finite(low: float, high: float) -> Callable[[Any], float]:
    """Return a check for a number within bounds, both included."""

    def check(value: Any) -> float:
        if type(value) not in (int, float):
            raise DamageError(f"it is {_kind(value)} and not a number")
        if not low <= value <= high:  # nor NaN
            raise DamageError("it is out of range")
        return float(value)

    return check


def text(most: float) -> Callable[[Any], str]:
    """Return a check for a text of up to `most` characters, none of them NUL."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise DamageError(f"it is {_kind(value)} and not a text")
        if len(value) > most or "\0" in value:
            raise DamageError("it is too long or holds a NUL")
        return value

    return check


def optional(check: Callable[[Any], _Value]) -> Callable[[Any], _Value | None]:
    """Return a check that lets None pass."""
    return lambda value: None if value is None else check(value)


def fraction(value: Any) -> Fraction:
    """Return a number of seconds or a ratio that is stored as "n" or "n/d"."""
    written = text(80)(value)
    if not _FRACTION.fullmatch(written):
        raise DamageError("it is no fraction")
    try:
        number = Fraction(written)
    except ZeroDivisionError as error:
        raise DamageError("it is divided by zero") from error
    if abs(number) > MOST_SECONDS:
        raise DamageError("it is out of range")
    return number


def positive_fraction(value: Any) -> Fraction:
    """Return a fraction above zero."""
    number = fraction(value)
    if number <= 0:
        raise DamageError("it is not above zero")
    return number


def number_in(value: Any, low: int, high: int) -> int:
    """Return the whole number that a text holds."""
    written = text(40)(value)
    if not re.fullmatch(r"[0-9]{1,18}", written):
        raise DamageError("it is no whole number")
    return whole(low, high)(int(written))


def json_object(value: Any) -> dict[str, Any]:
    """Return what a text in JSON says.

    Raises
    ------
    DamageError
        When it is not JSON or not an object.
    """
    try:
        said = json.loads(text(math.inf)(value))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DamageError):
            raise
        raise DamageError("it is not JSON") from error
    if not isinstance(said, dict):
        raise DamageError("it is no JSON object")
    return said


def field(said: dict[str, Any], name: str, check: Callable[[Any], _Value]) -> _Value:
    """Return a checked member of a JSON object; one that is missing counts as null."""
    try:
        return check(said.get(name))
    except DamageError as error:
        raise DamageError(f"{name}: {error}") from error


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"
