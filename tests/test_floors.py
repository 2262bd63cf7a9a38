"""The house: a module imports only from its own room and from floors below."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import refrestore

ROOT = Path(refrestore.__file__).parent
FLOORS = {
    "errors": 0,
    "moment": 0,  # imports nothing
    "plain_file": 0,
    "plain_text": 0,
    "names": 0,
    "types": 1,
    "config": 1,
    "presets": 2,  # options of scan and render under a name
    "sampling": 2,  # how crops are cut, for `faces` and `media`
    "models": 2,  # opens what `faces` runs
    "faces": 3,
    "media": 3,
    "restore": 4,
    "project": 4,
    "scan": 5,
    "render": 5,
    "evaluate": 5,
    "compare": 6,
    "adapt": 6,
    "engine": 6,
    "doctor": 6,
    "batch": 7,
    "review": 8,
    "cli": 9,
}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, by their full names."""
    package = ["refrestore", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("refrestore."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name == "refrestore":
                yield from (f"refrestore.{part.name}" for part in node.names)
            elif name.startswith("refrestore."):
                yield name


def test_nothing_is_imported_from_a_neighbour_or_from_above() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        room = parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue  # the library's front door
        for name in imports(path):
            other = room_of(name)
            if other in FLOORS and other != room and FLOORS[other] >= FLOORS[room]:
                wrong.append(f"{'/'.join(parts)} imports {name}")
            assert other in FLOORS or other.startswith("__"), f"{name} has no floor"
    assert not wrong, "\n".join(wrong)
