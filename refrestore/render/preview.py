"""Moments of the video, before and after, without rendering the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.media.compose import compose
from refrestore.media.entries import Entries
from refrestore.media.moments import no_such_moment, resolve_moment
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import VideoInfo
from refrestore.moment import Moment
from refrestore.profiles import Profile
from refrestore.project import Project
from refrestore.project.opened_film import as_scanned, probed_film
from refrestore.render.frames import passes_of
from refrestore.render.people import People, gather_people
from refrestore.render.plan import Reason, TrackPlan
from refrestore.render.recipe import read_recipe
from refrestore.render.segment_folder import CONTEXT
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.window import render_window
from refrestore.types import Announce, Frame, Geometry, ImageArray, ProgressCallback


@dataclass(frozen=True)
class ShownFace:
    """A face of a project in a picture.

    Parameters
    ----------
    identity, track
        Whose it is.
    box
        Left, top, right, bottom in pixels of the picture.
    strength
        How far it is restored, 0..1.
    reason
        Why it is left alone; None where it is restored.
    """

    identity: int
    track: int
    box: tuple[float, float, float, float]
    strength: float
    reason: Reason | None


@dataclass(frozen=True)
class Preview:
    """A frame before and after, as a viewer sees it.

    Parameters
    ----------
    time
        Seconds from the film's first frame.
    before, after : (H, W, 3) uint8
        RGB at the output's display size.
    faces
        Faces restored in it.
    shown
        Faces in it that belong to somebody, restored or not.
    """

    time: Fraction
    before: ImageArray
    after: ImageArray
    faces: int
    shown: Sequence[ShownFace] = ()


class Previewer:
    """Restores moments of one video by the render's own means.

    What does not depend on the moment is read at the first, and again when an edit has changed it.

    Parameters
    ----------
    project
        A scanned project.
    runtime
        Where to compute, if there is no toolbox yet.
    profiles
        Profiles that identities are linked to; may be set anew.
    video
        The source, if it was moved.
    toolbox
        Networks already opened.

    Raises
    ------
    MediaError, ProjectError
        When the video cannot be read, or is not the project's.
    """

    def __init__(
        self,
        project: Project,
        *,
        runtime: RuntimeSettings | None = None,
        profiles: Iterable[Profile] = (),
        video: Path | None = None,
        toolbox: Toolbox | None = None,
    ) -> None:
        self.profiles = tuple(profiles)
        self._project = project
        self._runtime = runtime or RuntimeSettings()
        self._probed = probed_film(project, video)
        self._toolbox = toolbox
        self._people: tuple[object, People] | None = None

    @property
    def info(self) -> VideoInfo:
        """The film, to be read as the project's scan of now read it."""
        return as_scanned(self._project, self._probed)

    @cached_property
    def toolbox(self) -> Toolbox:
        """The networks; opened when first asked for."""
        return self._toolbox or open_toolbox(self._runtime)

    def people(self) -> People:
        """Return everybody with their references, which are opened again only if they changed."""
        project = self._project
        with project.database.transaction():
            now = project.identities()
            made_of = (
                project.scan_id(),
                project.distinct(),
                project.dropped_close_ups(),
                tuple((o.id, o.tracks, o.state, o.profile, o.not_profiles) for o in now),
                self.profiles,
            )
        if self._people is None or self._people[0] != made_of:
            toolbox = self.toolbox
            found = gather_people(project, self.profiles, eyes=toolbox.eyes, fusion=toolbox.fusion)
            self._people = made_of, found
        return replace(self._people[1], identities=now)

    def moment(
        self,
        at: Moment,
        settings: RenderSettings,
        strengths: Mapping[int, float] | None = None,
    ) -> Preview:
        """Restore the frame shown at a time; parameters as for `stretch`.

        Raises
        ------
        UsageError
            If the video shows nothing at that time.
        """
        (preview,) = self.stretch(at, Fraction(0), settings, strengths)
        return preview

    def stretch(
        self,
        at: Moment,
        seconds: Fraction,
        settings: RenderSettings,
        strengths: Mapping[int, float] | None = None,
        *,
        progress: ProgressCallback | None = None,
        announce: Announce | None = None,
    ) -> Iterator[Preview]:
        """Restore the frames of a short stretch, in order.

        Parameters
        ----------
        at
            From which moment on; seconds count from the film's first frame.
        seconds
            How long; 0 for one frame.
        settings
            How.
        strengths
            Limits per identity id in the place of the identities' own.
        progress
            Told about the stages "read", "refine" and "restore".
        announce
            Is told of a film that cannot be entered late.

        Raises
        ------
        UsageError
            If the film shows nothing then.
        """
        report = progress or (lambda stage, done, total: None)
        info = self.info
        shots, entries = self._project.shots(), self._project.entries()
        time = resolve_moment(at, info, shots, entries)
        toolbox, people = self._equipped(settings), self.people()
        geometry = info.geometry.scaled(settings.scale)
        with passes_of(
            info,
            entries,
            math.ceil(seconds * info.average_rate),
            announce=announce,
            passed=lambda index: report("read", index, None),
        ) as passes:
            first = passes.look.first_at(time)
            if first is None:
                raise no_such_moment(at, info, shots)
            stop = max(first + 1, _frame_after(first, time + seconds, seconds, entries, info))
            recipe = read_recipe(
                self._project,
                info,
                toolbox,
                people,
                settings,
                near=(first - CONTEXT, stop + CONTEXT),
                strengths=strengths,
            )
            report("refine", 0, stop - first)

            def looked(index: int) -> None:
                report("refine", max(0, index - first), stop - first)

            for one in render_window(recipe, toolbox, passes, first, stop, looked=looked):
                frame = one.frame
                before, after = (
                    display_rgb(Frame(frame.index, frame.time, picture, geometry))
                    for picture in (compose(frame, [], scale=settings.scale), one.picture)
                )
                shown = _shown(recipe.plans, frame.index, info.geometry, before)
                report("restore", frame.index - first + 1, stop - first)
                yield Preview(frame.time - info.start, before, after, one.faces, shown)

    def _equipped(self, settings: RenderSettings) -> Toolbox:
        """Return the networks, with those that the settings name."""
        return self.toolbox.equipped(settings, self._runtime)


def _frame_after(
    first: int, time: Fraction, seconds: Fraction, entries: Entries, info: VideoInfo
) -> int:
    """Return the index of the first frame at or after a time, by the rate if no times are known."""
    if entries.complete:
        return entries.count_before(time)
    return first + math.ceil(seconds * info.average_rate)


def preview(
    project: Project,
    at: Moment,
    *,
    settings: RenderSettings | None = None,
    runtime: RuntimeSettings | None = None,
    profiles: Iterable[Profile] = (),
    video: Path | None = None,
    toolbox: Toolbox | None = None,
) -> Preview:
    """Restore the frame shown at a time.

    Parameters
    ----------
    at
        Seconds from the film's first frame, a frame or a timecode.

    Raises
    ------
    UsageError
        If the video shows nothing at that time.
    """
    previewer = Previewer(project, runtime=runtime, profiles=profiles, video=video, toolbox=toolbox)
    return previewer.moment(at, settings or RenderSettings())


def _shown(
    plans: Sequence[TrackPlan], frame: int, geometry: Geometry, picture: ImageArray
) -> list[ShownFace]:
    """Return the faces of a frame that belong to somebody, in pixels of a picture (H, W, 3)."""
    factor = picture.shape[0] / geometry.display_size[1]
    found = []
    for plan in plans:
        if plan.identity < 0:
            continue
        for row in np.flatnonzero(plan.faces.frame == frame):
            left, top, right, bottom = (float(edge) * factor for edge in plan.faces.box[row])
            box = (left, top, right, bottom)
            strength, reason = float(plan.strength[row]), plan.reasons[row]
            found.append(ShownFace(plan.identity, plan.track, box, strength, reason))
    return found
