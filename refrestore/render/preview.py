"""Moments of the video, before and after, without rendering the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.media.compose import compose
from refrestore.media.moments import no_such_moment, resolve_moment
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.reader import VideoReader
from refrestore.moment import Moment
from refrestore.project import Profile, Project
from refrestore.render.background import open_background
from refrestore.render.paint import paint
from refrestore.render.painted import Account, Painted
from refrestore.render.people import People, gather_people
from refrestore.render.plan import Reason, TrackPlan, plan_tracks
from refrestore.render.refine import Tools, refine
from refrestore.render.segments import CONTEXT
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.work import gather
from refrestore.restore.steady import REACH
from refrestore.types import Frame, Geometry, ImageArray, ProgressCallback

MOST_BYTES = 1_200_000_000
"""Decoded pictures held for a stretch: two seconds of 1080p take 250 MB, of 4K all of it."""


@dataclass(frozen=True)
class Shown:
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
    shown: Sequence[Shown] = ()


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
        self.info: VideoInfo = probe(video or project.video.path)
        project.check_video(self.info.fingerprint, self.info.path)
        self._toolbox = toolbox
        self._people: tuple[object, People] | None = None

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
        progress: ProgressCallback | None = None,
    ) -> Iterator[Preview]:
        """Restore the frames of a short stretch, in order.

        It is shorter than asked for where its decoded pictures would not fit into `MOST_BYTES`.

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

        Raises
        ------
        UsageError
            If the film shows nothing then.
        """
        report = progress or (lambda stage, done, total: None)
        frames, first, stop = self._read(at, seconds, report)
        people = self.people()
        plans = self._plans(first - CONTEXT, stop + CONTEXT, people, settings, strengths)
        report("refine", 0, stop - first)
        background = open_background(settings, self._runtime)
        geometry = self.info.geometry.scaled(settings.scale)
        tools = Tools(
            self.toolbox.models,
            self.toolbox.restorer,
            people.banks,
            settings.references,
            settings.batch,
            people.rivals,
            self.toolbox.switches,
        )
        account = Account()
        work = gather(plans, first, stop, self.info.geometry, context=CONTEXT)
        if len(work):
            told = _told(frames, report)
            work = refine(work, told, self.info.geometry, tools).work
            near = [one for one in frames if first - REACH <= one.index < stop + REACH]
            painted = paint(work, near, tools, account, scale=settings.scale)
        else:
            painted = (Painted(one, []) for one in frames)
        counted = 0
        for one in painted:
            if not first <= one.frame.index < stop:
                continue
            plain = compose(one.frame, [], scale=settings.scale)
            made = (
                compose(one.frame, one.patches, scale=settings.scale)
                if background is None
                else background.compose(one, settings.scale)
            )
            before, after = (
                display_rgb(Frame(one.frame.index, one.frame.time, picture, geometry))
                for picture in (plain, made)
            )
            shown = _shown(plans, one.frame.index, self.info.geometry, before)
            report("restore", one.frame.index - first + 1, stop - first)
            yield Preview(
                one.frame.time - self.info.start, before, after, account.faces - counted, shown
            )
            counted = account.faces

    def _read(
        self, moment: Moment, seconds: Fraction, report: ProgressCallback
    ) -> tuple[list[Frame], int, int]:
        """Return the stretch's frames with their context, and its first index and its end."""
        behind: deque[Frame] = deque(maxlen=CONTEXT)
        frames: list[Frame] = []
        first = stop = -1
        geometry = self.info.geometry
        most = max(1, MOST_BYTES // (geometry.width * geometry.height * 2) - 2 * CONTEXT)
        every = self._project.shots()
        at = resolve_moment(moment, self.info, every)
        shots = [s for s in every if s.start <= at]
        enter = (shots[-1].first, shots[-1].start) if shots else None
        # Faces are followed from cut to cut: nothing before the last one is needed.
        with VideoReader(self.info.path, info=self.info, enter=enter) as reader:
            for frame in reader:
                if frame.time < at:
                    behind.append(frame)
                    report("read", frame.index, None)
                    continue
                if first < 0:
                    first, frames = frame.index, [*behind]
                over = frame.time >= at + seconds or frame.index - first >= most
                if stop < 0 and frame.index > first and over:
                    stop = frame.index
                if 0 <= stop <= frame.index - CONTEXT:
                    break
                frames.append(frame)
        if first < 0:
            raise no_such_moment(moment, self.info, every)
        return frames, first, stop if stop >= 0 else frames[-1].index + 1

    def _plans(
        self,
        first: int,
        stop: int,
        people: People,
        settings: RenderSettings,
        strengths: Mapping[int, float] | None,
    ) -> list[TrackPlan]:
        """Return the plans of the tracks near some frames.

        A plan depends on faces in the same frames only (`plan`), and tracks end at cuts: those
        of the shots concerned are all that matter.
        """
        near = [s for s in self._project.shots() if s.first < stop and s.stop > first]
        shots = {shot.index for shot in near}
        tracks = [track for track in self._project.tracks() if track.shot in shots]
        return plan_tracks(
            tracks,
            lambda track: self._project.faces([track]),
            people.identities,
            settings,
            references=people.resolved,
            generator=self.toolbox.restorer.gfpgan is not None,
            strengths=strengths,
        )


def _told(frames: Sequence[Frame], report: ProgressCallback) -> Iterator[Frame]:
    """Yield frames and tell of each, so that who does not want them any more can say so."""
    for number, frame in enumerate(frames):
        report("refine", number, len(frames))
        yield frame


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
) -> list[Shown]:
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
            found.append(Shown(plan.identity, plan.track, box, strength, reason))
    return found
