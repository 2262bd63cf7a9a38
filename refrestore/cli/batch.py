"""`refrestore batch`: many films, one after another."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refrestore.errors import UsageError
from refrestore.plain_text import counted

from . import options
from .output import print_json, print_line, print_note
from .progress import progress_reporter
from .tables import print_table

if TYPE_CHECKING:
    from refrestore.batch.queue import Queue
    from refrestore.batch.queued_film import QueuedFilm
    from refrestore.batch.sources import Newcomers

app = typer.Typer(
    help="Many films: a queue of them, scanned, reviewed and rendered one after another.",
    no_args_is_help=True,
)

QueueFile = Annotated[
    Path, typer.Option("--queue", "-q", help="Queue file (made by `refrestore batch add`).")
]
Films = Annotated[
    list[str],
    typer.Argument(metavar="FILM...", help="Films, by their numbers in the list or their videos."),
]
StateOption = Annotated[
    Literal["waiting", "scanning", "review", "ready", "rendering", "done", "failed"] | None,
    typer.Option("--state", help="Only films of this state."),
]


@app.command()
@options.with_settings
def add(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders, patterns in quotes ('tapes/*.avi'), lists (NAME.txt, a path a line), "
            "videos.",
        ),
    ],
    queue: QueueFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the restored films.")],
    priority: Annotated[
        int, typer.Option("--priority", help="The higher, the earlier; the default is 0.")
    ] = 0,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Remember the folders, and add what comes until stopped."),
    ] = False,
    preset: options.PresetOption = None,
    *,
    asked: options.FilmOptions,
    json: options.Json = False,
) -> None:
    """Add films of folders, patterns, lists; what is asked for them is kept with them."""
    from refrestore.batch.order import Order
    from refrestore.batch.queue import Queue
    from refrestore.batch.sources import Newcomers, entries_of
    from refrestore.presets import film_settings

    # Only what was asked is kept: all else is as the options' defaults are when it is done.
    values = options.given(context)
    film_settings(values, "What was asked")
    order = Order(output.absolute(), values, priority)
    folders = [Path(one).absolute() for one in sources if Path(one).is_dir()]
    if watch and len(folders) < len(sources):
        raise UsageError("--watch looks at folders: name folders only.")
    # A folder that is watched may be empty yet.
    entries = entries_of([] if watch else sources, order)
    with Queue(queue, make=True) as opened:
        added, known = opened.add(entries, order)
        for folder in folders if watch else ():
            opened.watch(folder, order)
        if json and not watch:
            print_json({
                "queue": str(queue),
                "added": [film.said() for film in added],
                "known": [str(one.video) for one in known],
            })  # fmt: skip
            return
        if not watch:
            there = f", {counted(len(known), 'film')} there already" if known else ""
            print_line(f"{counted(len(added), 'film')} added{there}.")
            print_line(f"Next: refrestore batch run -q {queue}")
            return
        print_note(f"Looking into {counted(len(folders), 'folder')} until this is stopped.")
        newcomers = Newcomers()
        while True:
            _take_new(opened, newcomers)
            time.sleep(_idle_seconds())


@app.command("list")
def list_films(queue: QueueFile, state: StateOption = None, json: options.Json = False) -> None:
    """List the films: what is done, what waits, what failed; with --json, who is in which."""
    from refrestore.batch.queue import Queue
    from refrestore.batch.summary import summary_of

    with Queue(queue) as opened:
        opened.free_lost()
        films = opened.films(state)
        if json:
            shown = {film.id for film in films}
            summary = summary_of(opened)
            films_said = [one for one in summary["films"] if one["film"] in shown]
            print_json({**summary, "films": films_said})
            return
    if not films:
        print_line("There is no such film." if state else "There is no film.")
        return
    rows = [(str(one.id), one.state, str(one.priority), one.name, _words(one)) for one in films]
    print_table(("film", "state", "priority", "video", ""), rows)


@app.command()
@options.with_settings
def run(
    queue: QueueFile,
    auto: Annotated[
        bool, typer.Option("--auto", help="Render without waiting for a review.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Go on when all is done: take what is reviewed, added, or comes into a folder "
            "that was added with --watch.",
        ),
    ] = False,
    learn_profiles: Annotated[
        bool,
        typer.Option(
            "--learn-profiles",
            help="Before a film is rendered, make its people profiles or teach those they are "
            "linked to: later films know them.",
        ),
    ] = False,
    on_done: Annotated[
        str | None,
        typer.Option(
            "--on-done",
            metavar="CMD",
            help="Shell command for each film that is done; REFRESTORE_VIDEO, REFRESTORE_OUTPUT, "
            "REFRESTORE_REPORT and REFRESTORE_PROJECT are its paths.",
        ),
    ] = None,
    *,
    runtime: options.RuntimeOptions,
    engine: options.EngineOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Scan and render the films of a queue; goes on where it was stopped, each film once."""
    from refrestore.batch.film_work import FilmWork
    from refrestore.batch.queue import Queue
    from refrestore.batch.runner import FilmsFailedError, Runner
    from refrestore.batch.sources import Newcomers
    from refrestore.batch.summary import write_summary
    from refrestore.engine.crew import crew_of

    failed: FilmsFailedError | None = None
    with Queue(queue) as opened:
        with (
            progress_reporter(progress) as report,
            crew_of(engine, runtime, announce=report.note, heard=report.worker) as crew,
        ):
            newcomers, work = Newcomers(), FilmWork(runtime, learn_profiles, crew)
            work.open()
            runner = Runner(
                opened,
                work,
                report,
                auto=auto,
                on_done=on_done,
                look=(lambda: _take_new(opened, newcomers)) if watch else None,
                settled=lambda: write_summary(opened),
            )
            try:
                runner.run()
            except FilmsFailedError as error:
                failed = error
        _tell_run(opened, json)
    if failed is not None:
        raise failed


@app.command()
def confirm(queue: QueueFile, films: Films, json: options.Json = False) -> None:
    """Say that the people of reviewed films are right: they are rendered at their turn."""
    from refrestore.batch.queue import Queue

    with Queue(queue) as opened:
        chosen = opened.find(films)
        opened.confirm(chosen)
    _tell(chosen, "confirmed", json)


@app.command()
def retry(
    queue: QueueFile,
    films: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILM...]", help="Numbers or videos; default all that failed."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Give films that failed another turn."""
    from refrestore.batch.queue import Queue

    with Queue(queue) as opened:
        chosen = opened.retry(opened.find(films) if films else None)
    _tell(chosen, "to be tried again", json)


@app.command()
def remove(queue: QueueFile, films: Films, json: options.Json = False) -> None:
    """Take films off the queue; their projects and what is rendered stay."""
    from refrestore.batch.queue import Queue

    with Queue(queue) as opened:
        chosen = opened.find(films)
        opened.remove(chosen)
    _tell(chosen, "removed", json)


def _tell_run(queue: Queue, json: bool) -> None:
    """Print what a run has come to."""
    from refrestore.batch.summary import summary_files, summary_of

    if json:
        print_json(summary_of(queue))
        return
    counts, name = queue.counts(), os.path.relpath(queue.path)
    print_line(f"{counts['done']} of {counted(counts.total(), 'film')} done.")
    if waiting := counts["review"]:
        print_line(
            f"{counted(waiting, 'film')} to be reviewed: refrestore review {name}; then "
            f"refrestore batch run -q {name} again."
        )
    print_line(f"Who is in which film: {os.path.relpath(summary_files(queue.path)[1])}")


def _take_new(queue: Queue, newcomers: Newcomers) -> None:
    """Add what came into the folders that a queue watches, and say so."""
    from refrestore.batch.sources import new_films

    for one in new_films(queue, newcomers):
        print_note(one if isinstance(one, str) else f"{one.name} was added.")


def _idle_seconds() -> float:
    from refrestore.batch.runner import IDLE_SECONDS

    return IDLE_SECONDS


def _words(film: QueuedFilm) -> str:
    """Return what is to be said of a film in a list."""
    if film.failure is not None:
        return film.failure
    if film.runner is not None and film.stage is not None:
        return f"{film.stage} {film.done}" + (f" of {film.total}" if film.total else "")
    names = [str(one["profile"] or one["name"]) for one in film.people]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _tell(films: list[QueuedFilm], done: str, json: bool) -> None:
    if json:
        print_json({"films": [film.id for film in films]})
        return
    print_line(f"{counted(len(films), 'film')} {done}.")
