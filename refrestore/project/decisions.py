"""The user's decisions about who is who: checked and logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import get_args

from refrestore.errors import ProjectError
from refrestore.types import IdentityState

from .apart import check_apart, check_tracks_apart
from .edits import Edit, EditAction
from .identities import Identities

NAME_LENGTH = 120
"""Longest name of an identity, characters."""


def checked_name(name: str) -> str:
    """Return a name for an identity, tidied.

    Raises
    ------
    ProjectError
        When it is too long, or holds what cannot be printed.
    """
    wanted = " ".join(name.split())
    if len(wanted) > NAME_LENGTH or not wanted.isprintable():
        raise ProjectError(
            f"A name has up to {NAME_LENGTH} printable characters, {name[:40]!r} does not fit."
        )
    return wanted


class Decisions(Identities):
    """The part of a project that a user changes; `Project` adds what a scan found.

    Every decision is one entry of the log. It raises `ProjectError`, and changes nothing, when an
    identity or a track is not there or the decision contradicts what can be seen.
    """

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
        ApartError
            When two of them are on screen in one frame, which one person cannot be, or the user
            said that they are two people.
        """
        ids = list(dict.fromkeys(identity_ids))
        if len(ids) < 2:
            raise ProjectError("A merge needs two identities or more.")
        with self.database.transaction(write=True):
            found = [self.identity(one) for one in ids]
            if not force:
                check_apart(self, found)
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
            return self._separate(chosen)

    def separate(self, tracks: Iterable[int], *, force: bool = False) -> int:
        """Make tracks, whoever holds them, a new identity; return its id; `force` as in `merge`."""
        with self.database.transaction(write=True):
            chosen = self._chosen(tracks)
            if not force:
                for number, track in enumerate(chosen):
                    check_tracks_apart(self, [track], chosen[number + 1 :])
            for identity in self.identities():
                if set(chosen) == set(identity.tracks):
                    raise ProjectError(f"These tracks are all of identity {identity.id} already.")
            return self._separate(chosen)

    def move_tracks(self, tracks: Iterable[int], identity_id: int, *, force: bool = False) -> None:
        """Give tracks, whoever holds them, to an identity; `force` as in `merge`."""
        with self.database.transaction(write=True):
            target = self.identity(identity_id)
            holders = self.identity_of_track()
            chosen = [track for track in self._chosen(tracks) if track not in target.tracks]
            if not chosen:
                raise ProjectError(f"These tracks belong to identity {identity_id} already.")
            if not force:
                check_tracks_apart(self, chosen, target.tracks)
            about: dict[int, int | None] = dict.fromkeys(target.tracks, identity_id)
            about.update({track: holders.get(track) for track in chosen})
            self._log("move", identity_id, about)

    def draw(self, track: int, identity_id: int | None = None) -> int:
        """Say whose face a track is that the user drew and nobody holds; None for a new identity's.

        Return whose it is.
        """
        with self.database.transaction(write=True):
            about: dict[int, int | None] = {track: None}
            if identity_id is None:
                identity_id = self._fresh_identity()
            else:
                about.update(dict.fromkeys(self.identity(identity_id).tracks, identity_id))
            self._log("draw", identity_id, about)
        return identity_id

    def keep_tracks(self, tracks: Iterable[int]) -> None:
        """Say that tracks are rightly with the identity that has them: they are never doubted."""
        with self.together():
            holders = self.identity_of_track()
            chosen = self._chosen(tracks)
            for holder in dict.fromkeys(holders.get(track) for track in chosen):
                if holder is None:
                    lost = next(track for track in chosen if track not in holders)
                    raise ProjectError(f"Track {lost} belongs to nobody: move it to somebody.")
                own = self.identity(holder).tracks
                kept = [track for track in chosen if track in own]
                others = [track for track in own if track not in kept]
                if not others:
                    raise ProjectError(
                        f"Identity {holder} has no other tracks that {kept[0]} could belong to."
                    )
                about: dict[int, int | None] = dict.fromkeys(others, holder)
                about.update(dict.fromkeys(kept))
                self._log("keep", holder, about)

    def tell_apart(self, identity_ids: Sequence[int]) -> None:
        """Say that identities are different people: they are never suggested or joined as one."""
        ids = list(dict.fromkeys(identity_ids))
        if len(ids) < 2:
            raise ProjectError("To tell people apart, name two identities or more.")
        with self.database.transaction(write=True):
            found = [self.identity(one) for one in ids]
            known = self.distinct()
            if all((a, b) in known for a in ids for b in ids if a < b):
                raise ProjectError("You said before that these are different people.")
            self._log("distinct", ids[0], {t: one.id for one in found for t in one.tracks})

    def rename(self, identity_id: int, name: str) -> None:
        """Give an identity a name; an empty one takes it away."""
        wanted = checked_name(name)
        self._say("rename", [identity_id], wanted or None)

    def set_state(self, identity_id: int, state: IdentityState) -> None:
        """Say what the render does with an identity: restore it, ignore it, or not a face."""
        self._set_state([identity_id], state)

    def set_states(self, identity_ids: Iterable[int], state: IdentityState) -> None:
        """Set the state of several identities, of all or of none."""
        with self.together():
            self._set_state(identity_ids, state)

    def set_strength(self, identity_id: int, strength: float) -> None:
        """Say how far an identity is restored: 0 leaves it alone, 1 is all of it."""
        if not 0 <= strength <= 1:
            raise ProjectError(f"A strength is from 0 to 1, {strength:g} is not.")
        self._say("strength", [identity_id], f"{strength:.3g}")

    def not_faces(self, tracks: Iterable[int]) -> list[int]:
        """Say that tracks are no faces; return the identities that hold them now, and only them."""
        with self.together():
            chosen = set(self._chosen(tracks))
            said = []
            for identity in self.identities():
                if set(identity.tracks) <= chosen:
                    said.append(identity.id)
                    chosen -= set(identity.tracks)
            if chosen:
                # In one identity even if they are on screen together: nobody is in two places.
                said.append(self._separate(sorted(chosen)))
            self._set_state(said, "not_a_face")
        return said

    def link_profile(self, identity_id: int, profile: str | None) -> None:
        """Link an identity to a profile by name, or to none; that it is not the profile's ends."""
        self._say("link", [identity_id], profile or None)

    def unlink_profiles(self, identity_ids: Iterable[int]) -> None:
        """Link several identities to no profile, all or none."""
        with self.together():
            self._say("link", identity_ids, None)

    def deny_profile(self, identity_id: int, profile: str) -> None:
        """Say that an identity is not a profile's person: it is not linked, suggested or matched.

        The profile is known by its name, as a link's; only a link takes the word back.
        """
        with self.database.transaction(write=True):
            if not profile:
                raise ProjectError("Name the profile that is somebody else's.")
            if profile in self.identity(identity_id).not_profiles:
                raise ProjectError(f"You said before that identity {identity_id} is not {profile}.")
            self._say("not_profile", [identity_id], profile)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make the edits inside one: all are made or none, and one undo takes all back."""
        with self.database.transaction(write=True), self._journal.together():
            yield

    def undo(self) -> list[Edit]:
        """Take the last edit back, and those made together with it; return them, last first."""
        with self.database.transaction(write=True):
            return self._journal.undo(self.scan_id())

    def redo(self) -> list[Edit]:
        """Bring back what was undone last; return it, empty if there is nothing."""
        with self.database.transaction(write=True):
            return self._journal.redo(self.scan_id())

    def undoable(self) -> list[Edit]:
        """Return what `undo` would take back, the last first; empty if there is nothing."""
        return self._journal.undoable()

    def redoable(self) -> list[Edit]:
        """Return what `redo` would bring back, in its order; empty if there is nothing."""
        return self._journal.redoable()

    def edits(self) -> list[Edit]:
        """Return every edit ever made, oldest first."""
        return self._journal.edits()

    def last_entry(self) -> int:
        """Return the number of the log's last entry; undo and redo are entries too."""
        return self._journal.last()

    def _log(
        self,
        action: EditAction,
        subject: int,
        tracks: Mapping[int, int] | Mapping[int, int | None],
        value: str | None = None,
    ) -> None:
        scan = self.scan_id()
        anchors = self._journal.anchors(scan, dict(tracks))
        self._journal.append(scan, action, subject, anchors, value)

    def _separate(self, tracks: Iterable[int]) -> int:
        holders = self.identity_of_track()
        fresh = self._fresh_identity()
        self._log("split", fresh, {track: holders.get(track) for track in tracks})
        return fresh

    def _fresh_identity(self) -> int:
        fresh = self.next_identity()
        self.database.set_meta("next_identity", str(fresh + 1))
        return fresh

    def _set_state(self, identity_ids: Iterable[int], state: IdentityState) -> None:
        if state not in get_args(IdentityState):
            raise ProjectError(
                f"{state!r} is no state: choose {', '.join(get_args(IdentityState))}."
            )
        self._say("state", identity_ids, state)

    def _say(self, action: EditAction, identity_ids: Iterable[int], value: str | None) -> None:
        """Log what is said of each of several identities; nothing of it moves a track."""
        with self.database.transaction(write=True):
            held = {one.id: one.tracks for one in self._outcome().people.values()}
            for one in dict.fromkeys(identity_ids):
                tracks = held[one] if one in held else self.identity(one).tracks
                self._log(action, one, dict.fromkeys(tracks, one), value)

    def _chosen(self, tracks: Iterable[int]) -> list[int]:
        chosen = list(dict.fromkeys(tracks))
        if not chosen:
            raise ProjectError("Name at least one track.")
        known = {
            row[0]
            for row in self.database.read("tracks", "id", "WHERE scan = ?", (self.scan_id(),))
        }
        unknown = [track for track in chosen if track not in known]
        if unknown:
            raise ProjectError(f"There is no track {unknown[0]} in this project.")
        return chosen
