"""A whole render: prepared, its segments made, one after another in this process, and finished."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from refrestore.config import (
    EncoderSettings,
    EngineSettings,
    ExportSettings,
    RenderSettings,
    RuntimeSettings,
)
from refrestore.engine.crew import Crew, crew_of
from refrestore.engine.task import Heard
from refrestore.errors import kept_if_broken_off
from refrestore.media.frame_files import output_of
from refrestore.media.unchanged import Unchanged
from refrestore.profiles import Profile
from refrestore.project import Project
from refrestore.render.frames import FrameSource, passes_over
from refrestore.render.output_film import Notes, film_as_it_is, film_of
from refrestore.render.recipe import FilmRecipe, prepare
from refrestore.render.render import RenderResult, finish
from refrestore.render.report import SegmentRecord
from refrestore.render.segment_folder import Segment, SegmentFolder
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.window import Executor, Finished, Looked, Watch, look, render_segment
from refrestore.storage.workplace import OutputPlace, place_of
from refrestore.types import Announce, Frame, ProgressCallback


class _LookedSegment(NamedTuple):
    """A segment with its record, where it needs no rendering, or else a look at its faces."""

    segment: Segment
    record: SegmentRecord | None
    looked: Looked | None


@dataclass(frozen=True)
class Local:
    """Renders segments in this process, those that are not finished yet (`window.Executor`).

    Parameters
    ----------
    toolbox
        Networks.
    folder
        For the segments.
    progress
        Told how many frames are done; what it raises stops the render.
    watch
        Is shown every frame as it is finished.
    announce
        Is told, once, of a film that cannot be entered where it is to go on; in either thread.
    ahead
        Whether the next segment's faces are looked at, in a thread, while one is painted; by
        default where a GPU computes. Two CPU cores have no time left for it (docs/decisions/035).
    """

    toolbox: Toolbox
    folder: SegmentFolder
    progress: Callable[[int], None] = lambda frames: None
    watch: Watch | None = None
    announce: Announce | None = None
    ahead: bool | None = None

    def __call__(self, recipe: FilmRecipe, segments: Sequence[Segment]) -> Iterator[SegmentRecord]:
        """Yield each segment's record."""
        source, frames = Unchanged(recipe.info), 0

        def tell(finished: Finished) -> None:
            nonlocal frames
            frames += 1
            if self.watch is not None:
                frame = finished.frame
                geometry = frame.geometry.scaled(recipe.settings.scale)
                self.watch(Frame(frame.index, frame.time, finished.picture, geometry))
            self.progress(frames)

        lock = threading.Lock()

        def announce(note: str) -> None:
            with lock:  # both passes may find the same at once, in two threads
                (self.announce or (lambda note: None))(note)

        with (
            passes_over(recipe.info, recipe.entries, announce=announce) as passes,
            self._looked_at(recipe, segments, passes.look) as looked_at,
        ):
            for segment, kept, looked in looked_at:
                if kept is not None:
                    frames += kept.frames
                    self.progress(frames)
                yield kept or render_segment(
                    recipe,
                    self.toolbox,
                    segment,
                    self.folder,
                    frames=passes,
                    looked=looked,
                    source=source,
                    tell=tell,
                )

    def _looked_at(
        self, recipe: FilmRecipe, segments: Sequence[Segment], frames: FrameSource
    ) -> AbstractContextManager[Iterator[_LookedSegment]]:
        ahead = self.toolbox.restorer.device.type == "cuda" if self.ahead is None else self.ahead
        if not ahead:
            return nullcontext(self._looks(recipe, segments, frames, lambda: None))
        return one_ahead(lambda check: self._looks(recipe, segments, frames, check))

    def _looks(
        self,
        recipe: FilmRecipe,
        segments: Sequence[Segment],
        frames: FrameSource,
        check: Callable[[], None],
    ) -> Iterator[_LookedSegment]:
        """Yield a look at each segment; what `check` raises ends it."""
        toolbox = replace(self.toolbox, restorer=self.toolbox.restorer.heeding(check))
        for segment in segments:
            record = kept_record(self.folder, recipe, segment)
            looked = None
            if record is None:
                looked = look(
                    recipe,
                    toolbox,
                    frames,
                    segment.first,
                    segment.stop,
                    looked=lambda index: check(),
                )
            yield _LookedSegment(segment, record, looked)


def kept_record(
    folder: SegmentFolder, recipe: FilmRecipe, segment: Segment
) -> SegmentRecord | None:
    """Return the record of a segment that needs no rendering."""
    export = recipe.export
    exported = export is None or export.finished(folder.faces(segment))
    if not exported or not folder.finished(segment):
        return None
    try:
        return SegmentRecord.read(folder.record(segment))
    except (OSError, ValueError):  # damaged: the segment is made again
        return None


class _GivenUpError(Exception):
    """Ends a thread whose work nobody waits for any more."""


Item = TypeVar("Item")


@contextmanager
def one_ahead(
    make: Callable[[Callable[[], None]], Iterator[Item]],
) -> Iterator[Iterator[Item]]:
    """Give an iterator's items, each made in a thread while the one before it is used.

    What is raised in making one is raised where it would be given.

    Parameters
    ----------
    make
        Is given what to call between two pieces of work, and returns the iterator. What it calls
        raises when nobody waits any more; the thread is waited for then.
    """
    given_up = threading.Event()

    def check() -> None:
        if given_up.is_set():
            raise _GivenUpError

    items = make(check)

    def given(thread: ThreadPoolExecutor) -> Iterator[Item]:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item

    with ThreadPoolExecutor(1, "look") as thread:
        try:
            yield given(thread)
        finally:
            given_up.set()


def render(
    project: Project,
    output: Path,
    *,
    settings: RenderSettings | None = None,
    encoder: EncoderSettings | None = None,
    runtime: RuntimeSettings | None = None,
    profiles: Iterable[Profile] = (),
    lent: Mapping[int, Profile] | None = None,
    video: Path | None = None,
    toolbox: Toolbox | None = None,
    export: ExportSettings | None = None,
    progress: ProgressCallback | None = None,
    watch: Watch | None = None,
    place: OutputPlace | None = None,
    announce: Announce | None = None,
    engine: EngineSettings | Crew | None = None,
    heard: Heard | None = None,
) -> RenderResult:
    """Restore a project's video.

    Everything that can fail early does: source, encoder, container, disk and models are tried
    before the first frame. A render that was stopped goes on from its finished segments. Where no
    face is restored and nothing else was asked for, the film is copied instead of encoded again.

    Parameters
    ----------
    project
        A scanned project.
    output
        The video to write; its suffix chooses the container. Or the pattern of numbered pictures
        (`restored/%06d.png`), in a folder that is new or empty. The report is written beside it.
    profiles
        Profiles whose references may be used, for the identities that are linked to them.
    lent
        Profiles per identity id for this render only (see `gather_people`).
    video
        Where the source is, if it is not where the project saw it.
    toolbox
        Networks already opened, to use them for several videos; the one that the settings name for
        the rest of the frame among them.
    export
        Where and which faces are written as pictures.
    progress
        Told about the stage "render", in frames. What it raises stops the render; what is finished
        is kept.
    watch
        Is shown every frame as it is finished, in this process.
    place
        The output's, where the caller has entered it already.
    announce
        Is told what the output loses or changes of the source, a sentence each, before the first
        frame is rendered. The report's notes have it too.
    engine
        Who renders: by default this process. A crew is used and stays.
    heard
        Is told how far each worker of a cluster is.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence. Like any other exception that ends a render, it
        carries what is kept as a note (`kept_notes`).
    """
    began = time.monotonic()
    settings, runtime = settings or RenderSettings(), runtime or RuntimeSettings()
    output, encoder = output_of(output, encoder or EncoderSettings())
    report, said = progress or (lambda stage, done, total: None), Notes(announce)

    @cache
    def networks() -> Toolbox:
        return (toolbox or open_toolbox(runtime)).equipped(settings, runtime)

    with place_of(output, place) as held:
        recipe = prepare(
            project,
            output,
            held.folder,
            networks,
            settings=settings,
            encoder=encoder,
            profiles=profiles,
            lent=lent,
            video=video,
            export=export,
        )
        folder = SegmentFolder(held.folder, recipe.key)
        film = film_as_it_is(recipe, folder, said)
        if film is None:
            said.say(recipe.encoder.notes)
            wanted = recipe.stop - recipe.first

            def tell(done: int) -> None:
                report("render", done, max(wanted, done))

            finished = all(kept_record(folder, recipe, segment) for segment in recipe.segments)
            workers = None if finished else engine

            with (
                kept_if_broken_off(lambda: folder.kept(recipe.segments)),
                crew_of(workers, runtime, announce=said.announce, heard=heard) as crew,
            ):
                execute: Executor
                if crew is None:
                    execute = Local(networks(), folder, tell, watch, said.announce)
                else:
                    from refrestore.engine.ray import OnCluster

                    execute = OnCluster(crew, folder, tell)
                records = list(execute(recipe, recipe.segments))
            film = film_of(recipe, records, folder, said)
        report("render", sum(record.frames for record in film.records), None)
        return finish(recipe, film, folder, said, time.monotonic() - began)
