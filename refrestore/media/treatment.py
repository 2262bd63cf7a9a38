"""What is done to every picture of a film before anybody sees it: deinterlaced, cleaned of noise.

docs/decisions/028-analogue-sources.md says why these filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from refrestore.config import Denoise

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
        Whether each picture of two fields becomes one of its first field's moment.
    top_first
        Whether the field of the top line is the earlier one; None as each picture says.
    denoise
        How strongly noise is taken away.
    combed, judged
        Pictures measured to be of two moments, of those that could be judged.
    """

    deinterlace: bool = False
    top_first: bool | None = None
    denoise: Denoise = "off"
    combed: int = field(default=0, compare=False)
    judged: int = field(default=0, compare=False)

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """Libavfilter's filters and their arguments, in order."""
        parity = {True: "tff", False: "bff", None: "auto"}[self.top_first]
        first = (("bwdif", f"mode=send_frame:parity={parity}:deint=all"),)
        return (first if self.deinterlace else ()) + DENOISE[self.denoise]

    @property
    def reach(self) -> int:
        """Pictures before and after one that it is made of."""
        return sum(_REACH.get(name, 0) for name, _ in self.filters)


UNTREATED = Treatment()
"""Pictures as the decoder gives them."""
