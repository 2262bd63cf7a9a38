"""Benchmarks and trainings stand outside the package and its types: what they import must exist."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("training/**/*.py")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_takes_from_the_package_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("refrestore"):
            module = importlib.import_module(node.module or "")
            for name in node.names:
                if not hasattr(module, name.name):  # a module of a package, perhaps
                    importlib.import_module(f"{node.module}.{name.name}")


OTHERS = {"_schema", "_overloadpacket", "_parameters", "_cdata", "_make", "_replace"}
"""Of torch, and of named tuples: public by another name, or by none."""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_takes_nothing_private_of_others(path: Path) -> None:
    taken = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            package = (node.module or "").split(".")[0]
            if package in ("refrestore", "training", "benchmarks"):
                taken |= {name.name for name in node.names if name.name.startswith("_")}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            taken |= {node.attr} if node.attr.startswith("_") else set()
    assert not {one for one in taken - OTHERS if not one.startswith("__")}
