"""SIGKILL at any moment; the same command again ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .campaign import FaultClass, Trial, complaint, first, leftovers
from .films import Content, content
from .zygote import Child

SEGMENT_SECONDS = 0.13
"""Three frames: several segments in the film, so that kills fall inside and between them."""

MIX = {
    "render with restoration": 13,
    "first scan": 6,
    "edits": 5,
    "project creation": 4,
    "profile import": 4,
    "scan again": 6,
    "run": 4,
    "profile build": 4,
    "profile update": 4,
}
"""Of fifty trials; the first turn has one of each, the reduced round the first of them."""

REDUCED = 5

EDITS = 400
"""Edits made one after another until the process is killed."""


@dataclass
class Whole:
    """An uninterrupted run: what it made, and how long it took."""

    made: Any
    seconds: float


class Kills(FaultClass):
    """Kills of every command that writes."""

    name = "kills"
    promise = (
        "A command killed at any moment and given again ends with the same frames, times and "
        "packets (a scan: with the same project; edits: with each one that was acknowledged), "
        "and nothing is left behind."
    )
    full, reduced = 500, REDUCED
    schedule: ClassVar[list[str]] = [
        name for turn in range(max(MIX.values())) for name, count in MIX.items() if turn < count
    ]

    def row(self, number: int) -> str:
        """Return the command killed."""
        return self.schedule[number % len(self.schedule)]

    def prepare(self, trial: Trial) -> None:
        """Remember the trial's folder: uninterrupted runs are made in it when they are needed."""
        self._room = trial
        self._whole: dict[str, Whole] = {}
        self._mutex = threading.Lock()

    def run(self, trial: Trial) -> str | None:
        """Start, kill, start again, compare."""
        name = self.row(trial.number)
        case = CASES[name]
        whole = self._uninterrupted(name, trial)
        case.prepare(trial)
        child = case.start(trial)
        if case.mark:
            child.until(case.mark)
        share = trial.random.random()
        if not child.ends_within(share * whole.seconds):
            child.signal(signal.SIGKILL)
        killed = child.wait()
        if killed.status != -signal.SIGKILL:
            trial.count("ended before the kill")
        elif case.inside(trial):
            trial.count(f"inside {name}")
        return first(_complaints(case, trial, killed.out, whole.made))

    def _uninterrupted(self, name: str, trial: Trial) -> Whole:
        with self._mutex:
            if name not in self._whole:
                folder = self._room.folder / name
                room = Trial(trial.name, -1, trial.seed, folder, trial.zygote, trial.stock)
                self._whole[name] = _run_whole(CASES[name], room)
            return self._whole[name]


def _run_whole(case: Case, room: Trial) -> Whole:
    case.prepare(room)
    child = case.start(room)
    if case.mark:
        child.until(case.mark)
    began = time.monotonic()
    ended = child.wait(600)
    seconds = time.monotonic() - began
    if ended.status:
        raise RuntimeError(f"uninterrupted, it ended with {complaint(ended, must=True)}")
    return Whole(case.made(room), seconds)


def _complaints(case: Case, trial: Trial, said: str, whole: Any) -> Iterator[str | None]:
    yield from case.again(trial, said)
    yield case.differs(trial, whole)
    yield _left(trial)


def _left(trial: Trial) -> str | None:
    left = leftovers(trial.folder, trial.temporary)
    left += [path.name for path in trial.temporary.iterdir()]
    left += [path.name for path in trial.folder.glob(".*") if not path.name.endswith(".lock")]
    return f"left behind: {', '.join(sorted(set(left)))}" if left else None


class Case(ABC):
    """A command to be killed; the default is one that is simply given again."""

    mark = ""
    """What it writes when the time of the kill begins to count."""

    def prepare(self, trial: Trial) -> None:
        """Put what it needs into the trial's folder."""
        return None

    @abstractmethod
    def start(self, trial: Trial) -> Child:
        """Start it."""

    def inside(self, trial: Trial) -> bool:
        """Say whether the kill came where it is counted."""
        return False

    def again(self, trial: Trial, said: str) -> list[str | None]:
        """Give the command again; complain where it does not work."""
        return [complaint(self.start(trial).wait(), must=True, what="again")]

    @abstractmethod
    def made(self, trial: Trial) -> Any:
        """Return what there is afterwards."""

    def differs(self, trial: Trial, whole: Any) -> str | None:
        """Complain where it is not what an uninterrupted run made."""
        found = self.made(trial)
        if isinstance(found, Content):
            return found.difference(whole)
        return None if found == whole else _first_difference(found, whole)


def _first_difference(found: Any, whole: Any) -> str:
    if isinstance(found, dict) and isinstance(whole, dict):
        keys = sorted(map(str, found.keys() ^ whole.keys()))
        if keys:
            return f"not the same names: {', '.join(keys)[:300]}"
        return f"other {', '.join(str(key) for key in found if found[key] != whole[key])[:300]}"
    return f"{str(found)[:200]} instead of {str(whole)[:200]}"


class Render(Case):
    mark = "networks are open\n"

    def prepare(self, trial: Trial) -> None:
        shutil.copytree(trial.stock.project(trial.zygote), trial.folder / "project")

    def start(self, trial: Trial) -> Child:
        return trial.told(render_in_segments, "project", "out.mkv", SEGMENT_SECONDS)

    def inside(self, trial: Trial) -> bool:
        begun = any((trial.folder / ".out.mkv.refrestore").glob("*segment-*"))  # or a part of it
        return begun and not (trial.folder / "out.mkv").exists()

    def made(self, trial: Trial) -> Any:
        report = json.loads((trial.folder / "out.report.json").read_text())
        if not report["faces"]:
            raise RuntimeError("nothing was restored: this is no test of restoration")
        return content(trial.folder / "out.mkv")


def render_in_segments(project: str, output: str, seconds: float) -> None:
    """Render a project in short segments, which the command line does not offer."""
    from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings
    from refrestore.engine.local import render
    from refrestore.project import Project
    from refrestore.render.toolbox import open_toolbox

    runtime = RuntimeSettings(threads=1)
    toolbox = open_toolbox(runtime)
    print("networks are open", flush=True)
    with Project.open(Path(project)) as opened:
        render(
            opened,
            Path(output),
            settings=RenderSettings(segment_seconds=seconds),
            encoder=EncoderSettings(codec="ffv1"),
            runtime=runtime,
            toolbox=toolbox,
        )


class FirstScan(Case):
    def prepare(self, trial: Trial) -> None:
        trial.stock.film(trial.zygote)

    def start(self, trial: Trial) -> Child:
        film = trial.stock.film(trial.zygote)
        return trial.command("scan", film, "-p", "project", "--threads", "1")

    def made(self, trial: Trial) -> Any:
        return project_content(trial.folder / "project")


class ScanAgain(FirstScan):
    def prepare(self, trial: Trial) -> None:
        shutil.copytree(trial.stock.project(trial.zygote), trial.folder / "project")


class Run(Case):
    def prepare(self, trial: Trial) -> None:
        trial.stock.film(trial.zygote)

    def start(self, trial: Trial) -> Child:
        film = trial.stock.film(trial.zygote)
        return trial.command("run", film, "-o", "out.mkv", "--codec", "ffv1", "--threads", "1")

    def made(self, trial: Trial) -> Any:
        return content(trial.folder / "out.mkv")


class Build(Case):
    def prepare(self, trial: Trial) -> None:
        trial.stock.film(trial.zygote)

    def start(self, trial: Trial) -> Child:
        film = trial.stock.film(trial.zygote)
        return trial.command("profile", "build", "Anna", "--video", film, "--replace")

    def made(self, trial: Trial) -> Any:
        return files(trial.folder / "profiles")


class Update(Case):
    def prepare(self, trial: Trial) -> None:
        shutil.copytree(trial.stock.profiles(trial.zygote), trial.folder / "profiles")
        trial.stock.project(trial.zygote)

    def start(self, trial: Trial) -> Child:
        project = trial.stock.project(trial.zygote)
        return trial.command("profile", "update", "Anna", "--from", f"{project}:1")

    def made(self, trial: Trial) -> Any:
        return sorted(files(trial.folder / "profiles"))


class Import(Case):
    def prepare(self, trial: Trial) -> None:
        shutil.copytree(trial.stock.profiles(trial.zygote), trial.folder / "profiles")
        trial.stock.archive(trial.zygote)

    def start(self, trial: Trial) -> Child:
        archive = trial.stock.archive(trial.zygote)
        return trial.command("profile", "import", archive, "--replace")

    def made(self, trial: Trial) -> Any:
        return files(trial.folder / "profiles")


class Edits(Case):
    mark = "0\n"

    def prepare(self, trial: Trial) -> None:
        shutil.copytree(trial.stock.project(trial.zygote), trial.folder / "project")

    def start(self, trial: Trial) -> Child:
        return trial.start(edit_for_ever, "project", EDITS)

    def again(self, trial: Trial, said: str) -> list[str | None]:
        last = int(said.rsplit(maxsplit=1)[-1]) if said.split() else -1
        kept = _renamed(trial.folder / "project")
        missing = sorted(set(range(last + 1)) - kept)
        return [
            f"acknowledged, but not kept: {missing[:5]}" if missing else None,
            complaint(trial.command("identities", "list", "-p", "project").wait(), must=True),
            complaint(
                trial.command("identities", "rename", "1", "after", "-p", "project").wait(),
                must=True,
            ),
        ]

    def made(self, trial: Trial) -> Any:
        return None


def edit_for_ever(project: str, count: int) -> None:
    """Make edits of several kinds, each acknowledged on stdout once it is made."""
    from refrestore.project import Project

    with Project.open(Path(project)) as opened:
        one = opened.identities()[0]
        for number in range(count):
            opened.rename(one.id, f"name {number}")
            print(number, flush=True)
            if number % 3 == 1 and len(one.tracks) > 1:
                other = opened.split(one.id, one.tracks[1:])
                opened.merge([one.id, other], force=True)


def _renamed(project: Path) -> set[int]:
    with sqlite3.connect(project / "project.sqlite") as connection:
        rows = connection.execute("SELECT payload FROM log WHERE action = 'rename'").fetchall()
    names = [str(json.loads(payload)["value"]) for (payload,) in rows]
    return {int(name.split()[1]) for name in names if name.startswith("name ")}


class Creation(Case):
    mark = "go\n"

    def start(self, trial: Trial) -> Child:
        return trial.start(create_project, str(trial.stock.film(trial.zygote)), "project")

    def prepare(self, trial: Trial) -> None:
        trial.stock.film(trial.zygote)

    def again(self, trial: Trial, said: str) -> list[str | None]:
        return [complaint(trial.told(open_or_create, *self._where(trial)).wait(), must=True)]

    def made(self, trial: Trial) -> Any:
        return sorted(files(trial.folder / "project"))

    def _where(self, trial: Trial) -> tuple[str, str]:
        return str(trial.stock.film(trial.zygote)), "project"


def create_project(film: str, folder: str) -> None:
    """Say that it begins, and make a project."""
    from refrestore.media.probe import probe
    from refrestore.project import Project
    from refrestore.scan.scan import video_source

    source = video_source(probe(Path(film)))
    print("go", flush=True)
    Project.create(Path(folder), source).close()


def open_or_create(film: str, folder: str) -> None:
    """Do as a scan does first."""
    from refrestore.media.probe import probe
    from refrestore.project import Project
    from refrestore.scan.scan import video_source

    Project.open_or_create(Path(folder), video_source(probe(Path(film)))).close()


def files(folder: Path) -> dict[str, str]:
    """Return the digests of all files but locks."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def project_content(folder: Path) -> dict[str, Any]:
    """Return all a scan found, without its number and time, and the log of edits."""
    ignored = {"scan", "id", "started", "file"}
    found: dict[str, Any] = {}
    with sqlite3.connect(folder / "project.sqlite") as connection:
        (scan,) = connection.execute("SELECT value FROM meta WHERE key = 'scan'").fetchone()
        for table in ("scans", "shots", "tracks", "chunks", "reference_crops"):
            key = "id" if table == "scans" else "scan"
            cursor = connection.execute(f"SELECT * FROM {table} WHERE {key} = ?", (int(scan),))
            names = [column[0] for column in cursor.description]
            kept = [index for index, name in enumerate(names) if name not in ignored]
            if table == "tracks":
                kept = [index for index in kept if names[index] != "identity"]
            found[table] = sorted(repr([row[index] for index in kept]) for row in cursor)
        found["log"] = connection.execute("SELECT action, payload FROM log").fetchall()
    pictures = files(folder / "scans")
    found["pictures"] = sorted(pictures.values())
    return found


CASES: dict[str, Case] = {
    "render with restoration": Render(),
    "first scan": FirstScan(),
    "scan again": ScanAgain(),
    "run": Run(),
    "profile build": Build(),
    "profile update": Update(),
    "edits": Edits(),
    "project creation": Creation(),
    "profile import": Import(),
}
