"""A whole render on this machine: prepared, its segments one after another, finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from refrestore.config import EncoderSettings, ExportSettings, RenderSettings, RuntimeSettings
from refrestore.errors import kept_if_broken_off
from refrestore.media.unchanged import Unchanged
from refrestore.project import Profile, Project
from refrestore.project.workplace import OutputPlace, place_of
from refrestore.render.background import open_background
from refrestore.render.film import Notes, film_as_it_is, film_of
from refrestore.render.frames import passes_over
from refrestore.render.recipe import FilmRecipe, prepare
from refrestore.render.render import RenderResult, finish
from refrestore.render.report import SegmentRecord
from refrestore.render.segments import Segment, SegmentFolder
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.window import Executor, Finished, Watch, render_segment
from refrestore.types import Announce, Frame, ProgressCallback


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
        Is told, once, of a film that cannot be entered where it is to go on.
    """

    toolbox: Toolbox
    folder: SegmentFolder
    progress: Callable[[int], None] = lambda frames: None
    watch: Watch | None = None
    announce: Announce | None = None

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

        with passes_over(recipe.info, recipe.entries, announce=self.announce) as passes:
            for segment in segments:
                record = self._kept(recipe, segment)
                if record is not None:
                    frames += record.frames
                    self.progress(frames)
                else:
                    record = render_segment(
                        recipe,
                        self.toolbox,
                        segment,
                        self.folder,
                        frames=passes,
                        source=source,
                        tell=tell,
                    )
                yield record

    def _kept(self, recipe: FilmRecipe, segment: Segment) -> SegmentRecord | None:
        """Return the record of a segment that needs no rendering."""
        folder, export = self.folder, recipe.export
        exported = export is None or export.finished(folder.faces(segment))
        if not exported or not folder.finished(segment):
            return None
        try:
            return SegmentRecord.read(folder.record(segment))
        except (OSError, ValueError):  # damaged: the segment is made again
            return None


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
        The video to write; its suffix chooses the container. The report is written beside it.
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
        Is shown every frame as it is finished.
    place
        The output's, where the caller has entered it already.
    announce
        Is told what the output loses or changes of the source, a sentence each, before the first
        frame is rendered. The report's notes have it too.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence. Like any other exception that ends a render, it
        carries what is kept as a note (`kept_notes`).
    """
    began = time.monotonic()
    settings, runtime = settings or RenderSettings(), runtime or RuntimeSettings()
    report, said = progress or (lambda stage, done, total: None), Notes(announce)

    @cache
    def networks() -> Toolbox:
        if toolbox is not None and (toolbox.background is not None or settings.background is None):
            return toolbox
        background = open_background(settings, runtime)
        return replace(toolbox or open_toolbox(runtime), background=background)

    with place_of(output, place) as held:
        recipe = prepare(
            project,
            output,
            held.folder,
            networks,
            settings=settings,
            encoder=encoder or EncoderSettings(),
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
            execute: Executor = Local(
                networks(),
                folder,
                lambda done: report("render", done, max(wanted, done)),
                watch,
                said.announce,
            )
            with kept_if_broken_off(lambda: folder.kept(recipe.segments)):
                records = list(execute(recipe, recipe.segments))
            film = film_of(recipe, records, folder, said)
        report("render", sum(record.frames for record in film.records), None)
        return finish(recipe, film, folder, said, time.monotonic() - began)
