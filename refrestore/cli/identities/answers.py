"""Say who is who: every command is an edit that `undo` takes back and a new scan keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refrestore.cli import options
from refrestore.cli.output import print_json, print_line
from refrestore.errors import UsageError

from .shared import (
    Force,
    One,
    Several,
    Tracks,
    describe_edit,
    edit_words,
    insisting,
    open_project,
    tell,
)

if TYPE_CHECKING:
    from refrestore.project import Edit
    from refrestore.types import IdentityState

NEW = 0
"""A new identity; those there are begin at 1."""


OneProfile = Annotated[str, typer.Argument(metavar="PROFILE", help="Name of the profile.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command()(merge)
    app.command()(distinct)
    app.command()(split)
    app.command()(move)
    app.command()(keep)
    app.command()(rename)
    app.command()(ignore)
    app.command()(restore)
    app.command()(strength)
    app.command("not-a-face")(not_a_face)
    app.command()(link)
    app.command()(unlink)
    app.command("not-profile")(not_profile)
    app.command()(undo)
    app.command()(redo)


def _target(text: str) -> int:
    if text == "new":
        return NEW
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no identity; write its number, or new") from None


def merge(
    identities: Several,
    project: options.ProjectFolder,
    force: Force = False,
    json: options.Json = False,
) -> None:
    """Make several identities one person, that of the first ID."""
    with open_project(project) as opened:
        with insisting():
            merged = opened.merge(identities, force=force)
        tell(opened, [merged], json)


def distinct(
    identities: Several, project: options.ProjectFolder, json: options.Json = False
) -> None:
    """Say that identities are different people: never suggest them or find them as one again."""
    with open_project(project) as opened:
        opened.tell_apart(identities)
        tell(opened, identities, json)


def split(
    identity: One, tracks: Tracks, project: options.ProjectFolder, json: options.Json = False
) -> None:
    """Take tracks out of an identity as somebody else."""
    with open_project(project) as opened:
        tell(opened, [opened.split(identity, tracks)], json)


def move(
    tracks: Tracks,
    project: options.ProjectFolder,
    to: Annotated[
        int,
        typer.Option("--to", parser=_target, metavar="ID|new", help="Identity, or a new one."),
    ],
    force: Force = False,
    json: options.Json = False,
) -> None:
    """Give tracks, whoever has them, to an identity or make them a new one."""
    with open_project(project) as opened:
        with insisting():
            if to == NEW:
                to = opened.separate(tracks, force=force)
            else:
                opened.move_tracks(tracks, to, force=force)
        tell(opened, [to], json)


def keep(tracks: Tracks, project: options.ProjectFolder, json: options.Json = False) -> None:
    """Say that tracks are rightly with the person who has them: never doubt them again."""
    with open_project(project) as opened:
        opened.keep_tracks(tracks)
        holders = opened.identity_of_track()
        tell(opened, [holders[track] for track in tracks], json)


def rename(
    identity: One,
    name: Annotated[str, typer.Argument(help="Name; empty takes it away.")],
    project: options.ProjectFolder,
    json: options.Json = False,
) -> None:
    """Give a person a name."""
    with open_project(project) as opened:
        opened.rename(identity, name)
        tell(opened, [identity], json)


def ignore(identities: Several, project: options.ProjectFolder, json: options.Json = False) -> None:
    """Leave people alone."""
    _set_state(identities, project, "ignore", json)


def restore(
    identities: Several, project: options.ProjectFolder, json: options.Json = False
) -> None:
    """Restore people (again)."""
    _set_state(identities, project, "restore", json)


def strength(
    identity: One,
    value: Annotated[
        float, typer.Argument(min=0, max=1, help="0 leaves the person alone, 1 restores fully.")
    ],
    project: options.ProjectFolder,
    json: options.Json = False,
) -> None:
    """Say how far a person is restored."""
    with open_project(project) as opened:
        opened.set_strength(identity, value)
        tell(opened, [identity], json)


def not_a_face(
    project: options.ProjectFolder,
    identities: Annotated[
        list[int] | None, typer.Argument(metavar="[ID...]", help="Identities.")
    ] = None,
    track: Annotated[
        list[int] | None,
        typer.Option("--track", help="Only this track, as `show` says; may be repeated."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Say that identities, or single tracks, are no faces."""
    if bool(identities) == bool(track):
        raise UsageError("Name identities that are no faces, or tracks with --track.")
    if identities:
        _set_state(identities, project, "not_a_face", json)
        return
    with open_project(project) as opened:
        tell(opened, opened.not_faces(track or []), json)


@options.with_settings
def link(
    identity: One,
    profile: OneProfile,
    project: options.ProjectFolder,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """Say which profile a person is."""
    (loaded,) = options.load_profiles(runtime, [profile])
    with open_project(project) as opened:
        opened.link_profile(identity, loaded.name)
        tell(opened, [identity], json)


def unlink(identities: Several, project: options.ProjectFolder, json: options.Json = False) -> None:
    """Say that people are no profile's."""
    with open_project(project) as opened:
        opened.unlink_profiles(identities)
        tell(opened, identities, json)


@options.with_settings
def not_profile(
    identity: One,
    profile: OneProfile,
    project: options.ProjectFolder,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """Say that a person is not a profile's, for good; only `link` takes that back."""
    options.profile_store(runtime).path(profile)
    with open_project(project) as opened:
        opened.deny_profile(identity, profile)
        tell(opened, [identity], json)


def undo(project: options.ProjectFolder, json: options.Json = False) -> None:
    """Take the last change back, with all that were made together with it."""
    with open_project(project) as opened:
        _turned(opened.undo(), "undone", json)


def redo(project: options.ProjectFolder, json: options.Json = False) -> None:
    """Bring back what was undone last."""
    with open_project(project) as opened:
        _turned(opened.redo(), "redone", json)


def _set_state(identities: list[int], folder: Path, state: IdentityState, json: bool) -> None:
    with open_project(folder) as opened:
        opened.set_states(identities, state)
        tell(opened, identities, json)


def _turned(edits: list[Edit], what: str, json: bool) -> None:
    if json:
        said = [describe_edit(edit) for edit in edits]
        print_json({what: said[0] if said else None, "together": said[1:]})
        return
    for edit in edits:
        print_line(f"{what.capitalize()}: {edit_words(edit)}")
    if not edits:
        print_line(f"There is nothing to be {what}.")
