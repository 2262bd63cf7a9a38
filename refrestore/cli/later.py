"""Commands whose modules are imported when they are called, not when they are listed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Home(NamedTuple):
    """Where a command is, and what is said of it in a list.

    Parameters
    ----------
    module
        Its module in `refrestore.cli`: one with an `app` (a group) or one that registers commands.
    words
        First paragraph of its help.
    """

    module: str
    words: str


class Later(TyperCommand):
    """A command of which only the name and one sentence are known."""

    def __init__(self, name: str, home: Home) -> None:
        super().__init__(name, help=home.words)
        self._module = home.module

    def load(self) -> Any:
        """Return the command itself."""
        assert self.name is not None
        module = importlib.import_module(f"{__package__}.{self._module}")
        root = typer.Typer(add_completion=False)
        if hasattr(module, "app"):
            root.add_typer(module.app, name=self.name)
        else:
            module.register(root)
        return typer.main.get_group(root).commands[self.name]


class LaterGroup(TyperGroup):
    """A group that imports a command's module when the command is called."""

    homes: ClassVar[Mapping[str, Home]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        later: dict[str, Any] = {name: Later(name, home) for name, home in self.homes.items()}
        self.commands = {**later, **self.commands}

    def resolve_command(self, *arguments: Any) -> Any:
        """Find the command that was asked for, and load it."""
        name, command, rest = super().resolve_command(*arguments)
        return name, command.load() if isinstance(command, Later) else command, rest
