"""Make a project say what an edited review sheet says: ordinary edits, all of them or none."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from refrestore.errors import ProjectError, UsageError
from refrestore.types import Identity

from .edits import Edit
from .presence import meeting
from .project import Project
from .review_sheet import PersonEntry, Place, SheetFile, stamp


def apply_sheet(
    project: Project, path: Path, *, profiles: Collection[str] | None = None, force: bool = False
) -> list[Edit]:
    """Make the edits by which a project becomes what a sheet says.

    One undo takes all of them back. A sheet that says what is so already makes none.

    Parameters
    ----------
    project
        The one the sheet was written from.
    path
        The sheet.
    profiles
        Names that people may be linked to; None does not check.
    force
        Join even people who are on screen together.

    Returns
    -------
    list of Edit
        Oldest first.

    Raises
    ------
    UsageError
        When the sheet says something that is not allowed or cannot be: where, and what.
    ProjectError
        When it is about another video, another scan, or the project was edited since.
    """
    file = SheetFile(path)
    with project.together():
        now = stamp(project)
        _check_stamp(file, project)
        change = _SheetChange(project, file, force=force, profiles=profiles)
        before = project.last_entry()
        change.make()
        made = [edit for edit in project.edits() if edit.id > before]
        if made and file.sheet.project.edits != now.edits:
            raise ProjectError(
                f"{path} was written before the project's latest edits, which it would take back: "
                "export it again with `refrestore identities export-review`."
            )
    return made


def _check_stamp(file: SheetFile, project: Project) -> None:
    said, now = file.sheet.project, stamp(project)
    if said.fingerprint != now.fingerprint:
        raise ProjectError(
            f"{file.path} is about another video ({said.video}), and {project.folder} about "
            f"{now.video}: choose the sheet's own project."
        )
    if (said.scan, said.scanned) != (now.scan, now.scanned):
        raise ProjectError(
            f"{file.path} is about another scan of {now.video}, whose tracks have other numbers: "
            "export it again with `refrestore identities export-review`."
        )


class _SheetChange:
    """The difference between a sheet and a project."""

    def __init__(
        self,
        project: Project,
        file: SheetFile,
        *,
        force: bool,
        profiles: Collection[str] | None,
    ) -> None:
        self._project = project
        self._file = file
        self._force = force
        self._profiles = profiles
        self._people = {one.id: one for one in project.identities()}
        self._place: dict[int, Place] = {}
        self._holder = project.identity_of_track()
        self._known = {track.id for track in project.tracks()}

    def make(self) -> None:
        """Check everything that can be seen at once, then edit."""
        self._check_ids()
        self._check_tracks()
        entries = list(enumerate(self._file.sheet.people))
        self._check_together(entries)
        ids = self._move(entries)
        for number, entry in entries:
            if number in ids:
                self._say(number, entry, ids[number])
        self._choose_close_ups(entries)

    def _check_ids(self) -> None:
        seen: set[int] = set()
        for number, entry in enumerate(self._file.sheet.people):
            place = ("people", number, "id")
            if entry.id == "new":
                if not entry.tracks:
                    self._refuse(place, "a new person needs a track.")
                continue
            if entry.id not in self._people:
                self._refuse(place, f"there is no identity {entry.id}: write `new` for a new one.")
            if entry.id in seen:
                self._refuse(place, f"identity {entry.id} is in the sheet twice.")
            seen.add(entry.id)
            own = set(self._people[entry.id].tracks)
            if entry.tracks and not own & {line.track for line in entry.tracks}:
                self._refuse(
                    ("people", number, "tracks"),
                    f"none of identity {entry.id}'s own tracks is left here: write its new tracks "
                    "under `id: new`, or change names instead.",
                )

    def _check_tracks(self) -> None:
        sheet = self._file.sheet
        lines: list[tuple[Place, int]] = [
            (("people", number, "tracks", row), line.track)
            for number, entry in enumerate(sheet.people)
            for row, line in enumerate(entry.tracks)
        ]
        nobody: list[tuple[Place, int]] = [
            (("nobody", row), line.track) for row, line in enumerate(sheet.nobody)
        ]
        for place, track in lines + nobody:
            if track not in self._known:
                self._refuse(place, f"there is no track {track} in this project.")
            if track in self._place:
                other = self._file.where(self._place[track])
                self._refuse(place, f"track {track} is in the sheet twice, also at {other}.")
            self._place[track] = place
        for place, track in nobody:
            if track in self._holder:
                self._refuse(
                    place,
                    f"track {track} is somebody's and cannot become nobody's: write it under "
                    "`id: new` with the state ignore or not_a_face.",
                )
        missing = self._known - set(self._place)
        if missing:
            track = min(missing)
            self._refuse(
                ("people",),
                f"track {track} is missing: every track belongs under a person, or stays under "
                "nobody.",
            )

    def _check_together(self, entries: list[tuple[int, PersonEntry]]) -> None:
        """Refuse tracks that would join somebody who is elsewhere in the same picture."""
        if self._force:
            return
        project = self._project
        for number, entry in entries:
            if entry.state == "not_a_face":  # what is no face can be in two places
                continue
            held = [line.track for line in entry.tracks]
            for row, line in enumerate(entry.tracks):
                mine = self._holder.get(line.track)
                if mine == entry.id:
                    continue
                others = [t for t in held if t != line.track and self._holder.get(t) != mine]
                others += [t for t in held[:row] if mine is None and self._holder.get(t) is None]
                frame = meeting(project.database, project.scan_id(), [line.track], others)
                if frame is not None:
                    self._refuse(
                        ("people", number, "tracks", row),
                        f"track {line.track} is on screen in frame {frame} "
                        f"({project.timeline().seconds(frame):.3f} s) together with another track "
                        "of this person, so they are two people: leave it, or apply it with "
                        "--force.",
                    )

    def _move(self, entries: list[tuple[int, PersonEntry]]) -> dict[int, int]:
        """Move tracks; return the identity of each entry that has tracks."""
        wanted = {line.track: number for number, entry in entries for line in entry.tracks}
        ids: dict[int, int] = {}
        # New people first: a merge may leave nobody of whom they were.
        for number, entry in sorted(entries, key=lambda item: item[1].id != "new"):
            tracks = [line.track for line in entry.tracks]
            if entry.id == "new":
                with self._file.at(("people", number)):
                    ids[number] = self._project.separate(tracks, force=True)
            elif tracks:
                ids[number] = int(entry.id)
                with self._file.at(("people", number, "tracks")):
                    self._join(int(entry.id), number, tracks, wanted)
        return ids

    def _join(self, target: int, number: int, tracks: list[int], wanted: dict[int, int]) -> None:
        incoming = [track for track in tracks if self._holder.get(track) != target]
        whole = [
            one
            for one in dict.fromkeys(self._holder.get(track) for track in incoming)
            if one is not None
            and all(wanted.get(track) == number for track in self._people[one].tracks)
        ]
        if whole:
            # A merge says more than moved tracks: a later scan's tracks of that person come too.
            self._project.merge([target, *whole], force=self._force_of(target, whole))
        rest = [track for track in incoming if self._holder.get(track) not in whole]
        if rest:
            self._project.move_tracks(rest, target, force=True)

    def _force_of(self, target: int, others: list[int]) -> bool:
        """Whether a merge is made without asking: who meets whom was checked for what stays."""
        told = self._project.distinct()
        ids = [target, *others]
        if not self._force and any((a, b) in told for a in ids for b in ids if a < b):
            raise UsageError(
                f"you said that {' and '.join(map(str, ids))} are different people: undo that, or "
                "apply it with --force."
            )
        return True

    def _say(self, number: int, entry: PersonEntry, identity: int) -> None:
        """Set what the sheet changes of what is said about a person."""
        was = self._people.get(identity) or Identity(
            identity, f"person {identity}", "restore", (), 0.0, 0, 0
        )
        name = " ".join((entry.name or "").split()) or f"person {identity}"
        with self._file.at(("people", number, "name")):
            if name != was.name:
                self._project.rename(identity, "" if name == f"person {identity}" else name)
        with self._file.at(("people", number, "state")):
            if entry.state != was.state:
                self._project.set_state(identity, entry.state)
        with self._file.at(("people", number, "strength")):
            if entry.strength is not None and entry.strength != was.strength:
                self._project.set_strength(identity, entry.strength)
        with self._file.at(("people", number, "profile")):
            if (entry.profile or None) != was.profile:
                self._check_profile(entry.profile)
                self._project.link_profile(identity, entry.profile)

    def _check_profile(self, name: str | None) -> None:
        if name and self._profiles is not None and name not in self._profiles:
            raise UsageError(
                f"there is no profile {name!r} (there is: "
                f"{', '.join(sorted(self._profiles)) or 'none'})."
            )

    def _choose_close_ups(self, entries: list[tuple[int, PersonEntry]]) -> None:
        known = {one.id: one for one in self._project.close_ups()}
        seen: set[int] = set()
        for number, entry in entries:
            for row, line in enumerate(entry.references):
                place = ("people", number, "references", row)
                if line.close_up not in known:
                    self._refuse(place, f"there is no close-up {line.close_up} in this project.")
                if line.close_up in seen:
                    self._refuse(place, f"close-up {line.close_up} is in the sheet twice.")
                seen.add(line.close_up)
                with self._file.at(place):
                    if line.use and not known[line.close_up].used:
                        self._project.use_close_ups([line.close_up])
                    elif not line.use and known[line.close_up].used:
                        self._project.drop_close_ups([line.close_up])

    def _refuse(self, place: Place, words: str) -> NoReturn:
        raise UsageError(f"{self._file.where(place)}: {words}")
