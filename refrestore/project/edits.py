"""What the user decided, and how it is replayed over what a scan found.

An edit names faces, not track numbers: it carries *anchors*, a few (frame, box) marks of each
track it is about. A later scan numbers and cuts its tracks differently; the marks find them again
(`anchors.py`). Everything here is pure: no file, no database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from refrestore.types import IdentityState

from .damage import DamageError

EditAction = Literal[
    "merge",
    "split",
    "move",
    "keep",
    "distinct",
    "rename",
    "state",
    "strength",
    "link",
    "not_profile",
    "drop",
    "use",
    "draw",
]
"""What an edit does; `undo` and `redo` are entries of the log about other edits."""

CLOSE_UP_ACTIONS: tuple[EditAction, ...] = ("drop", "use")
"""Those about close-ups and not about people. Each of their anchors has one mark: the face."""

LOG_ACTIONS = (*get_args(EditAction), "undo", "redo")


@dataclass(frozen=True, slots=True)
class Mark:
    """One face by its place: frame index and box (left, top, right, bottom) in display pixels."""

    frame: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Anchor:
    """One track that an edit is about.

    Parameters
    ----------
    identity
        The identity that held it then, or None.
    track
        Its id in the scan the edit was made on.
    marks
        Faces of it, spread over its length.
    """

    identity: int | None
    track: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """One decision of the user.

    Parameters
    ----------
    id
        Its number in the log.
    scan
        The scan it was made on.
    time
        When, ISO 8601 in UTC.
    action
        `merge` (into `subject`), `split` (out, as `subject`), `move` (to `subject`), `keep` (with
        `subject`: rightly there), `distinct` (they are different people), `rename`, `state`,
        `strength`, `link`, `not_profile` (of `subject`), `drop` (never a reference), `use` (a
        reference again), `draw` (a track that the user drew, nobody's until then, is `subject`).
    subject
        Identity id.
    anchors
        The tracks it is about, those of the subject (merge, move, keep, rename, state, strength,
        link, not_profile, draw) included; or close-ups.
    value
        The name, the state, the strength in digits, the profile's name (None: no profile) or where
        a close-up is from.
    undone
        Whether it has been undone.
    group
        Edits of one group are undone together; None for an edit by itself.
    """

    id: int
    scan: int
    time: str
    action: EditAction
    subject: int
    anchors: tuple[Anchor, ...]
    value: str | None = None
    undone: bool = False
    group: int | None = None


@dataclass(frozen=True, slots=True)
class ResolvedEdit:
    """An edit in terms of the current scan's tracks.

    Parameters
    ----------
    id, action, subject, value
        As in `Edit`.
    groups
        For each identity that held anchored tracks (in the order of the anchors): it, and the ids
        of the tracks that are there now.
    close_ups
        Ids of the close-ups it is about, where it is about those.
    """

    id: int
    action: EditAction
    subject: int
    groups: tuple[tuple[int | None, tuple[int, ...]], ...]
    value: str | None = None
    close_ups: tuple[int, ...] = ()

    @property
    def tracks(self) -> tuple[int, ...]:
        """All tracks found again, without repetition."""
        return tuple(dict.fromkeys(track for _, tracks in self.groups for track in tracks))

    def held_by_subject(self) -> tuple[int, ...]:
        """Return those tracks found again that the subject itself held."""
        return tuple(t for holder, tracks in self.groups if holder == self.subject for t in tracks)


@dataclass(frozen=True, slots=True)
class Person:
    """One identity after the edits: what the user said, and its tracks, ascending."""

    id: int
    tracks: tuple[int, ...]
    name: str | None = None
    state: IdentityState = "restore"
    profile: str | None = None
    strength: float = 1.0
    not_profiles: frozenset[str] = frozenset()

    def told(self, action: EditAction, value: str | None) -> Person:
        """Return the person after one more word of the user."""
        if action == "rename":
            return replace(self, name=value)
        if action == "state":
            return replace(self, state=cast(IdentityState, value))
        if action == "strength":
            return replace(self, strength=float(value or 1))
        others = self.not_profiles - {value or ""}
        if action == "link":
            return replace(self, profile=value, not_profiles=others)
        profile = None if self.profile == value else self.profile
        return replace(self, profile=profile, not_profiles=others | {value or ""})


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a replay.

    Parameters
    ----------
    people
        By identity id.
    unapplied
        Ids of edits that had nothing to act on.
    distinct
        Pairs of identities (smaller id first) that the user said are two people.
    settled
        Tracks that the user put where they are, or said are right there.
    dropped
        Ids of close-ups that are never references.
    """

    people: Mapping[int, Person]
    unapplied: tuple[int, ...] = ()
    distinct: frozenset[tuple[int, int]] = frozenset()
    settled: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()


def standing(log: Iterable[tuple[int, str, int | None]]) -> tuple[list[int], list[int]]:
    """Return the ids of edits in force, oldest first, and of those that a redo would bring back.

    Parameters
    ----------
    log
        (id, action, edit that an undo or redo is about) of each entry, oldest first.

    Raises
    ------
    DamageError
        When something is undone or redone that cannot be.
    """
    done: list[int] = []
    undone: list[int] = []
    for entry, action, about in log:
        follow(entry, action, about, done, undone)
    return done, undone


def follow(entry: int, action: str, about: int | None, done: list[int], undone: list[int]) -> None:
    """Bring `done` and `undone`, as `standing` returns them, up to one more entry."""
    if action not in ("undo", "redo"):
        done.append(entry)
        undone.clear()  # a new decision ends the branch that was undone
        return
    taken, given = (done, undone) if action == "undo" else (undone, done)
    if about is None or about not in taken:
        raise DamageError(f"log (id {entry}): it is an {action} of what was not to {action}")
    taken.remove(about)
    given.append(about)


def replay(automatic: Mapping[int, Sequence[int]], edits: Iterable[ResolvedEdit]) -> Outcome:
    """Apply edits to the automatic identities.

    Parameters
    ----------
    automatic
        Track ids by identity id; disjoint.
    edits
        Those in force, oldest first.

    Returns
    -------
    Outcome
        Identities that still hold a track. A function of the arguments alone.
    """
    state = _State(automatic)
    unapplied = tuple(edit.id for edit in edits if not state.apply(edit))
    return Outcome(
        state.people(),
        unapplied,
        state.distinct(),
        frozenset(state.settled),
        frozenset(state.dropped),
    )


class _State:
    def __init__(self, automatic: Mapping[int, Sequence[int]]) -> None:
        self._held = {identity: set(tracks) for identity, tracks in automatic.items() if tracks}
        self._holder = {track: i for i, tracks in self._held.items() for track in tracks}
        self._said: dict[int, Person] = {}
        self._apart: list[tuple[Sequence[int], Sequence[int]]] = []
        self.settled: set[int] = set()
        self.dropped: set[int] = set()

    def people(self) -> dict[int, Person]:
        return {
            identity: replace(self._about(identity), tracks=tuple(sorted(tracks)))
            for identity, tracks in sorted(self._held.items())
        }

    def apply(self, edit: ResolvedEdit) -> bool:
        """Apply one edit; return whether it found what it is about."""
        if edit.action == "merge":
            return self._merge(edit)
        if edit.action == "distinct":
            return self._tell_apart(edit)
        if edit.action == "split":
            self.settled.update(edit.tracks)
            return self._move(edit.tracks, edit.subject)
        if edit.action in ("move", "keep", "draw"):
            return self._give(edit)
        if edit.action == "drop":
            self.dropped.update(edit.close_ups)
        elif edit.action == "use":
            self.dropped.difference_update(edit.close_ups)
        else:
            return self._say(edit)
        return True  # a close-up that this scan did not take is not used either

    def distinct(self) -> frozenset[tuple[int, int]]:
        """Return the pairs of identities that hold most of what was told apart."""
        pairs = set()
        for tracks, others in self._apart:
            one, other = self._main_holder(tracks), self._main_holder(others)
            if one is not None and other is not None and one != other:
                pairs.add((min(one, other), max(one, other)))
        return frozenset(pairs)

    def _merge(self, edit: ResolvedEdit) -> bool:
        found = [(holder, tracks) for holder, tracks in edit.groups if tracks]
        if len(found) < 2:
            return False
        target = self._locate(edit.subject, edit.held_by_subject() or edit.tracks)
        if target is None:
            return False
        for holder, tracks in found:
            # A whole identity joins if it is the one the user saw; else only the faces he saw.
            whole = self._dominated(holder, tracks)
            if whole is not None and whole != target:
                self._inherit(target, whole)
                self._move(tuple(self._held[whole]), target)
            self._move(tracks, target)
        return True

    def _give(self, edit: ResolvedEdit) -> bool:
        if edit.action == "draw" and edit.subject not in dict(edit.groups):
            # Somebody new. What a later scan found there by itself stays whose it is.
            self._move([t for t in edit.tracks if t not in self._holder], edit.subject)
            return bool(edit.tracks)
        own = edit.held_by_subject()
        target = self._locate(edit.subject, own)
        moved = [track for track in edit.tracks if track not in own]
        self.settled.update(moved)
        return target is not None and self._move(moved, target)

    def _tell_apart(self, edit: ResolvedEdit) -> bool:
        """Note that groups are different people; take them apart where a scan joined them."""
        found = [(holder, tracks) for holder, tracks in edit.groups if tracks]
        # Whose id it is, or who has most tracks, stays; a track of both stays with them.
        found.sort(key=lambda group: (self._main_holder(group[1]) != group[0], -len(group[1])))
        stayed: dict[int | None, set[int]] = {}
        for holder, tracks in found:
            main = self._main_holder(tracks)
            joined = [track for track in tracks if self._holder.get(track) == main]
            if main in stayed and holder is not None and holder != main:
                self._move([track for track in joined if track not in stayed[main]], holder)
                main = self._main_holder(tracks)
            stayed.setdefault(main, set()).update(tracks)
        pairs = [
            (tracks, others)
            for number, (_, tracks) in enumerate(found)
            for _, others in found[number + 1 :]
        ]
        self._apart += pairs
        return bool(pairs) and all(
            self._main_holder(tracks) != self._main_holder(others) for tracks, others in pairs
        )

    def _main_holder(self, tracks: Sequence[int]) -> int | None:
        """Return the identity that holds most of these tracks."""
        counts = Counter(self._holder[track] for track in tracks if track in self._holder)
        return min(counts, key=lambda i: (-counts[i], i)) if counts else None

    def _say(self, edit: ResolvedEdit) -> bool:
        identity = self._locate(edit.subject, edit.tracks)
        if identity is None:
            return False
        concerned = {identity}
        if edit.action != "rename":  # a new scan may have cut the person in pieces
            tracks = set(edit.tracks)
            concerned |= {i for i, held in self._held.items() if 2 * len(held & tracks) > len(held)}
        for one in concerned:
            self._said[one] = self._about(one).told(edit.action, edit.value)
        return True

    def _locate(self, identity: int, tracks: Sequence[int]) -> int | None:
        """Return the identity that a decision about these tracks now concerns.

        Where they have become a small part of somebody else, they are taken out again: what the
        user said of them must not spread to that person.
        """
        if not tracks:
            return None
        whole = self._dominated(identity, tracks)
        if whole is not None:
            return whole
        if identity in self._held:  # the id went to others; these stay where they are
            return None
        self._move(tracks, identity)
        return identity

    def _dominated(self, identity: int | None, tracks: Sequence[int]) -> int | None:
        """Return the identity that is mainly these tracks: the same id, or at least half of it."""
        counts = Counter(self._holder[track] for track in tracks if track in self._holder)
        if not counts:
            return None
        best = min(counts, key=lambda i: (-counts[i], i != identity, i))
        if best == identity or 2 * counts[best] >= len(self._held[best]):
            return best
        return None

    def _move(self, tracks: Sequence[int], target: int) -> bool:
        for track in tracks:
            holder = self._holder.get(track)
            if holder == target:
                continue
            if holder is not None:
                self._held[holder].discard(track)
                if not self._held[holder]:
                    del self._held[holder]
                    self._said.pop(holder, None)
            self._held.setdefault(target, set()).add(track)
            self._holder[track] = target
        return bool(tracks)

    def _inherit(self, target: int, other: int) -> None:
        """Let a merged identity fill in what the user has not said about the target."""
        mine, theirs = self._about(target), self._about(other)
        profile = mine.profile or theirs.profile
        self._said[target] = replace(
            mine,
            name=mine.name or theirs.name,
            profile=profile,
            not_profiles=(mine.not_profiles | theirs.not_profiles) - {profile or ""},
        )

    def _about(self, identity: int) -> Person:
        return self._said.get(identity) or Person(identity, ())
