"""A process that has imported everything, and forks itself for each command that is tried.

Starting Python and importing torch takes seconds, a fork milliseconds; so thousands of real
processes can be started, killed and measured. The server holds no threads, sessions or open files
of its own when it forks. A child is the leader of a session, so that all of it can be killed.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import pkgutil
import resource
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]

HANG_SECONDS = 60.0
"""A command that takes longer on a film of a second hangs (the promise of docs/reliability.md)."""

MOST_BYTES = 3 << 30
"""What a command may hold in memory (the promise of docs/reliability.md)."""


@dataclass(frozen=True)
class Call:
    """What a child runs: a function of this package by name, its arguments, and its surroundings.

    `limits` are resource limits by number (`resource.RLIMIT_*`).
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a child ended: status (negative: by that signal), peak memory, what it said."""

    status: int
    peak: int
    seconds: float
    out: str
    err: str
    hung: bool = False


class Child:
    """A running child."""

    def __init__(self, zygote: Zygote, pid: int, logs: Path) -> None:
        self._zygote, self.pid, self._logs = zygote, pid, logs
        self._began = time.monotonic()

    def wait(self, seconds: float = HANG_SECONDS) -> Ended:
        """Wait for the end; kill what has not ended by then, and say so."""
        hung = not self.ends_within(seconds)
        if hung:
            self.signal(signal.SIGKILL)
        status, peak = self._zygote.answer()
        self.signal(signal.SIGKILL)  # whatever it has left behind
        out, err = (self.said(name) for name in ("out", "err"))
        return Ended(status, peak, time.monotonic() - self._began, out, err, hung)

    def ends_within(self, seconds: float) -> bool:
        """Say whether it ends in this time."""
        return self._zygote.has_answer(seconds)

    def signal(self, number: int) -> None:
        """Send a signal to the child and all that it has started."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def said(self, stream: str = "out") -> str:
        """Return what it has written so far on `out` or `err`."""
        return self._logs.with_suffix(f".{stream}").read_text(errors="backslashreplace")

    def until(self, word: str, seconds: float = HANG_SECONDS, stream: str = "out") -> bool:
        """Wait until it has written a word; False if it ended or took too long."""
        end = time.monotonic() + seconds
        while word not in self.said(stream):
            if time.monotonic() > end or self.ends_within(0.002):
                return word in self.said(stream)
        return True


class Zygote:
    """The server, seen from the campaign. One child at a time: each worker has its own.

    One that is started `beside` another is a fork of that, which has imported everything already.
    """

    def __init__(self, folder: Path, beside: Zygote | None = None) -> None:
        self._folder, self._count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        if beside is not None:
            paths = folder / "calls", folder / "answers"
            for path in paths:
                os.mkfifo(path)
            beside._call(paths)
            beside.answer()
            self._calls: IO[bytes] = paths[0].open("wb")
            self._answers: IO[bytes] = paths[1].open("rb", buffering=0)
            return
        # One thread for each library: what no pool has started, no fork can lose.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._calls, self._answers = self._process.stdin, self._process.stdout

    def start(self, call: Call) -> Child:
        """Run a function in a child."""
        self._count += 1
        logs = self._folder / f"{self._count:06d}"
        for old in self._folder.glob(f"{self._count - 1:06d}.*"):
            old.unlink()
        call.folder.mkdir(parents=True, exist_ok=True)
        for stream in ("out", "err"):
            logs.with_suffix(f".{stream}").touch()
        self._call((call, logs))
        return Child(self, self.answer(), logs)

    def _call(self, what: tuple[Any, ...]) -> None:
        pickle.dump(what, self._calls)
        self._calls.flush()

    def has_answer(self, seconds: float) -> bool:
        """Say whether the server says something within this time."""
        return bool(select.select([self._answers], [], [], max(0.0, seconds))[0])

    def answer(self) -> Any:
        """Return what the server says next."""
        # Unbuffered, or `has_answer` would not see what lies in the buffer.
        head = _exactly(self._answers, 4)
        return pickle.loads(_exactly(self._answers, int.from_bytes(head, "big")))

    def close(self) -> None:
        """End the server."""
        self._calls.close()
        if self._process is None:
            self._answers.read()  # until the fork has ended
            self._answers.close()
        else:
            self._process.wait()


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = b""
    while len(content) < count:
        more = os.read(stream.fileno(), count - len(content))
        if not more:
            raise RuntimeError("the forking server has ended")
        content += more
    return content


def command(*arguments: str) -> None:
    """Run the command line, as the installed program would."""
    from refrestore.cli import main

    sys.argv = ["refrestore", *arguments]
    main()


def as_command(function: Callable[..., None], *arguments: Any) -> None:
    """Run a function of the library, its errors told as the command line tells them."""
    import refrestore.cli

    refrestore.cli.app = lambda: function(*arguments)  # type: ignore[assignment]
    refrestore.cli.main()


def serve() -> None:
    """Answer calls on stdin until it is closed."""
    answers = os.dup(1)
    os.dup2(2, 1)
    _import_everything()
    gc.freeze()  # or each child looks through all of it now and then, and copies it
    requests = os.fdopen(os.dup(0), "rb")
    while True:
        try:
            call, logs = pickle.load(requests)
        except EOFError:
            return
        pid = os.fork()
        if isinstance(call, Path):  # where a fork of this server is to be called and to answer
            if pid:
                _send(answers, pid)
                continue
            os.close(answers)
            requests.close()
            requests, answers = call.open("rb"), os.open(logs, os.O_WRONLY)
            continue
        if pid == 0:
            os.close(answers)
            requests.close()
            _child(call, logs)
        _send(answers, pid)
        _, status, usage = os.wait4(pid, 0)
        _send(answers, (os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024))


def _send(answers: int, said: Any) -> None:
    content = pickle.dumps(said)
    os.write(answers, len(content).to_bytes(4, "big") + content)


def _import_everything() -> None:
    import refrestore

    for name in ("torch", "onnxruntime", "onnx", "cv2", "av", "httpx", "uvicorn"):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(refrestore.__path__, "refrestore."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError:  # an extra that is not installed
                continue


def _child(call: Call, logs: Path) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ends = (os.devnull, logs.with_suffix(".out"), logs.with_suffix(".err"))
    for number, path in enumerate(ends):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(call.folder)
    os.environ.update(call.environment)
    for limit, value in {resource.RLIMIT_DATA: _data() + MOST_BYTES, **call.limits}.items():
        resource.setrlimit(limit, (value, value))
    try:
        call.function(*call.args)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    _leave(status)


def _leave(status: int) -> None:
    """End as an interpreter does: its threads, then what was registered to be done at the end."""
    import atexit

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _data() -> int:
    """Return the bytes of memory that this process may write to."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    # Calls name functions of this module as the campaign knows it, not as __main__.
    from tests.faults.zygote import serve as serve_calls

    serve_calls()
