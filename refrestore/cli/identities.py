"""`refrestore identities`: who is in a video, and what the user says about it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .output import print_json, print_line
from .table import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refrestore.project import Edit, Project
    from refrestore.types import Identity, IdentityState

SHEET = "contact_sheet.png"

app = typer.Typer(help="Look at the people of a project and correct them.", no_args_is_help=True)

One = Annotated[int, typer.Argument(metavar="ID", help="Identity, as `list` names it.")]
Several = Annotated[list[int], typer.Argument(metavar="ID...", help="Identities.")]
Tracks = Annotated[list[int], typer.Argument(metavar="TRACK...", help="Tracks, as `show` says.")]
Force = Annotated[bool, typer.Option("--force", help="Even if both are on screen in one frame.")]


@app.command("list")
def list_identities(project: options.ProjectFolder, json: options.Json = False) -> None:
    """List the people of a project."""
    with _open(project) as opened:
        _list(opened, json)


@app.command()
def show(identity: One, project: options.ProjectFolder, json: options.Json = False) -> None:
    """Show one person: appearances and close-ups."""
    with _open(project) as opened:
        found = opened.identity(identity)
        timeline = opened.timeline()
        tracks = [
            {
                "id": track.id,
                "shot": track.shot,
                "start": round(timeline.seconds(track.first), 3),
                "end": round(timeline.seconds(track.stop), 3),
                "frames": [track.first, track.stop],
                "size": round(track.size, 1),
                "quality": round(track.quality, 3),
            }
            for track in opened.tracks(found.tracks)
        ]
        references = [
            {
                "source": one.source,
                "size": round(one.native_size, 1),
                "quality": round(one.quality, 3),
                "yaw": round(float(one.pose[0]), 1),
                "pitch": round(float(one.pose[1]), 1),
            }
            for one in opened.references(identity)
        ]
    if json:
        print_json({"identity": asdict(found), "tracks": tracks, "references": references})
        return
    _print([found])
    for track in tracks:
        print_line(
            f"  track {track['id']}: {track['start']:.2f} to {track['end']:.2f} s, "
            f"{track['size']:.0f} px"
        )
    for one in references:
        print_line(f"  close-up: {one['source']}, {one['size']:.0f} px, yaw {one['yaw']:.0f}")


@app.command()
def merge(
    identities: Several,
    project: options.ProjectFolder,
    force: Force = False,
    json: options.Json = False,
) -> None:
    """Make several identities one person, that of the first ID."""
    with _open(project) as opened:
        _tell(opened, [opened.merge(identities, force=force)], json)


@app.command()
def split(
    identity: One, tracks: Tracks, project: options.ProjectFolder, json: options.Json = False
) -> None:
    """Take tracks out of an identity as somebody else."""
    with _open(project) as opened:
        _tell(opened, [opened.split(identity, tracks)], json)


@app.command()
def move(
    identity: One,
    tracks: Tracks,
    project: options.ProjectFolder,
    force: Force = False,
    json: options.Json = False,
) -> None:
    """Give tracks, whoever has them, to an identity."""
    with _open(project) as opened:
        opened.move_tracks(tracks, identity, force=force)
        _tell(opened, [identity], json)


@app.command()
def rename(
    identity: One,
    name: Annotated[str, typer.Argument(help="Name; empty takes it away.")],
    project: options.ProjectFolder,
    json: options.Json = False,
) -> None:
    """Give a person a name."""
    with _open(project) as opened:
        opened.rename(identity, name)
        _tell(opened, [identity], json)


@app.command()
def ignore(identities: Several, project: options.ProjectFolder, json: options.Json = False) -> None:
    """Leave people alone."""
    _set_state(identities, project, "ignore", json)


@app.command()
def restore(
    identities: Several, project: options.ProjectFolder, json: options.Json = False
) -> None:
    """Restore people (again)."""
    _set_state(identities, project, "restore", json)


@app.command("not-a-face")
def not_a_face(
    identities: Several, project: options.ProjectFolder, json: options.Json = False
) -> None:
    """Say that these are no faces."""
    _set_state(identities, project, "not_a_face", json)


@app.command()
def link(
    identity: One,
    project: options.ProjectFolder,
    profile: Annotated[
        str | None, typer.Argument(metavar="[PROFILE]", help="Profile; without it, unlink.")
    ] = None,
    profiles_dir: options.ProfilesDir = None,
    json: options.Json = False,
) -> None:
    """Say which profile a person is."""
    if profile is not None:
        runtime = options.runtime_settings(profiles_dir=profiles_dir)
        (loaded,) = options.load_profiles(runtime, [profile])
        profile = loaded.name
    with _open(project) as opened:
        opened.link_profile(identity, profile)
        _tell(opened, [identity], json)


@app.command()
def undo(project: options.ProjectFolder, json: options.Json = False) -> None:
    """Take the last change back."""
    with _open(project) as opened:
        _turned(opened.undo(), "undone", json)


@app.command()
def redo(project: options.ProjectFolder, json: options.Json = False) -> None:
    """Bring back what was undone last."""
    with _open(project) as opened:
        _turned(opened.redo(), "redone", json)


@app.command()
def edits(project: options.ProjectFolder, json: options.Json = False) -> None:
    """List all changes ever made, and which have no effect on the present scan."""
    with _open(project) as opened:
        made = opened.edits()
        lost = {one.edit.id for one in opened.unresolved()}
    entries = [
        {**_edit(one), "time": one.time, "undone": one.undone, "unresolved": one.id in lost}
        for one in made
    ]
    if json:
        print_json({"edits": entries})
        return
    for one in entries:
        marks = [word for word in ("undone", "unresolved") if one[word]]
        print_line(f"{one['time']}  {_words(one)}{'  (' + ', '.join(marks) + ')' if marks else ''}")


@app.command()
def sheet(
    project: options.ProjectFolder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"PNG; default {SHEET} in the project.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Draw everybody on one picture."""
    from refrestore.media.stills import write_picture
    from refrestore.scan.sheet import contact_sheet

    path = output or project / SHEET
    with _open(project) as opened:
        write_picture(path, contact_sheet(opened))
    if json:
        print_json({"sheet": str(path)})
    else:
        print_line(str(path))


def _open(folder: Path) -> Project:
    from refrestore.project import Project

    return Project.open(folder)


def _set_state(identities: list[int], folder: Path, state: IdentityState, json: bool) -> None:
    with _open(folder) as opened:
        opened.set_states(identities, state)
        _tell(opened, identities, json)


def _list(project: Project, json: bool) -> None:
    found = project.identities()
    if json:
        print_json({"identities": [asdict(one) for one in found]})
    else:
        _print(found)
        if not found:
            print_line("Nobody was found." if project.scan_info() else "Not scanned yet.")
    for lost in project.unresolved():
        typer.echo(lost.reason, err=True)


def _tell(project: Project, identities: list[int], json: bool) -> None:
    found = [project.identity(one) for one in dict.fromkeys(identities)]
    if json:
        print_json({"identities": [asdict(one) for one in found]})
        return
    _print(found)


def _print(identities: Sequence[Identity]) -> None:
    header = ("id", "name", "state", "seconds", "faces", "close-ups", "profile", "tracks")
    rows = [
        (
            str(one.id),
            one.name,
            one.state,
            f"{one.seconds:.1f}",
            str(one.faces),
            str(one.references),
            one.profile or "",
            " ".join(map(str, one.tracks)),
        )
        for one in identities
    ]
    if rows:
        print_table(header, rows)


def _turned(edit: Edit | None, what: str, json: bool) -> None:
    if json:
        print_json({what: None if edit is None else _edit(edit)})
    elif edit is None:
        print_line(f"There is nothing to be {what}.")
    else:
        print_line(f"{what.capitalize()}: {_words(_edit(edit))}")


def _edit(edit: Edit) -> dict[str, Any]:
    return {
        "id": edit.id,
        "action": edit.action,
        "identity": edit.subject,
        "value": edit.value,
        "tracks": [anchor.track for anchor in edit.anchors],
    }


def _words(edit: dict[str, Any]) -> str:
    value = "" if edit["value"] is None else f" {edit['value']}"
    return f"{edit['action']} {edit['identity']}{value}"
