"""The review sheet: a project's people as a text that is edited and read back, YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)

from refrestore.errors import ProjectError, UsageError
from refrestore.media.files import write_file
from refrestore.plain_file import read_plain
from refrestore.plain_text import json_text, plain
from refrestore.types import Identity, IdentityState, Track

from .close_ups import CloseUp
from .project import Project
from .timing import Timeline

YAML_SUFFIXES, JSON_SUFFIXES = (".yaml", ".yml"), (".json",)

MOST_BYTES = 50_000_000
"""A film of two hours has some thousand tracks: half a megabyte."""

HEADER = """\
# The people of {video}.
#
# Change names, states (restore, ignore, not_a_face), strengths (0 to 1) and profiles; move tracks
# from one person to another, or to a new entry with `id: new`; a person whose tracks are all with
# another is merged.
# `use: false` keeps a close-up from ever being a reference. Times and sizes are for orientation.
# Then: refrestore identities apply-review THIS-FILE -p PROJECT
"""

Place = tuple[str | int, ...]
"""Keys and positions on the way to a value of the sheet."""


class _StrictEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stamp(_StrictEntry):
    """What a sheet is about: the video, the scan, and how far the log of edits had come."""

    video: StrictStr
    fingerprint: StrictStr
    scan: StrictInt
    scanned: StrictStr
    edits: StrictInt


class TrackLine(_StrictEntry):
    """A track; all but its id is for orientation."""

    track: StrictInt
    start: StrictStr | None = None
    end: StrictStr | None = None
    shot: StrictInt | None = None
    size: StrictInt | None = None


class CloseUpLine(_StrictEntry):
    """A close-up; only `use` can be changed."""

    close_up: StrictInt
    use: StrictBool
    at: StrictStr | None = None
    size: StrictInt | None = None
    yaw: StrictInt | None = None


def _number_or_new(value: object) -> object:
    if (isinstance(value, int) and not isinstance(value, bool)) or value == "new":
        return value
    raise ValueError("a person's id is a number, or new")


def _track_line(value: object) -> object:
    return {"track": value} if isinstance(value, int) and not isinstance(value, bool) else value


Line = Annotated[TrackLine, BeforeValidator(_track_line)]


class PersonEntry(_StrictEntry):
    """One person."""

    id: Annotated[int | Literal["new"], PlainValidator(_number_or_new)]
    name: StrictStr | None = None
    state: IdentityState = "restore"
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    profile: StrictStr | None = None
    tracks: tuple[Line, ...] = ()
    references: tuple[CloseUpLine, ...] = ()


class ReviewSheet(_StrictEntry):
    """All people of a project, and the tracks that are nobody's."""

    review: Literal[1] = 1
    project: Stamp
    people: tuple[PersonEntry, ...]
    nobody: tuple[Line, ...] = ()


class SheetFile:
    """A sheet that was read, with the words for a place in its file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    UsageError
        When it cannot be read, or something in it is not allowed: where, and what.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = _read(path)
        content, self._tree = _parse(path, text)
        try:
            self.sheet = ReviewSheet.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = tuple(part for part in first["loc"] if not str(part).startswith("function-"))
            raise UsageError(f"{self.where(place)}: {_words(first)}.") from error

    def where(self, place: Place) -> str:
        """Return a place in words: file, line, path of keys."""
        keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
        line = "" if self._tree is None else f", line {_line(self._tree, place)}"
        return f"{self.path}{line}" + (f" ({keys.lstrip('.')})" if keys else "")

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Say of an error inside which place of the sheet it is about."""
        try:
            yield
        except (ProjectError, UsageError) as error:
            raise UsageError(f"{self.where(place)}: {error}") from error


def write_sheet(project: Project, path: Path, *, overwrite: bool = False) -> ReviewSheet:
    """Write the sheet of a project, YAML or JSON by suffix.

    Raises
    ------
    UsageError
        When the suffix is neither, or the file exists (it may be somebody's unfinished work) and
        is not to be overwritten.
    ProjectError
        When the project was not scanned.
    DiskError
        When it cannot be written.
    """
    as_json = _is_json(path)
    if path.exists() and not overwrite:
        raise UsageError(
            f"{path} exists already: choose another name, or replace it with --overwrite."
        )
    sheet = sheet_of(project)
    content = sheet.model_dump()
    for entry in (*content["people"], content):
        for name in ("tracks", "references", "nobody"):
            if name in entry:
                entry[name] = [_without_none(line) for line in entry[name]]
    content["people"] = list(content["people"])
    if as_json:
        text = json_text(content, indent=1) + "\n"
    else:
        # Only the innermost mappings on one line each: a track is a line that can be moved.
        text = yaml.safe_dump(
            content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000
        )
        header = HEADER.format(video=plain(str(sheet.project.video)))
        text = header + text.replace("\n- id: ", "\n\n- id: ")
    write_file(path, text.encode())
    return sheet


def sheet_of(project: Project) -> ReviewSheet:
    """Return the sheet that says what a project is like now."""
    with project.database.transaction():
        timeline = project.timeline()
        tracks = {track.id: track for track in project.tracks()}
        close_ups: dict[int | None, list[CloseUp]] = {}
        for one in project.close_ups():
            close_ups.setdefault(one.identity, []).append(one)
        people = project.identities()
        held = {track for one in people for track in one.tracks}
        return ReviewSheet(
            project=stamp(project),
            people=tuple(
                _person(one, tracks, close_ups.get(one.id, []), timeline) for one in people
            ),
            nobody=tuple(_track(tracks[t], timeline) for t in sorted(set(tracks) - held)),
        )


def stamp(project: Project) -> Stamp:
    """Return what a sheet written now would be about.

    Raises
    ------
    ProjectError
        When the project was not scanned.
    """
    info = project.scan_info()
    if info is None:
        raise ProjectError(f"{project.folder} was not scanned yet: `refrestore scan` comes first.")
    video = project.video
    return Stamp(
        video=video.path.name,
        fingerprint=video.fingerprint,
        scan=info.id,
        scanned=info.started,
        edits=project.last_entry(),
    )


def _person(
    one: Identity, tracks: dict[int, Track], close_ups: list[CloseUp], timeline: Timeline
) -> PersonEntry:
    return PersonEntry(
        id=one.id,
        name=one.name,
        state=one.state,
        strength=one.strength,
        profile=one.profile,
        tracks=tuple(_track(tracks[track], timeline) for track in one.tracks),
        references=tuple(
            CloseUpLine(
                close_up=shown.id,
                use=shown.used,
                at=shown.source if shown.frame is None else _clock(timeline.seconds(shown.frame)),
                size=round(shown.size),
                yaw=round(shown.yaw),
            )
            for shown in close_ups
        ),
    )


def _track(track: Track, timeline: Timeline) -> TrackLine:
    return TrackLine(
        track=track.id,
        start=_clock(timeline.seconds(track.first)),
        end=_clock(timeline.seconds(track.stop)),
        shot=track.shot,
        size=round(track.size),
    )


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    sign, tenths = ("-", -tenths) if tenths < 0 else ("", tenths)
    return f"{sign}{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _without_none(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if value is not None}


def _is_json(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix not in (*YAML_SUFFIXES, *JSON_SUFFIXES):
        raise UsageError(f"{path} needs a name that ends in .yaml or .json.")
    return suffix in JSON_SUFFIXES


def _read(path: Path) -> str:
    _is_json(path)
    try:
        return read_plain(path, MOST_BYTES).decode()
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read as text ({error}).") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key said twice, of which YAML would silently take the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is said twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice} is said twice in one place")
    return found


def _parse(path: Path, text: str) -> tuple[object, yaml.Node | None]:
    """Return the content and its tree of nodes, which know their lines."""
    try:
        if not _is_json(path):
            return yaml.load(text, _Loader), yaml.compose(text, _Loader)
        content = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}: this is not JSON ({error.msg}).") from error
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise UsageError(f"{path}, line {line}: this is not YAML ({error.problem}).") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{path} cannot be understood ({str(error).splitlines()[0]}).") from error
    try:
        return content, yaml.compose(text, _Loader)  # most JSON is YAML
    except yaml.YAMLError:
        return content, None


def _line(tree: yaml.Node, place: Place) -> int:
    """Return the line of a place, or of what it would be in."""
    line, node = 1, tree
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _words(error: Any) -> str:
    """Return what is wrong with a value, as people say it."""
    given = error["input"]
    if error["type"] == "missing":
        return "this is missing"
    if error["type"] == "extra_forbidden":
        return "there is no such entry in a review sheet"
    if error["type"] == "string_type":
        return f"{given!r} must be text: put it in quotes"
    said = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    shown = repr(given) if not isinstance(given, dict | list | tuple) else "what is there"
    return f"{shown} is not allowed, expected {said}"
