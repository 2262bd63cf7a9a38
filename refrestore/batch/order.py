"""What is asked for films that are added to a queue, and where each goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from refrestore.errors import BatchError
from refrestore.file_names import readable_name
from refrestore.presets import Values


@dataclass(frozen=True)
class Order:
    """What is asked for films that are added together.

    Parameters
    ----------
    output
        Folder they are written into.
    values
        Options.
    priority
        The higher, the earlier.
    """

    output: Path
    values: Values
    priority: int = 0


@dataclass(frozen=True)
class FilmToAdd:
    """A film to be added: the source, where it goes, its project."""

    video: Path
    output: Path
    project: Path


def check_apart(
    entries: Sequence[FilmToAdd], taken: Mapping[Path, str] = MappingProxyType({})
) -> None:
    """Refuse films that would be written to one place: outputs of one name share a report.

    Parameters
    ----------
    entries
        The films.
    taken
        Videos that are there already, by output without its suffix.

    Raises
    ------
    BatchError
        If two would.
    """
    places = dict(taken)
    for one in entries:
        place = one.output.with_suffix("")
        if place in places:
            raise BatchError(
                f"{readable_name(one.video)} and {readable_name(places[place])} would both be "
                f"written to {readable_name(place)}: give them different folders."
            )
        places[place] = str(one.video)
