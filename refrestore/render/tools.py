"""What a render needs beside the pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

from refrestore.faces.analyser import FaceModels
from refrestore.profiles.cosines import Cosines, cosines
from refrestore.render.face_table import FaceTable
from refrestore.render.rivals import Rivals
from refrestore.render.switches import ALL_ON, Switches
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.restorer import Restorer


@dataclass(frozen=True, eq=False)
class Tools:
    """What a render needs beside the pictures.

    Parameters
    ----------
    models
        Landmarks and recogniser.
    restorer
        The restorer.
    banks
        Reference bank per identity id.
    references
        Used per face; 0 restores everybody without.
    batch
        Faces worked on together.
    rivals
        Who a face could be besides the person it is said to be.
    switches
        What is left out, to measure what it is worth.
    cosines
        What those of the recogniser are like.
    unreferenced
        Tracks that are restored without references (`TrackPlan.referenced`).
    apart
        Frames from one face of a track that is restored to the next; those between are carried
        over.
    """

    models: FaceModels
    restorer: Restorer
    banks: Mapping[int, ReferenceBank]
    references: int
    batch: int
    rivals: Rivals = field(default_factory=Rivals)
    switches: Switches = ALL_ON
    cosines: Cosines = field(default_factory=lambda: cosines(""))
    unreferenced: Set[int] = frozenset()
    apart: int = 1

    def banks_of(self, work: FaceTable) -> list[ReferenceBank | None]:
        """Return the references to restore each face from, or None."""
        usable = {number: bank for number, bank in self.banks.items() if len(bank)}
        return [
            usable.get(identity) if self.references and track not in self.unreferenced else None
            for identity, track in zip(work.identity.tolist(), work.track.tolist(), strict=True)
        ]

    def hidden(
        self, work: FaceTable, banks: Sequence[ReferenceBank | None]
    ) -> list[Collection[int]]:
        """Return per face the rows of its bank that it is not restored from."""
        return [
            () if bank is None else self.rivals.hidden(bank, int(track), int(frame))
            for bank, track, frame in zip(banks, work.track, work.faces.frame, strict=True)
        ]
