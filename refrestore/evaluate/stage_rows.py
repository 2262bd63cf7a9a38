"""Rows of second stages: alone, as their own tools run them, and behind our fusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.evaluate.package import (
    Alone,
    NotInstalledError,
    Redraw,
    as_a_stage,
    as_the_package,
    package_network,
)
from refrestore.evaluate.rows import PixelRow, Row
from refrestore.models import ModelStore
from refrestore.render.second import Second
from refrestore.restore.second import gfpgan

from .restorer_rows import Ours

GFPGAN_FILE = "GFPGANv1.4.pth"


def second_rows(
    ours: Sequence[Ours],
    named: Sequence[Path | str],
    settings: RenderSettings,
    runtime: RuntimeSettings,
    notes: list[str],
) -> list[Row]:
    """Return the rows of second stages.

    Parameters
    ----------
    ours
        Our rows; each second stage stands behind the first and the last of them, which have no
        references and the right ones.
    named
        Second stages, by name or file; without any, GFPGAN alone if its weights are here.
    settings
        Fidelity, and the licences that are accepted.
    notes
        Is told what is missing.
    """
    toolbox = ours[0].toolbox
    if not named:
        return list(_gfpgan_alone(ours[0], runtime, notes))
    rows: list[Row] = []
    taken: set[str] = set()
    for one in named:
        asked = settings.model_copy(update={"second_stage": one})
        behind = toolbox.equipped(asked, runtime)
        if behind.second is None:
            continue
        second, key = behind.second, _key(behind.second, taken)
        about, title = second.stage.descriptor, _title(second, key)
        path = one if isinstance(one, Path) else None
        redraw, how = _redraw(second, path, runtime, notes)
        rows.append(
            PixelRow(
                key,
                f"{title}, alone",
                f"{about.title} ({second.file}) {how}: every frame aligned by itself, a square "
                "pasted",
                Alone(redraw, toolbox.models),
            )
        )
        for row, words in ((ours[0], "no references"), (ours[-1], "the person's references")):
            rows.append(
                replace(
                    row,
                    key=f"{row.key.replace('-none', '')}-{key}",
                    name=f"ours, {words}, {title} behind",
                    about=f"the restorer with {words} and {second.file} as its second stage",
                    toolbox=behind,
                )
            )
    return rows


def _key(second: Second, taken: set[str]) -> str:
    """Return the kind's name, or where that is taken the file's."""
    name = second.stage.descriptor.name
    key = name if name not in taken else f"{name}-{Path(second.file).stem}"
    taken.add(key)
    return key


def _title(second: Second, key: str) -> str:
    about = second.stage.descriptor
    return about.title if key == about.name else f"{about.title} ({second.file})"


def _redraw(
    second: Second, path: Path | None, runtime: RuntimeSettings, notes: list[str]
) -> tuple[Redraw, str]:
    """Return the network by itself: GFPGAN's own package, if that is here."""
    own = as_a_stage(second.stage), "by our implementation, as its own tool applies it"
    if second.stage.descriptor.name != gfpgan.NAME or second.file.endswith(".onnx"):
        return own
    try:
        file = path or ModelStore(runtime).locate(second.file)
        return as_the_package(*package_network(file)), "in its own package, new noise every call"
    except NotInstalledError as error:
        notes.append(f"GFPGAN alone is our implementation, its noise fixed: {error}.")
    return own


def _gfpgan_alone(plain: Ours, runtime: RuntimeSettings, notes: list[str]) -> Iterator[Row]:
    """Yield GFPGAN as its package applies it, or say what is missing for that."""
    store = ModelStore(runtime)
    found = plain.toolbox.pack.second
    if found is None and store.verify(GFPGAN_FILE).state == "present":
        found = store.locate(GFPGAN_FILE)
    if found is None:
        notes.append(
            "The row of the gfpgan package is left out: there are no weights (--second-stage, "
            f"{GFPGAN_FILE} in --models-dir, or a pack with GFPGAN)."
        )
        return
    try:
        redraw = as_the_package(*package_network(found))
    except NotInstalledError as error:
        notes.append(f"The row of the gfpgan package is left out: {error}.")
        return
    about = (
        f"the gfpgan package's own network with {found.name}, as its package applies it: new "
        "noise every call, every frame aligned by itself, a square pasted"
    )
    yield PixelRow(gfpgan.NAME, "GFPGAN (package)", about, Alone(redraw, plain.toolbox.models))
