"""Renders on a cluster: segments are tasks, this process joins them.

Frames and packets are those of `engine.local`, whatever the number of workers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from refrestore.engine.crew import Crew
from refrestore.engine.local import kept_record
from refrestore.engine.task import Fetch, Task
from refrestore.engine.worker import Rendered, SegmentTask
from refrestore.media.files import disk_error, write_file
from refrestore.media.piece import cut_piece
from refrestore.media.unchanged import Unchanged
from refrestore.models.runtime import available_cpus
from refrestore.render.recipe import FilmRecipe
from refrestore.render.report import SegmentRecord
from refrestore.render.segment_folder import CONTEXT, Segment, SegmentFolder

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
