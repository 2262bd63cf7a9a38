"""Names of files that cannot be used: one sentence, whatever command they were given to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from refrestore.errors import DiskError, MediaError, RefrestoreError, UsageError
from refrestore.file_names import PATH_ERRORS, is_utf8, readable_name

MEDIA_OPTIONS = ("--video", "--photos")
"""Options that name something to be read; all others name places, people or models."""


@contextmanager
def path_failures(arguments: Sequence[str]) -> Iterator[None]:
    """Refuse names that are not UTF-8, and turn what the system says of a path into a sentence.

    Raises
    ------
    RefrestoreError
        A name is not UTF-8, or a path leads nowhere.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not is_utf8(argument):
            raise _undecodable(before, argument)
    try:
        yield
    except OSError as error:
        reason = PATH_ERRORS.get(error.errno or 0)
        if reason is None or not isinstance(error.filename, str):
            raise
        name = readable_name(error.filename)
        raise DiskError(f"{name} cannot be used: {reason}; give another path.") from error
    except RuntimeError as error:  # Path.resolve, before Python 3.13
        if "Symlink loop" not in str(error):
            raise
        raise DiskError("A path that was given is a link that leads back to itself.") from error


def _undecodable(before: str, argument: str) -> RefrestoreError:
    option, equals, value = argument.partition("=")
    if not (equals and option.startswith("--")):
        option, value = before if before.startswith("-") else "", argument
    kind = MediaError if option in ("", *MEDIA_OPTIONS) else UsageError
    return kind(f"The name {readable_name(value)} is not UTF-8: rename the file first.")
