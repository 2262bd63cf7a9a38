"""profile.json of older versions, brought up to the current one step by step.

A step is a pure function from a document of version N to one of version N + 1. Nothing on the disk
changes: the folder stays as it is until the profile is saved, which replaces it as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from refrestore.errors import ProfileError

VERSION: Final = 3

Document = dict[str, Any]


def migrated(document: Document, place: str) -> Document:
    """Return a document as this version would have written it.

    Parameters
    ----------
    document
        The parsed profile.json, of any version up to this one; left as it is.
    place
        The folder or file, for messages.

    Raises
    ------
    ProfileError
        When it is of a newer version or says none.
    """
    version = document.get("version")
    if type(version) is not int or version < 1:  # a JSON `true` is an int to Python
        raise ProfileError(f"profile.json of {place} is damaged (version: {str(version)[:40]!r}).")
    if version > VERSION:
        raise ProfileError(
            f"{place} was written by a newer refrestore (version {version}, this one knows "
            f"{VERSION}): update refrestore."
        )
    for step in range(version, VERSION):
        document = {**STEPS[step](document), "version": step + 1}
    return document


def _calibration_and_memory(document: Document) -> Document:
    """1 to 2: thresholds are calibrated, and what is not kept is remembered.

    A threshold of version 1 was the same for everybody, so it counts as the default.
    """
    return {**document, "calibration": None, "remembered": []}


def _recogniser_by_digest(document: Document) -> Document:
    """2 to 3: the network is known by its file's digest too; which file it was, nobody noted.

    What is unknown contradicts nothing; the next `update` compares the embeddings (`seen_by`).
    """
    return {**document, "recogniser_digest": ""}


STEPS: Mapping[int, Callable[[Document], Document]] = MappingProxyType(
    {1: _calibration_and_memory, 2: _recogniser_by_digest}
)
"""By the version they start from."""
