"""Presets: options of scan and render under a name, as TOML with the options' own names.

    codec = "prores"
    scale = 2
    min-face = 20

What a preset says is what somebody could have typed: it passes the same models, and what is typed
beside it counts more. Presets are named (`--preset`), or found: `refrestore.toml` in the user's
folder and beside the film.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import ValidationError

from refrestore.config import FilmSettings, stage_named
from refrestore.errors import UsageError
from refrestore.file_names import readable_name
from refrestore.plain_file import read_plain
from refrestore.typed_settings import how_typed, nested, places, setting

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

SUFFIX = ".toml"

SETTINGS_FILE = "refrestore.toml"
"""A preset that nobody names: in the user's folder of settings, or beside a film."""

MOST_BYTES = 100_000
"""Of a preset; those that ship have some two hundred."""


PLACES = places(FilmSettings)
"""The options that a preset can have, and where in `FilmSettings` each goes."""

Values = Mapping[str, Any]
"""Values by option name, as TOML and JSON have them."""


@dataclass(frozen=True)
class Preset:
    """Options under a name.

    Parameters
    ----------
    name
        That of a preset which ships, or the file.
    about
        What it is for: the first line of the file, if that is a comment.
    values
        What it says; a path counts from the preset's own folder.
    """

    name: str
    about: str
    values: Values


def preset_names() -> list[str]:
    """Return the names of the presets that ship."""
    files = resources.files(__name__).iterdir()
    return sorted(one.name.removesuffix(SUFFIX) for one in files if one.name.endswith(SUFFIX))


def load_preset(name: str) -> Preset:
    """Return a preset that ships, or one of a file.

    Raises
    ------
    UsageError
        There is none, or it says something that no option takes.
    """
    whose = f"The preset {readable_name(name)}"
    if name in preset_names():
        text = resources.files(__name__).joinpath(name + SUFFIX).read_text("utf-8")
        return _parsed(name, text, Path(), whose)
    try:
        text = _read(Path(name), whose)
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no preset {readable_name(name)}: name a TOML file, or "
            f"{', '.join(preset_names())} (an encoder's own preset is --encoder-preset)."
        ) from error
    return _parsed(name, text, Path(name).absolute().parent, whose)


def standing_settings(folders: Iterable[Path]) -> list[Preset]:
    """Return what stands in files named `SETTINGS_FILE`: the user's, then the one beside the films.

    Parameters
    ----------
    folders
        In which the films lie.

    Raises
    ------
    UsageError
        One of them says something that no option takes, or the films have several.
    """
    beside = {folder.absolute() / SETTINGS_FILE for folder in folders}
    found = [one for one in sorted(beside) if os.path.lexists(one)]
    if found and len(beside) > 1:
        raise UsageError(
            f"The films lie in several folders, and {found[0]} is for those of one: name the films "
            "of each folder by themselves."
        )
    own = user_config_path("refrestore") / SETTINGS_FILE
    standing = []
    for file in (own, *found):
        whose = f"The settings file {readable_name(file)}"
        with suppress(FileNotFoundError):
            standing.append(_parsed(str(file), _read(file, whose), file.parent, whose))
    return standing


def together(presets: Sequence[Preset]) -> dict[str, Any]:
    """Return what presets say, of which the later count more."""
    values: dict[str, Any] = {}
    for preset in presets:
        for one, other in (("crf", "bitrate"), ("bitrate", "crf")):
            if one in preset.values:
                values.pop(other, None)
        values.update(preset.values)
    return values


def _parsed(name: str, text: str, folder: Path, whose: str) -> Preset:
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{whose} is no TOML: {error}.") from error
    for option in ("background", "second-stage", "c2pa-key"):
        named = values.get(option)
        if isinstance(named, str) and (option != "second-stage" or stage_named(named) != named):
            values[option] = str(folder / named)
    film_settings(values, whose)
    first = text.lstrip().partition("\n")[0]
    return Preset(name, first.lstrip("# ") if first.startswith("#") else "", values)


def film_settings(values: Values, whose: str) -> FilmSettings:
    """Return the settings that options mean.

    Parameters
    ----------
    values
        By option name.
    whose
        Who says so, to begin a sentence with.

    Raises
    ------
    UsageError
        There is no such option, or it does not take such a value.
    """
    for option in values:
        if option not in PLACES:
            raise UsageError(f"{whose} has {option!r}, {_instead(option)}")
    asked = nested({one: _as_typed(one, value) for one, value in values.items()}, PLACES)
    if "crf" in values and "bitrate" in values:
        raise UsageError(f"{whose} has both crf and bitrate: keep one of them.")
    try:
        return FilmSettings.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        option = next(
            name
            for name, places in PLACES.items()
            if any(place == first["loc"][: len(place)] for place in places)
        )
        reason = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{whose} has {option} = {first['input']!r}, which is not allowed: {reason}."
        ) from error


def _as_typed(option: str, value: Any) -> Any:
    """Return a value as its option would take it: a time can be a number, a switch is none."""
    field = setting(FilmSettings, PLACES[option][0])
    if isinstance(value, bool):  # Python takes true for 1, which nobody means
        return value if field.annotation is bool else str(value)
    typed = how_typed(field).parse is not None
    return str(value) if typed and isinstance(value, int | float) else value


def _instead(option: str) -> str:
    near = difflib.get_close_matches(option.replace("_", "-").strip("-"), PLACES, n=1, cutoff=0.75)
    if near:
        return f"which is no option for films: is it {near[0]}?"
    return f"which is no option for films; they are {', '.join(PLACES)}."


def _read(path: Path, whose: str) -> str:
    try:
        return read_plain(path, MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(f"{whose} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{whose} is not text in UTF-8.") from error
