"""Look at the people of a project: list, show, pictures, suggestions, edits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refrestore.cli import options
from refrestore.cli.output import print_json, print_line, print_note
from refrestore.cli.tables import print_table

from .shared import (
    One,
    coverage_words,
    describe_edit,
    edit_words,
    open_project,
    print_identities,
    said_gaps,
)

if TYPE_CHECKING:
    from refrestore.moment import Timecode
    from refrestore.project import Project
    from refrestore.project.suggestions import Suggestions
    from refrestore.types import Identity

SHEET = "contact_sheet.png"
TIMELINE = "timeline.png"


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("list")(list_identities)
    for command in (show, suggestions, sheet, timeline, edits):
        app.command()(command)


def list_identities(project: options.ProjectFolder, json: options.Json = False) -> None:
    """List the people of a project."""
    with open_project(project) as opened:
        found = opened.identities()
        if json:
            print_json({"identities": [asdict(one) for one in found]})
        else:
            print_identities(found)
            if not found:
                print_line("Nobody was found." if opened.scan_info() else "Not scanned yet.")
        for lost in opened.unresolved():
            print_note(lost.reason)


@options.with_settings
def show(
    identity: One,
    project: options.ProjectFolder,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """Show one person: appearances, close-ups, and looks that no close-up shows."""
    from refrestore.project.gaps import coverage, gaps

    store = options.profile_store(runtime)
    with open_project(project) as opened:
        missing = gaps(opened, identity, store)
        shown = coverage(opened.references(identity))
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
                "size": round(one.size, 1),
                "quality": round(one.quality, 3),
                "yaw": round(one.yaw, 1),
                "pitch": round(one.pitch, 1),
            }
            for one in opened.close_ups(identity)
            if one.used
        ]
    if json:
        print_json(
            {
                "identity": asdict(found),
                "tracks": tracks,
                "references": references,
                "coverage": asdict(shown),
                "gaps": said_gaps(missing),
            }
        )
        return
    print_identities([found])
    if found.not_profiles:
        print_line(f"  not {', '.join(found.not_profiles)}, as you said")
    for track in tracks:
        print_line(
            f"  track {track['id']}: {track['start']:.2f} to {track['end']:.2f} s, "
            f"{track['size']:.0f} px"
        )
    for one in references:
        print_line(f"  close-up: {one['source']}, {one['size']:.0f} px, yaw {one['yaw']:.0f}")
    if references:
        print_line(f"  they show (left and right of the picture): {coverage_words(shown)}")
    for sentence in missing.sentences():
        print_line(f"  {sentence}")


def suggestions(
    project: options.ProjectFolder,
    least: Annotated[
        float | None,
        typer.Option(
            "--least", min=-1, max=1, help="Least similarity named; default the recogniser's own."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Of each kind at most.")] = 20,
    json: options.Json = False,
) -> None:
    """Name who may be one person, and tracks that may be somebody else's."""
    from refrestore.project.suggestions import suggest

    with open_project(project) as opened:
        found = suggest(opened, least=least, limit=limit)
        people = {one.id: one for one in opened.identities()}
    if json:
        print_json(
            {
                "merges": [_rounded(asdict(one)) for one in found.merges],
                "impurities": [_rounded(asdict(one)) for one in found.impurities],
            }
        )
        return
    _print_suggestions(found, people)


def sheet(
    project: options.ProjectFolder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"PNG; default {SHEET} in the project.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Draw everybody on one picture."""
    from refrestore.media.stills import write_picture
    from refrestore.scan.contact_sheet import contact_sheet

    path = output or project / SHEET
    with open_project(project) as opened:
        write_picture(path, contact_sheet(opened))
    if json:
        print_json({"sheet": str(path)})
    else:
        print_line(str(path))


def timeline(
    project: options.ProjectFolder,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help=f"PNG or SVG; default {TIMELINE} in the project."),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, max=500, help="People at most, the longest seen.")
    ] = 40,
    edl: Annotated[
        Path | None,
        typer.Option("--edl", metavar="FILE", help="Write an edit decision list (CMX 3600)."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a table of appearances.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Draw who is on screen when, or list it for other programs."""
    from refrestore.media.files import write_file
    from refrestore.project.appearances import appearances, as_csv, as_edl, too_many
    from refrestore.project.timeline_picture import write_timeline

    path = output or (None if edl or csv else project / TIMELINE)
    with open_project(project) as opened:
        if path is not None:
            write_timeline(opened, path, most=most)
        if edl or csv:
            begins = _timecode(opened)
            if edl is not None:
                write_file(edl, as_edl(opened, begins).encode(), make_folders=False)
                if (note := too_many(appearances(opened))) is not None:
                    print_note(note)
            if csv is not None:
                write_file(csv, as_csv(opened, begins).encode(), make_folders=False)
    files = {"timeline": path, "edl": edl, "csv": csv}
    if json:
        print_json({kind: str(file) for kind, file in files.items() if file is not None})
        return
    for file in files.values():
        if file is not None:
            print_line(str(file))


def _timecode(project: Project) -> Timecode | None:
    """Return the timecode of the film's first frame; None where it has none, or is not there."""
    from refrestore.errors import MediaError
    from refrestore.project.opened_film import probed_film

    try:
        return probed_film(project).timecode
    except MediaError as error:
        print_note(f"Timecodes are counted from 00:00:00:00, as the film cannot be asked: {error}")
        return None


def edits(project: options.ProjectFolder, json: options.Json = False) -> None:
    """List all changes ever made, and which have no effect on the present scan."""
    with open_project(project) as opened:
        made = opened.edits()
        lost = {one.edit.id for one in opened.unresolved()}
    if json:
        said = [
            {
                **describe_edit(one),
                "time": one.time,
                "undone": one.undone,
                "unresolved": one.id in lost,
            }
            for one in made
        ]
        print_json({"edits": said})
        return
    for one in made:
        marks = [
            *(["undone"] if one.undone else []),
            *(["unresolved"] if one.id in lost else []),
        ]
        print_line(
            f"{one.time}  {edit_words(one)}{'  (' + ', '.join(marks) + ')' if marks else ''}"
        )


def _rounded(said: dict[str, object]) -> dict[str, object]:
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in said.items()
    }


def _print_suggestions(found: Suggestions, people: dict[int, Identity]) -> None:
    def name(identity: int) -> str:
        return f"{people[identity].name} ({identity})"

    if not (found.merges or found.impurities):
        print_line("There is nothing to suggest.")
    if found.merges:
        print_table(
            ("similarity", "may be one person", "if so", "if not"),
            [
                (
                    f"{one.similarity:.2f}",
                    " and ".join(map(name, one.identities)),
                    "merge {} {}".format(*one.identities),
                    "distinct {} {}".format(*one.identities),
                )
                for one in found.merges
            ],
        )
    if found.impurities:
        print_table(
            ("similarity", "may be somebody else", "nearer to", "if so", "if not"),
            [
                (
                    f"{one.similarity:.2f}",
                    f"track {one.track} of {name(one.identity)}",
                    f"{name(one.nearest)}, {one.nearest_similarity:.2f}",
                    f"move {one.track} --to {one.nearest}",
                    f"keep {one.track}",
                )
                for one in found.impurities
            ],
        )
