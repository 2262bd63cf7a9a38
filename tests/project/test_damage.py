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
from refrestore.project.checked_rows import TABLES
from refrestore.project.gaps import gaps
from refrestore.project.repair import check, repair
from refrestore.project.suggestions import suggest
from refrestore.types import Shot

SEED = 13
CHANGES = 150

PEOPLE = {1: (0, 14, 100.0), 2: (7, 20, 400.0), 3: (300, 308, 100.0)}

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
                writer.add_reference(number, make.reference(number, frame=first + 5))
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
            project.tracks(), project.faces(), project.faces(first=9, stop=305),
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
            _everything(folder, edit=number % 3 == 0)
        except RefrestoreError as error:
            refused += 1
            text = str(error)
            if "refrestore" not in text or "\x1b" in text or "\n" in text:
                wrong.append(f"{name}: {text[:200]!r}")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__} {str(error)[:100]!r}")
        try:
            video = make.video(folder.parent) if "'video'" in name or "meta" in name else None
            repair(folder, video)
            with Project.open(folder) as project:
                for person in project.identities():
                    project.references(person.id)
                project.edits()
        except Exception as error:
            wrong.append(f"{name}, repair: {type(error).__name__} {str(error)[:200]!r}")
        shutil.rmtree(folder)
    assert not wrong, f"{len(wrong)} of {CHANGES}:\n" + "\n".join(wrong)
    assert refused > CHANGES / 3


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "project")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log SET payload = '{' WHERE id = 2",
        "UPDATE meta SET value = '{}' WHERE key = 'video'",
        "UPDATE meta SET value = '9' WHERE key = 'scan'",
        "UPDATE reference_crops SET file = '../../../../etc/passwd'",
        "UPDATE reference_crops SET pose = x'00'",
        "UPDATE chunks SET pose = x'00'",
        "UPDATE chunks SET track = 77 WHERE track = 3",
        "UPDATE tracks SET embedding = x'00'",
        "UPDATE tracks SET first = 'x'",
        "UPDATE shots SET start = '1/0'",
        "UPDATE scans SET settings = '[]'",
    ],
)
def test_the_page_reads_a_damaged_project_as_carefully(folder, change, tmp_path):
    """Through what the routes of the page read it with; open before it is damaged, and after."""
    from refrestore.review.cards import card, close_up_of, track_of
    from refrestore.review.estimate import Planner
    from refrestore.review.profile_index import ProfileIndex
    from refrestore.review.reading import Reader

    def look(project: Project) -> None:
        reader = Reader(project, ProfileIndex(tmp_path / "profiles"))
        view = reader.view()
        reader.warm()
        for person in view.identities.values():
            card(reader, view, person, reader.likely(view).get(person.id))
            for close_up in view.close_ups.get(person.id, []):
                close_up_of(view, close_up)
                assert ".." not in view.scanned.close_up_files[close_up.id].file
        for track in view.scanned.tracks.values():
            track_of(view, track, None)
        reader.suggestions(view)
        Planner().planned(project, view.version, 1)
        view.scanned.poses  # noqa: B018

    project = Project.open(folder)
    look(project)
    _edited(folder, lambda to: to.execute(change))
    if "log" not in change:  # of which only what is new is read again
        with pytest.raises(ProjectError, match="refrestore project check"):
            look(project)
    project.close()
    with (
        pytest.raises(ProjectError, match="refrestore project check"),
        Project.open(folder) as again,
    ):
        look(again)


# --- what repair keeps ---------------------------------------------------------------------------


def _log_of(folder: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "project.sqlite")
    rows = connection.execute("SELECT * FROM log ORDER BY id").fetchall()
    connection.close()
    return rows


def test_a_broken_edit_is_set_aside_and_the_others_stay(folder):
    before = _log_of(folder)
    _edited(folder, lambda to: to.execute("UPDATE log SET payload = '{' WHERE id = 4"))
    with (
        Project.open(folder) as opened,
        pytest.raises(
            ProjectError, match=r"log \(id 4\): it is not JSON.*refrestore project check"
        ),
    ):
        opened.identities()
    assert [one.text for one in check(folder).problems] == ["log (id 4): it is not JSON"]
    done = repair(folder)
    assert done.backup.parent == folder
    assert any("number 4" in one for one in done.lost)
    assert _log_of(folder) == [row for row in before if row[0] != 4]
    with Project.open(folder) as opened:
        assert opened.identity(1).name == "Anna"
        assert opened.identity(2).strength == 1.0
        opened.rename(2, "Dora")
    assert _log_of(folder)[-1][0] > before[-1][0]
    assert repair(folder).backup is None


def test_the_undo_of_a_broken_edit_goes_with_it(folder):
    undone = [row[0] for row in _log_of(folder) if row[3] == "undo"]
    about = [json.loads(row[4])["edit"] for row in _log_of(folder) if row[3] == "undo"]
    _edited(folder, lambda to: to.execute("UPDATE log SET action = 'x' WHERE id = ?", about[:1]))
    done = repair(folder)
    assert str(undone[0]) in done.lost[0]
    _everything(folder)


def test_an_edit_whose_scan_is_not_known_is_found_by_its_faces(folder):
    _edited(folder, lambda to: to.execute("UPDATE log SET scan = 'x', time = x'00' WHERE id = 1"))
    done = repair(folder)
    assert done.lost == ()
    with Project.open(folder) as opened:
        assert opened.identity(1).name == "Anna"


def test_edits_outlive_a_scan_that_cannot_be_trusted(folder, make):
    _edited(folder, lambda to: to.execute("UPDATE chunks SET box = x'00' WHERE track = 3"))
    done = repair(folder)
    assert any("scan" in one for one in done.lost)
    assert any(f"refrestore scan VIDEO -p {folder}" in one for one in done.next)
    with Project.open(folder) as opened:
        assert opened.identities() == []
        # Another scan numbers its tracks otherwise.
        turned = {4: PEOPLE[1], 5: PEOPLE[2], 6: PEOPLE[3]}
        make.scan(opened, turned, [[4], [5], [6]])
        assert opened.scan_id() == 2
        names = {one.tracks: (one.name, one.state) for one in opened.identities()}
        assert names[4, 6] == ("Anna", "restore")
        assert names[5,][1] == "ignore"


def test_close_ups_without_a_picture_are_left_out(folder):
    (crop, *_) = sorted(folder.glob("scans/0001/references/*.png"))
    crop.unlink()
    (thumbnail, *_) = sorted(folder.glob("scans/0001/thumbnails/*.jpg"))
    thumbnail.write_bytes(b"no picture")
    assert {one.table for one in check(folder).problems} == {"pictures"}
    done = repair(folder)
    assert any("1 close-up " in one for one in done.lost)
    with Project.open(folder) as opened:
        assert len(opened.close_ups()) == 2
        assert opened.thumbnail(1) is None
        assert opened.thumbnail(2) is not None


def test_the_video_is_taken_from_the_user(folder, make):
    _edited(folder, lambda to: to.execute("UPDATE meta SET value = '{}' WHERE key = 'video'"))
    with Project.open(folder) as opened, pytest.raises(ProjectError, match="meta, video: path"):
        opened.identities()
    with pytest.raises(ProjectError, match="--video FILE"):
        repair(folder)
    done = repair(folder, make.video(folder.parent))
    assert any("at your word" in one for one in done.lost)
    with Project.open(folder) as opened:
        assert opened.video == make.video(folder.parent)
        assert opened.identity(1).name == "Anna"


def test_another_video_is_refused(folder, make):
    _edited(folder, lambda to: to.execute("UPDATE meta SET value = '0' WHERE key LIKE 'next%'"))
    with pytest.raises(ProjectError, match="another video"):
        repair(folder, make.video(folder.parent, "0" * 16))


def test_damage_does_not_make_opening_delete_the_scan(folder):
    _edited(folder, lambda to: to.execute("UPDATE meta SET value = '7' WHERE key = 'scan'"))
    with pytest.raises(ProjectError, match="scan 7 is the current one and is not there"):
        Project.open(folder)
    assert len(list(folder.glob("scans/0001/references/*.png"))) == 3
    repair(folder)


# --- damage on SQLite's own level ----------------------------------------------------------------


def _flip(path: Path, start: int, stop: int) -> None:
    content = bytearray(path.read_bytes())
    content[start:stop] = bytes(byte ^ 0xA5 for byte in content[start:stop])
    path.write_bytes(content)


@pytest.mark.parametrize("length", [100, 4096])
def test_the_log_outlives_a_first_page_that_is_lost(folder, length):
    before = _log_of(folder)
    _flip(folder / "project.sqlite", 0, length)
    with pytest.raises(ProjectError, match="refrestore project check"):
        Project.open(folder)
    assert check(folder).problems
    done = repair(folder)
    assert _log_of(folder) == before
    assert done.lost == ()
    _everything(folder)


def test_every_page_may_be_lost(folder, make, tmp_path):
    """Each in turn: what is kept is never wrong, and the log goes only with its own pages."""
    before = _log_of(folder)
    path = folder / "project.sqlite"
    pages, kept = path.stat().st_size // 4096, []
    for page in range(pages):
        damaged = shutil.copytree(folder, tmp_path / f"page {page}")
        _flip(damaged / "project.sqlite", page * 4096, page * 4096 + 4096)
        repair(damaged, make.video(tmp_path) if _forgot(damaged) else None)
        rows = _log_of(damaged)
        assert set(rows) <= set(before)
        kept.append(len(rows))
        _everything(damaged, edit=False)
    assert sum(count == len(before) for count in kept) >= pages - 4


def _forgot(folder: Path) -> bool:
    return any("meta, video" in one.text for one in check(folder).problems)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_was_cut_off(folder, make, share):
    path = folder / "project.sqlite"
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    assert check(folder).problems
    repair(folder, make.video(folder.parent) if _forgot(folder) else None)
    _everything(folder, edit=False)


def test_an_edit_that_was_not_folded_in_is_repaired_too(folder):
    _edited(folder, lambda to: to.execute("UPDATE log SET payload = '{' WHERE id = 4"))
    shutil.copytree(folder, folder.parent / "copy")
    opened = Project.open(folder)
    opened.database.execute(
        "INSERT INTO log (scan, time, action, payload) SELECT scan, time, action, payload "
        "FROM log WHERE id = 1"
    )
    for name in ("project.sqlite", "project.sqlite-wal"):
        shutil.copyfile(folder / name, folder.parent / "copy" / name)
    opened.close()
    done = repair(folder.parent / "copy")
    assert _log_of(folder.parent / "copy")[-1][1:] == _log_of(folder)[0][1:]
    assert done.backup.with_name(f"{done.backup.name}-wal").exists()
    assert not list((folder.parent / "copy").glob("project.sqlite-*"))


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 1000])
def test_nothing_is_left(folder, make, content):
    (folder / "project.sqlite").write_bytes(content)
    with pytest.raises(ProjectError, match="--video FILE"):
        repair(folder)
    repair(folder, make.video(folder.parent))
    with Project.open(folder) as opened:
        assert opened.identities() == []


def test_another_programs_file_is_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "project.sqlite")
    connection.execute("CREATE TABLE photos (id)")
    connection.close()
    before = (tmp_path / "project.sqlite").read_bytes()
    with pytest.raises(ProjectError, match="is not a refrestore project"):
        repair(tmp_path)
    assert (tmp_path / "project.sqlite").read_bytes() == before


def test_what_a_newer_version_wrote_is_left_to_it(folder):
    def change(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("ALTER TABLE tracks ADD COLUMN more TEXT")

    _edited(folder, change)
    with pytest.raises(ProjectError, match=r"newer refrestore .*update"):
        repair(folder)


@pytest.mark.parametrize("name", [b"ON chunks (", b"ON log ", b"(scan, first, stop)"])
def test_a_schema_that_is_no_text(folder, name):
    """SQLite quotes it in its complaint, which Python then cannot decode."""
    file = folder / "project.sqlite"
    content = file.read_bytes()
    assert name in content
    file.write_bytes(content.replace(name, name[:4] + b"\xff" + name[5:]))
    with pytest.raises(ProjectError):
        _everything(folder)
    assert check(folder).problems
    with contextlib.suppress(ProjectError):  # beyond repair, said so
        repair(folder)
        Project.open(folder).close()
