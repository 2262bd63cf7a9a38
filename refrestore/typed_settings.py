"""What settings are, and how each is typed as an option of a command line or of a preset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Typed:
    """How a setting is typed on a command line, where its name and its type do not say it.

    Parameters
    ----------
    name
        Of the option; by default the setting's own, with dashes.
    metavar
        What stands for the value in the help.
    parse
        Makes the value of what was typed; raises ValueError.
    inside
        There is no such option.
    """

    name: str | None = None
    metavar: str | None = None
    parse: Callable[[str], object] | None = None
    inside: bool = False


INSIDE = Typed(inside=True)


class Settings(BaseModel):
    """Base: frozen, and a misspelt field is an error.

    A field is an option of the commands that take the settings, and of presets: its name, type,
    bounds and help are the field's (`cli.options`, `presets`).
    """

    # Validators are built when one is first needed: importing the settings of all costs nothing.
    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_typed(cls, value: object, about: ValidationInfo) -> object:
        assert about.field_name is not None
        parse = how_typed(cls.model_fields[about.field_name]).parse
        return parse(value) if parse is not None and isinstance(value, str) else value


SettingPath = tuple[str, ...]
"""Names of a setting and of those that it is inside of, the outermost first."""


def how_typed(field: FieldInfo) -> Typed:
    """Return how a setting is typed."""
    return next((one for one in field.metadata if isinstance(one, Typed)), Typed())


def places(model: type[Settings], at: SettingPath = ()) -> dict[str, list[SettingPath]]:
    """Return the options of settings, and where the value of each goes.

    An option that several settings inside have goes to each of them.
    """
    found: dict[str, list[SettingPath]] = {}
    for name, field in model.model_fields.items():
        inner, typed = field.annotation, how_typed(field)
        if isinstance(inner, type) and issubclass(inner, Settings):
            for option, there in places(inner, (*at, name)).items():
                found.setdefault(option, []).extend(there)
        elif not typed.inside:
            found.setdefault(typed.name or name.replace("_", "-"), []).append((*at, name))
    return found


def setting(model: type[Settings], place: SettingPath) -> FieldInfo:
    """Return the field at a place of settings (`places`)."""
    field = model.model_fields[place[0]]
    return setting(field.annotation, place[1:]) if place[1:] else field  # type: ignore[arg-type]


def nested(values: Mapping[str, Any], where: Mapping[str, Sequence[SettingPath]]) -> dict[str, Any]:
    """Return the values of options as settings that have others inside take them."""
    asked: dict[str, Any] = {}
    for option, value in values.items():
        for place in where[option]:
            room = asked
            for part in place[:-1]:
                room = room.setdefault(part, {})
            room[place[-1]] = value
    return asked
