"""One network for a profile and what it is to learn from or be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from refrestore.config import RuntimeSettings
from refrestore.errors import ProfileError
from refrestore.faces.network_id import NetworkId
from refrestore.faces.recogniser import Recogniser
from refrestore.models.pack import FacePack, load_face_pack
from refrestore.profiles import Profile
from refrestore.profiles.profile import check_network, statistics
from refrestore.profiles.reembed import SAME_NETWORK, alike, embedded_again, seen_by
from refrestore.types import FloatArray, Reference


@dataclass(frozen=True)
class Source:
    """References that are said to show one person; `name` is for messages."""

    name: str
    references: tuple[Reference, ...]
    network: NetworkId

    @property
    def embeddings(self) -> FloatArray:
        """Of the references, (N, 512)."""
        return np.stack([one.embedding for one in self.references])

    @property
    def centroid(self) -> FloatArray:
        """Unit mean embedding, (512,)."""
        return statistics(self.embeddings).centroid


class Sight:
    """The recogniser of the pack that settings name; looked for and opened when first asked for."""

    def __init__(self, runtime: RuntimeSettings) -> None:
        self._runtime = runtime

    @cached_property
    def pack(self) -> FacePack:
        """The pack's files."""
        return load_face_pack(self._runtime)

    @cached_property
    def network(self) -> NetworkId:
        """What the recogniser is known by."""
        return pack_network(self.pack)

    @cached_property
    def recogniser(self) -> Recogniser:
        """The recogniser itself."""
        return Recogniser(self.pack.recogniser, self._runtime.device, self._runtime.threads)

    def fitted(self, profile: Profile) -> tuple[Profile, str | None]:
        """Return a profile in this network's embeddings, if it is from one of the same name.

        With what was done, as a sentence (`seen_by`); of another name, the profile as it is.
        """
        if profile.recogniser != self.network.name or profile.network == self.network:
            return profile, None
        return seen_by(profile, self.network, self.recogniser)


def pack_network(pack: FacePack) -> NetworkId:
    """Return what the recogniser of a pack is known by."""
    return NetworkId(pack.recogniser.stem, pack.recogniser_digest)


def one_network(
    sources: Sequence[Source], sight: Sight, profile: Profile | None = None
) -> tuple[list[Source], Profile | None, list[str]]:
    """Bring sources, and the profile that learns from them, to one network.

    Close-ups that were seen by another network of the same name are embedded again with the
    pack's. A profile without sources is brought to the pack's network.

    Returns
    -------
    sources, profile
        Comparable.
    notes
        What was done, in sentences.

    Raises
    ------
    ProfileError
        When they are from networks of different names, or of one name and the pack's is a third.
    """
    networks = {one.network for one in sources}
    if profile is not None:
        for source in sources:
            if source.network.name != profile.recogniser:
                check_network(profile, source.network)
        networks.add(profile.network)
    names = sorted({one.name for one in networks if one.name})
    if len(names) > 1:
        raise ProfileError(
            f"The sources were seen by different recognisers ({', '.join(names)}): scan the "
            "projects again with the same --pack."
        )
    if len(networks) == 1 and sources:
        return list(sources), profile, []
    if not names or sight.network.name != names[0]:
        _check_comparable(sources, profile)
        return list(sources), profile, []
    fitted, notes = [], []
    if profile is not None:
        profile, note = sight.fitted(profile)
        notes += [note] if note else []
    for source in sources:
        fresh, note = _fitted(source, sight)
        fitted.append(fresh)
        notes += [note] if note else []
    return fitted, profile, notes


def _fitted(source: Source, sight: Sight) -> tuple[Source, str | None]:
    if source.network == sight.network:
        return source, None
    again = embedded_again(source.references, sight.recogniser)
    named = replace(source, network=sight.network)
    unknown = not source.network.contradicts(sight.network)
    if unknown and alike(source.references, again) >= SAME_NETWORK:
        return named, None
    return replace(named, references=again), (
        f"The close-ups of {source.name} were embedded again with {sight.network}, as they had "
        f"been seen by {source.network}."
    )


def _check_comparable(sources: Sequence[Source], profile: Profile | None) -> None:
    for number, source in enumerate(sources):
        if profile is not None:
            check_network(profile, source.network)
        for other in sources[:number]:
            if source.network.contradicts(other.network):
                raise ProfileError(
                    f"{other.name} was seen by {other.network} and {source.name} by "
                    f"{source.network}, which is another network of that name: scan the older one "
                    "again."
                )
