"""Previews and renders: what the job thread does, with networks opened once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refrestore.config import EncoderSettings, RenderSettings
from refrestore.media.files import write_file
from refrestore.media.pixels import display_rgb
from refrestore.profiles import Profile
from refrestore.project import Project
from refrestore.storage.images import encode_jpeg, encode_png
from refrestore.types import Frame

from .estimate import Measured
from .jobs import Job
from .loops import LoopWriter
from .profile_index import ProfileIndex
from .review_settings import ReviewSettings

if TYPE_CHECKING:  # torch takes seconds to import, and the page needs none of it
    from refrestore.render.preview import Preview, Previewer
    from refrestore.render.toolbox import Toolbox
    from refrestore.scan.draw import Box, Pencil

SHOWN_EVERY = 1.0
"""Seconds between the frames that a render shows."""

SHOWN_HEIGHT = 540

Json = dict[str, Any]
Strengths = Mapping[int, float]


@dataclass(frozen=True)
class RenderOrder:
    """A render that was asked for.

    Parameters
    ----------
    output
        The file.
    settings, encoder
        How.
    frames
        About how many there are.
    """

    output: Path
    settings: RenderSettings
    encoder: EncoderSettings
    frames: int


class Studio:
    """Does the heavy work of one review; used by one thread at a time.

    It has the project open for itself, so that the page never waits for it.

    Parameters
    ----------
    settings
        Project, models, video.
    profile_index
        The profiles people are linked to.
    """

    def __init__(self, settings: ReviewSettings, profile_index: ProfileIndex) -> None:
        self._settings, self._shelf = settings, profile_index
        self._previewer: Previewer | None = None
        self._profiles: dict[str, tuple[str, Profile]] = {}
        self._began = 0.0
        self.measured = Measured()

    @cached_property
    def toolbox(self) -> Toolbox:
        """The networks; opened when first asked for."""
        from refrestore.render.toolbox import open_toolbox

        return open_toolbox(self._settings.runtime)

    @cached_property
    def pencil(self) -> Pencil:
        """The networks that follow a drawn face."""
        from refrestore.scan.draw import Pencil

        return Pencil.open(self._settings.runtime)

    @cached_property
    def project(self) -> Project:
        """The project, for the job thread alone."""
        return Project.open(self._settings.project)

    def preview(self, job: Job, at: Fraction, strengths: Strengths | None) -> Json:
        """Restore one moment; makes before.png and after.png."""
        shown = next(self._stretch(job, at, Fraction(0), strengths))
        for name, picture in (("before.png", shown.before), ("after.png", shown.after)):
            job.check()
            _keep(job, name, encode_png(picture))
        height, width = shown.before.shape[:2]
        return {
            "time": float(shown.time),
            "width": width,
            "height": height,
            "before": file_url(job, "before.png"),
            "after": file_url(job, "after.png"),
            "faces": shown.faces,
            "boxes": self._boxes(shown),
        }

    def loop(
        self,
        job: Job,
        at: Fraction,
        seconds: Fraction,
        strengths: Strengths | None,
        identity: int | None = None,
    ) -> Json:
        """Restore a short stretch; makes before.mp4 and after.mp4.

        Of one person where `identity` says so: in a crowd the rest would take most of the time.
        """
        if identity is not None:
            people = {one.id: one.strength for one in self.project.identities()}
            limit = (strengths or {}).get(identity, people.get(identity, 1.0))
            strengths = {**dict.fromkeys(people, 0.0), identity: limit}
        from refrestore.restore.steady import REACH

        times: list[Fraction] = []
        faces = 0
        size = (0, 0)
        paths = {name: job.folder / name for name in ("before.mp4", "after.mp4")}
        stretch = self._stretch(job, at, seconds, strengths)
        first = next(stretch)
        rate = self._opened().info.average_rate
        with ExitStack() as stack:
            before, after = (stack.enter_context(LoopWriter(path, rate)) for path in paths.values())
            for shown in chain([first], stretch):
                before.write(shown.before)
                after.write(shown.after)
                times.append(shown.time)
                faces += shown.faces
                size = (shown.before.shape[1], shown.before.shape[0])
        job.files.update(paths)
        # Faces just before and after the stretch are restored too, to steady its own.
        restored = round(faces * (len(times) + 2 * REACH) / len(times))
        self.measured.note(len(times), restored, time.monotonic() - self._began, size[0] * size[1])
        return {
            "start": float(times[0]),
            "end": float(times[-1] + 1 / rate),
            "before": file_url(job, "before.mp4"),
            "after": file_url(job, "after.mp4"),
            "width": size[0],
            "height": size[1],
        }

    def render(self, job: Job, order: RenderOrder) -> Json:
        """Render; what was finished stays when it is cancelled, and is used by the next."""
        from refrestore.engine.local import render

        began, resumed = time.monotonic(), -1

        def progress(stage: str, done: int, total: int | None) -> None:
            nonlocal resumed
            resumed = done if resumed < 0 else resumed
            job.progress(stage, done, max(order.frames, done))

        job.progress("open", 0, None)
        toolbox = self.toolbox
        result = render(
            self.project,
            order.output,
            settings=order.settings,
            encoder=order.encoder,
            runtime=self._settings.runtime,
            profiles=self._linked(),
            video=self._settings.video,
            toolbox=toolbox,
            progress=progress,
            watch=_Shower(job),
            announce=job.announce,
        )
        summary = {
            key: result.summary[key]
            for key in (
                "frames",
                "faces",
                "unreferenced",
                "wall_seconds",
                "notes",
                "output",
                "stages",
            )
        }
        if resumed <= 1:
            self.measured.note(
                summary["frames"],
                summary["faces"],
                time.monotonic() - began,
                self._pixels(order.settings.scale),
            )
        job.files.update({"report.html": result.page, "report.json": result.report})
        return {
            "output": result.output.name,
            "report": file_url(job, "report.json"),
            "page": file_url(job, "report.html"),
            "summary": summary,
        }

    def draw(
        self, job: Job, at: Fraction, box: Box, identity: int | None, name: str | None
    ) -> Json:
        """Follow a face from a box; nothing is changed if it is cancelled."""
        from refrestore.scan.draw import draw_face

        job.progress("open", 0, None)
        drawn = draw_face(
            self.project,
            at,
            box,
            pencil=self.pencil,
            identity=identity,
            name=name,
            video=self._settings.video,
            progress=job.progress,
        )
        holders = self.project.identity_of_track()
        return {**asdict(drawn), "met": sorted({holders[track] for track in drawn.met})}

    def close(self) -> None:
        """Close the project, if it was opened."""
        if "project" in self.__dict__:
            self.project.close()

    def _pixels(self, scale: int) -> int:
        width, height = self.project.video.geometry.scaled(scale).display_size
        return width * height

    def _opened(self) -> Previewer:
        from refrestore.render.preview import Previewer

        if self._previewer is None:
            self._previewer = Previewer(
                self.project, video=self._settings.video, toolbox=self.toolbox
            )
        return self._previewer

    def _stretch(
        self, job: Job, at: Fraction, seconds: Fraction, strengths: Strengths | None
    ) -> Iterator[Preview]:
        job.progress("open", 0, None)
        previewer = self._opened()
        previewer.profiles = self._linked()

        def progress(stage: str, done: int, total: int | None) -> None:
            job.progress(stage, done, total)
            if stage == "refine":
                self._began = time.monotonic()

        return previewer.stretch(
            at,
            seconds,
            self._settings.render,
            strengths,
            progress=progress,
            announce=job.announce,
        )

    def _boxes(self, shown: Preview) -> list[Json]:
        names = {one.id: one.name for one in self.project.identities()}
        return [
            {
                "identity": one.identity,
                "name": names.get(one.identity, f"person {one.identity}"),
                "box": [round(edge, 1) for edge in one.box],
                "strength": round(one.strength, 3),
                "reason": one.reason,
            }
            for one in shown.shown
        ]

    def _linked(self) -> tuple[Profile, ...]:
        """Return the profiles that people are linked to, opened again only if they changed."""
        stamps = {one.name: one.stamp for one in self._shelf.all()}
        names = sorted({one.profile for one in self.project.identities() if one.profile})
        found = {}
        for name in names:
            known = self._profiles.get(name)
            if known is None or known[0] != stamps.get(name):
                known = stamps.get(name, ""), self._shelf.store.load(name)
            found[name] = known
        self._profiles = found
        return tuple(profile for _, profile in found.values())


class _Shower:
    """Shows a frame of a render now and then."""

    def __init__(self, job: Job) -> None:
        self._job, self._last = job, 0.0

    def __call__(self, frame: Frame) -> None:
        now = time.monotonic()
        if now - self._last < SHOWN_EVERY:
            return
        self._last = now
        height = min(SHOWN_HEIGHT, frame.geometry.display_size[1])
        self._job.show(encode_jpeg(display_rgb(frame, height=height)))


def file_url(job: Job, name: str) -> str:
    """Return where a job's file is."""
    return f"api/jobs/{job.id}/files/{name}"


def _keep(job: Job, name: str, content: bytes) -> None:
    path = job.folder / name
    write_file(path, content)
    job.files[name] = path
