"""The archive in one summary: who is in which film, what was done, what failed and why."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import jinja2

from refrestore import __version__
from refrestore.media.files import write_file
from refrestore.plain_text import json_text, plain_if_text

from .queue import Queue
from .queued_film import STATES, Json, QueuedFilm


def summary_of(queue: Queue) -> Json:
    """Return the summary as JSON.

    People are one where they are linked to one profile; others are known in their own film only.
    """
    films = queue.films()
    counts = queue.counts()
    return {
        "version": __version__,
        "queue": queue.path.name,
        "counts": {state: counts[state] for state in STATES if counts[state]},
        "films": [film.said() for film in films],
        "people": people_across(films),
    }


def people_across(films: Iterable[QueuedFilm]) -> list[Json]:
    """Return everybody, who is in most films first, and the films they are in."""
    found: dict[tuple[str, int, int], Json] = {}
    for film in films:
        for one in film.people:
            profile = one["profile"]
            key = (profile, 0, 0) if profile is not None else ("", film.id, one["id"])
            person = found.setdefault(
                key,
                {"name": profile or one["name"], "profile": profile, "seconds": 0.0, "films": []},
            )
            person["seconds"] = round(person["seconds"] + one["seconds"], 3)
            person["films"].append({
                "film": film.id,
                "identity": one["id"],
                "seconds": one["seconds"],
                "restored_faces": one.get("restored_faces"),
            })  # fmt: skip
    return sorted(
        found.values(),
        key=lambda one: (-len({f["film"] for f in one["films"]}), -one["seconds"], one["name"]),
    )


def summary_files(queue: Path) -> tuple[Path, Path]:
    """Return where a queue's summary is written: JSON and page, beside it."""
    return queue.with_name(f"{queue.stem}.summary.json"), queue.with_name(
        f"{queue.stem}.summary.html"
    )


def write_summary(queue: Queue) -> tuple[Path, Path]:
    """Write the summary beside the queue.

    Raises
    ------
    DiskError
        It cannot be written.
    """
    summary = summary_of(queue)
    json_path, page = summary_files(queue.path)
    write_file(json_path, (json_text(summary) + "\n").encode())
    write_file(page, _page(summary, page.parent).encode())
    return json_path, page


def _page(summary: Json, folder: Path) -> str:
    template = resources.files("refrestore.batch").joinpath("summary.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=plain_if_text
    )
    environment.filters["clock"] = _clock
    environment.filters["beside"] = lambda path: _beside(path, folder)
    films = {film["film"]: film for film in summary["films"]}
    return environment.from_string(template).render(summary=summary, films=films, named=_named)


def _named(film: Json) -> str:
    return Path(film["video"]).name


def _beside(path: str, folder: Path) -> str:
    """Return a link to a file from a page in a folder, so that both can be moved together."""
    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # another drive
        return Path(path).as_uri()


def _clock(seconds: float) -> str:
    """Return 0:00:00 of seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
