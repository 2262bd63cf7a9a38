"""Damaged projects: rows that make no sense, and bytes of the file that are not what they were."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

from .campaign import FaultClass, Trial, complaint, first, leftovers
from .mutations import mutated

DATABASE = "project.sqlite"

TABLES = ("meta", "scans", "shots", "tracks", "chunks", "reference_crops", "log")

TEXTS = (
    "",
    "{",
    "[]",
    "{}",
    "null",
    "1/0",
    "nan",
    "-1",
    "\x1b[2J",
    "x" * 100_000,
    "999999999999999999999",
)
NUMBERS = (-1, 0, 2**62, -(2**62), 1e308, float("inf"), "text", b"blob", None)

LOOKS: dict[str, tuple[str, ...]] = {
    "list": ("identities", "list", "-p", "project"),
    "show": ("identities", "show", "1", "-p", "project"),
}


class Databases(FaultClass):
    """Damage to a project's database and pictures."""

    name = "databases"
    promise = (
        "A damaged project is told in one sentence by every command and by the page, or still "
        "gives a right answer; `refrestore project repair` restores what can be restored, and "
        "what it has repaired opens."
    )
    full, reduced = 300, 8
    rows: ClassVar[tuple[str, ...]] = ("rows changed", "rows changed", "bytes changed", "pictures")

    def row(self, number: int) -> str:
        """Return what is damaged."""
        return self.rows[number % len(self.rows)]

    def run(self, trial: Trial) -> str | None:
        """Damage a project, look at it in every way, repair it, look again."""
        folder = trial.folder / "project"
        shutil.copytree(trial.stock.project(trial.zygote), folder)
        what = DAMAGES[self.row(trial.number)](folder, trial.random)
        wrong = first(self._complaints(trial))
        return f"{what}: {wrong}" if wrong else None

    def _complaints(self, trial: Trial) -> Any:
        for what, arguments in LOOKS.items():
            yield complaint(trial.command(*arguments).wait(), what=what)
        yield complaint(trial.told(plan_render, "project").wait(), what="render's plan")
        yield complaint(trial.told(page_answers, "project").wait(), what="page")
        ended = trial.command("project", "repair", "project").wait()
        yield complaint(ended, what="repair")
        if ended.status:
            trial.count("beyond repair, said so")
            return
        yield complaint(trial.command(*LOOKS["list"]).wait(), must=True, what="list after repair")
        left = leftovers(trial.folder, trial.temporary)
        yield f"left behind: {', '.join(left)}" if left else None


def _rows_changed(folder: Path, dice: random.Random) -> str:
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    try:
        for trigger in ("log_keeps", "log_stays"):
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        table = dice.choice(TABLES)
        columns = [row[1:3] for row in connection.execute(f"PRAGMA table_info({table})")]
        connection.execute("PRAGMA writable_schema = ON")
        kind = dice.randrange(12)
        if kind == 0:
            connection.execute(f"DELETE FROM {table}")
            return f"{table} emptied"
        if kind == 1:
            connection.execute(f"ALTER TABLE {table} RENAME TO {table}_lost")
            return f"{table} missing"
        if kind == 2 and table == "meta":
            version = dice.choice((0, 1, 4, 99))
            connection.execute(f"PRAGMA user_version = {version}")
            return f"schema version {version}"
        column, declared = dice.choice(columns)
        keys = [row[0] for row in connection.execute(f"SELECT {column} FROM {table}")]
        value = _value(dice, declared, dice.choice(keys) if keys else None)
        limit = (
            ""
            if dice.random() < 0.5
            else f" WHERE {column} IS (SELECT {column} FROM {table} LIMIT 1)"
        )
        # What a constraint forbids no bug of ours can write, but a broken disk does not ask.
        connection.execute("PRAGMA ignore_check_constraints = ON")
        try:
            connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ?{limit}", (value,))
        except sqlite3.IntegrityError:
            connection.execute(f"DELETE FROM {table}")
            return f"{table} emptied"
        return f"{table}.{column} = {repr(value)[:40]}"
    finally:
        connection.close()


def _value(dice: random.Random, declared: str, now: Any) -> Any:
    if declared == "BLOB":
        size = dice.choice((0, 1, 3, len(now or b"") + 4, 4 * len(now or b"x")))
        return dice.choice((dice.randbytes(size), None, "text", 7))
    if declared == "TEXT":
        if isinstance(now, str) and now.startswith("{") and dice.random() < 0.6:
            return _json_changed(dice, now)
        return dice.choice(TEXTS)
    return dice.choice(NUMBERS)


def _json_changed(dice: random.Random, text: str) -> str:
    said = json.loads(text)
    key = dice.choice(sorted(said))
    if dice.random() < 0.3:
        del said[key]
    else:
        said[key] = dice.choice((None, "1/0", [], {}, -1, 1e308, "x", [[]], {"a": 1}))
    return json.dumps(said)


def _bytes_changed(folder: Path, dice: random.Random) -> str:
    path = folder / DATABASE
    path.write_bytes(mutated(path.read_bytes(), dice))
    return "bytes of the database"


def _pictures_changed(folder: Path, dice: random.Random) -> str:
    picture = dice.choice(sorted((folder / "scans").rglob("*.*")))
    if dice.random() < 0.3:
        picture.unlink()
    else:
        picture.write_bytes(mutated(picture.read_bytes(), dice))
    return picture.name


DAMAGES = {
    "rows changed": _rows_changed,
    "bytes changed": _bytes_changed,
    "pictures": _pictures_changed,
}


def plan_render(folder: str) -> None:
    """Read of a project what a render reads before its first frame, without the networks."""
    from refrestore.config import RenderSettings
    from refrestore.project import Project
    from refrestore.render.plan import plan_tracks

    with Project.open(Path(folder)) as project:
        people = project.identities()
        for one in people:
            project.references(one.id)
        project.shots()
        project.timeline()
        plan_tracks(
            project.tracks(),
            lambda track: project.faces([track]),
            people,
            RenderSettings(),
            references={},
        )
        project.video.path.name.encode()


def page_answers(folder: str) -> None:
    """Serve a project's page and ask what it asks first; each answer must be JSON."""
    import httpx

    from refrestore.config import RuntimeSettings
    from refrestore.review.review_settings import ReviewSettings
    from refrestore.review.server import prepared

    settings = ReviewSettings(
        project=Path(folder), port=0, runtime=RuntimeSettings(device="cpu"), open_browser=False
    )
    with prepared(settings) as running, running.beside():
        session = running.session
        headers = {"Cookie": f"{session.cookie_name}={session.cookie}", "X-Refrestore": "1"}
        with httpx.Client(base_url=running.new_address().split("/?")[0], headers=headers) as client:
            for path in ("version", "project", "identities", "identities/1", "log"):
                answer = client.get(f"/api/{path}", timeout=30)
                said = answer.json()
                if answer.status_code == 500 or (answer.is_error and "\n" in said["error"]):
                    raise AssertionError(f"{path}: {answer.status_code} {said}")
