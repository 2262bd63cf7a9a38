"""Identities and the user's decisions about them: checked, logged, replayed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from refrestore.errors import ProjectError
from refrestore.types import Identity, IdentityState

from .columns import decode_boxes
from .database import Database
from .edits import Edit, EditAction, Outcome, replay
from .journal import Journal

if TYPE_CHECKING:
    from .timing import Timeline

NAME_LENGTH = 120
"""Longest name of an identity, characters."""


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


class Decisions(ABC):
    """The part of a project that a user changes; `Project` adds what a scan found.

    Every decision is one entry of the log. It raises `ProjectError`, and changes nothing, when an
    identity or a track is not there or the decision contradicts what can be seen.
    """

    def __init__(self, database: Database, journal: Journal) -> None:
        self.database = database
        self._journal = journal

    @abstractmethod
    def timeline(self) -> Timeline:
        """Return the map from frames to seconds."""

    def scan_id(self) -> int:
        """Return the number of the current scan, 0 before the first."""
        return int(self.database.meta("scan"))

    def identities(self) -> list[Identity]:
        """Return the identities after all edits, by ascending id."""
        with self.database.transaction():
            scan = self.scan_id()
            people = self._outcome().people
            spans = {
                row[0]: row[1:]
                for row in self.database.rows(
                    "SELECT id, first, stop, faces, (SELECT COUNT(*) FROM reference_crops r "
                    "WHERE r.scan = t.scan AND r.track = t.id) FROM tracks t WHERE scan = ?",
                    (scan,),
                )
            }
            timeline = self.timeline()
        return [
            Identity(
                id=person.id,
                name=person.name or f"person {person.id}",
                state=person.state,
                tracks=person.tracks,
                seconds=timeline.on_screen(spans[track][:2] for track in person.tracks),
                faces=sum(spans[track][2] for track in person.tracks),
                references=sum(spans[track][3] for track in person.tracks),
                profile=person.profile,
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
        rows = self.database.rows(
            "SELECT id, identity FROM tracks WHERE scan = ? AND identity IS NOT NULL ORDER BY id",
            (self.scan_id(),),
        )
        return dict(rows)

    def merge(self, identity_ids: Sequence[int], *, force: bool = False) -> int:
        """Make several identities one, that of the first id; return it.

        Parameters
        ----------
        identity_ids
            Two or more.
        force
            Merge even people who are on screen together.

        Raises
        ------
        ProjectError
            Also when two of them are on screen in one frame, which one person cannot be.
        """
        ids = list(dict.fromkeys(identity_ids))
        if len(ids) < 2:
            raise ProjectError("A merge needs two identities or more.")
        with self.database.transaction(write=True):
            found = [self.identity(one) for one in ids]
            for number, one in enumerate(found):
                for other in found[number + 1 :]:
                    self._check_apart(one, other, force)
            tracks = {track: one.id for one in found for track in one.tracks}
            self._log("merge", ids[0], tracks)
        return ids[0]

    def split(self, identity_id: int, tracks: Iterable[int]) -> int:
        """Take tracks out of an identity as somebody else; return the new identity's id."""
        with self.database.transaction(write=True):
            identity = self.identity(identity_id)
            chosen = self._chosen(tracks)
            foreign = [track for track in chosen if track not in identity.tracks]
            if foreign:
                raise ProjectError(
                    f"Track {foreign[0]} does not belong to identity {identity_id} (its tracks: "
                    f"{', '.join(map(str, identity.tracks))})."
                )
            if len(chosen) == len(identity.tracks):
                raise ProjectError(
                    f"A split must leave identity {identity_id} at least one of its tracks."
                )
            fresh = int(self.database.meta("next_identity"))
            self.database.set_meta("next_identity", str(fresh + 1))
            self._log("split", fresh, dict.fromkeys(chosen, identity_id))
        return fresh

    def move_tracks(self, tracks: Iterable[int], identity_id: int, *, force: bool = False) -> None:
        """Give tracks, whoever holds them, to an identity; `force` as in `merge`."""
        with self.database.transaction(write=True):
            target = self.identity(identity_id)
            holders = self.identity_of_track()
            chosen = [track for track in self._chosen(tracks) if track not in target.tracks]
            if not chosen:
                raise ProjectError(f"These tracks belong to identity {identity_id} already.")
            self._check_tracks_apart(chosen, target.tracks, force)
            about: dict[int, int | None] = dict.fromkeys(target.tracks, identity_id)
            about.update({track: holders.get(track) for track in chosen})
            self._log("move", identity_id, about)

    def rename(self, identity_id: int, name: str) -> None:
        """Give an identity a name; an empty one takes it away."""
        wanted = " ".join(name.split())
        if len(wanted) > NAME_LENGTH or not wanted.isprintable():
            raise ProjectError(
                f"A name has up to {NAME_LENGTH} printable characters, {name[:40]!r} does not fit."
            )
        self._say("rename", identity_id, wanted or None)

    def set_state(self, identity_id: int, state: IdentityState) -> None:
        """Say what the render does with an identity: restore it, ignore it, or not a face."""
        if state not in get_args(IdentityState):
            raise ProjectError(
                f"{state!r} is no state: choose {', '.join(get_args(IdentityState))}."
            )
        self._say("state", identity_id, state)

    def set_states(self, identity_ids: Iterable[int], state: IdentityState) -> None:
        """Set the state of several identities, of all or of none."""
        with self.database.transaction(write=True):
            for one in dict.fromkeys(identity_ids):
                self.set_state(one, state)

    def link_profile(self, identity_id: int, profile: str | None) -> None:
        """Link an identity to a profile by name, or to none."""
        self._say("link", identity_id, profile or None)

    def undo(self) -> Edit | None:
        """Take the last edit back; return it, or None if there is none."""
        with self.database.transaction(write=True):
            return self._journal.undo(self.scan_id())

    def redo(self) -> Edit | None:
        """Bring back what was undone last; return it, or None if there is nothing."""
        with self.database.transaction(write=True):
            return self._journal.redo(self.scan_id())

    def edits(self) -> list[Edit]:
        """Return every edit ever made, oldest first."""
        return self._journal.edits()

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
                for edit in self.edits()
                if edit.id in missed
            ]

    def _outcome(self) -> Outcome:
        with self.database.transaction():
            groups: dict[int, list[int]] = {}
            for track, identity in self.automatic_identity_of_track().items():
                groups.setdefault(identity, []).append(track)
            return replay(groups, self._journal.resolved(self.scan_id()))

    def _log(
        self,
        action: EditAction,
        subject: int,
        tracks: dict[int, int] | dict[int, int | None],
        value: str | None = None,
    ) -> None:
        self._journal.append(self.scan_id(), action, subject, dict(tracks), value)

    def _say(self, action: EditAction, identity_id: int, value: str | None) -> None:
        with self.database.transaction(write=True):
            tracks = self.identity(identity_id).tracks
            self._log(action, identity_id, dict.fromkeys(tracks, identity_id), value)

    def _chosen(self, tracks: Iterable[int]) -> list[int]:
        chosen = list(dict.fromkeys(tracks))
        if not chosen:
            raise ProjectError("Name at least one track.")
        known = {
            row[0]
            for row in self.database.rows("SELECT id FROM tracks WHERE scan = ?", (self.scan_id(),))
        }
        unknown = [track for track in chosen if track not in known]
        if unknown:
            raise ProjectError(f"There is no track {unknown[0]} in this project.")
        return chosen

    def _check_apart(self, one: Identity, other: Identity, force: bool) -> None:
        frame = None if force else self._meeting(one.tracks, other.tracks)
        if frame is not None:
            raise ProjectError(
                f"{one.name} ({one.id}) and {other.name} ({other.id}) are both on screen in frame "
                f"{frame} ({self.timeline().seconds(frame):.3f} s), so they are two people: split "
                "the wrong tracks off first, or merge with force."
            )

    def _check_tracks_apart(self, tracks: Sequence[int], own: Sequence[int], force: bool) -> None:
        frame = None if force else self._meeting(tracks, own)
        if frame is not None:
            raise ProjectError(
                f"A track to move and its new identity are both on screen in frame {frame} "
                f"({self.timeline().seconds(frame):.3f} s), so they are two people: leave it, or "
                "move with force."
            )

    def _meeting(self, tracks: Sequence[int], others: Sequence[int]) -> int | None:
        """Return the first frame in which tracks of both are seen, None if they never meet."""
        scan = self.scan_id()
        spans = {
            track: (first, stop)
            for track, first, stop in self.database.rows(
                "SELECT id, first, stop FROM tracks WHERE scan = ?", (scan,)
            )
        }
        meetings = [
            self._first_common(scan, one, other)
            for one in tracks
            for other in others
            if max(spans[one][0], spans[other][0]) < min(spans[one][1], spans[other][1])
        ]
        return min((frame for frame in meetings if frame is not None), default=None)

    def _first_common(self, scan: int, one: int, other: int) -> int | None:
        common = np.intersect1d(self._frames(scan, one), self._frames(scan, other))
        return int(common[0]) if len(common) else None

    def _frames(self, scan: int, track: int) -> list[int]:
        rows = self.database.rows(
            "SELECT frame, box FROM chunks WHERE scan = ? AND track = ? ORDER BY first",
            (scan, track),
        )
        return [int(frame) for row in rows for frame in decode_boxes(*row)[0]]
