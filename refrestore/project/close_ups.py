"""The close-ups of a project's people, and the user's word on which are never references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from refrestore.errors import ProjectError

from .anchors import SAME_FACE, SAME_LOOK, box_of, overlaps
from .decisions import Decisions
from .edits import CLOSE_UP_ACTIONS, Anchor, EditAction, Mark


@dataclass(frozen=True, slots=True)
class CloseUp:
    """A close-up that a scan took: what there is to say of it without its picture.

    Parameters
    ----------
    id
        Its number; another scan has other numbers.
    identity
        Who has its track, None for nobody.
    track
        The track it was taken from.
    frame
        Frame index, None for a photo.
    source
        Where it is from, for people.
    size
        Face size in display pixels of where it was taken.
    quality, sharpness
        As in `Reference`.
    yaw, pitch
        Degrees.
    used
        Whether it may be a reference.
    """

    id: int
    identity: int | None
    track: int
    frame: int | None
    source: str
    size: float
    quality: float
    sharpness: float
    yaw: float
    pitch: float
    used: bool


class CloseUpDecisions(Decisions):
    """The part of a project that says which close-ups are references."""

    def close_ups(self, identity_id: int | None = None) -> list[CloseUp]:
        """Return the close-ups of one identity or of everybody, best quality of each first.

        Raises
        ------
        ProjectError
            When there is no such identity.
        """
        with self.database.transaction():
            if identity_id is not None:
                self.identity(identity_id)
            rows = self.database.read(
                "reference_crops",
                "id, track, frame, source, native_size, quality, sharpness, pose",
                "WHERE scan = ?",
                (self.scan_id(),),
            )
            outcome = self._outcome()
        holders = {t: person.id for person in outcome.people.values() for t in person.tracks}
        dropped = outcome.dropped
        found = []
        for number, track, frame, source, size, quality, sharpness, pose in rows:
            holder = holders.get(track)
            if identity_id is not None and holder != identity_id:
                continue
            yaw, pitch, _ = (float(angle) for angle in pose)
            used = number not in dropped
            found.append(
                CloseUp(
                    number, holder, track, frame, source, size, quality, sharpness, yaw, pitch, used
                )
            )
        nobody = max(holders.values(), default=0) + 1
        return sorted(found, key=lambda one: (one.identity or nobody, -one.quality, one.id))

    def dropped_close_ups(self) -> frozenset[int]:
        """Return the ids of the close-ups that are never references."""
        return self._outcome().dropped

    def dropped_faces(self) -> tuple[Mark, ...]:
        """Return the faces, by their place in the video, that are never references.

        What a scan must not take, whether the current scan took it or not.
        """
        dropped: list[tuple[int, Mark]] = []
        for edit in self.edits():
            if edit.undone or edit.action not in CLOSE_UP_ACTIONS:
                continue
            marks = [anchor.marks[0] for anchor in edit.anchors]
            if edit.action == "drop":
                dropped += [(edit.scan, mark) for mark in marks]
            else:
                taken_back = [_nearest(mark, edit.scan, dropped) for mark in marks]
                dropped = [one for row, one in enumerate(dropped) if row not in taken_back]
        return tuple(mark for _, mark in dropped)

    def drop_close_ups(self, close_ups: Iterable[int]) -> None:
        """Say that close-ups are never references, in later scans neither."""
        self._set_used(close_ups, used=False)

    def use_close_ups(self, close_ups: Iterable[int]) -> None:
        """Let close-ups that were dropped be references again."""
        self._set_used(close_ups, used=True)

    def _set_used(self, close_ups: Iterable[int], *, used: bool) -> None:
        action: EditAction = "use" if used else "drop"
        with self.together():
            known = {one.id: one for one in self.close_ups()}
            for number in dict.fromkeys(close_ups):
                if number not in known:
                    raise ProjectError(
                        f"There is no close-up {number} in this project: `refrestore identities "
                        "references list` names them."
                    )
                one = known[number]
                if one.used == used:
                    raise ProjectError(
                        f"Close-up {number} is {'in use' if used else 'dropped'} already."
                    )
                self._journal.append(
                    self.scan_id(), action, one.identity or 0, [self._face(one)], one.source
                )

    def _face(self, one: CloseUp) -> Anchor:
        box = None
        if one.frame is not None:
            box = box_of(self.database, self.scan_id(), one.track, one.frame)
        if one.frame is None or box is None:
            raise ProjectError(
                f"Close-up {one.id} ({one.source}) is not from this video: a photo is a matter of "
                "the profile it belongs to."
            )
        left, top, right, bottom = (round(float(edge), 2) for edge in box)
        return Anchor(one.identity, one.track, (Mark(one.frame, (left, top, right, bottom)),))


def _nearest(mark: Mark, scan: int, dropped: Sequence[tuple[int, Mark]]) -> int | None:
    """Return which drop is about a marked face: as near as `anchors.find_close_up` looks."""
    found = []
    for row, (other, one) in enumerate(dropped):
        away = abs(one.frame - mark.frame)
        overlap = float(overlaps(np.array(one.box, "f4"), np.array(mark.box, "f4")))
        if away <= (0 if other == scan else SAME_LOOK) and overlap > SAME_FACE:
            found.append((away, -overlap, row))
    return min(found)[2] if found else None
