"""The documents: commands in them parse, links lead somewhere, messages are those of the code."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from refrestore.cli import app
from refrestore.errors import UsageError
from refrestore.presets import preset_names

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "refrestore"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "profiles").glob("*.md"),
     ROOT / "models/README.md"]
)  # fmt: skip

SHELL = re.compile(r"^(?:    |\t)?(?:\$ )?(?:srun .*?-- |kubectl .*?-- )?(refrestore .+)$")
OUTPUT = re.compile(r"^(?:    )?refrestore: ")


def blocks(text: str) -> list[list[str]]:
    """Return the lines of each block of code: fenced, or indented by four."""
    found: list[list[str]] = [[]]
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            found.append([])
        elif fenced or line.startswith("    "):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [block for block in found if block]


def commands(path: Path) -> list[str]:
    """Return the commands of ours in a document's blocks, each on one line."""
    found = []
    for block in blocks(path.read_text("utf-8")):
        text = "\n".join(block).replace("\\\n", " ")
        matches = (SHELL.match(line) for line in text.splitlines() if not OUTPUT.match(line))
        found += [re.split(r"\s(?:&&|\||>|2>)\s", one[1])[0] for one in matches if one]
    return found


ALL = sorted({(path.relative_to(ROOT).as_posix(), one) for path in PAGES for one in commands(path)})


class RefusedError(Exception):
    """A command that would be refused."""


def parse(words: list[str]) -> None:
    """Parse a command as the terminal does, and run nothing.

    Raises
    ------
    RefusedError
        It would be refused.
    """
    command = typer.main.get_command(app)
    context = None
    try:
        while hasattr(command, "resolve_command"):
            context = command.context_class(command, parent=context, info_name=command.name)
            if not words:
                return
            _, command, words = command.resolve_command(context, list(words))
        command.make_context(command.name, list(words), parent=context)
    except Exception as error:
        if hasattr(error, "format_message"):  # some releases of typer carry a click of their own
            raise RefusedError(error.format_message()) from error
        raise


def test_there_are_commands() -> None:
    assert len(ALL) > 80
    assert len({place for place, _ in ALL}) > 8
    with pytest.raises(UsageError):
        parse(["render", "-o", "out.mp4", "-p", "film.project", "--scale", "big"])
    with pytest.raises(RefusedError):
        parse(["render", "-o", "out.mp4", "-p", "film.project", "--magic"])
    with pytest.raises(RefusedError):
        parse(["scan", "-p", "film.project"])
    with pytest.raises(RefusedError):
        parse(["restore", "film.mp4"])


@pytest.mark.parametrize(("place", "command"), ALL)
def test_commands_in_documents_parse(place: str, command: str, tmp_path, monkeypatch) -> None:
    words = shlex.split(command, comments=True)[1:]
    if "--preset" in words and (name := words[words.index("--preset") + 1]) not in preset_names():
        (tmp_path / name).write_text("scale = 2\n")
    monkeypatch.chdir(tmp_path)
    if len(words) == 1 and words[0] in ("--help", "--version", "--install-completion"):
        return  # the root's own
    if "…" in words or "..." in words:
        pytest.skip("an abbreviation")
    parse(words)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if ":" in link:
            continue
        target, _, anchor = link.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
            slugs = {
                re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings
            }
            assert anchor in slugs, link


def sentences() -> list[str]:
    """Return every text in the package's code, with … for what is filled in."""
    found = []
    for path in sorted([*PACKAGE.rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values
                )
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_messages_that_are_explained_are_those_of_the_code() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    messages = re.findall(r"\*\*“(.+?)”\*\*", text, re.DOTALL)
    assert len(messages) > 20
    said = sentences()
    for message in messages:
        parts = [re.escape(part) for part in " ".join(message.split()).split("…")]
        pattern = re.compile(".*".join(parts), re.DOTALL)
        assert any(pattern.search(one) for one in said), message


def test_python_in_documents_names_what_there_is() -> None:
    found = 0
    for path in PAGES:
        for block in blocks(path.read_text("utf-8")):
            if not any(re.match(r"\s*from refrestore", line) for line in block):
                continue
            indent = min(len(line) - len(line.lstrip()) for line in block if line.strip())
            try:
                tree = ast.parse("\n".join(line[indent:] for line in block))
            except SyntaxError as error:
                pytest.fail(f"{path}: {error}")
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    module = importlib.import_module(node.module)
                    assert all(hasattr(module, one.name) for one in node.names), path
                    found += 1
    assert found > 1
