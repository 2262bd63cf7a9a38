"""Cosine similarities that recognisers give: of one person's faces, and of two people's.

The one place for figures that depend on the network. They are measured with
`python benchmarks/profile_matching.py PEOPLE --pack lite|teachers`, which prints a line of `_KNOWN`
under "cosines"; docs/decisions/010 says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from types import MappingProxyType

TYPICAL = 6
"""Photos of the profiles that `Cosines` are measured with."""

FEW = 3
"""Faces from which on a set of them says how alike a person's faces are."""


RECOGNISED = 0.72
"""Share of what photos of one person have in common that such a face has (docs/decisions/038)."""

LIKELY = 0.57
"""The same of a face that is likely the person (docs/decisions/043)."""

ALIKE_RANGE = (0.5, 1.4)
"""How much less or more alike than usual a person's photos may be for `Cosines.blurred_of`."""


@dataclass(frozen=True, slots=True)
class Cosines:
    """What a recogniser's cosines to a profile's centroid are like.

    Parameters
    ----------
    strangers
        Normal model of the *upper tail* of somebody else's face: the normal distribution through
        the measured 98 % and 99.9 % quantiles. The tail is wider than that of all of them, as
        some people are alike, and the tail is what a threshold has to do with.
    stranger
        Mean over all strangers.
    own
        Normal model of the person's other photos, with a profile of `TYPICAL` photos: their mean,
        and the deviation that puts the 5 % quantile where it is (again the tail is the wider).
    belongs
        Least similarity of a face that somebody says is this person.
    alike
        Least average similarity of two groups of photos of one person, a little below what 99 % of
        pairs of two people's photos do not reach: lower, fewer of a person's own photos are left
        out of an album; higher, fewer of a look-alike's are let in.
    people
        Least likeness (`profile.likeness`) of two sets, of `FEW` faces or more each, of one person.
    track
        Least similarity of the mean of a person's tracks to a profile: two to six of a thousand
        strangers on tapes reach it. Less than for one photo, as a mean over many frames errs less
        (docs/decisions/027).
    blurred
        Least similarity of a blurred face for which nobody vouches to a person whose photos are as
        alike as `own` says. Not of this benchmark: docs/decisions/009.
    legible
        Cosine of a face to itself, its crop shrunk to 48 px, up to which it can be read as it is:
        that of faces of 64 px (lite .93, EdgeFace .92; of 28 px .97).
    gain
        Weights of what a restored face's gain of likeness to the truth is told by
        (`restore.guard.gain_terms`), of `benchmarks/guard.py`; None where it was not measured.
    """

    strangers: NormalDist
    stranger: float
    own: NormalDist
    belongs: float
    alike: float
    people: float
    track: float
    blurred: float
    legible: float
    gain: tuple[float, ...] | None = None

    @property
    def recognised(self) -> float:
        """Least similarity of a readable face that is the person beyond doubt."""
        return RECOGNISED * self.own.mean

    @property
    def likely(self) -> float:
        """Least similarity of a face that shows more than 24 px and is likely the person."""
        return LIKELY * self.own.mean

    def blurred_of(self, alike: float | None) -> float:
        """Return `blurred` for somebody whose photos are that similar to the mean of the others.

        With the root of it, within `ALIKE_RANGE`; None where that is not known.
        """
        if alike is None:
            return self.blurred
        return self.blurred * sqrt(min(max(alike / self.own.mean, ALIKE_RANGE[0]), ALIKE_RANGE[1]))

    def own_of(self, faces: int) -> NormalDist:
        """Return the model of the person's own faces for a profile of so many.

        The fewer there are, the farther their mean is from the person. If pairs of the person's
        photos have the mean cosine r, the mean of n has cosine r * sqrt(n / (1 + (n - 1) r)) to
        another one.
        """
        n, m = TYPICAL, self.own.mean
        pair = ((n - 1) * m**2 + sqrt((n - 1) ** 2 * m**4 + 4 * n * m**2)) / (2 * n)
        mean = pair * sqrt(faces / (1 + (faces - 1) * pair))
        return NormalDist(mean, self.own.stdev)


_KNOWN: Mapping[str, Cosines] = MappingProxyType(
    {
        "recogniser": Cosines(
            strangers=NormalDist(-0.009, 0.161),
            stranger=0.071,
            own=NormalDist(0.628, 0.128),
            belongs=0.40,
            alike=0.28,
            people=0.65,
            track=0.37,
            blurred=0.26,
            legible=0.945,
            gain=(-0.57, -0.267, 0.375, -0.162, 0.235, -0.259, -0.497, 0.076),
        ),
        "edgeface_xs.fp32": Cosines(
            strangers=NormalDist(-0.011, 0.121),
            stranger=0.043,
            own=NormalDist(0.714, 0.108),
            belongs=0.35,
            alike=0.26,
            people=0.55,
            track=0.30,
            blurred=0.25,
            legible=0.925,
        ),
    }
)
"""By the name of the network's file without its last suffix."""

_OTHER = Cosines(
    strangers=NormalDist(0.0, 0.1216),
    stranger=0.0,
    own=NormalDist(0.70, 0.12),
    belongs=0.35,
    alike=0.26,
    people=0.60,
    track=0.35,
    blurred=0.25,
    legible=0.92,
)
"""Not measured: for ArcFace-R50 and what else a user brings. It puts the threshold for one stranger
in 2,000 at 0.40, which insightface's PrivateFrame and facefusion use with ArcFace-R50."""


def cosines(recogniser: str) -> Cosines:
    """Return the figures of a recogniser by the name of its file without suffix."""
    return _KNOWN.get(recogniser, _OTHER)
