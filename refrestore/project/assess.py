"""Tell what of a project is right from what is not: what `check` says and `repair` keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refrestore.errors import ProjectError
from refrestore.storage.images import read_crop, read_image
from refrestore.storage.utc import now

from .checked_rows import TABLES, meta_number, read_row
from .damage import DamageError
from .database import APPLICATION_ID, SCHEMA_VERSION
from .edits import LOG_ACTIONS, follow
from .log_entries import Said, unpack_entry
from .salvage import Row, Salvage
from .scan_folder import THUMBNAILS, scan_folder
from .video import unpack_video

_SCAN_TABLES = ("shots", "tracks", "chunks")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it must be.

    Parameters
    ----------
    table
        Where: a table, or "pictures" or "file".
    text
        What is wrong, in words.
    """

    table: str
    text: str


@dataclass
class Assessment:
    """What is right in a project's file.

    Parameters
    ----------
    video
        Its entry about the video, None if that cannot be right.
    scan
        Number of the current scan if all of it is right, else None; 0 before the first.
    next_identity
        An id that was never used.
    log
        Entries that are right, oldest first.
    aside
        Numbers of entries that are not.
    references
        Numbers of the scan's close-ups that are right.
    dropped
        Numbers of those that are not.
    thumbnails
        Pictures of tracks that are none any more.
    last
        The largest number ever given in tables that number their rows.
    problems
        All that is wrong.
    """

    video: str | None = None
    scan: int | None = None
    next_identity: int = 1
    log: list[Row] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)
    references: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    thumbnails: list[Path] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def assess(salvage: Salvage, folder: Path) -> Assessment:
    """Look at every row and picture of a project."""
    return _Assessor(salvage, folder).run()


class _Assessor:
    def __init__(self, salvage: Salvage, folder: Path) -> None:
        self._salvage, self._folder = salvage, folder
        self._found = Assessment()
        self._meta: dict[str, Any] = {}
        self._identities: set[int] = set()

    def run(self) -> Assessment:
        self._say("file", [f"SQLite: {line}" for line in self._salvage.integrity()])
        self._read_header()
        self._say("file", [f"the table {name} is missing" for name in self._salvage.missing()])
        self._meta = {row["key"]: row["value"] for row in self._salvage.rows("meta")}
        self._read_video()
        self._read_log()
        self._read_scan()
        self._read_next_identity()
        for table in ("scans", "log", "reference_crops"):
            known = self._found.last.get(table, 0)
            self._found.last[table] = max(known, self._salvage.sequence(table))
        self._say("file", [f"{table} ends early" for table in self._salvage.broken])
        return self._found

    def _say(self, table: str, texts: list[str]) -> None:
        self._found.problems += [Problem(table, text) for text in texts]

    def _read_header(self) -> None:
        version = self._salvage.pragma("user_version")
        if self._salvage.pragma("application_id") != APPLICATION_ID:
            self._say("file", ["its header does not say that it is a project"])
        if version is None or not 1 <= version <= SCHEMA_VERSION:
            self._say(
                "file", [f"its header says schema {version}, which this refrestore does not know"]
            )

    def _read_video(self) -> None:
        try:
            unpack_video(self._meta.get("video"), self._folder)
            self._found.video = self._meta["video"]
        except DamageError as error:
            self._say("meta", [str(error)])

    # --- the log ------------------------------------------------------------------------------

    def _read_log(self) -> None:
        done: list[int] = []
        undone: list[int] = []
        for row in sorted(self._salvage.rows("log"), key=lambda one: int(one["id"])):
            number = int(row["id"])
            self._found.last["log"] = max(number, self._found.last.get("log", 0))
            try:
                kept, said = self._entry(row)
                follow(number, kept["action"], said.get("edit"), done, undone)
            except DamageError as error:
                self._say("log", [str(error)])
                self._found.aside.append(number)
            else:
                self._found.log.append(kept)
                self._identities.add(said.get("subject", 0))
                self._found.last["scans"] = max(kept["scan"], self._found.last.get("scans", 0))

    def _entry(self, row: Row) -> tuple[Row, Said]:
        """Return an entry with what can be mended in it mended, and what it says."""
        names = ("id", "action", "payload")
        read_row("log", names, [row[name] for name in names])
        where = f"log (id {row['id']})"
        try:
            said = unpack_entry(row["action"], row["payload"])
        except DamageError as error:
            raise DamageError(f"{where}: {error}") from error
        if row["action"] not in LOG_ACTIONS:
            raise DamageError(f"{where}: its action is unknown, or of a newer refrestore")
        # Of scan 0 are edits whose faces are looked for by their place in the picture.
        mended = {name: self._mended(row, name, to) for name, to in (("time", now()), ("scan", 0))}
        return {**row, **mended}, said

    def _mended(self, row: Row, name: str, instead: object) -> object:
        try:
            read_row("log", ("id", name), (row["id"], row[name]))
        except DamageError as error:
            self._say("log", [str(error)])
            return instead
        return row[name]

    # --- the scan -----------------------------------------------------------------------------

    def _read_scan(self) -> None:
        scans, before = {}, len(self._found.problems)
        for row in self._salvage.rows("scans"):
            number = row["id"]
            self._found.last["scans"] = max(number, self._found.last.get("scans", 0))
            if self._right("scans", row):
                scans[number] = row
        number = self._current(scans)
        if number == 0:
            self._found.scan = 0
            return
        if number is None:
            return
        before = len(self._found.problems)
        self._read_rows(number)
        whole = not any(table in self._salvage.broken for table in (*_SCAN_TABLES, "scans"))
        if len(self._found.problems) == before and whole:
            self._found.scan = number
            self._read_references(number)
            self._read_thumbnails(number)

    def _current(self, scans: dict[int, Row]) -> int | None:
        """Return the number of the current scan, None where none can be trusted."""
        try:
            number = meta_number("scan", self._meta.get("scan"))
        except DamageError as error:
            self._say("meta", [str(error)])
        else:
            if number in scans or not number:
                return number
            self._say(
                "meta", [f"meta: scan {number} is the current one and is not there, or not right"]
            )
            return None
        ended = [one for one, row in scans.items() if row["frames"] is not None]
        return ended[0] if len(ended) == 1 else None

    def _read_rows(self, scan: int) -> None:
        told: dict[int, int] = {}
        counts = Counter[int]()
        shots = [row["number"] for row in self._own("shots", scan)]
        for row in self._own("tracks", scan):
            told[row["id"]] = row["faces"]
            self._identities.add(row["identity"] or 0)
        for row in self._own("chunks", scan):
            counts[row["track"]] += len(row["frame"])
        if sorted(shots) != list(range(len(shots))):
            self._say("shots", ["shots: some are missing"])
        for track in sorted({*told, *counts}):
            if told.get(track, 0) != counts[track]:
                text = (
                    f"track {track} has {counts[track]} faces and should have {told.get(track, 0)}"
                )
                self._say("chunks", [f"chunks: {text}"])

    def _own(self, table: str, scan: int) -> Iterator[Row]:
        """Yield the right rows of a scan; rows of others that are left from a kill do not count."""
        for row in self._salvage.rows(table):
            if type(row["scan"]) is int and row["scan"] > 0 and row["scan"] != scan:
                continue
            read = self._right(table, row)
            if read is not None:
                yield read

    def _right(self, table: str, row: Row) -> Row | None:
        names = [name for name in TABLES[table] if name in row]
        try:
            values = read_row(table, names, [row[name] for name in names])
        except DamageError as error:
            self._say(table, [str(error)])
            return None
        return dict(zip(names, values, strict=True))

    def _read_references(self, scan: int) -> None:
        tracks = {row["id"] for row in self._own("tracks", scan)}
        for raw in self._salvage.rows("reference_crops"):
            number = raw["id"]
            self._found.last["reference_crops"] = max(
                number, self._found.last.get("reference_crops", 0)
            )
            if type(raw["scan"]) is int and raw["scan"] > 0 and raw["scan"] != scan:
                continue
            row = self._right("reference_crops", raw)
            if row is not None and row["track"] not in tracks:
                self._say("reference_crops", [f"close-up {number} is of no track that is there"])
                row = None
            pictures = scan_folder(self._folder, scan)
            right = row is not None and self._is_picture(pictures / row["file"], read_crop)
            (self._found.references if right else self._found.dropped).append(number)

    def _read_thumbnails(self, scan: int) -> None:
        for path in sorted((scan_folder(self._folder, scan) / THUMBNAILS).glob("*.jpg")):
            if not self._is_picture(path, read_image):
                self._found.thumbnails.append(path)

    def _is_picture(self, path: Path, read: Callable[[Path], object]) -> bool:
        try:
            read(path)
        except ProjectError as error:
            self._say("pictures", [str(error)])
            return False
        return True

    def _read_next_identity(self) -> None:
        least = max(self._identities, default=0) + 1
        self._found.next_identity = least
        try:
            number = meta_number("next_identity", self._meta.get("next_identity"))
            if number < least:
                raise DamageError(f"meta, next_identity: {number} was used before")
            self._found.next_identity = number
        except DamageError as error:
            self._say("meta", [str(error)])
