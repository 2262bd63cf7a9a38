"""A render whose film comes through a pipe, goes into one, or both: once, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from refrestore.config import EncoderSettings, PipeFormat, RenderSettings, RuntimeSettings
from refrestore.errors import Kept, MediaError, UsageError, kept_if_broken_off
from refrestore.media.moments import resolve_part
from refrestore.media.pipes import FilmFromPipe, FilmToPipe, pipe_encoder
from refrestore.media.preflight import varying_picture
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import frame_bytes
from refrestore.media.unchanged import Unchanged
from refrestore.profiles import Profile
from refrestore.project import Project
from refrestore.project.opened_film import as_scanned, project_film
from refrestore.render.frames import FrameSource, HeldFrames, passes_over
from refrestore.render.output_film import Notes, RenderedFilm
from refrestore.render.recipe import FilmRecipe, film_recipe
from refrestore.render.render import RenderResult, finish
from refrestore.render.report import SegmentRecord
from refrestore.render.segment_folder import CONTEXT, Segment
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.window import WindowDone, look, show
from refrestore.types import Announce, ProgressCallback

MOST_HELD = 2_000_000_000
"""Bytes of frames that are held until a segment is done: ten seconds of 1080p at 60 a second."""

NOT_KEPT = Kept("what has gone through a pipe is not kept", goes_on=False)


@dataclass(frozen=True)
class _Source:
    """Where frames come from, as of `frames.Passes`, and what is to happen behind a segment."""

    look: FrameSource
    paint: FrameSource
    passed: Callable[[Segment], None] = lambda segment: None
    over: Callable[[], bool] = lambda: True


def render_piped(
    project: Project,
    target: BinaryIO,
    *,
    source: BinaryIO | None = None,
    kind: PipeFormat | None = None,
    settings: RenderSettings | None = None,
    encoder: EncoderSettings | None = None,
    runtime: RuntimeSettings | None = None,
    profiles: Iterable[Profile] = (),
    video: Path | None = None,
    toolbox: Toolbox | None = None,
    progress: ProgressCallback | None = None,
    announce: Announce | None = None,
) -> RenderResult:
    """Restore a project's video into a pipe; the report lies beside the project.

    The frames are those that `engine.local.render` makes of the same frames, where its segments can
    be held in memory.

    Parameters
    ----------
    target
        Takes the film; nothing but write is asked of it.
    source
        Gives the frames of the film that was scanned, all of them, as y4m or nut. By default its
        file is read.
    kind
        Of what is written; by default as what is read, y4m for a file.
    encoder
        Its pixel format alone counts.
    others
        As for `engine.local.render`.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence; among them that other frames came than were scanned.
    """
    began = time.monotonic()
    settings, runtime = settings or RenderSettings(), runtime or RuntimeSettings()
    report, said = progress or (lambda stage, done, total: None), Notes(announce)
    piped = None if source is None else FilmFromPipe(source)
    info = project_film(project, video) if piped is None else _piped_info(project, piped)
    kind = kind or ("y4m" if piped is None else piped.kind)
    _check_rate(info, kind, piped)
    resolved = pipe_encoder(
        encoder or EncoderSettings(), info, kind, scale=settings.scale, layer=settings.layer
    )
    networks = (toolbox or open_toolbox(runtime)).equipped(settings, runtime)
    recipe = film_recipe(
        project,
        info,
        resolve_part(settings.start, settings.end, info, project.shots(), project.entries()),
        resolved,
        lambda: networks,
        output=project.folder.with_name(f"{project.folder.name}.piped"),
        settings=settings if piped is None else _held_segments(settings, info, said),
        asked=encoder or EncoderSettings(),
        profiles=profiles,
    )
    said.say(resolved.notes)
    if piped is not None:
        said.announce(
            "A film that comes through a pipe is read once: a render that is stopped begins anew, "
            "and frames are taken for those of the scan by their number."
        )
    with (
        kept_if_broken_off(lambda: NOT_KEPT),
        _frames_of(recipe, piped) as frames,
        FilmToPipe(target, kind, resolved) as pipe,
    ):
        records = list(_rendered(recipe, networks, frames, pipe, report))
    count = sum(record.frames for record in records)
    if piped is not None:
        _check_count(recipe, count, frames.over)
    film = RenderedFilm(recipe.segments, records, resolved)
    return finish(recipe, film, None, said, time.monotonic() - began)


def _rendered(
    recipe: FilmRecipe,
    toolbox: Toolbox,
    source: _Source,
    pipe: FilmToPipe,
    report: ProgressCallback,
) -> Iterator[SegmentRecord]:
    """Write the frames of each segment and yield its record."""
    count, shift = 0, None if recipe.part.start is not None else min(recipe.info.start, Fraction(0))
    unchanged = Unchanged(recipe.info) if recipe.info.size else None
    for segment in recipe.segments:
        done, before = WindowDone(), count
        looked = look(recipe, toolbox, source.look, segment.first, segment.stop)
        for finished in show(recipe, toolbox, source.paint, looked, done=done):
            shift = finished.frame.time if shift is None else shift
            pipe.write(finished.picture, finished.frame.time - shift)
            count += 1
            report("render", count, recipe.stop - recipe.first)
        if unchanged is not None:
            unchanged.check()
        source.passed(segment)
        if done.refined is not None:
            yield SegmentRecord.of(count - before, done.account, done.refined.samples)


@contextmanager
def _frames_of(recipe: FilmRecipe, piped: FilmFromPipe | None) -> Iterator[_Source]:
    if piped is None:
        with passes_over(recipe.info, recipe.entries) as passes:
            yield _Source(passes.look, passes.paint)
        return
    frames = HeldFrames(piped.frames(recipe.info))
    frames.let_go(recipe.first - 2 * CONTEXT)
    yield _Source(
        frames,
        frames,
        lambda segment: frames.let_go(segment.stop - 2 * CONTEXT),
        lambda: recipe.part.end is not None or frames.over(),
    )


def _piped_info(project: Project, piped: FilmFromPipe) -> VideoInfo:
    """Return the scanned film, as it comes through a pipe.

    Raises
    ------
    MediaError
        Its pictures are of another size.
    UsageError
        Its frames' times are not known.
    """
    known, there = project.video, piped.info.geometry
    if (there.width, there.height) != (known.geometry.width, known.geometry.height):
        raise MediaError(
            f"Pictures of {there.width}x{there.height} come through the pipe, and those of "
            f"{known.path.name} that were scanned are {known.geometry.width}x"
            f"{known.geometry.height}: pipe them as they are (ffmpeg -noautorotate)."
        )
    if not project.entries().complete:
        raise UsageError(
            f"The scan in {project.folder} does not know the frames' times: scan the film again, "
            "then render from the pipe."
        )
    info = replace(
        piped.info,
        path=known.path,
        geometry=known.geometry,
        start=known.start,
        average_rate=known.rate,
        duration=known.duration,
        frames=known.frames,
        fingerprint=known.fingerprint,
    )
    return as_scanned(project, info)


def _held_segments(settings: RenderSettings, info: VideoInfo, said: Notes) -> RenderSettings:
    """Return settings whose segments can be held: what a pipe gave does not come again."""
    held = MOST_HELD // frame_bytes(info.geometry, info.bit_depth) - 4 * CONTEXT
    seconds = float(max(1, held) / info.average_rate)
    if seconds >= settings.segment_seconds:
        return settings
    said.announce(
        f"Of pictures this large {seconds:.1f} seconds are held at a time instead of "
        f"{settings.segment_seconds:g}: faces at the seams may differ a little from those of a "
        "render of the file."
    )
    return settings.model_copy(update={"segment_seconds": seconds})


def _check_rate(info: VideoInfo, kind: PipeFormat, piped: FilmFromPipe | None) -> None:
    """Refuse to write times that y4m does not tell, as far as they are known before."""
    if kind == "nut" or piped is not None or varying_picture(info, info.average_rate) is None:
        return
    raise UsageError(
        f"{info.path.name} has a variable frame rate, which y4m does not tell: give --pipe nut."
    )


def _check_count(recipe: FilmRecipe, count: int, over: Callable[[], bool]) -> None:
    """Refuse, after all, frames that cannot have been those of the scan."""
    wanted, name = recipe.stop - recipe.first, recipe.info.path.name
    if count < wanted:
        raise MediaError(
            f"The pipe ended after {count} of the {wanted} frames of {name}: what was written is "
            "not whole; see what the program before it says."
        )
    if not over():
        raise MediaError(
            f"More frames came through the pipe than the {recipe.stop} of {name} that were "
            "scanned, so faces may have been put into other frames than theirs: pipe that film."
        )
