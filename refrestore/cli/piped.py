"""Rendering through pipes: the stream on stdout, every word on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from refrestore.config import EncoderSettings, PipeFormat, RenderSettings, RuntimeSettings
from refrestore.errors import UsageError
from refrestore.render.render import RenderResult

from . import options
from .progress import ProgressMode, Reporter, progress_reporter


@contextmanager
def stream_alone() -> Iterator[BinaryIO]:
    """Give stdout to the film alone: whatever else is written there goes to stderr meanwhile.

    Raises
    ------
    UsageError
        Stdout is a terminal.
    """
    sys.stdout.flush()
    if os.isatty(1):
        raise UsageError("A film is no sight for a terminal: pipe stdout into a program or a file.")
    stream = os.fdopen(os.dup(1), "wb")
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        with stream:
            yield stream
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        os.dup2(own, 1)
        os.close(own)


def render_into_pipe(
    folder: Path,
    output: Path,
    video: Path | None,
    kind: PipeFormat | None,
    progress: ProgressMode,
    tell: Callable[[RenderResult, Reporter], None],
    *,
    settings: RenderSettings,
    encoder: EncoderSettings,
    runtime: RuntimeSettings,
) -> None:
    """Render a project as `engine.piped.render_piped` does, with what was typed.

    Parameters
    ----------
    tell
        Prints what was done.

    Raises
    ------
    UsageError
        What was typed is not for pipes.
    """
    from refrestore.engine.piped import render_piped
    from refrestore.project import Project

    if str(output) != "-":
        raise UsageError(
            "A film that comes through a pipe goes into one: give -o - and let a program write "
            f"{output}, or name the film's file."
        )
    source = sys.stdin.buffer if str(video) == "-" else None
    if source is not None and source.isatty():
        raise UsageError("No film comes from a terminal: pipe one in, as y4m or nut.")
    with (
        stream_alone() as stream,
        Project.open(folder) as opened,
        progress_reporter(progress) as report,
    ):
        result = render_piped(
            opened,
            stream,
            source=source,
            kind=kind,
            settings=settings,
            encoder=encoder,
            runtime=runtime,
            profiles=options.linked_profiles(runtime, opened),
            video=None if source is not None else video,
            progress=report,
            announce=report.note,
        )
        tell(result, report)
