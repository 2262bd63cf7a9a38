"""One moment of the video, before and after, without rendering the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.errors import UsageError
from refrestore.media.compose import compose
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.project import Profile, Project
from refrestore.render.background import open_background
from refrestore.render.frames import FrameWindow
from refrestore.render.paint import paint
from refrestore.render.painted import Account, Painted
from refrestore.render.people import gather_people
from refrestore.render.plan import plan_tracks
from refrestore.render.refine import Tools, refine
from refrestore.render.segments import CONTEXT
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.work import gather
from refrestore.restore.steady import REACH
from refrestore.types import Frame, ImageArray


@dataclass(frozen=True)
class Preview:
    """A frame before and after, as a viewer sees it.

    Parameters
    ----------
    time
        Its presentation time, seconds.
    before, after : (H, W, 3) uint8
        RGB at the output's display size.
    faces
        Faces restored in it.
    """

    time: Fraction
    before: ImageArray
    after: ImageArray
    faces: int


def preview(
    project: Project,
    at: Fraction,
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
        Seconds, as the container counts them.

    Raises
    ------
    UsageError
        If the video shows nothing at that time.
    """
    settings = settings or RenderSettings()
    info = probe(video or project.video.path)
    project.check_video(info.fingerprint, info.path)
    with VideoReader(info.path, info=info, start=at) as reader:
        shown = next(iter(reader), None)
    if shown is None:
        raise UsageError(f"{info.path.name} has no frame at or after {float(at):g} s.")
    toolbox = toolbox or open_toolbox(runtime or RuntimeSettings())
    people = gather_people(project, list(profiles), eyes=toolbox.eyes, fusion=toolbox.fusion)
    plans = plan_tracks(
        project.tracks(), lambda track: project.faces([track]), people.identities, settings
    )
    tools = Tools(
        toolbox.models,
        toolbox.restorer,
        people.banks,
        settings.references,
        settings.batch,
        people.rivals,
    )
    index, account = shown.index, Account()
    work = gather(plans, index, index + 1, info.geometry, context=CONTEXT)
    painted = Painted(shown, [])
    if len(work):
        with FrameWindow(info.path, info, overlap=2 * CONTEXT + 1) as frames:
            around = frames.between(index - CONTEXT, index + CONTEXT + 1)
            work = refine(work, around, info.geometry, tools).work
            near = frames.between(index - REACH, index + REACH + 1)
            made = paint(work, near, tools, account, scale=settings.scale)
            painted = next(one for one in made if one.frame.index == index)
    background = open_background(settings, runtime or RuntimeSettings())
    geometry = info.geometry.scaled(settings.scale)
    pictures = [
        compose(shown, [], scale=settings.scale),
        compose(shown, painted.patches, scale=settings.scale)
        if background is None
        else background.compose(painted, settings.scale),
    ]
    before, after = (
        display_rgb(Frame(index, shown.time, picture, geometry)) for picture in pictures
    )
    return Preview(shown.time, before, after, account.faces)
