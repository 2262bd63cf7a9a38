"""A face that the user drew enters the current scan: written whole, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from refrestore.errors import ProjectError
from refrestore.media.files import write_file
from refrestore.storage.images import encode_jpeg, encode_png
from refrestore.types import Faces, ImageArray, Reference, Track

from .presence import covered
from .project import Project
from .scan_folder import CROPS, scan_folder, thumbnail_path
from .storing import store_reference, store_track


@dataclass(frozen=True, eq=False)
class DrawnTrack:
    """What was found where somebody drew a box.

    Parameters
    ----------
    track
        Its summary; gets its id when it is stored.
    faces
        Its rows, ascending frames.
    references
        Close-ups of it.
    thumbnail
        (H, W, 3) RGB picture that shows it to people.
    """

    track: Track
    faces: Faces
    references: Sequence[Reference] = ()
    thumbnail: ImageArray | None = None


def add_drawn(
    project: Project,
    scan: int,
    drawn: DrawnTrack,
    *,
    identity: int | None = None,
    name: str | None = None,
) -> tuple[int, int]:
    """Store a drawn track as an edit that can be undone; return whose it is and its id.

    Parameters
    ----------
    project
        The project.
    scan
        The scan on which it was drawn.
    drawn
        What was found.
    identity
        Whose face it is, None for somebody new.
    name
        What somebody new is called.

    Raises
    ------
    ProjectError
        When the scan is another now, or somebody has a face there meanwhile.
    """
    written: list[Path] = []
    try:
        with project.together():
            if project.scan_id() != scan:
                raise ProjectError("The video was scanned again meanwhile: draw the face again.")
            if covered(project.database, scan, project.identity_of_track(), drawn.faces).any():
                raise ProjectError("Somebody has a face there meanwhile: look again.")
            ((last,),) = project.database.rows(
                "SELECT COALESCE(MAX(id), 0) FROM tracks WHERE scan = ?", (scan,)
            )
            track = replace(drawn.track, id=last + 1)
            store_track(project.database, scan, track, drawn.faces)
            _write(project, scan, track.id, drawn, written)
            holder = project.draw(track.id, identity)
            if name is not None:
                project.rename(holder, name)
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise
    return holder, track.id


def _write(project: Project, scan: int, track: int, drawn: DrawnTrack, written: list[Path]) -> None:
    """Write pictures, noting their files, and the rows of close-ups."""
    folder, mode = scan_folder(project.folder, scan), project.database.mode
    pictures = {}
    if drawn.thumbnail is not None:
        pictures[thumbnail_path(folder, track)] = encode_jpeg(drawn.thumbnail)
    taken = [int(path.stem) for path in (folder / CROPS).glob("*.png") if path.stem.isdecimal()]
    for number, one in enumerate(drawn.references, start=max(taken, default=0) + 1):
        file = f"{CROPS}/{number:06d}.png"
        pictures[folder / file] = encode_png(one.image)
        store_reference(project.database, scan, track, file, one)
    for path, content in pictures.items():
        written.append(path)
        write_file(path, content, mode=mode)
