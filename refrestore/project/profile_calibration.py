"""The open-set threshold of a profile, from its own spread and from strangers.

Two normal distributions of the cosine to the profile's centroid say what a threshold costs:

* the person's own faces: the leave-one-out similarities of the references (each to the centroid of
  all the others), shrunk towards what the recogniser gives people in general, as a few references
  say little. References are the best close-ups, of one film at times, so that other faces of the
  person are less similar than they promise; that is why the other limit decides first.
* strangers: the recogniser's measured tail (`profile_cosines`), moved by as much as the people of
  the other profiles of the store are nearer to this person than people are in general. Whoever is
  in the store makes the model of strangers more like those who appear in the user's films.

The threshold is where `MISSES` of the person's faces fall below it, but not where more than
`STRANGERS_MOST` of strangers pass, and no higher than where `STRANGERS_LEAST` of them do. Measured
in docs/decisions/010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from refrestore.types import DoubleArray, FloatArray

from .profile import Calibration, Profile, same_people

MISSES = 0.08
"""Share of the person's faces given up for fewer strangers, where strangers come that near."""

STRANGERS_LEAST, STRANGERS_MOST = 0.0005, 0.005
"""Shares of strangers between which a threshold lies."""

LOWEST, HIGHEST = 0.25, 0.60
"""Thresholds outside are a mistake: with no recogniser here are two photos of one person that
alike, or of two people that different, that often."""

PEOPLE_WEIGHT, SPREAD_WEIGHT = 3, 6
"""Photos that the recogniser's general figures count as, for the mean and for the deviation."""

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
    own, foreign = _own(profile), _foreign(profile, strangers)
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


def _own(profile: Profile) -> NormalDist:
    general = profile.cosines.own_of(profile.statistics.count)
    found = left_out(profile)
    mean = (PEOPLE_WEIGHT * general.mean + found.sum()) / (PEOPLE_WEIGHT + len(found))
    scatter = SPREAD_WEIGHT * general.variance + np.square(found - mean).sum()
    return NormalDist(float(mean), float(np.sqrt(scatter / (SPREAD_WEIGHT + len(found)))))


def _foreign(profile: Profile, strangers: Sequence[FloatArray]) -> NormalDist:
    general = profile.cosines
    if not strangers:
        return general.strangers
    met = float(np.mean([np.mean(one @ profile.centroid) for one in strangers]))
    weight = len(strangers) / (STRANGERS_WEIGHT + len(strangers))
    moved = general.strangers.mean + weight * (met - general.stranger)
    return NormalDist(moved, general.strangers.stdev)
