"""What is done to every picture of a film before anybody sees it: deinterlaced, cleaned of noise.

docs/decisions/028-analogue-sources.md says why these filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from refrestore.config import Denoise

Deinterlaced = Literal["off", "frame", "field"]
"""Whether one picture is made of a picture's two fields, or one of each."""

FIELDS: tuple[Deinterlaced, ...] = ("off", "frame", "field")

DENOISE: Mapping[Denoise, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "off": (),
        "light": (("bilateral", "sigmaS=2:sigmaR=0.05:planes=7"),),
        "strong": (("nlmeans", "s=4:p=5:r=7"),),
    }
)
"""Filters that look at one picture alone, so that it does not matter where a film is entered."""

STRONG_BITS = 8
"""All that nlmeans can do."""

_REACH = {"bwdif": 1}
"""Pictures before (and after) the present one that a filter looks at."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to a film's pictures; by default nothing. Picklable.

    Treatments are equal where they give the same pictures.

    Parameters
    ----------
    deinterlace
        Whether each picture of two fields becomes one of its first field's moment ("frame"), or
        two, of both moments ("field").
    top_first
        Whether the field of the top line is the earlier one; None as each picture says.
    denoise
        How strongly noise is taken away.
    combed, judged
        Pictures measured to be of two moments, of those that could be judged.
    """

    deinterlace: Deinterlaced = "off"
    top_first: bool | None = None
    denoise: Denoise = "off"
    combed: int = field(default=0, compare=False)
    judged: int = field(default=0, compare=False)

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """Libavfilter's filters and their arguments, in order."""
        parity = {True: "tff", False: "bff", None: "auto"}[self.top_first]
        first = (("bwdif", f"mode=send_{self.deinterlace}:parity={parity}:deint=all"),)
        return (() if self.deinterlace == "off" else first) + DENOISE[self.denoise]

    @property
    def reach(self) -> int:
        """The file's pictures before and after one that it is made of."""
        return sum(_REACH.get(name, 0) for name, _ in self.filters)

    @property
    def frames(self) -> int:
        """Frames that each of the file's pictures becomes."""
        return 2 if self.deinterlace == "field" else 1


UNTREATED = Treatment()
"""Pictures as the decoder gives them."""


def second_moment(time: Fraction, following: Fraction | None, longest: Fraction) -> Fraction:
    """Return when the second of a picture's two fields was seen, seconds: half way to the next.

    Parameters
    ----------
    time
        Of the picture.
    following
        Of the next one, None for the last.
    longest
        What a picture lasts at most (`VideoInfo.longest`): more is a gap.
    """
    return time + (longest if following is None else min(following - time, longest)) / 2
