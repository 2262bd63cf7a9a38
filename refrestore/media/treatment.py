"""What is done to every picture of a film before anybody sees it: deinterlaced, cleaned of noise.

docs/decisions/028-analogue-sources.md says why these filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from refrestore.config import Denoise

_LUMA, _CHROMA = 0.06, 0.12
"""Differences between pictures, of full scale, up to which atadenoise takes them for noise."""

_TEMPORAL = (
    "atadenoise",
    f"s=5:0a={_LUMA}:0b={2 * _LUMA}:1a={_CHROMA}:1b={2 * _CHROMA}:2a={_CHROMA}:2b={2 * _CHROMA}",
)
_SPATIAL = ("nlmeans", "s=4:p=5:r=7")
"""Of 8 bits only."""

DENOISE: Mapping[Denoise, tuple[tuple[str, str], ...]] = MappingProxyType(
    {"off": (), "light": (_TEMPORAL,), "strong": (_TEMPORAL, _SPATIAL)}
)

_REACH = {"bwdif": 1, "atadenoise": 2, "nlmeans": 0}
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
        return sum(_REACH[name] for name, _ in self.filters)


UNTREATED = Treatment()
"""Pictures as the decoder gives them."""
