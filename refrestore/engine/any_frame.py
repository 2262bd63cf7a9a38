"""Restored frames of a film in any order: for programs that ask for a frame by its number."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import av

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.profiles import Profile
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.render.frames import passes_of
from refrestore.render.people import gather_people
from refrestore.render.recipe import read_recipe
from refrestore.render.segment_folder import Segment, split
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.window import render_window

KEPT = 2
"""Segments whose frames are kept: whoever plays a film forward asks for each once."""

SECONDS = 2.0
"""Longest segment: what a single frame costs at the first, and what is kept."""


class AnyFrame:
    """Restores a project's film by the render's own means, a segment at a time.

    Threads may ask at once; they wait for each other.

    Parameters
    ----------
    project
        A scanned project; it stays open.
    settings
        How. Segments are two seconds at most, so that frames near their ends can differ a little
        from those of a render.
    profiles
        Profiles that identities are linked to.
    video
        The source, if it was moved.
    toolbox
        Networks already opened.

    Attributes
    ----------
    info : VideoInfo
        The film.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence.
    """

    def __init__(
        self,
        project: Project,
        *,
        settings: RenderSettings | None = None,
        runtime: RuntimeSettings | None = None,
        profiles: Iterable[Profile] = (),
        video: Path | None = None,
        toolbox: Toolbox | None = None,
    ) -> None:
        settings, runtime = settings or RenderSettings(), runtime or RuntimeSettings()
        opened = toolbox or open_toolbox(runtime)
        self._toolbox = opened.equipped(settings, runtime)
        self.info = project_film(project, video)
        people = gather_people(project, list(profiles), eyes=opened.eyes, fusion=opened.fusion)
        self._recipe = read_recipe(project, self.info, self._toolbox, people, settings)
        shots = self._recipe.shots
        frames = shots[-1].stop if shots else project.video.frames or self.info.frames or 0
        longest = max(1, round(SECONDS * self.info.average_rate))
        self._segments = split(shots, longest=longest, first=0, stop=frames)
        self._kept: OrderedDict[int, Sequence[av.VideoFrame]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._segments[-1].stop if self._segments else 0

    def __getitem__(self, index: int) -> av.VideoFrame:
        """Return a frame's picture in the output, not to be written to."""
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} is not one of {len(self)}")
        segment = next(one for one in self._segments if index < one.stop)
        with self._lock:
            pictures = self._kept.pop(segment.index, None) or self._rendered(segment)
            self._kept[segment.index] = pictures
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if index - segment.first >= len(pictures):
            raise IndexError(f"frame {index} could not be read")
        return pictures[index - segment.first]

    def _rendered(self, segment: Segment) -> Sequence[av.VideoFrame]:
        with passes_of(self.info, self._recipe.entries, len(segment)) as passes:
            shown = render_window(self._recipe, self._toolbox, passes, segment.first, segment.stop)
            return [one.picture for one in shown]
