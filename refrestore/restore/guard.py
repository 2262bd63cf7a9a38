"""The guard: keeps, face by face, what is most like the person, and refuses somebody else.

Pure functions of embeddings that were computed elsewhere. Two questions:

* *Is this face that person at all?* (`recognise`) A profile or a merge is refused for a face that
  is clear enough to judge and is somebody else; for one too blurred to tell, the user's word
  counts and the report says so.
* *Did restoring help?* (`judge`) A result less like the person than the result without
  references, or than the input, is given up for the better one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from refrestore.types import FloatArray


class Belief(Enum):
    """Whether a face is the person it is said to be."""

    SAME = "same person"
    SOMEBODY_ELSE = "somebody else"
    ANOTHER = "another person of the film"
    CANNOT_TELL = "too blurred to tell"
    UNLIKE = "blurred, and unlike the person"


class Choice(Enum):
    """What is shown."""

    RESTORED = "restored from references"
    UNREFERENCED = "restored without references"
    INPUT = "left as it was"


class Reason(Enum):
    """Why."""

    BEST = "most like the person"
    RECOGNISED = "recognised as it is: references count half"
    READABLE = "can be read as it is"
    NO_GAIN = "references would make it less like itself"
    NO_REFERENCES = "no references"
    LESS_LIKE_THAN_UNREFERENCED = "references made it less like the person"
    LESS_LIKE_THAN_INPUT = "restoring made it less like the person"
    SOMEBODY_ELSE = "clear enough to judge, and somebody else"
    ANOTHER = "nearer to another person of the film"
    UNLIKE = "blurred, and nothing in it speaks for the person"


REFUSED = {
    Belief.SOMEBODY_ELSE: Reason.SOMEBODY_ELSE,
    Belief.ANOTHER: Reason.ANOTHER,
    Belief.UNLIKE: Reason.UNLIKE,
}
"""Faces that are not restored from a person's references, and why."""


UNREADABLE = 0.5
"""How far a face must be unreadable to be too blurred to judge."""

SHARPER = 0.5
"""Share of a face drawn from the frames around it from which it becomes clearer."""

CLEARER = 0.02
"""Likeness to the person that a face loses when it is shrunk to 48 px, if it can be read as it is:
of others what a recogniser sees beyond that size is not the person (docs/decisions/038)."""

SHOWS_MORE = 0.75
"""Cosine of a face to itself, shrunk to 24 px, up to which it shows clearly more than that."""

HALF = 0.5
"""What references count where a face is readable and recognised as it is."""

LEAST_CHANGE = 1e-3
"""Of an embedding; less is its arithmetic."""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Thresholds; cosine similarities are EdgeFace-XS's unless said otherwise.

    Parameters
    ----------
    stranger
        A readable face less similar than this to the person is somebody else (strangers reach
        0.16-0.25, a person to himself at least 0.4).
    rival_margin
        A readable face that is nearer to another identity by more than this is that one's.
    tolerance
        Similarity that may be lost before the guard steps back: what two frames of a sharp,
        steady face differ by.
    legible
        A face that changes so much when its crop is shrunk to 48 px that the cosine to itself falls
        to this can be read as it is: two recognisers read it at .95. Restoring would still make it
        more like the close-ups' mean, and less like itself (docs/decisions/027). `Cosines.legible`
        of the recogniser; here lite's.
    least_gain
        Likeness to the true face that references must be expected to win (`expected_gain`). Less
        than nothing, as the expectation is careful: it was learnt where two of three profiles are
        somebody else's.
    recognised
        A readable face as like the person as that needs little of the references: they count half.
    likely
        So do they where it shows clearly more than 24 px and is as like the person as that.
    """

    stranger: float = 0.22
    rival_margin: float = 0.05
    tolerance: float = 0.02
    legible: float = 0.945
    least_gain: float = -0.02
    recognised: float = 0.5
    likely: float = 0.4


@dataclass(frozen=True, slots=True)
class Judgement:
    """The guard's word on one face.

    Parameters
    ----------
    choice
        What to show.
    reason
        Why.
    input_similarity, unreferenced_similarity, restored_similarity
        Cosine to the person's centroid; None where there is no such picture or no centroid.
    share
        What the references count where they are used, 0..1.
    """

    choice: Choice
    reason: Reason
    input_similarity: float | None = None
    unreferenced_similarity: float | None = None
    restored_similarity: float | None = None
    share: float = 1.0


def recognise(
    embeddings: FloatArray,
    centroid: FloatArray,
    others: FloatArray | None = None,
    *,
    witness: FloatArray | None = None,
    unreadable: NDArray[np.floating],
    blurred: NDArray[np.floating] | None = None,
    least: NDArray[np.floating] | None = None,
    settings: GuardSettings | None = None,
) -> list[Belief]:
    """Say of N faces whether each is the person.

    Parameters
    ----------
    embeddings : (N, 512)
        Unit embeddings of the faces as they are, or of what else shows who they are (their track);
        NaN rows cannot be judged.
    centroid : (512,)
        The person's.
    others : (M, 512), optional
        Centroids of the other identities the face could be; not of pieces of the same person.
    witness : (512,), optional
        The person's centroid without what the faces' own track gave, to compare with `others`. A
        track that was put with the wrong person must not vouch for itself.
    unreadable : (N,)
        How far faces are too blurred to judge, 0..1: what a recogniser cannot read
        (`render.low_resolution.unreadable`), whatever their size and sharpness.
    blurred : (N,), optional
        How like the person a face is where it is too blurred to judge, compared with what is as
        blurred (`render.low_resolution`); as it is otherwise.
    least : (N,), optional
        How like the person one must be; given where nobody said that it is.
    """
    settings = settings or GuardSettings()
    similarity = embeddings @ centroid
    told = similarity if witness is None else embeddings @ witness
    rival = (
        (embeddings @ others.T).max(axis=1)
        if others is not None and len(others)
        else np.full(len(embeddings), -1.0)
    )
    readable = (unreadable < UNREADABLE) & np.isfinite(similarity)
    hazy = similarity if blurred is None else blurred
    needed = np.full(len(embeddings), -np.inf) if least is None else least
    beliefs = []
    for legible, own, own_hazy, enough, by_others, other in zip(
        readable, similarity, hazy, needed, told, rival, strict=True
    ):
        if not legible:
            beliefs.append(Belief.UNLIKE if own_hazy < enough else Belief.CANNOT_TELL)
        elif own < settings.stranger or own_hazy < enough:
            beliefs.append(Belief.SOMEBODY_ELSE)
        elif other > by_others + settings.rival_margin:
            beliefs.append(Belief.ANOTHER)
        else:
            beliefs.append(Belief.SAME)
    return beliefs


@dataclass(frozen=True, eq=False)
class Evidence:
    """What tells whether references would make N faces more like themselves.

    Parameters
    ----------
    shrunk : (N, 3)
        How like itself each face stays when it is shrunk (`render.low_resolution.shrunk_cosines`).
    seen : (N, 512)
        Unit embeddings that show who each face is: it and its track, or it alone.
    weights
        `Cosines.gain` of the recogniser; None where it was not measured: nothing is expected then.
    """

    shrunk: FloatArray
    seen: FloatArray
    weights: Sequence[float] | None = None


def gain_terms(own: float, itself: float, shrunk: Sequence[float]) -> list[float]:
    """Return what a restored face's gain of likeness to the truth is linear in.

    Neither how like the person it became (every face is pulled towards them) nor how alike the
    person's photos are helps to tell.

    Parameters
    ----------
    own
        Cosine of the face as it is to the person.
    itself
        Cosine of the restored face to the face as it is.
    shrunk : (3,)
        See `Evidence`.
    """
    small, middle, large = (math.log10(max(1 - cosine, LEAST_CHANGE)) for cosine in shrunk)
    return [1.0, own, itself, small, middle, large, own * middle, itself * middle]


def expected_gain(
    inputs: FloatArray,
    restored: FloatArray,
    centroids: Sequence[FloatArray | None],
    evidence: Evidence,
) -> FloatArray:
    """Return by how much references make each face more like the true one, (N,).

    A regression on faces whose truth is known, restored from their own references and from others'
    (`benchmarks/guard.py`). NaN where nothing can be expected.
    """
    gains = np.full(len(inputs), np.nan, np.float32)
    if evidence.weights is None:
        return gains
    for row, centroid in enumerate(centroids):
        if centroid is None:
            continue
        terms = gain_terms(
            float(evidence.seen[row] @ centroid),
            float(restored[row] @ inputs[row]),
            evidence.shrunk[row].tolist(),
        )
        gains[row] = np.dot(evidence.weights, terms)
    return gains


def clearer_than_shrunk(
    inputs: FloatArray, shrunk: FloatArray, centroids: Sequence[FloatArray | None]
) -> FloatArray:
    """Return how much more like its person each face is than when it is shrunk, (N,).

    Parameters
    ----------
    inputs, shrunk : (N, 512)
        Unit embeddings of faces as they are, and shrunk to 48 px.
    centroids
        Per face the person's, None where nobody is known: NaN there.
    """
    lost = [
        np.nan if centroid is None else float((one - other) @ centroid)
        for one, other, centroid in zip(inputs, shrunk, centroids, strict=True)
    ]
    return np.array(lost, np.float32)


def judge(
    inputs: FloatArray,
    unreferenced: FloatArray | None,
    restored: FloatArray | None,
    centroids: Sequence[FloatArray | None],
    *,
    beliefs: Sequence[Belief] | None = None,
    gains: NDArray[np.floating] | None = None,
    shrunk: NDArray[np.floating] | None = None,
    clearer: NDArray[np.floating] | None = None,
    drawn: NDArray[np.floating] | None = None,
    shown: NDArray[np.bool_] | None = None,
    settings: GuardSettings | None = None,
) -> list[Judgement]:
    """Choose what to show of N faces.

    Parameters
    ----------
    inputs : (N, 512)
        Unit embeddings of the faces as they are.
    unreferenced : (N, 512), optional
        The same restored without references; None if that was not computed.
    restored : (N, 512), optional
        The same restored from references; NaN rows (or None) where there were none.
    centroids
        Per face the person's centroid, without the references that the face's own frame gave
        (`ReferenceBank.centroid_without`); None if nothing is known of the person.
    beliefs
        From `recognise`; somebody else is never restored from these references.
    gains : (N,), optional
        What references are expected to win (`expected_gain`); NaN where that is not known.
    shrunk : (N, 3), optional
        How like itself each face stays when it is shrunk (`render.low_resolution.shrunk_cosines`).
    clearer : (N,), optional
        `clearer_than_shrunk`; NaN where nothing is known of the person.
    drawn : (N,), optional
        How much of it is drawn from the frames around it (`burst.share`), which takes nothing away
        from a face that can be read.
    shown : (N,), optional
        Whether references show much more of that very face, of the same day: they make it more like
        the true one then, though it can be read as it is (docs/decisions/052). Default none.
    """
    settings = settings or GuardSettings()
    blank = np.full_like(inputs, np.nan)
    unreferenced = blank if unreferenced is None else unreferenced
    restored = blank if restored is None else restored
    expected = np.full(len(inputs), np.nan) if gains is None else gains
    itself = np.ones((len(inputs), 1)) if shrunk is None else shrunk
    more = np.full(len(inputs), np.nan) if clearer is None else clearer
    shows = np.zeros(len(inputs), bool) if shown is None else shown
    judgements = []
    for row, centroid in enumerate(centroids):
        belief = Belief.CANNOT_TELL if beliefs is None else beliefs[row]
        scores = [
            None
            if centroid is None or not np.isfinite(rows[row]).all()
            else float(rows[row] @ centroid)
            for rows in (inputs, unreferenced, restored)
        ]
        has_plain = bool(np.isfinite(unreferenced[row]).all())
        has_restored = bool(np.isfinite(restored[row]).all())
        shows_more = itself[row, 0] <= SHOWS_MORE
        known = scores[0] is not None and scores[0] >= settings.recognised
        likely = shows_more and scores[0] is not None and scores[0] >= settings.likely
        # Not a number is not less either: without a person what is read is taken for one.
        readable = itself[row, -1] <= settings.legible and not more[row] < CLEARER
        unwanted = has_restored and belief not in REFUSED and expected[row] <= settings.least_gain
        half = has_restored and (known or likely) and belief not in REFUSED
        best = _choose(scores, has_plain, has_restored, belief, settings.tolerance)
        if shows[row] and best[0] is Choice.RESTORED:
            judgements.append(_judged(*best, scores))
            continue
        if half and (readable or unwanted) and best[0] is Choice.RESTORED:
            judgements.append(_judged(best[0], Reason.RECOGNISED, scores, HALF))
            continue
        if readable:
            why = REFUSED.get(belief, Reason.READABLE)
            sharper = has_plain and drawn is not None and drawn[row] >= SHARPER
            choice = Choice.UNREFERENCED if sharper else Choice.INPUT
            judgements.append(_judged(choice, why, scores))
            continue
        if unwanted:
            choice = Choice.UNREFERENCED if has_plain else Choice.INPUT
            judgements.append(_judged(choice, Reason.NO_GAIN, scores))
            continue
        share = HALF if known and shows_more else 1.0
        judgements.append(_judged(*best, scores, share))
    return judgements


def _judged(
    choice: Choice, reason: Reason, scores: Sequence[float | None], share: float = 1.0
) -> Judgement:
    as_input, plain, restored = scores
    return Judgement(choice, reason, as_input, plain, restored, share)


def _choose(
    scores: Sequence[float | None],
    has_plain: bool,
    has_restored: bool,
    belief: Belief,
    tolerance: float,
) -> tuple[Choice, Reason]:
    as_input, plain, restored = scores
    if belief in REFUSED:
        # Likeness to the wrong person is no argument, for or against.
        return (Choice.UNREFERENCED if has_plain else Choice.INPUT), REFUSED[belief]
    if has_restored:
        best, reason, choice = restored, Reason.BEST, Choice.RESTORED
        if _better(plain, best, tolerance):
            best, reason, choice = plain, Reason.LESS_LIKE_THAN_UNREFERENCED, Choice.UNREFERENCED
    elif has_plain:
        best, reason, choice = plain, Reason.NO_REFERENCES, Choice.UNREFERENCED
    else:
        return Choice.INPUT, Reason.NO_REFERENCES
    if _better(as_input, best, tolerance):
        return Choice.INPUT, Reason.LESS_LIKE_THAN_INPUT
    return choice, reason


def _better(candidate: float | None, current: float | None, tolerance: float) -> bool:
    return candidate is not None and current is not None and candidate > current + tolerance
