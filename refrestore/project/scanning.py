"""Writing a scan: everything goes to disk as it comes; the old scan stays until the new is whole.

Each scan has its own number in every table and its own folder of pictures. A scan that is not the
project's current one does not exist for readers, so a killed scan changes nothing; its remains
are swept away when the project is next opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from refrestore.config import ScanSettings
from refrestore.errors import DiskError, ProjectError
from refrestore.faces.network_id import NetworkId
from refrestore.media.files import disk_error, write_file
from refrestore.media.treatment import UNTREATED, Treatment
from refrestore.storage.images import encode_jpeg, encode_png
from refrestore.storage.lock import FileLock
from refrestore.storage.utc import now
from refrestore.types import Faces, FloatArray, ImageArray, IntArray, Reference, Shot, Track

from .anchors import mark, resolve
from .columns import pack_vector
from .database import Database
from .edits import Mark
from .folder import LOCK
from .presence import covered
from .scan_folder import CROPS, THUMBNAILS, scan_folder, sweep, thumbnail_path
from .scan_info import ScanInfo
from .storing import copy_reference, store_reference, store_track
from .times import TIMES, pack_times
from .treated import pack_treatment


class Before(Protocol):
    """What a new scan asks the project it is written to: what was found and said before."""

    folder: Path
    database: Database

    def scan_id(self) -> int:
        """The current scan, 0 before the first."""
        ...

    def scan_info(self) -> ScanInfo | None:
        """What is known of it."""
        ...

    def tracks(self, track_ids: Iterable[int]) -> list[Track]:
        """Its tracks."""
        ...

    def faces(self, track_ids: Iterable[int]) -> Faces:
        """Their faces."""
        ...

    def dropped_faces(self) -> tuple[Mark, ...]:
        """Faces that the user said are never references."""
        ...

    def drawn_tracks(self) -> dict[int, tuple[Mark, ...]]:
        """Tracks that the user drew, and marks of each."""
        ...

    def next_identity(self) -> int:
        """The first identity that was never used."""
        ...

    def identity_of_track(self) -> dict[int, int]:
        """Whose each track is, after all edits."""
        ...

    def automatic_identity_of_track(self) -> dict[int, int]:
        """Whose each track is, as the scan found them."""
        ...


class ScanWriter:
    """A scan being written; a context manager that commits at its end and discards on an error.

    Made by `Project.begin_scan`. Memory does not grow with what is added.
    """

    def __init__(
        self,
        project: Before,
        settings: ScanSettings,
        recogniser: str,
        digest: str = "",
        treatment: Treatment = UNTREATED,
    ) -> None:
        self._project = project
        self._database = project.database
        self._lock = FileLock(project.folder / LOCK)
        self._lock.acquire_or_refuse(project.folder)
        self._open = True
        try:
            sweep(self._database, project.folder)
            self.id = self._database.execute(
                "INSERT INTO scans (settings, recogniser, recogniser_digest, treatment, started) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    settings.model_dump_json(),
                    recogniser,
                    digest,
                    pack_treatment(treatment),
                    now(),
                ),
            )
            self.folder = scan_folder(project.folder, self.id)
            self._make_folder()
        except BaseException:
            self._end()
            raise
        self._identities: list[tuple[int, ...]] = []
        self._votes: dict[int, list[int]] = {}
        self._references = 0
        self._network = NetworkId(recogniser, digest)

    def dropped_faces(self) -> tuple[Mark, ...]:
        """Return the faces that the user said are never references."""
        return self._project.dropped_faces()

    def add_shot(self, shot: Shot) -> None:
        """Store a shot."""
        self._check_open()
        self._database.execute(
            "INSERT INTO shots VALUES (?, ?, ?, ?, ?)",
            (self.id, int(shot.index), int(shot.first), int(shot.stop), str(shot.start)),
        )

    def add_track(self, track: Track, faces: Faces) -> None:
        """Store a track with its faces.

        Parameters
        ----------
        track
            Its id must be new in this scan.
        faces
            One row a frame, frames ascending and within the track.

        Raises
        ------
        ValueError
            When the table does not fit the track.
        """
        self._check_open()
        if track.id in self._votes:
            raise ValueError(f"track {track.id} was added before")
        if not len(faces) or np.any(np.diff(faces.frame) <= 0):
            raise ValueError(f"track {track.id} needs faces in ascending frames, one a frame")
        if faces.frame[0] < track.first or faces.frame[-1] >= track.stop:
            raise ValueError(
                f"track {track.id} has frames {track.first}..{track.stop - 1}, its faces "
                f"{faces.frame[0]}..{faces.frame[-1]}"
            )
        store_track(self._database, self.id, track, faces)
        before = resolve(self._database, self._project.scan_id(), mark([(faces.frame, faces.box)]))
        self._votes[track.id] = [found for found in before if found is not None]

    def set_embedding(self, track_id: int, embedding: FloatArray) -> None:
        """Store another embedding, (512,), of a track of this scan."""
        self._check_open()
        self._check_known([track_id])
        self._database.execute(
            "UPDATE tracks SET embedding = ? WHERE scan = ? AND id = ?",
            (pack_vector(embedding), self.id, int(track_id)),
        )

    def add_reference(self, track_id: int, reference: Reference, png: bytes | None = None) -> None:
        """Store a reference harvested from a track of this scan, its picture as `png` if known."""
        self._check_open()
        self._check_known([track_id])
        name = self._add_crop(encode_png(reference.image) if png is None else png)
        store_reference(self._database, self.id, track_id, name, reference)

    def add_thumbnail(self, track_id: int, image: ImageArray) -> None:
        """Store the (H, W, 3) RGB picture that shows a track to people."""
        self._check_open()
        self._check_known([track_id])
        self._write(thumbnail_path(self.folder, track_id), encode_jpeg(image))

    def set_identities(self, groups: Sequence[Sequence[int]]) -> None:
        """Say which tracks are one person: track ids per identity, disjoint.

        Tracks in no group belong to nobody. Identity ids are given at the end: those of the
        previous scan where its people are found again.
        """
        self._check_open()
        counts = Counter(track for group in groups for track in group)
        self._check_known(list(counts))
        twice = [track for track, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"track {twice[0]} is in two identities")
        self._identities = [tuple(sorted(map(int, group))) for group in groups if group]

    def set_frames(self, frames: int) -> None:
        """Store the number of frames the video really has."""
        self._check_open()
        self._database.execute("UPDATE scans SET frames = ? WHERE id = ?", (int(frames), self.id))

    def set_times(self, ticks: IntArray, unit: Fraction) -> None:
        """Store when each frame of the film is shown, (N,) in units of so many seconds."""
        self._check_open()
        self._write(self.folder / TIMES, pack_times(ticks, unit))

    def commit(self) -> None:
        """Make this the project's scan, in one step, and drop the old one."""
        self._check_open()
        with self._database.transaction(write=True):
            self._carry_drawn()
            fresh = self._project.next_identity()
            identities = carry_ids(
                self._identities,
                self._votes,
                [self._project.identity_of_track(), self._project.automatic_identity_of_track()],
                fresh,
            )
            for identity, tracks in identities.items():
                for track in tracks:
                    self._database.execute(
                        "UPDATE tracks SET identity = ? WHERE scan = ? AND id = ?",
                        (identity, self.id, track),
                    )
            self._database.set_meta("next_identity", str(max([fresh - 1, *identities]) + 1))
            self._database.set_meta("scan", str(self.id))
        self._sweep()
        self._end()

    def abort(self) -> None:
        """Discard what was added; the old scan stays the project's."""
        if self._open:
            self._sweep()
            self._end()

    def __enter__(self) -> ScanWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if not self._open:
            return
        if kind is not None:
            self.abort()
            return
        try:
            self.commit()
        except BaseException:
            self.abort()
            raise

    def _carry_drawn(self) -> None:
        """Take over what the user drew, where this scan has nobody: its detector misses it too."""
        known = {track for group in self._identities for track in group}
        spans = self._database.read(
            "shots", "number, first, stop", "WHERE scan = ? ORDER BY number", (self.id,)
        )
        for old, marks in self._project.drawn_tracks().items():
            (track,), faces = self._project.tracks([old]), self._project.faces([old])
            faces = faces[~covered(self._database, self.id, known, faces)]
            for shot, first, stop in spans:
                part = faces[(faces.frame >= first) & (faces.frame < stop)]
                ends = np.flatnonzero(np.diff(part.frame) > 1) + 1
                for rows in np.split(np.arange(len(part)), ends):
                    if np.isin([one.frame for one in marks], part.frame[rows]).any():
                        self._carry(replace(track, shot=shot), part[rows])

    def _carry(self, track: Track, faces: Faces) -> None:
        """Add faces of the old scan's track as a new one's."""
        info, fresh = self._project.scan_info(), max(self._votes, default=0) + 1
        folder = scan_folder(self._project.folder, self._project.scan_id())
        same = info is not None and not info.network.contradicts(self._network)
        first, stop = int(faces.frame[0]), int(faces.frame[-1]) + 1
        moved = replace(track, id=fresh, first=first, stop=stop)
        if not same:  # its embedding says nothing to this scan's recogniser
            moved = replace(moved, embedding=None, embedding_weight=0.0)
        self.add_track(moved, faces)
        with suppress(OSError):
            picture = thumbnail_path(folder, track.id).read_bytes()
            self._write(thumbnail_path(self.folder, fresh), picture)
        rows = self._database.read(
            "reference_crops",
            "id, file",
            "WHERE scan = ? AND track = ? AND frame >= ? AND frame < ?",
            (self._project.scan_id(), track.id, first, stop),
        )
        for number, file in rows if same else []:
            with suppress(OSError):
                name = self._add_crop((folder / file).read_bytes())
                copy_reference(self._database, number, self.id, fresh, name)

    def _add_crop(self, png: bytes) -> str:
        self._references += 1
        name = f"{CROPS}/{self._references:06d}.png"
        self._write(self.folder / name, png)
        return name

    def _make_folder(self) -> None:
        mode = self._database.mode
        mode |= (mode & 0o444) >> 2  # who may read files may enter the folder
        try:
            self.folder.parent.mkdir(exist_ok=True, mode=mode)
            for folder in (self.folder, *(self.folder / name for name in (CROPS, THUMBNAILS))):
                folder.mkdir(mode=mode)
        except OSError as error:
            raise disk_error(self.folder, error) from error

    def _write(self, path: Path, content: bytes) -> None:
        self._database.check_there()  # or a folder that was deleted would be made again
        write_file(path, content, mode=self._database.mode)

    def _sweep(self) -> None:
        """Remove what is in the way of nobody; without room it waits for the next opening."""
        with suppress(DiskError, ProjectError):
            sweep(self._database, self._project.folder)

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("this scan has ended")

    def _check_known(self, tracks: Sequence[int]) -> None:
        unknown = [track for track in tracks if track not in self._votes]
        if unknown:
            raise ValueError(f"track {unknown[0]} has not been added")

    def _end(self) -> None:
        self._open = False
        self._lock.release()


def carry_ids(
    groups: Sequence[tuple[int, ...]],
    votes: Mapping[int, Sequence[int]],
    earlier: Sequence[Mapping[int, int]],
    fresh: int,
) -> dict[int, tuple[int, ...]]:
    """Give automatic identities the ids their people had before.

    Parameters
    ----------
    groups
        Tracks of the new scan per identity.
    votes
        Per new track, the old tracks whose faces it has (one per mark that was found).
    earlier
        Identity id by old track; several views, the more important first (what the user sees,
        then what the old scan had found).
    fresh
        First id never used.

    Returns
    -------
    dict
        Tracks by identity id. Each old id goes to the group that has most of its faces.
    """
    given: dict[int, int] = {}  # group → id
    for view in earlier:
        claims = Counter(
            (view[old], number)
            for number, group in enumerate(groups)
            if number not in given
            for track in group
            for old in votes.get(track, ())
            if old in view
        )
        for (identity, number), _ in sorted(claims.items(), key=lambda item: (-item[1], item[0])):
            if number not in given and identity not in given.values():
                given[number] = identity
    for number in range(len(groups)):
        if number not in given:
            given[number] = fresh
            fresh += 1
    return {given[number]: group for number, group in enumerate(groups)}
