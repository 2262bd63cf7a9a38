"""Two films into one that shows what the second has made of the first."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av

from refrestore.compare.faces import FaceGrid
from refrestore.compare.layouts import Layout, SideBySide, SplitScreen
from refrestore.compare.pairs import FilmPair, open_films
from refrestore.config import EncoderSettings, RuntimeSettings, ScanSettings
from refrestore.errors import DiskError, UsageError
from refrestore.media.colour import LIMITED, matrix_for
from refrestore.media.encoder import Encoder
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.join import join
from refrestore.media.probe import VideoInfo
from refrestore.media.segments import SegmentWriter
from refrestore.media.source import open_source
from refrestore.moment import Moment
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.scan.scan import scan
from refrestore.storage.workplace import OutputPlace
from refrestore.types import Announce, Geometry, ImageArray, ProgressCallback

Mode = Literal["side", "split", "faces"]

PIXEL_FORMAT = "yuv420p"
"""A comparison is looked at, in anything; what it compares keeps its own depth."""


@dataclass(frozen=True)
class Comparison:
    """What was written.

    Parameters
    ----------
    output
        The video.
    frames
        Its pictures.
    width, height
        Their size.
    notes
        What the user should hear, one sentence each.
    """

    output: Path
    frames: int
    width: int
    height: int
    notes: tuple[str, ...] = ()


def compare(
    before: Path,
    after: Path,
    output: Path,
    *,
    mode: Mode = "side",
    project: Path | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    encoder: EncoderSettings | None = None,
    runtime: RuntimeSettings | None = None,
    progress: ProgressCallback | None = None,
    announce: Announce | None = None,
) -> Comparison:
    """Write a video that shows a film before and after.

    Pictures are upright with square pixels, at the size of the film after; the one before is
    brought to it by Lanczos. Times are those of the film after, sound and all other streams those
    of the one before. The output appears when it is complete.

    Parameters
    ----------
    before, after
        The film and what was made of it.
    output
        The video to write; its suffix chooses the container.
    mode
        side: beside each other. split: one picture, a line moving over it. faces: only the
        people's faces, in a grid.
    project
        Of the film before: which of its streams is meant, what was done to its pictures, and whose
        faces are shown. Without, it is looked at as a scan by default does, and for faces scanned.
    announce
        Is told what the output loses or changes, before its first frame is written.
    start, end
        Only this part; seconds count from the first frame of the film before. Of a render of a
        part, that part.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence, before the first frame is written.
    """
    report = progress or (lambda stage, done, total: None)
    films = open_films(_source(before, project), after, start=start, end=end)
    _check_output(output, films)
    settings = encoder or EncoderSettings()
    with OutputPlace(output) as place, place.scratch() as work, ExitStack() as stack:
        if mode == "faces" and project is None:
            # What will not work is said before the film is scanned, not after.
            small = _described(films, (64, 64))
            resolve_encoder(settings, small, scale=1, output=output, work=work)
            project = work / "project"
            scan(
                films.before.path,
                project,
                settings=ScanSettings(),
                runtime=runtime or RuntimeSettings(),
                progress=report,
                info=films.before,
            )
        layout, notes = _layout(films, mode, project, stack)
        info = _described(films, layout.size)
        resolved = resolve_encoder(settings, info, scale=1, output=output, work=work)
        if announce is not None:
            for note in resolved.notes:
                announce(note)
        segment, count = work / "film", 0
        with SegmentWriter(segment, resolved) as writer:
            for pair in films.pairs():
                writer.write(_picture(layout.draw(pair), resolved), pair.time)
                count += 1
                report("compare", count, max(count, films.frames))
        join([segment], resolved, info, output, start=films.start, end=films.end, work=work)
    return Comparison(output, count, *layout.size, notes=(*notes, *resolved.notes))


def _source(before: Path, project: Path | None) -> VideoInfo:
    """Return the film before, to be read as it was when the film after was made of it."""
    if project is None:
        return open_source(before, ScanSettings())
    with Project.open(project) as opened:
        return project_film(opened, before)


def _check_output(output: Path, films: FilmPair) -> None:
    if output.exists():
        raise UsageError(f"{output} exists already; remove it or choose another name.")
    for info in (films.before, films.after):
        if output.resolve() == info.path.resolve():
            raise UsageError(f"The output {output} is one of the films; give it another name.")
    if not output.parent.is_dir():
        raise DiskError(f"There is no folder {output.parent}; create it first.")


def _layout(
    films: FilmPair, mode: Mode, project: Path | None, stack: ExitStack
) -> tuple[Layout, list[str]]:
    if mode == "side":
        return SideBySide(films), []
    if mode == "split":
        return SplitScreen(films), []
    assert project is not None
    grid = FaceGrid(films, stack.enter_context(Project.open(project)))
    if not grid.left_out:
        return grid, []
    return grid, [
        f"{grid.left_out} appearances had no place: more people are on screen than are shown."
    ]


def _described(films: FilmPair, size: tuple[int, int]) -> VideoInfo:
    """Return the film before with pictures of our own: its streams, the other's times."""
    after = films.after
    color = replace(
        after.color, matrix=matrix_for(after.color.matrix, after.geometry.height), range=LIMITED
    )
    return replace(
        films.before,
        geometry=Geometry(*size),
        display_matrix=None,
        pixel_format=PIXEL_FORMAT,
        bit_depth=8,
        time_base=after.time_base,
        start=after.start + films.offset,
        duration=after.duration,
        average_rate=after.average_rate,
        frames=films.frames,
        color=color,
        interlaced=False,
    )


def _picture(drawn: ImageArray, encoder: Encoder) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(drawn, format="rgb24")
    # The matrix it is to be encoded with, which RGB does not tell.
    picture.colorspace = encoder.color.matrix
    return picture
