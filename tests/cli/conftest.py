"""Commands in processes of their own, forked from one that has imported everything once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import refrestore

SERVER = """
import gc, json, os, sys
import refrestore.cli, refrestore.cli.run
import refrestore.engine.run, refrestore.compare.compare, refrestore.review.server
gc.freeze()  # or each child looks through all of it as it ends, and copies it
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        print(os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1]), flush=True)
        continue
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(asked["folder"])
    exec(asked["first"])
    sys.argv = asked["words"]
    refrestore.cli.main()
"""


@dataclass
class Command:
    """A command that runs."""

    pid: int
    stdout: Path
    stderr: Path
    forge: Forge

    @property
    def ended(self) -> bool:
        """Whether its end was waited for."""
        return self.pid not in self.forge.running

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Return the exit status, negative of a signal; not to be asked twice."""
        self.forge.running.discard(self.pid)
        return self.forge.ask(wait=self.pid)

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait for something that the command brings about."""
        deadline = time.monotonic() + seconds
        while not condition():
            if Path(f"/proc/{self.pid}/stat").exists():
                state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
                assert state != "Z", f"it ended too early: {self.stderr.read_text()}"
            assert time.monotonic() < deadline, "it takes too long"
            time.sleep(0.005)


class Forge:
    """Starts commands."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.running: set[int] = set()
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.own = {"TMPDIR": str(self.temporary), "XDG_STATE_HOME": str(folder / "state")}
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.own, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, **what: object) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, *words: object, folder: Path, first: str = "") -> Command:
        """Start a command in a folder; `first` is Python that runs before it."""
        self._count += 1
        streams = [self._folder / f"{self._count}.{name}" for name in ("out", "err")]
        for stream in streams:
            stream.touch()
        program = Path(refrestore.__file__).with_name("__main__.py")
        pid = self.ask(
            words=[str(program), *map(str, words)],
            folder=str(folder),
            first=first,
            stdout=str(streams[0]),
            stderr=str(streams[1]),
        )
        self.running.add(pid)
        return Command(pid, *streams, self)

    def end_all(self) -> None:
        for pid in self.running:
            os.kill(pid, signal.SIGKILL)
        self.running.clear()

    def close(self) -> None:
        self.end_all()
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


TORCHS = "torchinductor_"
"""Torch's folder of what it compiled, one a user; it makes it and keeps it."""


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """Return what starts commands, for all files: it imports everything once."""
    made = Forge(tmp_path_factory.mktemp("forge"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def commands(forge: Forge) -> Iterator[Forge]:
    """Return what starts commands, which must leave no temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in forge.own.items():
            patch.setenv(name, folder)
        yield forge
    forge.end_all()
    left = [one for one in forge.temporary.iterdir() if not one.name.startswith(TORCHS)]
    assert not left, "temporary files were left"
