"""Whatever a damaged project holds: the right answer or one sentence, and a way back."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError, RefrestoreError
from refrestore.project import Project
from refrestore.project.gaps import gaps
from refrestore.project.repair import check, repair
from refrestore.project.rows import TABLES
from refrestore.project.suggestions import suggest
from refrestore.types import Shot

SEED = 13
CHANGES = 160

PEOPLE = {1: (0, 200, 100.0), 2: (100, 200, 400.0), 3: (300, 420, 100.0)}

ANYTHING: list[Any] = [
    None,
    "",
    b"",
    b"\xff\xfe\x00",
    "\x1b[31mred",
    "nonsense",
    -1,
    0,
    0.5,
    2**62,
    float("inf"),
    -1e300,
    "{",
    "[" * 50_000,
    '{"a": NaN}',
    "null",
    "1/0",
    "1e999999999",
    "../../secret.png",
    "/etc/passwd",
    b"x\x9c" + bytes(40),
]

IN_JSON: list[Any] = [
    None,
    -1,
    0.5,
    1e400,
    float("nan"),
    10**40,
    "x",
    "1/0",
    "1e999999999",
    "\x1b[31m",
    "\ud800",
    "a\0b",
    [],
    {},
    [[]],
    [{}],
    [{"identity": 1, "track": 77, "marks": [[0, 1, 2, 3, 4]]}],
    [{"identity": "x", "track": 1, "marks": []}],
    [{"identity": 1, "track": 1, "marks": [[0, 1, 2, 3]]}],
    [{"identity": 1, "track": 1, "marks": [["0", 1, 2, 3, float("nan")]]}],
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make) -> Path:
    """A project with everything a project can hold."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    with Project.create(folder, make.video(folder.parent)) as project:
        with project.begin_scan(ScanSettings(), recogniser="net") as writer:
            writer.add_shot(Shot(0, 0, 250, make.video(folder).start))
            writer.add_shot(Shot(1, 250, 1000, make.video(folder).start + 10))
            for number, (first, stop, left) in PEOPLE.items():
                faces = make.faces(first, stop, left, full=True)
                writer.add_track(make.track(number, first, stop), faces)
                writer.add_reference(number, make.reference(number, frame=first + 10))
                writer.add_thumbnail(number, np.zeros((40, 40, 3), np.uint8))
            writer.set_identities([[1], [2], [3]])
            writer.set_frames(1000)
        project.rename(1, "Anna")
        project.merge([1, 3])
        project.set_state(2, "ignore")
        project.set_strength(2, 0.5)
        project.link_profile(2, "Bert")
        project.deny_profile(1, "Bert")
        project.drop_close_ups([1])
        project.split(1, [3])
        project.undo()
        project.undo()
        project.redo()
        project.keep_tracks([3])
    return folder


def _everything(folder: Path, *, edit: bool = True) -> None:
    """Read a project in every way, as the commands and the page do."""
    with Project.open(folder) as project:
        people = project.identities()
        for read in (
            project.video, project.scan_info(), project.timeline().seconds(500), project.shots(),
            project.tracks(), project.faces(), project.faces(first=90, stop=150),
            project.close_ups(), project.unresolved(), project.edits(), project.undoable(),
            project.redoable(), project.distinct(), project.settled_tracks(),
            project.dropped_faces(), suggest(project),
        ):  # fmt: skip
            repr(read)
        for person in people:
            project.references(person.id)
            gaps(project, person.id)
        for track in project.tracks():
            project.thumbnail(track.id)
        if edit and people:
            project.rename(people[0].id, "Cora")
            project.undo()
            with contextlib.suppress(ProjectError):
                project.merge([one.id for one in people])
            project.not_faces(people[0].tracks[:1])


def _edited(folder: Path, change) -> None:
    """Change a project behind its back."""
    connection = sqlite3.connect(folder / "project.sqlite")
    connection.executescript("DROP TRIGGER log_keeps; DROP TRIGGER log_stays;")
    change(connection)
    connection.commit()
    connection.close()


def _rows_of(whole: Path, table: str) -> int:
    connection = sqlite3.connect(whole / "project.sqlite")
    ((count,),) = connection.execute(f"SELECT COUNT(*) FROM {table}")
    connection.close()
    return count


def _columns() -> list[tuple[str, str]]:
    return [(table, column) for table, columns in TABLES.items() for column in columns]


def _changes(rng: np.random.Generator, count: int):
    """Yield changes, in turn of whole values and of members of what is JSON; and their names."""
    columns = _columns()
    for number in range(count):
        if number % 3 == 2:
            yield _in_json(rng)
        else:
            table, column = columns[(2 * number // 3) % len(columns)]
            yield _value(table, column, rng)


def _value(table: str, column: str, rng: np.random.Generator):
    value = ANYTHING[rng.integers(len(ANYTHING))]
    row = int(rng.integers(3))

    def change(connection: sqlite3.Connection) -> None:
        key = {"meta": "key", "shots": "number"}.get(table, "rowid")
        with contextlib.suppress(sqlite3.IntegrityError):  # what SQLite itself refuses
            connection.execute(
                f"UPDATE {table} SET {column} = ? WHERE {key} = "
                f"(SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET ?)",
                (value, row),
            )

    return f"{table}.{column} of row {row} = {str(value)[:20]!r}", change


def _in_json(rng: np.random.Generator):
    place = [
        ("meta", "value", "key = 'video'"),
        ("scans", "settings", "1"),
        ("log", "payload", f"id = {rng.integers(1, 12)}"),
    ][rng.integers(3)]
    table, column, where = place
    value, pick = IN_JSON[rng.integers(len(IN_JSON))], int(rng.integers(100))

    def change(connection: sqlite3.Connection) -> None:
        ((written,),) = connection.execute(f"SELECT {column} FROM {table} WHERE {where} LIMIT 1")
        said = json.loads(written)
        said[list(said)[pick % len(said)]] = value
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (json.dumps(said),))

    return f"{table}.{column} where {where}: member {pick} = {str(value)[:30]!r}", change


def test_the_whole_project_is_whole(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "project")
    _everything(folder)
    assert check(folder).problems == ()
    assert repair(folder).backup is None


def test_every_change_is_the_right_answer_or_one_sentence_and_can_be_repaired(
    whole, tmp_path, make
):
    rng = np.random.default_rng(SEED)
    wrong, refused = [], 0
    for number, (name, change) in enumerate(_changes(rng, CHANGES)):
        folder = shutil.copytree(whole, tmp_path / str(number))
        _edited(folder, change)
        try:
            _everything(folder)
        except RefrestoreError as error:
            refused += 1
            text = str(error)
            if "refrestore" not in text or "\x1b" in text or "\n" in text:
                wrong.append(f"{name}: {text[:200]!r}")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__} {str(error)[:100]!r}")
        try:
            problems = check(folder).problems
            video = (
                make.video(folder.parent) if any("video" in one.text for one in problems) else None
            )
            repair(folder, video)
            _everything(folder)
            if check(folder).problems:
                wrong.append(f"{name}: still {check(folder).problems[0]}")
        except Exception as error:
            wrong.append(f"{name}, repair: {type(error).__name__} {str(error)[:200]!r}")
        shutil.rmtree(folder)
    assert not wrong, f"{len(wrong)} of {CHANGES}:\n" + "\n".join(wrong)
    assert refused > CHANGES / 3
