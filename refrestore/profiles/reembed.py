"""Seeing a profile's pictures anew with another network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from refrestore.faces.network_id import NetworkId
from refrestore.faces.pose import mesh_keypoints
from refrestore.types import FloatArray, ImageArray, Reference

from .profile import MATCH_THRESHOLD, Memory, Profile

SAME_NETWORK = 0.985
"""Mean cosine of close-ups' stored embeddings to those taken from their pictures again, from which
both are one network's. The same network gives 0.995 (24 photos of two people; 0.991 is the least),
the lite recogniser before and after more training 0.968."""


class Embedder(Protocol):
    """A recogniser (`faces.recogniser.Recogniser`)."""

    def embed_faces(self, image: ImageArray, keypoints: FloatArray) -> FloatArray:
        """Return unit embeddings (N, 512) of faces in a picture, given (N, 5, 2) keypoints."""


def embedded_again(references: Sequence[Reference], recogniser: Embedder) -> tuple[Reference, ...]:
    """Return references with the embeddings that a recogniser takes from their pictures."""
    return tuple(
        replace(
            one,
            embedding=recogniser.embed_faces(one.image, mesh_keypoints(one.landmarks[None]))[0],
        )
        for one in references
    )


def seen_by(
    profile: Profile, network: NetworkId, recogniser: Embedder
) -> tuple[Profile, str | None]:
    """Return a profile in the embeddings of a network, and what was done, as a sentence.

    Its pictures are embedded again; what it remembers besides has no pictures and is forgotten. A
    profile that does not say which file its network was keeps its embeddings if they are this
    one's.

    Parameters
    ----------
    profile
        Of any network.
    network
        The one wanted, by name and digest.
    recogniser
        That network.

    Returns
    -------
    profile
        Not calibrated if anything was embedded again.
    note
        None if nothing was.
    """
    own = profile.network
    if own == network:
        return profile, None
    again = embedded_again(profile.references, recogniser)
    named = replace(profile, recogniser=network.name, recogniser_digest=network.digest)
    if not own.contradicts(network) and alike(profile.references, again) >= SAME_NETWORK:
        return named, None
    lost = len(profile.memory.digests)
    forgotten = (
        f"; {lost} more that it remembered were forgotten, as their pictures had not been kept"
        if lost
        else ""
    )
    fresh = replace(
        named, references=again, memory=Memory(), threshold=MATCH_THRESHOLD, calibration=None
    )
    return fresh, (
        f"The close-ups of {profile.name} were embedded again with {network}, as they had been "
        f"seen by {own}{forgotten}."
    )


def alike(references: Sequence[Reference], again: Sequence[Reference]) -> float:
    """Return the mean cosine of references to the same ones embedded again."""
    pairs = zip(references, again, strict=True)
    return float(np.mean([one.embedding @ other.embedding for one, other in pairs]))
