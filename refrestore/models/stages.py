"""The catalogue's second stages: which are here, of what kind, and whose licence a user accepts."""

from __future__ import annotations

from collections.abc import Mapping

from refrestore.config import RuntimeSettings

from .catalogue import ModelFile
from .model_store import ModelStore

ROLE = "second stage"
"""Of the catalogue's files."""

RESTRICTED: Mapping[str, bool] = {
    "gfpgan": False,
    "codeformer": True,
    "restoreformer": False,
    "gpen": True,
    "dfdnet": True,
}
"""Kinds by name, and whether their licence forbids commercial use altogether: a user accepts such a
one by name before it draws anything."""


def kind_of(file: ModelFile) -> str:
    """Return the name of the kind that a second stage of the catalogue is of."""
    return next(name for name in RESTRICTED if name in file.name.lower())


def stages(store: ModelStore, kind: str | None = None) -> list[ModelFile]:
    """Return the second stages that the catalogue knows, the preferred of each kind first."""
    files = [file for file in store.catalogue.files if file.role == ROLE]
    return [file for file in files if kind is None or kind_of(file) == kind]


def installed(runtime: RuntimeSettings) -> list[ModelFile]:
    """Return those that are on this machine, whole and right."""
    store = ModelStore(runtime)
    return [file for file in stages(store) if store.verify(file.name).state == "present"]
