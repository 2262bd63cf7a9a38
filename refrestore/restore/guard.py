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
    READABLE = "as like the person as the close-ups are"
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
    rival_margin
        A clear face that is nearer to another identity by more than this is that one's.
    tolerance
        Similarity that may be lost before the guard steps back: what two frames of a sharp,
        steady face differ by.
    readable
        A face that is at least this share as like the person as the references are like each other
        can be read as it is. Restoring it would still make it more like their mean, and less like
        itself: of faces that two recognisers read at .94 it takes .03 (docs/decisions/020).
    """

    clear_size: float = 40.0
    clear_sharpness: float = 0.1
    stranger: float = 0.22
    rival_margin: float = 0.05
    tolerance: float = 0.02
    readable: float = 0.88


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
    blurred: NDArray[np.floating] | None = None,
    least: NDArray[np.floating] | None = None,
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
    blurred : (N,), optional
        How like the person a face is where it is too blurred to judge, compared with what is as
        blurred (`render.afar`); as it is otherwise.
    least : (N,), optional
        How like the person one too blurred to judge must be; given where nobody said that it is.
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
    hazy = similarity if blurred is None else blurred
    needed = np.full(len(embeddings), -np.inf) if least is None else least
    beliefs = []
    for face_clear, own, own_hazy, enough, by_others, other in zip(
        clear, similarity, hazy, needed, told, rival, strict=True
    ):
        if not face_clear:
            beliefs.append(Belief.UNLIKE if own_hazy < enough else Belief.CANNOT_TELL)
        elif own < settings.stranger:
            beliefs.append(Belief.SOMEBODY_ELSE)
        elif other > by_others + settings.rival_margin:
            beliefs.append(Belief.ANOTHER)
        else:
            beliefs.append(Belief.SAME)
    return beliefs


def judge(
    inputs: FloatArray,
    unreferenced: FloatArray | None,
    restored: FloatArray | None,
    centroids: Sequence[FloatArray | None],
    *,
    beliefs: Sequence[Belief] | None = None,
    alike: Sequence[float | None] | None = None,
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
    alike
        Per face how like each other the person's references are (`ReferenceBank.alike`); None
        where that is not known.
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
        known = None if alike is None else alike[row]
        if has_restored and belief not in REFUSED and _readable(scores[0], known, settings):
            judgements.append(Judgement(Choice.INPUT, Reason.READABLE, *scores))
            continue
        choice, reason = _choose(scores, has_plain, has_restored, belief, settings.tolerance)
        judgements.append(Judgement(choice, reason, *scores))
    return judgements


def _readable(as_input: float | None, alike: float | None, settings: GuardSettings) -> bool:
    return as_input is not None and alike is not None and as_input >= settings.readable * alike


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
