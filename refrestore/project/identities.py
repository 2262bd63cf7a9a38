"""Who is who: the identities of a project after all that was decided about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass

from refrestore.errors import ProjectError
from refrestore.types import Identity

from .damage import damaged
from .database import Database
from .edits import Edit, Mark, Outcome, replay
from .journal import Journal
from .timing import Timeline


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An edit in force whose faces the current scan does not have: kept, and without effect.

    Parameters
    ----------
    edit
        The edit.
    reason
        One sentence.
    """

    edit: Edit
    reason: str


class Identities(ABC):
    """The part of a project that says who is who; `Decisions` changes it."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self.database = database
        self._journal = journal

    @abstractmethod
    def timeline(self) -> Timeline:
        """Return the map from frames to seconds."""

    def scan_id(self) -> int:
        """Return the number of the current scan, 0 before the first."""
        return self.database.current_scan()

    def identities(self) -> list[Identity]:
        """Return the identities after all edits, by ascending id."""
        with self.database.transaction():
            scan = self.scan_id()
            outcome = self._outcome()
            people = outcome.people
            spans = {
                row[0]: row[1:]
                for row in self.database.read(
                    "tracks", "id, first, stop, faces, weak", "WHERE scan = ?", (scan,)
                )
            }
            references = Counter(
                track
                for number, track in self.database.read(
                    "reference_crops", "id, track", "WHERE scan = ?", (scan,)
                )
                if number not in outcome.dropped
            )
            timeline = self.timeline()
        return [
            Identity(
                id=person.id,
                name=person.name or person.profile or f"person {person.id}",
                state=person.state,
                tracks=person.tracks,
                seconds=timeline.on_screen(spans[track][:2] for track in person.tracks),
                faces=sum(spans[track][2] for track in person.tracks),
                references=sum(references[track] for track in person.tracks),
                profile=person.profile,
                strength=person.strength,
                not_profiles=tuple(sorted(person.not_profiles)),
                provisional=all(spans[track][3] for track in person.tracks),
            )
            for person in people.values()
        ]

    def identity(self, identity_id: int) -> Identity:
        """Return one identity.

        Raises
        ------
        ProjectError
            When there is none of this id.
        """
        identities = self.identities()
        for identity in identities:
            if identity.id == identity_id:
                return identity
        known = ", ".join(str(identity.id) for identity in identities) or "none"
        raise ProjectError(f"There is no identity {identity_id} in this project (it has: {known}).")

    def identity_of_track(self) -> dict[int, int]:
        """Return the identity id of each track that has one, after all edits."""
        return {
            track: person.id
            for person in self._outcome().people.values()
            for track in person.tracks
        }

    def automatic_identity_of_track(self) -> dict[int, int]:
        """Return the identity id of each track that has one, as the scan found them."""
        rows = self.database.read(
            "tracks",
            "id, identity",
            "WHERE scan = ? AND identity IS NOT NULL ORDER BY id",
            (self.scan_id(),),
        )
        return dict(rows)

    def next_identity(self) -> int:
        """Return the first identity id that was never used."""
        fresh = self.database.number("next_identity")
        used = [*self.automatic_identity_of_track().values(), *self._journal.subjects()]
        if fresh <= max(used, default=0):
            # Given again it would mix the edits of two people.
            raise damaged(self.database.path, f"meta, next_identity: {fresh} was used before")
        return fresh

    def track_count(self) -> int:
        """Return how many tracks there are, drawn ones and those that nobody holds included."""
        ((count,),) = self.database.rows(
            "SELECT COUNT(*) FROM tracks WHERE scan = ?", (self.scan_id(),)
        )
        return int(count)

    def drawn_tracks(self) -> dict[int, tuple[Mark, ...]]:
        """Return the tracks that the user drew, and marks of each."""
        return self._journal.drawn(self.scan_id())

    def distinct(self) -> frozenset[tuple[int, int]]:
        """Return the pairs of identities (smaller id first) that were told apart."""
        return self._outcome().distinct

    def settled_tracks(self) -> frozenset[int]:
        """Return the tracks that the user put where they are, or said are right there."""
        return self._outcome().settled

    def unresolved(self) -> list[Unresolved]:
        """Return the edits in force that find nothing to act on in the current scan."""
        with self.database.transaction():
            missed = set(self._outcome().unapplied)
            return [
                Unresolved(
                    edit,
                    f"Edit {edit.id} ({edit.action} of identity {edit.subject}) is about faces "
                    "that the current scan does not have.",
                )
                for edit in self._journal.edits()
                if edit.id in missed
            ]

    def _outcome(self) -> Outcome:
        with self.database.transaction():
            groups: dict[int, list[int]] = {}
            for track, identity in self.automatic_identity_of_track().items():
                groups.setdefault(identity, []).append(track)
            return replay(groups, self._journal.resolved(self.scan_id()))
