"""Options that several commands share, as annotated types."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from refrestore.config import (
    EncoderSettings,
    EngineSettings,
    ExportSettings,
    FilmSettings,
    RenderSettings,
    RuntimeSettings,
    ScanSettings,
    profiles_directory,
)
from refrestore.errors import UsageError
from refrestore.file_names import readable_name
from refrestore.typed_settings import (
    SettingPath,
    Settings,
    how_typed,
    nested,
    places,
    setting,
)

from .output import print_note
from .progress import ProgressMode

if TYPE_CHECKING:
    from refrestore.profiles import Profile, ProfileStore
    from refrestore.project import Project

KEYWORD = inspect.Parameter.KEYWORD_ONLY

ProjectFolder = Annotated[
    Path, typer.Option("--project", "-p", help="Project folder (made by `refrestore scan`).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Progress = Annotated[
    ProgressMode, typer.Option("--progress", help="Progress on stderr: auto, rich, jsonl or none.")
]
Profiles = Annotated[
    list[str] | None, typer.Option("--profile", help="Person who may be in it (repeatable).")
]


def _take_preset(context: typer.Context, name: str | None) -> str | None:
    """Let what presets say be the defaults of this command's options, as if they were typed."""
    if not context.resilient_parsing:
        context.default_map = _Defaults(context, name)
    return name


class _Defaults(dict[str, Any]):
    """What files and a preset say of a command's options, read when the first is asked for.

    What was typed is looked at before what was not: by then it is known where the film is.
    """

    def __init__(self, context: typer.Context, preset: str | None) -> None:
        super().__init__()
        self._context, self._preset = context, preset
        self._own = {one: param.name for param in context.command.params for one in param.opts}
        self._overruled: set[str] = set()
        self._read = False

    def overrule(self, option: str) -> None:
        """Forget what is said of an option; by its name in the command's function."""
        self._overruled.add(option)

    def get(self, name: str, default: Any = None) -> Any:
        """Return what is said of an option of a film's, or the default."""
        from refrestore.presets import PLACES

        if not self._read and name in map(_key, PLACES):
            self._read = True
            self._fill()
        return super().get(name, default)

    def _fill(self) -> None:
        from refrestore.presets import load_preset, standing_settings, together

        standing = standing_settings(_film_folders(self._context.params))
        typed = [] if self._preset is None else [load_preset(self._preset)]
        for option, value in together([*standing, *typed]).items():
            name = self._own.get(f"--{option}")
            if name is not None and name not in self._overruled:
                self[name] = _as_typed(value)
        for one in standing:
            taken = [option for option in one.values if f"--{option}" in self._own]
            if taken:
                _say(self._context, f"Of {one.name}: {', '.join(taken)}.")


def _film_folders(params: Mapping[str, Any]) -> list[Path]:
    """Return where the films of a command lie, as far as it says."""
    films = [*(params.get("videos") or ()), params.get("video"), params.get("source")]
    films = [one for one in films if one is not None and str(one) != "-"]
    if not films and "videos" not in params and params.get("project") is not None:
        from refrestore.errors import RefrestoreError
        from refrestore.project import Project

        with suppress(RefrestoreError), Project.open(params["project"]) as project:
            films = [project.video.path]
    return [film if film.is_dir() else film.parent for film in films]


def _say(context: typer.Context, note: str) -> None:
    """Say a sentence before there is a reporter."""
    if context.params.get("progress") == "jsonl":
        typer.echo(json.dumps({"note": note}), err=True)
    else:
        print_note(note)


def _as_typed(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


CONTRADICT = {"crf": "bitrate", "bitrate": "crf"}
"""Options of which one is given at most."""


def _overrules(option: str, other: str) -> Callable[[typer.Context, Any], Any]:
    """Return what forgets a preset's word on an option where another is typed that contradicts it.

    What was typed is looked at before what was not.
    """

    def overrule(context: typer.Context, value: Any) -> Any:
        if isinstance(context.default_map, _Defaults) and is_typed(context, option):
            context.default_map.overrule(other)
        return value

    return overrule


def is_typed(context: typer.Context, option: str) -> bool:
    """Return whether an option was typed; by its name in the command's function."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def is_asked(context: typer.Context, option: str) -> bool:
    """Return whether an option was typed or is a preset's."""
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def given(context: typer.Context) -> dict[str, Any]:
    """Return what was typed or is a preset's, of the options that a preset can have."""
    from refrestore.presets import PLACES

    own = {option: param.name for param in context.command.params for option in param.opts}
    found = {}
    for option in PLACES:
        name = own[f"--{option}"]
        value = context.params[name]
        if is_asked(context, name) and value is not None:
            if isinstance(value, Path):
                value = value.absolute()
            found[option] = value if isinstance(value, bool | int | float) else str(value)
    return found


PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="FILE|NAME",
        is_eager=True,
        callback=_take_preset,
        help="Options from a TOML file, or by a name that `refrestore presets` lists; those typed "
        "beside it count more.",
    ),
]


@dataclass(frozen=True)
class Options:
    """Says of a command's parameter that it is settings, which are typed option by option.

    Parameters
    ----------
    only
        The options that the command has; by default all that the settings have.
    """

    only: tuple[str, ...] = ()

    def of(self, model: type[Settings]) -> dict[str, list[SettingPath]]:
        """Return the options, and where in the settings the value of each goes."""
        found = places(model)
        return {one: found[one] for one in self.only or found}


HERE = Options(("device", "pack", "models-dir", "threads"))
RuntimeOptions = Annotated[RuntimeSettings, Options()]
HereOptions = Annotated[RuntimeSettings, HERE]
"""Where to compute, for commands that know no profiles."""
ModelsDir = Annotated[RuntimeSettings, Options(("models-dir",))]
ProfilesDir = Annotated[RuntimeSettings, Options(("profiles-dir",))]
STAGE_OPTIONS = ("second-stage", "fidelity", "accept-licence")
StageOptions = Annotated[RenderSettings, Options(STAGE_OPTIONS)]
EngineOptions = Annotated[EngineSettings, Options()]
FilmOptions = Annotated[FilmSettings, Options()]
ScanOptions = Annotated[ScanSettings, Options()]
RenderOptions = Annotated[RenderSettings, Options()]
EncoderOptions = Annotated[EncoderSettings, Options()]
ExportOptions = Annotated[ExportSettings | None, Options()]


@dataclass(frozen=True)
class _Taken:
    """Settings that a command takes."""

    model: type[Settings]
    optional: bool
    where: Mapping[str, Sequence[SettingPath]]

    @classmethod
    def of(cls, parameter: inspect.Parameter) -> _Taken | None:
        """Return what a parameter of a command takes, if that is settings."""
        kind, *about = get_args(parameter.annotation) or (parameter.annotation,)
        for options in about:
            if isinstance(options, Options):
                model = next(one for one in (*get_args(kind), kind) if one is not NoneType)
                return cls(model, NoneType in get_args(kind), options.of(model))
        return None

    def parameters(self) -> list[inspect.Parameter]:
        """Return the options, as a command's function would have them."""
        return [_option(one, setting(self.model, there[0])) for one, there in self.where.items()]

    def made(self, context: typer.Context, values: dict[str, Any]) -> Settings | None:
        """Take the options' values out of all, and return the settings; unasked ones are None."""
        typed = {one: values.pop(_key(one)) for one in self.where}
        asked = {one: value for one, value in typed.items() if is_asked(context, _key(one))}
        if self.optional and not asked:
            return None
        return self.model.model_validate(nested(asked, self.where))


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with an option for each setting that a parameter of it holds (`Options`).

    The settings are made of what was typed or is a preset's; all else is as their own defaults are.
    Optional ones are None where nothing was.
    """
    own = inspect.signature(command, eval_str=True).parameters
    taken = {name: found for name, one in own.items() if (found := _Taken.of(one))}
    parameters = (
        []
        if "context" in own
        else [inspect.Parameter("context", KEYWORD, annotation=typer.Context)]
    )
    for name, parameter in own.items():
        options = taken[name].parameters() if name in taken else [parameter.replace(kind=KEYWORD)]
        parameters += options

    @functools.wraps(command)
    def called(context: typer.Context, **values: Any) -> None:
        made = {name: one.made(context, values) for name, one in taken.items()}
        command(**values, **made, **({"context": context} if "context" in own else {}))

    vars(called)["__signature__"] = inspect.Signature(parameters)
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def _key(option: str) -> str:
    return option.replace("-", "_")


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return the parameter of a command that is an option for a setting."""
    typed, (kind, several) = how_typed(field), _of_each(field.annotation)
    metavar, parse = typed.metavar, typed.parse
    if get_origin(kind) is Literal and not isinstance(get_args(kind)[0], str):
        metavar, parse = "|".join(map(str, get_args(kind))), partial(_one_of, name, get_args(kind))
    bounds = {
        bound: getattr(rule, attribute)
        for rule in field.metadata
        for attribute, bound in (("ge", "min"), ("le", "max"))
        if parse is None and hasattr(rule, attribute)
    }
    about = typer.Option(
        f"--{name}/--no-{name}" if field.default is True else f"--{name}",
        help=field.description,
        metavar=metavar,
        parser=None if parse is None else partial(_parsed, parse),
        callback=_overrules(_key(name), CONTRADICT[name]) if name in CONTRADICT else None,
        **bounds,
    )
    # What must be there is asked for by the settings, where one of them is.
    default = None if field.is_required() else field.default
    # Typer takes no union of two kinds; what is parsed here is of any.
    taken: Any = Any if parse is not None else kind
    if several:
        taken, default = list[taken], list(default or ())
    elif default is None and parse is None:
        taken = Optional[taken]  # noqa: UP045
    return inspect.Parameter(
        _key(name), KEYWORD, default=default, annotation=Annotated[taken, about]
    )


def _of_each(kind: Any) -> tuple[Any, bool]:
    """Return what is typed each time, and whether an option may be repeated."""
    if get_origin(kind) is not tuple:
        return kind, False
    one = get_args(kind)[0]
    return (get_args(one)[0] if get_origin(one) is Annotated else one), True


def _one_of(name: str, allowed: tuple[Any, ...], text: str) -> Any:
    for one in allowed:
        if text == str(one):
            return one
    few = ", ".join(map(str, allowed))
    given = readable_name(text)
    raise UsageError(f"The value {given} of --{name} is not allowed: it is one of {few}.")


def _parsed(parse: Callable[[str], object], typed: object) -> object:
    if not isinstance(typed, str):
        return typed  # the default
    try:
        return parse(typed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def profile_store(runtime: RuntimeSettings) -> ProfileStore:
    """Return the profiles of the folder asked for or of the usual one."""
    from refrestore.profiles import ProfileStore

    return ProfileStore(profiles_directory(runtime))


def load_profiles(runtime: RuntimeSettings, names: Sequence[str]) -> list[Profile]:
    """Return the named profiles.

    Raises
    ------
    ProfileError
        If one is missing or damaged.
    """
    store = profile_store(runtime)
    return [store.load(name) for name in names]


def linked_profiles(runtime: RuntimeSettings, project: Project) -> list[Profile]:
    """Return the profiles that the project's people are linked to.

    Raises
    ------
    ProfileError
        If one is missing or damaged.
    """
    linked = {identity.profile for identity in project.identities() if identity.profile}
    return load_profiles(runtime, sorted(linked))
