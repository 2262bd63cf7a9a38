"""What can go wrong, in words a user can act on.

Every error that bad input can cause derives from `RefrestoreError`. Its message is one sentence:
what happened, where, and what to do. The command line prints it without a traceback and exits
with `exit_code`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar


class RefrestoreError(Exception):
    """Base of all errors caused by input, environment or settings, never by a bug."""

    exit_code: ClassVar[int] = 1


class UsageError(RefrestoreError):
    """Options that contradict each other or a value that is not allowed."""

    exit_code = 2


class MediaError(RefrestoreError):
    """A video or picture that cannot be read, decoded, encoded or written."""

    exit_code = 3


class ModelError(RefrestoreError):
    """A model file that is missing, damaged, of the wrong digest or of an unknown shape."""

    exit_code = 4


class ProjectError(RefrestoreError):
    """A project folder that is missing, damaged, of another schema or of another video."""

    exit_code = 5


class ApartError(ProjectError):
    """Two people who were to be one: what the user may insist on."""


class ProfileError(RefrestoreError):
    """A profile that is missing, damaged, or refuses what it was given."""

    exit_code = 6


class DiskError(RefrestoreError):
    """Not enough room, or no permission, where something must be written."""

    exit_code = 7


class ClusterError(RefrestoreError):
    """A cluster that cannot be reached, has no room for a worker, or loses all it has."""


class BatchError(RefrestoreError):
    """A queue of films that is missing, damaged or newer, or films of it that failed."""

    exit_code = 8


class Stopped(BaseException):
    """A signal asked the program to end; raised by the command line's handler only.

    No `Exception`, so that nothing takes it for a failure of its own, and no `KeyboardInterrupt`,
    which typer ends without a word.

    Parameters
    ----------
    number
        The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Kept(str):
    """Says what is kept of work that was broken off: a note (PEP 678) of what broke it off.

    Attributes
    ----------
    goes_on
        Whether the same call goes on from there, or begins anew.
    """

    goes_on: bool

    def __new__(cls, sentence: str, *, goes_on: bool) -> Kept:
        """Return the note: a clause, in small letters and without a full stop."""
        made = super().__new__(cls, sentence)
        made.goes_on = goes_on
        return made


@contextmanager
def kept_if_broken_off(kept: Callable[[], Kept | None]) -> Iterator[None]:
    """Say on whatever breaks the block off what is kept of it."""
    try:
        yield
    except BaseException as error:
        if (note := kept()) is not None:
            # `add_note` does the same from Python 3.11 on.
            error.__notes__ = [*getattr(error, "__notes__", ()), note]
        raise


def kept_notes(error: BaseException) -> list[Kept]:
    """Return what is kept, as far as it was said on an exception."""
    return [note for note in getattr(error, "__notes__", ()) if isinstance(note, Kept)]
