"""`refrestore profile`: people that any video can be restored from."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refrestore.errors import UsageError

from . import options
from .output import print_json, print_line
from .profile_words import (
    entry_of,
    line,
    match_of,
    match_words,
    meaning,
    refused,
    summary,
    tell_album,
    tell_built,
    tell_refused,
)
from .progress import progress_reporter
from .tables import print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from refrestore.config import RuntimeSettings
    from refrestore.project import Project
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
@options.with_settings
def build(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of the profile; with --from-album, the only one to build."),
    ] = None,
    from_project: People = None,
    photos: Photos = None,
    video: Videos = None,
    identity: Who = None,
    from_album: Annotated[
        Path | None,
        typer.Option(
            "--from-album",
            metavar="DIR",
            help="Folder of photos whose face regions name people (XMP, as digiKam, Picasa and "
            "Lightroom write it): a profile of each; those that exist learn from it.",
        ),
    ] = None,
    replace: Replace = False,
    *,
    runtime: options.RuntimeOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Build a profile of one person from projects, photos and videos, or of all in an album."""
    from refrestore.scan.build import build_profile

    if from_album is not None:
        if from_project or photos or video or identity is not None:
            raise UsageError("--from-album takes nothing else beside it: build in two commands.")
        _build_album(from_album, name, runtime, replace=replace, progress=progress, json=json)
        return
    if name is None:
        raise UsageError("Name the profile, or an album whose photos name people (--from-album).")
    with _people(from_project) as people, progress_reporter(progress) as report:
        built = build_profile(
            name,
            from_projects=people,
            photos=photos or [],
            videos=video or [],
            identity=identity,
            store=options.profile_store(runtime),
            runtime=runtime,
            replace_existing=replace,
            progress=report,
        )
    tell_built(built, json)


@app.command()
@options.with_settings
def update(
    name: Name,
    from_project: People = None,
    photos: Photos = None,
    video: Videos = None,
    identity: Who = None,
    *,
    runtime: options.RuntimeOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Teach a profile from the next film or album, keeping what it knows.

    A source that shows somebody else is refused. Without one, only the threshold is set anew.
    """
    from refrestore.scan.build import update_profile

    with _people(from_project) as people, progress_reporter(progress) as report:
        built = update_profile(
            name,
            from_projects=people,
            photos=photos or [],
            videos=video or [],
            identity=identity,
            store=options.profile_store(runtime),
            runtime=runtime,
            progress=report,
        )
    tell_built(built, json)


@app.command()
@options.with_settings
def tune(
    name: Name,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.5, max=120, help="Time for all of it.")
    ] = 5.0,
    forget: Annotated[
        bool, typer.Option("--forget", help="Take out what was learnt instead.")
    ] = False,
    *,
    runtime: options.RuntimeOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Tune the restorer to a person on the profile's close-ups, and keep that if it helps."""
    from refrestore.adapt.tune import forget_adapter, tune_profile

    if forget:
        forget_adapter(name, store=options.profile_store(runtime))
        print_json({"name": name, "tuned": False}) if json else print_line(f"{name}: untuned.")
        return
    with progress_reporter(progress) as report:
        tuned = tune_profile(
            name,
            store=options.profile_store(runtime),
            runtime=runtime,
            minutes=minutes,
            progress=report,
        )
    print_json(tuned.summary()) if json else print_line(tuned.sentence())


@app.command("list")
@options.with_settings
def list_profiles(*, runtime: options.ProfilesDir, json: options.Json = False) -> None:
    """List all profiles; a damaged one is named with its damage."""
    store = options.profile_store(runtime)
    entries = [entry_of(store, name) for name in store.list()]
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
@options.with_settings
def show(name: Name, *, runtime: options.ProfilesDir, json: options.Json = False) -> None:
    """Show a profile: where its close-ups are from and what they show."""
    profile = options.profile_store(runtime).load(name)
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
        print_json({"profile": summary(profile), "references": references})
        return
    print_line(line(profile))
    print_line(meaning(profile))
    for one in references:
        print_line(
            f"  {one['source']}: {one['size']:.0f} px, yaw {one['yaw']:.0f}, "
            f"pitch {one['pitch']:.0f}, similarity {one['similarity']:.2f}"
        )


@app.command()
@options.with_settings
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
    *,
    runtime: options.RuntimeOptions,
    json: options.Json = False,
) -> None:
    """Say which profiles the people of a project, or of pictures, are."""
    from refrestore.project import Project
    from refrestore.scan.recognise import match_identities, match_pictures

    if (project is None) == (not pictures):
        raise UsageError("Name either a project (-p) or pictures to match.")
    if link and project is None:
        raise UsageError("--link is for the people of a project (-p).")
    profiles = options.profile_store(runtime).load_all()
    rejected: tuple[Rejected, ...] = ()
    if project is not None:
        with Project.open(project) as opened:
            people = {one.id: one.name for one in opened.identities()}
            found = match_identities(opened, profiles, link=link, runtime=runtime)
        entries = [
            {"identity": number, "name": people[number], **match_of(answer)}
            for number, answer in found.items()
        ]
        lines = [match_words(f"{n} {people[n]}", answer) for n, answer in found.items()]
    else:
        matches, rejected = match_pictures(pictures or [], profiles, runtime)
        entries = [{"picture": name, **match_of(answer)} for name, answer in matches.items()]
        lines = [match_words(name, answer) for name, answer in matches.items()]
    if json:
        print_json({"matches": entries, **refused(rejected)})
        return
    for line_ in lines:
        print_line(line_)
    tell_refused(rejected)


@app.command()
@options.with_settings
def remove(name: Name, *, runtime: options.ProfilesDir, json: options.Json = False) -> None:
    """Delete a profile."""
    options.profile_store(runtime).remove(name)
    if json:
        print_json({"removed": name})
    else:
        print_line(f"{name} was removed.")


@app.command()
@options.with_settings
def merge(
    name: Name,
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="Taken over, deleted.")],
    into: Annotated[
        str | None, typer.Option("--as", help="Name of the one profile; default the first's.")
    ] = None,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """Make profiles of one person one profile; refused for two people."""
    merged = options.profile_store(runtime).merge(name, others, into=into)
    if json:
        print_json({"profile": summary(merged)})
    else:
        print_line(line(merged))
        print_line(meaning(merged))


@app.command("export")
@options.with_settings
def export_profile(
    name: Name,
    output: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Default NAME.refprofile.")
    ] = None,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """Write a profile as one file."""
    from refrestore.profiles.archive import SUFFIX

    path = options.profile_store(runtime).export_file(name, output or Path(f"{name}{SUFFIX}"))
    if json:
        print_json({"name": name, "file": str(path)})
    else:
        print_line(str(path))


@app.command("import")
@options.with_settings
def import_profile(
    file: Annotated[Path, typer.Argument(help="File written by `export`.")],
    name: Annotated[str | None, typer.Option("--name", help="Another name to give it.")] = None,
    replace: Replace = False,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """Add a profile from a file; everything in it is checked before anything is written."""
    profile = options.profile_store(runtime).import_file(file, name=name, replace_existing=replace)
    if json:
        print_json({"profile": summary(profile)})
    else:
        print_line(line(profile))


def _build_album(
    folder: Path,
    name: str | None,
    runtime: RuntimeSettings,
    *,
    replace: bool,
    progress: options.Progress,
    json: bool,
) -> None:
    from refrestore.scan.album import build_from_album

    with progress_reporter(progress) as report:
        album = build_from_album(
            folder,
            name=name,
            store=options.profile_store(runtime),
            runtime=runtime,
            replace_existing=replace,
            progress=report,
        )
    tell_album(album, json)


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
        raise UsageError(
            f"{text!r} names no person: write PROJECT:ID, such as film.project:3; photos are given "
            "with --photos."
        )
    return Path(folder), int(number)
