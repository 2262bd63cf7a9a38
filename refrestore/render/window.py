"""A window of a film: its frames as the output shows them, and as packets of a segment.

Everything that shows restored frames makes them here: renders, however they are spread, previews
and the review page.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import Protocol

import av
import numpy as np

from refrestore.faces.align import CROP_SIZE
from refrestore.media.compose import compose
from refrestore.media.layer import layer
from refrestore.media.paste import Touched, bring_back
from refrestore.media.reader import frame_bytes, queue_size
from refrestore.media.segments import SegmentWriter
from refrestore.media.unchanged import Unchanged
from refrestore.render.background import Background
from refrestore.render.face_table import FaceTable, gather
from refrestore.render.frames import HELD_BYTES, FrameSource, Passes, passes_of
from refrestore.render.recipe import FilmRecipe, Recipe
from refrestore.render.refine import Refined, refine
from refrestore.render.report import SegmentRecord
from refrestore.render.restore_segment import reach_of, restore_segment
from refrestore.render.segment_folder import CONTEXT, Segment, SegmentFolder
from refrestore.render.segment_result import Account, RestoredFrame, Witness
from refrestore.render.toolbox import Toolbox
from refrestore.render.tools import Tools
from refrestore.restore.guard import Choice
from refrestore.types import Frame

Watch = Callable[[Frame], None]
"""Is shown every finished frame, as it goes to the encoder; not to be written to."""


class Executor(Protocol):
    """Renders segments, wherever it likes."""

    def __call__(self, recipe: FilmRecipe, segments: Sequence[Segment]) -> Iterator[SegmentRecord]:
        """Yield the segments' records, in order; their packets are in the output's folder then.

        A segment that turns out to have no frame has a record of none, and no packets.
        """


@dataclass(frozen=True, eq=False)
class Finished:
    """A frame of the source with what was added to it, and its picture in the output."""

    painted: RestoredFrame
    picture: av.VideoFrame

    @property
    def frame(self) -> Frame:
        """The source's."""
        return self.painted.frame

    @property
    def faces(self) -> int:
        """Faces in it whose change can be seen; waits for the device."""
        return self.painted.faces


@dataclass
class WindowDone:
    """What was done in a window; whole when its last frame is there."""

    account: Account = field(default_factory=Account)
    refined: Refined | None = None


@dataclass(frozen=True, eq=False)
class Looked:
    """A window whose faces were looked at, of which nothing is painted yet: numbers, no pictures.

    Parameters
    ----------
    first, stop
        Its frames.
    begins, ends
        Those that are read to paint them.
    refined
        What the look found.
    left
        Per identity, the faces that the guard left as they were, by its reason.
    """

    first: int
    stop: int
    begins: int
    ends: int
    refined: Refined
    left: dict[int, Counter[str]]


def render_window(
    recipe: Recipe,
    toolbox: Toolbox,
    frames: Passes,
    first: int,
    stop: int,
    *,
    done: WindowDone | None = None,
    witness: Witness | None = None,
    looked: Callable[[int], None] = lambda index: None,
) -> Iterator[Finished]:
    """Yield the frames `first <= frame < stop` of the output, in order.

    They depend on recipe, networks and `first` and `stop`, and on nothing that was rendered before.

    Parameters
    ----------
    frames
        Gives those of the source and up to `CONTEXT` more either side.
    done
        Is added to.
    witness
        Is shown the faces it wants.
    looked
        Is told the index of each frame in which faces are looked at, before any is painted.
    """
    seen = look(recipe, toolbox, frames.look, first, stop, looked=looked)
    yield from show(recipe, toolbox, frames.paint, seen, done=done, witness=witness)


def look(
    recipe: Recipe,
    toolbox: Toolbox,
    frames: FrameSource,
    first: int,
    stop: int,
    *,
    looked: Callable[[int], None] = lambda index: None,
) -> Looked:
    """Look at the faces of a window: the half of `render_window` before its first picture."""
    geometry, scale = recipe.info.geometry, recipe.settings.scale
    sides = toolbox.restorer.sides
    work = gather(recipe.plans, first, stop, geometry, context=CONTEXT, scale=scale, sides=sides)
    if not len(work):
        return Looked(first, stop, first, stop, Refined(work), {})
    earliest, latest = int(work.faces.frame[0]), int(work.faces.frame[-1])
    source = _telling(frames.between(earliest, latest + 1), looked)
    tools = _tools(recipe, toolbox, work)
    refined = refine(work, source, geometry, tools)
    reach = reach_of(refined.work, tools.apart)
    begins = min(first, max(first - reach, earliest))
    ends = max(stop, min(stop + reach, latest + 1))
    return Looked(first, stop, begins, ends, refined, _left(work, refined))


def show(
    recipe: Recipe,
    toolbox: Toolbox,
    frames: FrameSource,
    looked: Looked,
    *,
    done: WindowDone | None = None,
    witness: Witness | None = None,
) -> Iterator[Finished]:
    """Yield the frames of a window that was looked at: the other half of `render_window`."""
    done = done or WindowDone()
    done.refined, done.account.left = looked.refined, looked.left
    work = looked.refined.work
    tools = _tools(recipe, toolbox, work)
    geometry, scale = recipe.info.geometry, recipe.settings.scale
    source = frames.between(looked.begins, looked.ends)
    size = frame_bytes(geometry.scaled(scale), recipe.info.bit_depth)
    most = max(1, HELD_BYTES // size) if toolbox.restorer.device.type == "cuda" else 1
    for batch in restore_segment(work, source, tools, done.account, scale=scale, witness=witness):
        own = [one for one in batch if looked.first <= one.frame.index < looked.stop]
        for begin in range(0, len(own), most):
            some = own[begin : begin + most]
            if recipe.settings.layer:
                yield from (
                    Finished(one, layer(one.frame, one.patches, scale=scale)) for one in some
                )
            else:
                yield from composed(some, toolbox.background, scale)


def _tools(recipe: Recipe, toolbox: Toolbox, work: FaceTable) -> Tools:
    return recipe.tools(toolbox, int(work.side.max(initial=0)) or CROP_SIZE)


def composed(
    batch: Sequence[RestoredFrame], background: Background | None, scale: int
) -> Iterator[Finished]:
    """Yield frames with their faces; a GPU is waited for once for all of them."""
    later: Touched = []
    pictures = [
        compose(one.frame, one.patches, scale=scale, later=later)
        if background is None
        else background.compose(one, scale, later)
        for one in batch
    ]
    bring_back(later)
    for one, picture in zip(batch, pictures, strict=True):
        yield Finished(one, picture)


def _left(planned: FaceTable, refined: Refined) -> dict[int, Counter[str]]:
    """Return, per identity, the faces that the guard left as they were, by its nearest reason."""
    left: dict[int, Counter[str]] = {}
    gone = planned.own & (planned.strength > 0) & (refined.work.strength <= 0)
    for track, rows in planned.by_track():
        words = [
            one
            for one in refined.samples
            if one.track == track and one.judgement.choice is Choice.INPUT
        ]
        if not words:
            continue
        seen = np.array([one.frame for one in words])
        for row in rows[gone[rows]].tolist():
            word = words[int(np.abs(seen - planned.faces.frame[row]).argmin())]
            reasons = left.setdefault(int(planned.identity[row]), Counter())
            reasons[word.judgement.reason.value] += 1
    return left


def _telling(frames: Iterable[Frame], tell: Callable[[int], None]) -> Iterator[Frame]:
    for frame in frames:
        tell(frame.index)
        yield frame


def render_segment(
    recipe: FilmRecipe,
    toolbox: Toolbox,
    segment: Segment,
    folder: SegmentFolder,
    *,
    frames: Passes | None = None,
    looked: Looked | None = None,
    source: Unchanged | None = None,
    tell: Callable[[Finished], None] = lambda finished: None,
) -> SegmentRecord:
    """Render one segment into its folder and return its record.

    Parameters
    ----------
    frames
        The film, where it is open.
    looked
        What was seen of the segment's faces, where they were looked at.
    source
        Remembers the film since the first of the segments.
    tell
        Is called with each frame as it goes to the encoder.

    Raises
    ------
    MediaError, DiskError
        As the reader and the writer do; nothing of the segment stays.
    """
    if frames is None:
        with passes_of(recipe.info, recipe.entries, len(segment)) as own:
            return render_segment(
                recipe,
                toolbox,
                segment,
                folder,
                frames=own,
                looked=looked,
                source=source,
                tell=tell,
            )
    source = source or Unchanged(recipe.info)
    seen = recipe.export.begin(folder.faces(segment)) if recipe.export else None
    done = WindowDone()
    if looked is None:
        looked = look(recipe, toolbox, frames.look, segment.first, segment.stop)
    rendered = show(recipe, toolbox, frames.paint, looked, done=done, witness=seen)
    begins = next(rendered, None)
    if begins is None:
        return SegmentRecord(0)
    count = 0
    waiting = queue_size(recipe.info.geometry.scaled(recipe.settings.scale), recipe.info.bit_depth)
    with SegmentWriter(folder.video(segment), recipe.encoder) as writer:
        with _encoding(writer, waiting) as put:
            for finished in chain([begins], rendered):
                put(finished.frame.time, finished.picture)
                count += 1
                tell(finished)
        # Before the packets get their name: a segment with packets has its record.
        assert done.refined is not None
        if seen is not None:
            seen.finish(segment, done.refined)
        source.check()
        record = SegmentRecord.of(count, done.account, done.refined.samples)
        folder.sign()
        record.write(folder.record(segment))
    return record


@contextmanager
def _encoding(
    writer: SegmentWriter, waiting: int
) -> Iterator[Callable[[Fraction, av.VideoFrame], None]]:
    """Give a function that hands pictures to the writer in a thread; only so many wait for it."""
    pictures: queue.Queue[tuple[Fraction, av.VideoFrame] | None] = queue.Queue(waiting)
    failures: list[BaseException] = []
    given_up, ended = threading.Event(), threading.Event()

    def encode() -> None:
        while (item := pictures.get()) is not None:
            if failures or given_up.is_set():
                continue  # emptied, so that the producer never blocks on a dead encoder
            try:
                writer.write(item[1], item[0])
            except BaseException as error:
                failures.append(error)
        ended.set()

    def put(time: Fraction, picture: av.VideoFrame) -> None:
        if failures:
            raise failures[0]
        pictures.put((time, picture))

    thread = threading.Thread(target=encode, name="encode", daemon=True)
    try:
        thread.start()
        yield put
        pictures.put(None)
        ended.wait()
    except BaseException:
        # The writer is closed next, so the thread must have ended, even where it was its end that
        # was waited for. `join` would not do: broken off once, it takes the thread for dead
        # (bpo-45274).
        given_up.set()
        pictures.put(None)
        if thread.ident is not None:
            ended.wait()
        raise
    if failures:
        raise failures[0]
