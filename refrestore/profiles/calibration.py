"""The open-set threshold of a profile, from its own spread and from strangers.

Two distributions of the cosine to the profile's centroid say what a threshold costs:

* the person's own faces: Student's t about the mean of the leave-one-out similarities of the
  references (each to the centroid of all the others), shrunk towards what the recogniser gives
  people in general, as a few references say little. Its tail is heavy, as faces that are missed are
  odd ones (another age, a beard, glasses) that no spread of ordinary ones foretells. Close-ups of
  one take are alike, whatever the person looks like in the next film, so they count as one photo.
* strangers: the recogniser's measured tail (`profile_cosines`), moved by as much as the people of
  the other profiles of the store are nearer to this person than people are in general. Whoever is
  in the store makes the model of strangers more like those who appear in the user's films.

The threshold is where `MISSES` of the person's faces fall below it, but not where more than
`STRANGERS_MOST` of strangers pass, and no higher than where `STRANGERS_LEAST` of them do. Measured
in docs/decisions/010.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from scipy.special import stdtr, stdtrit

from refrestore.types import DoubleArray, FloatArray, Reference

from .profile import Calibration, Profile, same_people

MISSES = 0.11
"""Share of the person's faces given up for fewer strangers, where strangers come that near."""

STRANGERS_LEAST, STRANGERS_MOST = 0.0005, 0.005
"""Shares of strangers between which a threshold lies."""

LOWEST, HIGHEST = 0.25, 0.60
"""Thresholds outside are a mistake: with no recogniser here are two photos of one person that
alike, or of two people that different, that often."""

PEOPLE_WEIGHT, SPREAD_WEIGHT = 3, 6
"""Photos that the recogniser's general figures count as, for the mean and for the deviation."""

TAIL = 5
"""Degrees of freedom of Student's t for the person's faces. Its quantiles from 0.3 % to 5 % are
those measured of 27 people's other photos, with EdgeFace and with the lite recogniser
(`own_tail` in benchmarks/profile_matching.json)."""

TAKE_SECONDS = 60
"""Close-ups of one film's minute show a person in one light and make-up: they are one take."""

STRANGERS_WEIGHT = 20
"""People that the recogniser's general figures count as, against the profiles of the store."""


def calibrated(profile: Profile, others: Sequence[FloatArray] = ()) -> Profile:
    """Return the profile with its threshold and what that means.

    Parameters
    ----------
    profile
        Of one person.
    others
        (N, 512) embeddings of the references of every other profile of the same recogniser. One
        that seems to be the same person is left out.
    """
    own_faces, levels = profile.embeddings, profile.cosines
    strangers = [one for one in others if not same_people(own_faces, one, levels)[0]]
    own, foreign = expected_own(profile), _foreign(profile, strangers)
    lowest = foreign.inv_cdf(1 - STRANGERS_MOST)
    highest = foreign.inv_cdf(1 - STRANGERS_LEAST)
    wanted = min(max(own.inv_cdf(MISSES), lowest), highest)
    threshold = round(min(max(wanted, LOWEST), HIGHEST), 3)
    calibration = Calibration(
        misses=round(own.cdf(threshold), 4),
        strangers=round(1 - foreign.cdf(threshold), 6),
        profiles=len(strangers),
    )
    return replace(profile, threshold=threshold, calibration=calibration)


def left_out(profile: Profile) -> DoubleArray:
    """Return each reference's similarity to the centroid of all others, (N,); empty for one."""
    embeddings = profile.embeddings.astype(np.float64)
    total = embeddings.sum(axis=0) + profile.memory.total
    others = total - embeddings
    length = np.linalg.norm(others, axis=1)
    told = length > 1e-6  # of a single reference, with nothing remembered, nothing is left
    similarity: DoubleArray = (embeddings * others).sum(axis=1)[told] / length[told]
    return similarity


def takes(references: Sequence[Reference]) -> int:
    """Return how many photos, or films' minutes, references are from."""
    return len({_take(one.source) or number for number, one in enumerate(references)})


def _take(source: str) -> str:
    found = re.match(r"(.*) at ([0-9]+(?:\.[0-9]+)?) s(?: \(fused |$)", source, re.DOTALL)
    if found is None:
        return source
    return f"{found[1]} at {int(float(found[2]) // TAKE_SECONDS)} min"


@dataclass(frozen=True, slots=True)
class StudentT:
    """Student's t distribution of `TAIL` degrees of freedom."""

    mean: float
    scale: float

    def cdf(self, value: float) -> float:
        """Return the share below a value."""
        return float(stdtr(TAIL, (value - self.mean) / self.scale))

    def inv_cdf(self, share: float) -> float:
        """Return the value that a share is below."""
        return self.mean + self.scale * float(stdtrit(TAIL, share))


def expected_own(profile: Profile) -> StudentT:
    """Return what the person's other faces are like.

    Mean and scale as of the posterior predictive distribution of a normal model with unknown mean
    and variance (DeGroot, Optimal Statistical Decisions, 9.6).
    """
    count, found = len(profile.references), left_out(profile)
    share = takes(profile.references) / count  # of a close-up that is not another's repetition
    general = profile.cosines.own_of(max(1, round(share * profile.statistics.count)))
    told = share * len(found)
    mean = (PEOPLE_WEIGHT * general.mean + share * found.sum()) / (PEOPLE_WEIGHT + told)
    scatter = SPREAD_WEIGHT * general.variance + share * np.square(found - mean).sum()
    variance = scatter / (SPREAD_WEIGHT + told) * (1 + 1 / (PEOPLE_WEIGHT + told))
    return StudentT(float(mean), float(np.sqrt(variance)))


def _foreign(profile: Profile, strangers: Sequence[FloatArray]) -> NormalDist:
    general = profile.cosines
    if not strangers:
        return general.strangers
    met = float(np.mean([np.mean(one @ profile.centroid) for one in strangers]))
    weight = len(strangers) / (STRANGERS_WEIGHT + len(strangers))
    moved = general.strangers.mean + weight * (met - general.stranger)
    return NormalDist(moved, general.strangers.stdev)
