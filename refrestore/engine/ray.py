"""Renders and scans on a cluster: segments and spans are tasks, this process joins and decides.

Frames and packets are those of `engine.local`, whatever the number of workers.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.engine.crew import POLL_SECONDS, Crew
from refrestore.engine.local import kept_record
from refrestore.engine.recruits import absolute
from refrestore.engine.task import Fetch, Task
from refrestore.engine.worker import Rendered, SegmentTask, SpanTask, face_networks
from refrestore.media.entries import Entries
from refrestore.media.files import disk_error, write_file
from refrestore.media.piece import cut_piece
from refrestore.media.probe import VideoInfo
from refrestore.media.unchanged import Unchanged
from refrestore.models.pack import load_face_pack
from refrestore.models.runtime import available_cpus
from refrestore.render.recipe import FilmRecipe
from refrestore.render.report import SegmentRecord
from refrestore.render.segment_folder import CONTEXT, Segment, SegmentFolder
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.scan import FollowOf, Progress
from refrestore.scan.spans import Following, Followings, Spans, joined
from refrestore.types import IntArray

FACE_FRAMES = 8.0
"""Frames that take as long as a face that is restored, on a CPU."""


@dataclass(frozen=True)
class OnCluster:
    """Renders segments on a crew, those that are not finished yet (`window.Executor`).

    Parameters
    ----------
    crew
        Who works.
    folder
        For the segments.
    progress
        Told how many frames are done, by all workers.
    """

    crew: Crew
    folder: SegmentFolder
    progress: Callable[[int], None] = lambda frames: None

    def __call__(self, recipe: FilmRecipe, segments: Sequence[Segment]) -> Iterator[SegmentRecord]:
        """Yield each segment's record; what breaks it off ends what works on one."""
        try:
            records = self._records(recipe, segments)
        except BaseException:
            self.crew.stop()
            raise
        yield from (records[segment.index] for segment in segments)

    def _records(self, recipe: FilmRecipe, segments: Sequence[Segment]) -> dict[int, SegmentRecord]:
        source = Unchanged(recipe.info)
        sent = _sent(recipe)
        fetch = self.crew.put(sent)
        records: dict[int, SegmentRecord] = {}
        coming: dict[Task, Segment] = {}
        todo: list[Segment] = []
        for segment in segments:
            kept = kept_record(self.folder, recipe, segment)
            if kept is None:
                todo.append(segment)
            else:
                records[segment.index] = kept
        work = _work_of(recipe, todo)
        todo.sort(key=lambda segment: (work[segment.index], -segment.index))
        done = sum(record.frames for record in records.values())
        self.progress(done)
        while todo or self.crew.unfinished:
            while todo and not self.crew.full:
                segment = todo.pop()  # the dearest first: the last ones end together
                task = _segment_task(sent, segment, fetch, source)
                coming[task] = segment
                self.crew.give(task)
            for task, made in self.crew.step():
                segment = coming.pop(task)
                source.check()
                records[segment.index] = keep(self.folder, segment, made)
                done += records[segment.index].frames
            self.progress(done + self.crew.frames)
        return records


def _work_of(recipe: FilmRecipe, segments: Sequence[Segment]) -> dict[int, float]:
    """Return how much work each segment is, by index: frames, and faces that are restored."""
    restored = [plan.faces.frame[plan.strength > 0] for plan in recipe.plans]
    faces = np.sort(np.concatenate([np.zeros(0, np.int64), *restored]))
    return {
        one.index: len(one)
        + FACE_FRAMES * float(np.diff(np.searchsorted(faces, [one.first, one.stop]))[0])
        for one in segments
    }


def _sent(recipe: FilmRecipe) -> FilmRecipe:
    """Return a recipe as it is read in any folder."""
    info = replace(recipe.info, path=recipe.info.path.absolute())
    files = {name: getattr(recipe.settings, name) for name in ("background", "second_stage")}
    settings = recipe.settings.model_copy(
        update={name: one.absolute() for name, one in files.items() if isinstance(one, Path)}
    )
    return replace(recipe, info=info, settings=settings)


def _segment_task(recipe: FilmRecipe, segment: Segment, fetch: Fetch, source: Unchanged) -> Task:
    task = SegmentTask(segment.index, segment.first, segment.stop, available_cpus())
    info, first, stop = recipe.info, segment.first - CONTEXT, segment.stop + CONTEXT

    def piece() -> bytes:
        source.check()
        return cut_piece(info, recipe.entries, max(0, first), stop)

    return Task(
        f"segment {segment.index + 1}",
        str(info.path),
        len(segment),
        start=lambda actor, piece: actor.render.remote(fetch, task, piece),
        piece=piece,
    )


def keep(folder: SegmentFolder, segment: Segment, made: Rendered) -> SegmentRecord:
    """Put what a worker made of a segment into its folder, the packets last; return its record.

    Raises
    ------
    DiskError
        It cannot be written.
    """
    if not made.record:
        return SegmentRecord(0)
    if made.faces is not None:
        _write_folder(folder.faces(segment), made.faces)
    folder.sign()
    write_file(folder.record(segment), made.record, make_folders=False)
    write_file(folder.video(segment), made.video, make_folders=False)
    return SegmentRecord.read(folder.record(segment))


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        for old in (folder, partial):
            if old.exists():
                shutil.rmtree(old)
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        partial.replace(folder)
    except OSError as error:
        raise disk_error(folder, error) from error


@dataclass(eq=False)
class _SpannedShot:
    """A shot whose spans are followed."""

    first: int
    parts: dict[int, Followings | None] = field(default_factory=dict)
    ended: bool = False

    @property
    def whole(self) -> bool:
        return self.ended and all(part is not None for part in self.parts.values())


class FollowedThere:
    """Follows on a crew (`scan.spans.Following`).

    This process reads the film too, to find its cuts: only then is it known where a span begins.

    Parameters
    ----------
    crew
        Who works.
    info, settings
        The film, and the scan's.
    networks
        Digests of the networks that are to look.
    progress
        Is told of frames while workers are waited for.
    """

    def __init__(
        self,
        crew: Crew,
        info: VideoInfo,
        settings: ScanSettings,
        networks: dict[str, str],
        progress: Progress,
    ) -> None:
        self._crew, self._settings, self._networks = crew, settings, networks
        self._info = replace(info, path=info.path.absolute())
        self._spans, self._progress = Spans.at(info.average_rate), progress
        self._ticks: list[int] = []
        self._shots: list[_SpannedShot] = []
        self._coming: dict[Task, tuple[_SpannedShot, int]] = {}
        self._done = self._shown = 0

    @property
    def frames(self) -> int:
        """Frames that are followed by now."""
        self._shown = max(self._shown, min(self._done + self._crew.frames, len(self._ticks)))
        return self._shown

    def push(self, picture: FrameForms) -> None:
        """Take the next frame."""
        number = picture.number
        if not self._shots or self._shots[-1].ended:
            self._shots.append(_SpannedShot(number))
        self._ticks.append(int(picture.time / self._info.time_base))
        span = self._spans.complete(self._shots[-1].first, number)
        if span is not None:
            self._give(span)

    def end_shot(self) -> None:
        """Have the rest of the shot followed."""
        if not self._shots or self._shots[-1].ended:
            return
        shot = self._shots[-1]
        span = self._spans.last(shot.first, len(self._ticks))
        if span.start not in shot.parts:
            self._give(span)
        shot.ended = True

    def finished(self, *, wait: bool = False) -> list[Followings]:
        """Return the shots that are followed now, in order."""
        self._step(POLL_SECONDS if wait else 0)
        shots = []
        while self._shots and self._shots[0].whole:
            parts = self._shots.pop(0).parts
            shots.append(joined([parts[begins] for begins in sorted(parts)]))  # type: ignore[misc]
        return shots

    def _give(self, span: range) -> None:
        shot, info = self._shots[-1], self._info
        shot.parts[span.start] = None
        time = self._ticks[span.start] * info.time_base
        asked = SpanTask(self._settings, span.start, span.stop, time, self._networks)
        ticks: IntArray = np.array(self._ticks[span.start : span.stop], np.int64)
        known = Entries(np.arange(span.start, span.stop), ticks, info.time_base)
        task = Task(
            f"frames {span.start} to {span.stop - 1}",
            str(info.path),
            len(span),
            start=lambda actor, piece: actor.follow.remote(info, asked, piece),
            piece=lambda: cut_piece(info, known, span.start, span.stop),
        )
        self._coming[task] = shot, span.start
        self._crew.give(task)
        while self._crew.full:  # the film is read no further than work is taken
            self._step(POLL_SECONDS)
            self._progress("frames", self.frames, info.frames)

    def _step(self, seconds: float) -> None:
        for task, made in self._crew.step(seconds):
            shot, begins = self._coming.pop(task)
            shot.parts[begins] = pickle.loads(made)
            shared = task.frames == self._spans.length + self._spans.overlap
            self._done += self._spans.length if shared else task.frames


def follow_on(crew: Crew, runtime: RuntimeSettings) -> FollowOf:
    """Return what has films followed by a crew (`scan.scan`)."""
    networks = face_networks(load_face_pack(absolute(runtime)), runtime)

    def follow(info: VideoInfo, settings: ScanSettings, progress: Progress) -> Following:
        return FollowedThere(crew, info, settings, networks, progress)

    return follow
