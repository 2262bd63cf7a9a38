"""`refrestore profile`: people that any video can be restored from."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refrestore.config import profiles_directory
from refrestore.errors import ProfileError, UsageError

from . import options
from .output import print_json, print_line
from .progress import progress_reporter
from .table import print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from refrestore.project import Match, Profile, ProfileStore, Project
    from refrestore.scan.build import Built
    from refrestore.scan.photos import Rejected

app = typer.Typer(help="Build, look at and exchange profiles of people.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the profile.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a profile of this name.")]
People = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        "--from-project",
        metavar="PROJECT:ID",
        help="A person of a project (repeatable).",
    ),
]
Photos = Annotated[
    list[Path] | None, typer.Option("--photos", help="Folder or picture (repeatable).")
]
Videos = Annotated[
    list[Path] | None, typer.Option("--video", help="Video of the person (repeatable).")
]
Who = Annotated[
    int | None, typer.Option("--identity", help="Who it is in the video, if it shows several.")
]


@app.command()
def build(
    name: Name,
    from_project: People = None,
    photos: Photos = None,
    video: Videos = None,
    identity: Who = None,
    replace: Replace = False,
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    threads: options.Threads = None,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Build a profile of one person from projects, photos and videos."""
    from refrestore.scan.build import build_profile

    runtime = options.runtime_settings(device, pack, models_dir, profiles_dir, threads)
    with _people(from_project) as people, progress_reporter(progress) as report:
        built = build_profile(
            name,
            from_projects=people,
            photos=photos or [],
            videos=video or [],
            identity=identity,
            store=_store(profiles_dir),
            runtime=runtime,
            replace_existing=replace,
            progress=report,
        )
    _tell_built(built, json)


@app.command()
def update(
    name: Name,
    from_project: People = None,
    photos: Photos = None,
    video: Videos = None,
    identity: Who = None,
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    threads: options.Threads = None,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Teach a profile from the next film or album, keeping what it knows.

    A source that shows somebody else is refused. Without one, only the threshold is set anew.
    """
    from refrestore.scan.build import update_profile

    runtime = options.runtime_settings(device, pack, models_dir, profiles_dir, threads)
    with _people(from_project) as people, progress_reporter(progress) as report:
        built = update_profile(
            name,
            from_projects=people,
            photos=photos or [],
            videos=video or [],
            identity=identity,
            store=_store(profiles_dir),
            runtime=runtime,
            progress=report,
        )
    _tell_built(built, json)


@app.command("list")
def list_profiles(profiles_dir: options.ProfilesDir = None, json: options.Json = False) -> None:
    """List all profiles; a damaged one is named with its damage."""
    store = _store(profiles_dir)
    entries = [_entry(store, name) for name in store.list()]
    if json:
        print_json({"profiles": entries})
        return
    if entries:
        rows = [
            (one["name"], str(one.get("references", "")), one["problem"] or "") for one in entries
        ]
        print_table(("name", "close-ups", "problem"), rows)
    else:
        print_line(f"There is no profile in {store.directory}.")


@app.command()
def show(name: Name, profiles_dir: options.ProfilesDir = None, json: options.Json = False) -> None:
    """Show a profile: where its close-ups are from and what they show."""
    profile = _store(profiles_dir).load(name)
    references = [
        {
            "source": one.source,
            "size": round(one.native_size, 1),
            "quality": round(one.quality, 3),
            "sharpness": round(one.sharpness, 3),
            "yaw": round(float(one.pose[0]), 1),
            "pitch": round(float(one.pose[1]), 1),
            "similarity": round(profile.similarity(one), 3),
        }
        for one in profile.references
    ]
    if json:
        print_json({"profile": _summary(profile), "references": references})
        return
    print_line(_line(profile))
    print_line(_meaning(profile))
    for one in references:
        print_line(
            f"  {one['source']}: {one['size']:.0f} px, yaw {one['yaw']:.0f}, "
            f"pitch {one['pitch']:.0f}, similarity {one['similarity']:.2f}"
        )


@app.command()
def match(
    pictures: Annotated[
        list[Path] | None, typer.Argument(metavar="[PHOTO...]", help="Pictures or folders.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="Match the people of a project.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link those recognised to their profile.")
    ] = False,
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Say which profiles the people of a project, or of pictures, are."""
    from refrestore.project import Project
    from refrestore.scan.recognise import match_identities, match_pictures

    if (project is None) == (not pictures):
        raise UsageError("Name either a project (-p) or pictures to match.")
    if link and project is None:
        raise UsageError("--link is for the people of a project (-p).")
    profiles = _store(profiles_dir).load_all()
    rejected: tuple[Rejected, ...] = ()
    if project is not None:
        with Project.open(project) as opened:
            people = {one.id: one.name for one in opened.identities()}
            found = match_identities(opened, profiles, link=link)
        entries = [
            {"identity": number, "name": people[number], **_match(answer)}
            for number, answer in found.items()
        ]
    else:
        runtime = options.runtime_settings(device, pack, models_dir, profiles_dir, threads)
        matches, rejected = match_pictures(pictures or [], profiles, runtime)
        entries = [{"picture": name, **_match(answer)} for name, answer in matches.items()]
    if json:
        print_json({"matches": entries, **_refused(rejected)})
        return
    for entry in entries:
        who = entry.get("picture") or f"{entry['identity']} {entry['name']}"
        near = f" (nearest {entry['nearest']})" if not entry["profile"] and profiles else ""
        print_line(
            f"{who}: {entry['profile'] or 'unknown'}{near}, similarity {entry['similarity']:.2f}, "
            f"ahead by {entry['margin']:.2f}"
        )
    _tell_refused(rejected)


@app.command()
def remove(
    name: Name, profiles_dir: options.ProfilesDir = None, json: options.Json = False
) -> None:
    """Delete a profile."""
    _store(profiles_dir).remove(name)
    if json:
        print_json({"removed": name})
    else:
        print_line(f"{name} was removed.")


@app.command()
def merge(
    name: Name,
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="Taken over, deleted.")],
    into: Annotated[
        str | None, typer.Option("--as", help="Name of the one profile; default the first's.")
    ] = None,
    profiles_dir: options.ProfilesDir = None,
    json: options.Json = False,
) -> None:
    """Make profiles of one person one profile; refused for two people."""
    merged = _store(profiles_dir).merge(name, others, into=into)
    if json:
        print_json({"profile": _summary(merged)})
    else:
        print_line(_line(merged))
        print_line(_meaning(merged))


@app.command("export")
def export_profile(
    name: Name,
    output: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Default NAME.refprofile.")
    ] = None,
    profiles_dir: options.ProfilesDir = None,
    json: options.Json = False,
) -> None:
    """Write a profile as one file."""
    from refrestore.project.profile_archive import SUFFIX

    path = _store(profiles_dir).export_file(name, output or Path(f"{name}{SUFFIX}"))
    if json:
        print_json({"name": name, "file": str(path)})
    else:
        print_line(str(path))


@app.command("import")
def import_profile(
    file: Annotated[Path, typer.Argument(help="File written by `export`.")],
    name: Annotated[str | None, typer.Option("--name", help="Another name to give it.")] = None,
    replace: Replace = False,
    profiles_dir: options.ProfilesDir = None,
    json: options.Json = False,
) -> None:
    """Add a profile from a file; everything in it is checked before anything is written."""
    profile = _store(profiles_dir).import_file(file, name=name, replace_existing=replace)
    if json:
        print_json({"profile": _summary(profile)})
    else:
        print_line(_line(profile))


def _store(profiles_dir: Path | None) -> ProfileStore:
    from refrestore.project import ProfileStore

    return ProfileStore(profiles_directory(options.runtime_settings(profiles_dir=profiles_dir)))


@contextmanager
def _people(given: list[str] | None) -> Iterator[list[tuple[Project, int]]]:
    """Open the projects of PROJECT:ID arguments for as long as they are read."""
    from refrestore.project import Project

    with ExitStack() as stack:
        yield [
            (stack.enter_context(Project.open(folder)), number)
            for folder, number in map(_person, given or [])
        ]


def _person(text: str) -> tuple[Path, int]:
    folder, _, number = text.rpartition(":")
    if not folder or not (number.isascii() and number.isdigit()):
        raise UsageError(f"{text!r} names no person: write PROJECT:ID, such as film.project:3.")
    return Path(folder), int(number)


def _summary(profile: Profile) -> dict[str, Any]:
    meaning = profile.calibration
    return {
        "name": profile.name,
        "references": len(profile.references),
        "learnt_from": profile.statistics.count,
        "recogniser": profile.recogniser,
        "threshold": profile.threshold,
        "calibration": None if meaning is None else asdict(meaning),
        "spread": round(profile.spread, 4),
    }


def _entry(store: ProfileStore, name: str) -> dict[str, Any]:
    try:
        return {**_summary(store.load(name)), "problem": None}
    except ProfileError as error:
        return {"name": name, "problem": str(error)}


def _line(profile: Profile) -> str:
    return (
        f"{profile.name}: {len(profile.references)} close-ups, seen by {profile.recogniser or '?'}"
    )


def _meaning(profile: Profile) -> str:
    meaning = profile.calibration
    if meaning is None:
        return (
            f"threshold {profile.threshold:.2f}, not calibrated: "
            f"`refrestore profile update {profile.name}` does it"
        )
    return (
        f"threshold {profile.threshold:.2f}: about {meaning.misses:.1%} of faces like these would "
        f"not be recognised and {meaning.strangers:.2%} of strangers' would be "
        f"(calibrated with {meaning.profiles} other profiles)"
    )


def _tell_built(built: Built, json: bool) -> None:
    if json:
        print_json(
            {"profile": _summary(built.profile), "new": built.new, **_refused(built.rejected)}
        )
        return
    print_line(f"{_line(built.profile)}, {built.new} new")
    print_line(_meaning(built.profile))
    print_line(str(built.folder))
    _tell_refused(built.rejected)


def _match(answer: Match) -> dict[str, Any]:
    return {
        "profile": answer.name,
        "nearest": answer.nearest,
        "similarity": round(answer.similarity, 4),
        "margin": round(answer.margin, 4),
    }


def _refused(rejected: Iterable[Rejected]) -> dict[str, Any]:
    return {"rejected": [{"source": one.source, "reason": one.reason} for one in rejected]}


def _tell_refused(rejected: Iterable[Rejected]) -> None:
    for one in rejected:
        print_line(f"Not used: {one.source}, {one.reason}.")
