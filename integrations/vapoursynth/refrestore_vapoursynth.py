"""A restored film as a VapourSynth clip: frames in any order, made when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from refrestore.cli.options import linked_profiles
from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.engine.any_frame import AnyFrame
from refrestore.media.coding import subsampling
from refrestore.media.colour import FULL
from refrestore.media.planes import planar, plane_views
from refrestore.project import Project


def restored(
    project: str | Path,
    *,
    video: str | Path | None = None,
    runtime: RuntimeSettings | None = None,
    **settings: Any,
) -> vs.VideoNode:
    """Return a project's film with its faces restored, as a clip of the film's own format.

    Parameters
    ----------
    project
        Folder that `refrestore scan` made.
    video
        The film, if it was moved.
    runtime
        Where to compute.
    settings
        As `RenderSettings` has them: `scale=2`, `strength=0.8`.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence.
    """
    runtime = runtime or RuntimeSettings()
    opened = Project.open(Path(project))
    frames = AnyFrame(
        opened,
        settings=RenderSettings.model_validate(settings),
        runtime=runtime,
        profiles=linked_profiles(runtime, opened),
        video=None if video is None else Path(video),
    )
    info, first = frames.info, planar(frames[0])
    family = (
        vs.GRAY if len(first.format.components) < 3 else vs.RGB if first.format.is_rgb else vs.YUV
    )
    across, down = (factor.bit_length() - 1 for factor in subsampling(first.format))
    bits = first.format.components[0].bits
    blank = vs.core.std.BlankClip(
        width=first.width,
        height=first.height,
        format=vs.core.query_video_format(family, vs.INTEGER, bits, across, down).id,
        length=len(frames),
        fpsnum=info.average_rate.numerator,
        fpsden=info.average_rate.denominator,
        keep=True,
    )

    def picture(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made, source = f.copy(), planar(frames[n])
        for plane, view in zip(range(made.format.num_planes), plane_views(source), strict=False):
            np.copyto(np.asarray(made[plane]), view)
        aspect = info.geometry.sample_aspect
        made.props["_SARNum"], made.props["_SARDen"] = aspect.numerator, aspect.denominator
        made.props["_Matrix"] = 0 if family == vs.RGB else int(source.colorspace)
        made.props["_ColorRange"] = 0 if int(source.color_range) == FULL else 1
        return made

    return blank.std.ModifyFrame(clips=blank, selector=picture)
