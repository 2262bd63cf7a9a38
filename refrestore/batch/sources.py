"""Where films come from: folders, lists, patterns, files; and which of them are whole."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from refrestore.engine.destinations import PROJECT_SUFFIX, output_name
from refrestore.errors import BatchError, UsageError
from refrestore.file_names import readable_name
from refrestore.media.files import check_file
from refrestore.media.sequences import is_pattern, read_sequence
from refrestore.presets import film_settings

from .order import FilmToAdd, Order, check_apart
from .queue import Queue
from .queued_film import QueuedFilm

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mxf", ".avi", ".mpg", ".mpeg", ".m2v", ".mpe"}
    | {".vob", ".ts", ".m2ts", ".mts", ".wmv", ".asf", ".flv", ".ogv", ".3gp", ".3g2", ".dv"}
    | {".qt", ".divx", ".y4m", ".nut"}
)
"""What films in a folder end in; a file that is named is taken whatever it ends in."""

LIST_SUFFIX = ".txt"


@dataclass
class Newcomers:
    """Tells films that are still being written from those that stand still.

    A file counts once two looks, one after the other, find it of one size and time.
    """

    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def settled(self, videos: Iterable[Path]) -> list[Path]:
        """Return those of the videos that have not changed since the last look."""
        now = {}
        for video in videos:
            try:
                stat = video.stat()
            except OSError:  # gone again
                continue
            now[video] = (stat.st_size, stat.st_mtime_ns)
        still = [video for video, seen in now.items() if seen[0] and self._seen.get(video) == seen]
        self._seen = now
        return still


def entries_of(sources: Sequence[str], order: Order) -> list[FilmToAdd]:
    """Return the films of folders, list files, patterns and files, each once.

    Raises
    ------
    BatchError
        If one of them has none, or two films would be written to one place.
    MediaError
        If a file is not there.
    UsageError
        If the output is no folder, or a film would be written over itself.
    """
    if order.output.exists() and not order.output.is_dir():
        raise UsageError(f"{readable_name(order.output)} is a file: name a folder for the films.")
    found: dict[Path, FilmToAdd] = {}
    for source in sources:
        for video, below in _films_of(source, order.output):
            found.setdefault(video, _entry(video, below, order))
    entries = list(found.values())
    check_apart(entries)
    return entries


def new_films(queue: Queue, newcomers: Newcomers) -> Iterator[QueuedFilm | str]:
    """Add what is new and stands still in the folders a queue watches.

    Yields
    ------
    Film or str
        What was added, or why something was not.
    """
    known = queue.videos()
    orders = queue.folders()
    found = {
        video: (below, orders[folder])
        for folder in orders
        for video, below in films_below(folder, orders[folder].output)
        if video not in known
    }
    for video in newcomers.settled(found):
        below, order = found[video]
        try:
            yield from queue.add([_entry(video, below, order)], order)[0]
        except (BatchError, UsageError) as error:
            yield str(error)


def films_below(folder: Path, output: Path) -> list[tuple[Path, Path]]:
    """Return the films below a folder, but for the output's, and the folders they are in there."""
    found: list[tuple[Path, Path]] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not name.endswith(PROJECT_SUFFIX)
            and Path(place, name) != output
        )
        found += [
            (Path(place, name), Path(place).relative_to(folder))
            for name in sorted(files)
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES
        ]
    return found


def _films_of(source: str, output: Path) -> list[tuple[Path, Path]]:
    path = Path(source).absolute()
    if is_pattern(path):
        read_sequence(path)
        return [(path, Path())]
    if path.is_dir():
        if path == output:
            raise UsageError(
                f"The films of {readable_name(source)} would be written among themselves: give "
                "another output folder."
            )
        films = films_below(path, output)
        if not films:
            raise BatchError(
                f"There is no film in the folder {readable_name(source)}: films are files that end "
                f"in {', '.join(sorted(VIDEO_SUFFIXES)[:5])} and so on; others are named one by "
                "one, or in a list."
            )
        return films
    if path.suffix.lower() == LIST_SUFFIX:
        return _listed(path)
    if glob.has_magic(source) and not path.exists():
        files = sorted(Path(name).absolute() for name in glob.glob(source, recursive=True))
        named = [(file, Path()) for file in files if file.is_file()]
        if not named:
            raise BatchError(f"No file fits {readable_name(source)}.")
        return named
    check_file(Path(source))
    return [(path, Path())]


def _listed(path: Path) -> list[tuple[Path, Path]]:
    """Return the films of a list: a path a line, which counts from the list's folder."""
    check_file(path)
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BatchError(f"The list {readable_name(path)} is not text in UTF-8.") from error
    named = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not named:
        raise BatchError(f"The list {readable_name(path)} names no film.")
    videos = [Path(os.path.normpath(path.parent / name)) for name in named]
    for video in videos:
        check_file(video)
    return [(video, Path()) for video in videos]


def _entry(video: Path, below: Path, order: Order) -> FilmToAdd:
    container = film_settings(order.values, "What was asked").container
    output = order.output / below / output_name(video, container)
    if output == video:
        raise UsageError(
            f"{readable_name(video)} would be written over itself: give another output folder."
        )
    return FilmToAdd(video, output, output.with_name(output.name + PROJECT_SUFFIX))
