"""What can go wrong, in words a user can act on.

Every error that bad input can cause derives from `RefrestoreError`. Its message is one sentence:
what happened, where, and what to do. The command line prints it without a traceback and exits
with `exit_code`.
"""

from __future__ import annotations

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
