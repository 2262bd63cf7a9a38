"""The house: a module imports only from its own room and from floors below."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import refrestore

ROOT = Path(refrestore.__file__).parent
FLOORS = {
    "errors": 0,
    "moment": 0,  # imports nothing
    "typed_settings": 0,
    "plain_file": 0,
    "plain_text": 0,
    "file_names": 0,
    "front_door": 0,
    "types": 1,
    "config": 1,
    "presets": 2,  # options of scan and render under a name
    "sampling": 2,  # how crops are cut, for `faces` and `media`
    "models": 2,  # opens what `faces` runs
    "faces": 3,
    "media": 3,
    "restore": 4,
    "storage": 4,  # what projects, profiles and queues keep alike
    "profiles": 5,
    "project": 6,
    "scan": 7,
    "render": 7,
    "compare": 8,
    "engine": 8,
    "doctor": 8,
    "evaluate": 9,
    "batch": 9,
    "adapt": 10,  # degrades as `evaluate` does, and measures as it does
    "review": 10,
    "cli": 11,
}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(path: Path, node: ast.AST) -> Iterator[str]:
    """Yield the modules of the package that a statement imports, by their full names."""
    package = ["refrestore", *path.relative_to(ROOT).parent.parts]
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names if name.name.startswith("refrestore."))
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        name = ".".join([*base, *([node.module] if node.module else [])])
        if name.split(".")[0] == "refrestore":
            for part in node.names:
                inner = ROOT.parent.joinpath(*name.split("."), part.name)
                whole = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield f"{name}.{part.name}" if whole or name == "refrestore" else name


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        yield from imported(path, node)


def at_module_level(path: Path) -> Iterator[str]:
    """Yield what a file imports when it is loaded, and what its annotations need of others.

    A front door only names what its room has, so what it does not load is left out.
    """
    todo: list[ast.AST] = list(ast.parse(path.read_text()).body)
    while todo:
        node = todo.pop()
        yield from imported(path, node)
        named = isinstance(node, ast.If) and path.name == "__init__.py"
        if isinstance(node, ast.If | ast.Try | ast.ExceptHandler | ast.ClassDef) and not named:
            todo += ast.iter_child_nodes(node)


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


def test_no_module_needs_itself() -> None:
    needs = {
        ".".join(["refrestore", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(
            ".__init__"
        ): set(at_module_level(path))
        for path in ROOT.rglob("*.py")
    }
    assert "refrestore.media.encoder" in needs["refrestore.media.mux"]  # it sees something
    while free := [name for name, others in needs.items() if not others & needs.keys()]:
        for name in free:
            del needs[name]
    circle = {name: sorted(others & needs.keys()) for name, others in needs.items()}
    assert not circle, circle


def test_no_file_name_is_used_twice() -> None:
    """A command's file has the name of the command, whatever else has it."""
    paths = [path for path in ROOT.rglob("*.py") if not path.name.startswith("__")]
    names = Counter(path.name for path in paths if "cli" not in path.parts)
    assert not [name for name, count in names.items() if count > 1]


def test_the_plan_names_every_room_and_its_floor() -> None:
    plan = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    told = {
        room.removesuffix(".py").rstrip("/"): int(floor)
        for floor, room in re.findall(r"^\| (\d+) \| `([\w./]+)` \|", plan, re.MULTILINE)
    }
    assert told == FLOORS
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("__init__.py")
        if path.parent != ROOT
    }
    inside_commands = {"cli/identities"}  # a file a command, as in `cli/`
    assert not {one for one in folders - inside_commands if f"`{one}/`" not in plan}


def test_every_file_that_the_plan_names_is_there() -> None:
    plan = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.py)`", plan)
    assert len(named) > 40
    gone = [one for one in named if not any((at / one).is_file() for at in (ROOT, ROOT.parent))]
    assert not gone


def test_what_a_newcomer_changes_is_where_the_table_says() -> None:
    table = (ROOT.parent / "CONTRIBUTING.md").read_text("utf-8")
    rows = [row for row in table.splitlines() if row.startswith("| another ")]
    assert len(rows) == 3
    for row in rows:
        *names, file, test = re.findall(r"`([\w./]+)`", re.sub(r"\| `refrestore [^|]*\|", "|", row))
        assert (ROOT.parent / test).is_file()
        text = (ROOT.parent / file).read_text("utf-8")
        known = [one for one in names if one[0].isupper()]
        assert known
        assert not [
            one for one in known if not re.search(rf"^(class )?{one}\b", text, re.MULTILINE)
        ]
