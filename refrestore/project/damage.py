"""What is said of a project's file whose content cannot be right."""

from __future__ import annotations

from pathlib import Path

from refrestore.errors import ProjectError


class DamageError(ValueError):
    """A value that cannot be what it should be; the text says which and why, without the file."""


def damaged(path: Path, what: object) -> ProjectError:
    """Return the sentence about a damaged file: what is wrong with it, and the way back.

    Parameters
    ----------
    path
        The project's database.
    what
        The table, the row and what is wrong; a `DamageError` or SQLite's words.
    """
    return ProjectError(
        f"{path} is damaged ({what}): `refrestore project check {path.parent}` lists what is "
        f"wrong, `refrestore project repair {path.parent}` restores what can be restored."
    )
