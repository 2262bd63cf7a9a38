"""The render loop: segment by segment, two sequential readers, the encoder in its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av

from refrestore.config import RenderSettings
from refrestore.errors import kept_if_broken_off
from refrestore.media.compose import compose
from refrestore.media.encoder import Encoder
from refrestore.media.moments import Part
from refrestore.media.probe import VideoInfo
from refrestore.media.segments import SegmentWriter
from refrestore.media.unchanged import Unchanged
from refrestore.render.background import Background
from refrestore.render.export import FaceExport
from refrestore.render.frames import FrameWindow
from refrestore.render.paint import paint
from refrestore.render.painted import Account, Painted
from refrestore.render.plan import TrackPlan
from refrestore.render.refine import Refined, Tools, refine
from refrestore.render.report import SegmentRecord
from refrestore.render.segments import CONTEXT, Segment, SegmentFolder, split
from refrestore.render.work import gather
from refrestore.restore.steady import REACH
from refrestore.types import Frame, Shot

ENCODER_QUEUE = 8
"""Pictures that may wait for the encoder; more would only be memory."""

Progress = Callable[[int, int], None]
"""Called with frames and restored faces done so far."""

Watch = Callable[[Frame], None]
"""Is shown every finished frame, as it goes to the encoder; not to be written to."""


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that a render's frames depend on.

    Parameters
    ----------
    info
        The source.
    shots, frames
        Its shots and number of frames, as the scan found them.
    plans
        What each track gets.
    tools, settings, encoder
        How.
    part
        Of the film that is rendered.
    background
        What enlarges the rest of the frame, or None.
    export
        Which faces are written as pictures, or None.
    watch
        Is shown the frames, or None.
    """

    info: VideoInfo
    shots: Sequence[Shot]
    frames: int
    plans: Sequence[TrackPlan]
    tools: Tools
    settings: RenderSettings
    encoder: Encoder
    part: Part
    background: Background | None = None
    export: FaceExport | None = None
    watch: Watch | None = None

    def compose(self, painted: Painted) -> av.VideoFrame:
        """Return a painted frame's picture at the output's size."""
        if self.background is not None:
            return self.background.compose(painted, self.settings.scale)
        return compose(painted.frame, painted.patches, scale=self.settings.scale)


def render_segments(
    job: Job, folder: SegmentFolder, progress: Progress
) -> list[tuple[Segment, SegmentRecord]]:
    """Render every segment that is not finished; return all, in order, each with its record.

    Raises
    ------
    MediaError, DiskError
        As the reader and the writer do; finished segments stay.
    """
    info, settings, part = job.info, job.settings, job.part
    with (
        FrameWindow(info.path, info, overlap=2 * CONTEXT) as ahead,
        FrameWindow(info.path, info, overlap=2 * REACH, start=part.start, end=part.end) as behind,
    ):
        opening = behind.peek()
        if opening is None:
            return []
        longest = max(1, round(Fraction(settings.segment_seconds) * info.average_rate))
        segments = split(
            job.shots,
            longest=longest,
            first=opening.index,
            stop=max(job.frames, opening.index + 1),
        )
        renderer = _SegmentRenderer(job, folder, ahead, behind, progress)
        with kept_if_broken_off(lambda: folder.kept(segments, all_of_it=settings.end is None)):
            finished = [(segment, renderer.finish(segment)) for segment in segments]
            return [(segment, record) for segment, record in finished if record is not None]


class _SegmentRenderer:
    """Renders segments one after another and counts what is done."""

    def __init__(
        self,
        job: Job,
        folder: SegmentFolder,
        ahead: FrameWindow,
        behind: FrameWindow,
        progress: Progress,
    ) -> None:
        self._job, self._folder = job, folder
        self._ahead, self._behind = ahead, behind
        self._progress = progress
        self._source = Unchanged(job.info)
        self._frames = self._faces = 0

    def finish(self, segment: Segment) -> SegmentRecord | None:
        """Make sure a segment is there, return its record; None if the range ends before it."""
        record = self._finished(segment) or self._render(segment)
        if record is None:
            return None
        self._frames += record.frames
        self._faces += record.faces
        self._progress(self._frames, self._faces)
        return record

    def _finished(self, segment: Segment) -> SegmentRecord | None:
        """Return the record of a segment that needs no rendering."""
        export = self._job.export
        exported = export is None or export.finished(self._folder.faces(segment))
        if not exported or not self._folder.finished(segment):
            return None
        try:
            return SegmentRecord.read(self._folder.record(segment))
        except (OSError, ValueError):  # damaged: the segment is made again
            return None

    def _render(self, segment: Segment) -> SegmentRecord | None:
        if not self._behind.reaches(segment.first, segment.stop):
            return None
        refined = self._refine(segment)
        account = Account()
        job, scale = self._job, self._job.settings.scale
        frames = self._behind.between(segment.first - REACH, segment.stop + REACH)
        seen = job.export.begin(self._folder.faces(segment)) if job.export else None
        count = 0
        with SegmentWriter(self._folder.video(segment), job.encoder) as writer:
            with _encoding(writer) as put:
                for painted in paint(
                    refined.work, frames, job.tools, account, scale=scale, witness=seen
                ):
                    if not segment.first <= painted.frame.index < segment.stop:
                        continue
                    picture = job.compose(painted)
                    put(painted.frame.time, picture)
                    count += 1
                    if job.watch is not None:
                        job.watch(_finished(painted.frame, picture, scale))
                    self._progress(self._frames + count, self._faces + account.faces)
            # Before the packets get their name: a segment with packets has its record.
            if seen is not None:
                seen.finish(segment, refined)
            self._source.check()
            record = SegmentRecord.of(count, account, refined.samples)
            self._folder.sign()
            record.write(self._folder.record(segment))
        return record

    def _refine(self, segment: Segment) -> Refined:
        job = self._job
        first, stop = segment.first, segment.stop
        work = gather(job.plans, first, stop, job.info.geometry, context=CONTEXT)
        if not len(work):
            return Refined(work)
        return refine(
            work, self._ahead.between(first - CONTEXT, stop + CONTEXT), job.info.geometry, job.tools
        )


def _finished(frame: Frame, picture: av.VideoFrame, scale: int) -> Frame:
    return Frame(frame.index, frame.time, picture, frame.geometry.scaled(scale))


@contextmanager
def _encoding(writer: SegmentWriter) -> Iterator[Callable[[Fraction, av.VideoFrame], None]]:
    """Give a function that hands pictures to the writer in a thread, with back-pressure."""
    waiting: queue.Queue[tuple[Fraction, av.VideoFrame] | None] = queue.Queue(ENCODER_QUEUE)
    failures: list[BaseException] = []
    given_up = threading.Event()

    def encode() -> None:
        while (item := waiting.get()) is not None:
            if failures or given_up.is_set():
                continue  # emptied, so that the producer never blocks on a dead encoder
            try:
                writer.write(item[1], item[0])
            except BaseException as error:
                failures.append(error)

    def put(time: Fraction, picture: av.VideoFrame) -> None:
        if failures:
            raise failures[0]
        waiting.put((time, picture))

    thread = threading.Thread(target=encode, name="encode", daemon=True)
    try:
        thread.start()
        yield put
        waiting.put(None)
        thread.join()
    except BaseException:
        # The writer is closed next, so the thread must have ended, even where it was its end that
        # was waited for.
        given_up.set()
        waiting.put(None)
        thread.join()
        raise
    if failures:
        raise failures[0]
