"""Ctrl-C, SIGTERM and SIGHUP end a command in order; a second one ends it at once."""

from __future__ import annotations

import _thread
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import FrameType
from typing import NoReturn

from refrestore.errors import Kept, Stopped, kept_notes

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Which of them there are depends on the system."""

SIGNALLED = 128
"""Exit status of what a signal ended, less its number, by the shells' convention."""

_AGAIN_SECONDS = 0.05

_SHOW_CURSOR = b"\x1b[?25h"
"""A progress bar hides the terminal's."""


class StopHandler:
    """Takes the signals, and raises `Stopped` in the main thread at the first.

    What is under way is unwound by that: folders are removed, threads end, finished segments stay.
    The second signal ends the process where it stands, which leaves what a kill would.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._expected = False

    def install(self) -> None:
        """Take the signals that are not ignored, as they are under `nohup` or in a script's `&`."""
        if threading.current_thread() is not threading.main_thread():
            return  # they are the main thread's
        for number in _numbers():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self)
        sys.unraisablehook = self._unraisable

    def uninstall(self) -> None:
        """Give the signals back to the system: from here on nothing is under way."""
        for number in _numbers():
            if signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.number is None:
            self.number = number
        elif not self._expected:
            end_at_once(number)
        self._expected = False
        term = signal.getsignal(signal.SIGTERM)
        if callable(term) and term is not self:
            # A server has its own way to end; it raises the signal again when it has ended.
            self._expected = True
            signal.raise_signal(signal.SIGTERM)
        elif _indivisible(frame):
            self._again()
        else:
            raise Stopped(self.number)

    def _again(self) -> None:
        """Raise a little later."""
        self._expected = True
        _thread.start_new_thread(self._repeat, ())

    def _repeat(self) -> None:
        time.sleep(_AGAIN_SECONDS)
        assert self.number is not None
        if hasattr(signal, "pthread_kill"):  # wakes the main thread where it waits
            signal.pthread_kill(threading.main_thread().ident or 0, self.number)
        else:
            _thread.interrupt_main(signal.Signals(self.number))

    def _unraisable(self, found: sys.UnraisableHookArgs) -> None:
        """Take what was raised where nothing can be: in a finaliser, in a callback of C code."""
        if isinstance(found.exc_value, Stopped):
            self._again()
        else:
            sys.__unraisablehook__(found)


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]


def _indivisible(frame: FrameType | None) -> bool:
    """Say whether a stop here would leave a half: of a module, of a folder being made or removed.

    Compiled modules print what interrupts them while they are imported, or give another reason.
    """
    while frame is not None:
        name, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if name == "tempfile" or (name, function) in {("shutil", "rmtree"), ("threading", "start")}:
            return True
        if function in ("create_module", "exec_module") and isinstance(
            frame.f_locals.get("self"), ExtensionFileLoader
        ):
            return True
        frame = frame.f_back
    return False


def end_at_once(number: int) -> None:
    """End the process without unwinding; outputs appear when complete, so none is wrong."""
    said = b"refrestore: Ended at once; what was finished is kept.\n"
    os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + said)
    os._exit(SIGNALLED + number)


def was_stopped(error: BaseException) -> Stopped | None:
    """Return the stop that an exception is, or that it came of while things were unwound."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Stopped):
            return seen
        seen = seen.__context__
    return None


def stopped_words(error: BaseException, command: str) -> str:
    """Say what is kept of a command that was stopped, and how it goes on."""
    return f"Stopped. {go_on(kept_notes(error), command)}"


def go_on(notes: Sequence[Kept], command: str) -> str:
    """Say what is kept, and which command goes on from there."""
    kept = "; ".join(notes) or "nothing is left half-done"
    verb = "go on with" if any(note.goes_on for note in notes) else "start it again with"
    return f"{kept[0].upper()}{kept[1:]}; {verb}: {command}"


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Return the command of this process, to be pasted into a shell."""
    program, *rest = sys.argv if arguments is None else arguments
    path = Path(program)
    if path.name == "__main__.py":
        words = [sys.executable, "-m", "refrestore"]
    else:
        found = shutil.which(path.name)
        here = found is not None and Path(found).resolve() == path.resolve()
        words = [path.name if here else program]
    return shlex.join([*words, *rest])


def leave(code: int) -> NoReturn:
    """End the process after a stop: what still computes in threads is not waited for."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(code)
