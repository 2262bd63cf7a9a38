"""The guard: keeps, face by face, what is most like the person, and refuses somebody else.

Pure functions of embeddings that were computed elsewhere. Two questions:

* *Is this face that person at all?* (`recognise`) A profile or a merge is refused for a face that
  is clear enough to judge and is somebody else; for one too blurred to tell, the user's word
  counts and the report says so.
* *Did restoring help?* (`judge`) A result less like the person than the result without
  references, or than the input, is given up for the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from refrestore.types import DoubleArray, FloatArray


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


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Thresholds; cosine similarities are EdgeFace-XS's unless said otherwise.

    Parameters
    ----------
    clear_size
        Faces of at least this many display pixels can be judged. At 19 px a person's similarity
        to himself falls to 0.27 on the mean, among strangers'; from about 40 px on it stays
        above 0.4.
    clear_sharpness
        Sharpness (as in `Faces`) below which a face is too blurred to judge whatever its size.
    stranger
        A clear face less similar than this to the person is somebody else (strangers reach
        0.16-0.25, a person to himself at least 0.4).
    unlike
        A blurred face for which nobody vouches must be at least this similar to the person,
        by how many pixels it resolves (`faces.quality.resolved_size`): pairs of pixels and cosine,
        and in proportion between. Lite, chosen on six people, measured on 13 others: shrunk to 24
        px (resolving 15 to 43) 89 % pass, and 7 % of strangers; shrunk to 64 px and blurred (49 to
        86) 95 % and 1.5 %, where 0.20 throughout let 3.4 % in. EdgeFace-XS tells them better.
    unreadable
        A face that resolves fewer pixels than this says nothing of who it is: with it, of six
        development people's faces of 24 px 98 % of their own and 74 % of strangers' are not refused
        (`heed` therefore takes one face of a picture at most).
    rival_margin
        A clear face that is nearer to another identity by more than this is that one's.
    tolerance
        Similarity that may be lost before the guard steps back: what two frames of a sharp,
        steady face differ by.
    """

    clear_size: float = 40.0
    clear_sharpness: float = 0.1
    stranger: float = 0.22
    unlike: tuple[tuple[float, float], ...] = ((16, 0.10), (32, 0.20), (64, 0.26))
    unreadable: float = 32.0
    rival_margin: float = 0.05
    tolerance: float = 0.02


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
    """

    choice: Choice
    reason: Reason
    input_similarity: float | None = None
    unreferenced_similarity: float | None = None
    restored_similarity: float | None = None


def recognise(
    embeddings: FloatArray,
    centroid: FloatArray,
    others: FloatArray | None = None,
    *,
    witness: FloatArray | None = None,
    size: NDArray[np.floating],
    sharpness: NDArray[np.floating],
    resolved: NDArray[np.floating] | None = None,
    settings: GuardSettings | None = None,
) -> list[Belief]:
    """Say of N faces whether each is the person.

    Parameters
    ----------
    embeddings : (N, 512)
        Unit embeddings of the faces as they are; NaN rows cannot be judged.
    centroid : (512,)
        The person's.
    others : (M, 512), optional
        Centroids of the other identities the face could be; not of pieces of the same person.
    witness : (512,), optional
        The person's centroid without what the faces' own track gave, to compare with `others`. A
        track that was put with the wrong person must not vouch for itself.
    size : (N,)
        Display pixels.
    sharpness : (N,)
        As in `Faces`.
    resolved : (N,), optional
        Resolved sizes in pixels; given for faces of which nobody said that they are the person.
        One too blurred to judge must then be like the person at least a little.
    """
    settings = settings or GuardSettings()
    similarity = embeddings @ centroid
    told = similarity if witness is None else embeddings @ witness
    rival = (
        (embeddings @ others.T).max(axis=1)
        if others is not None and len(others)
        else np.full(len(embeddings), -1.0)
    )
    clear = (size >= settings.clear_size) & (sharpness >= settings.clear_sharpness)
    clear &= np.isfinite(similarity)
    least = _least(resolved, settings) if resolved is not None else np.full(len(size), -np.inf)
    beliefs = []
    rows = zip(clear, similarity, told, rival, least, strict=True)
    for face_clear, own, by_others, other, needed in rows:
        if not face_clear:
            beliefs.append(Belief.UNLIKE if own < needed else Belief.CANNOT_TELL)
        elif own < settings.stranger:
            beliefs.append(Belief.SOMEBODY_ELSE)
        elif other > by_others + settings.rival_margin:
            beliefs.append(Belief.ANOTHER)
        else:
            beliefs.append(Belief.SAME)
    return beliefs


def heed(
    beliefs: Sequence[Belief],
    similarity: NDArray[np.floating],
    resolved: NDArray[np.floating],
    settings: GuardSettings | None = None,
) -> list[Belief]:
    """Return what is believed of a picture's N faces, given the user's word that one is the person.

    Where no face can be the person by what it shows, the word is about the one most like them of
    those that show nothing: the others stay strangers, as one person is in a picture once.

    Parameters
    ----------
    beliefs
        From `recognise`.
    similarity : (N,)
        To the person's centroid.
    resolved : (N,)
        Resolved sizes in pixels.
    """
    settings = settings or GuardSettings()
    heeded = list(beliefs)
    if all(belief in REFUSED for belief in beliefs):
        unreadable = [
            row
            for row, belief in enumerate(beliefs)
            if belief is Belief.UNLIKE and resolved[row] < settings.unreadable
        ]
        if unreadable:
            heeded[max(unreadable, key=lambda row: float(similarity[row]))] = Belief.CANNOT_TELL
    return heeded


def _least(resolved: NDArray[np.floating], settings: GuardSettings) -> DoubleArray:
    """Return the similarity (N,) that faces must have for which nobody vouches."""
    sizes, least = zip(*settings.unlike, strict=True)
    return np.asarray(np.interp(resolved, sizes, least))


def judge(
    inputs: FloatArray,
    unreferenced: FloatArray | None,
    restored: FloatArray | None,
    centroids: Sequence[FloatArray | None],
    *,
    beliefs: Sequence[Belief] | None = None,
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
    """
    settings = settings or GuardSettings()
    blank = np.full_like(inputs, np.nan)
    unreferenced = blank if unreferenced is None else unreferenced
    restored = blank if restored is None else restored
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
        choice, reason = _choose(scores, has_plain, has_restored, belief, settings.tolerance)
        judgements.append(Judgement(choice, reason, *scores))
    return judgements


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
