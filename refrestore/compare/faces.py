"""Faces only: a grid, each person's face before above the same face after, the name beneath."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from refrestore.compare.layouts import AFTER, BEFORE, even
from refrestore.compare.on_screen import GAP_SECONDS, Seat, presences, seat
from refrestore.compare.pairs import FilmPair, Pair
from refrestore.compare.text import BACKGROUND, MUTED, strip
from refrestore.errors import UsageError
from refrestore.faces.align import crops as cut_crops
from refrestore.media.pixels import display_rgb
from refrestore.project import Project
from refrestore.restore.temporal import smooth
from refrestore.types import DoubleArray, Faces, ImageArray, IntArray

TILE = 256
"""Side of a face, pixels."""

AROUND = 1.6
"""Side of what a tile shows, in sides of the face's box."""

STEADY_SIGMA = 5.0
"""Smoothing of a tile's place, frames: the tile must not add a jitter that no film has."""

A_ROW = 4
"""People beside each other."""

_LEFT, _GAP, _NAME = 84, 8, 32


@dataclass(frozen=True, eq=False)
class _Path:
    """Where a track's face is: (T,) frames, (T, 2) centres, (T,) sides, display pixels."""

    frame: IntArray
    centre: DoubleArray
    side: DoubleArray

    @classmethod
    def of(cls, faces: Faces) -> _Path:
        centre = (faces.box[:, :2] + faces.box[:, 2:]) / 2
        side = (faces.box[:, 2:] - faces.box[:, :2]).max(1)
        places = np.concatenate([centre, side[:, None]], 1)
        steady = smooth(places, faces.frame, sigma=STEADY_SIGMA)
        return cls(faces.frame, steady[:, :2], AROUND * steady[:, 2])

    def at(self, frame: int) -> tuple[float, float, float] | None:
        """Return centre and side at a frame, None outside the track."""
        if not len(self.frame) or not self.frame[0] <= frame <= self.frame[-1]:
            return None
        x, y = (float(np.interp(frame, self.frame, self.centre[:, axis])) for axis in (0, 1))
        return x, y, float(np.interp(frame, self.frame, self.side))


class FaceGrid:
    """Draws the people on screen, each in a place of their own.

    Paths of faces are read when their track begins and forgotten when it ends, so that memory
    does not grow with the film.

    Parameters
    ----------
    films
        What is compared.
    project
        Of the film before; open as long as the grid is in use.

    Raises
    ------
    ProjectError
        The project is about another video.
    UsageError
        Nobody is on screen in the part that is compared.
    """

    def __init__(self, films: FilmPair, project: Project) -> None:
        project.check_video(films.before.fingerprint, films.before.path)
        gap = round(GAP_SECONDS * float(films.before.average_rate))
        found = presences(project.identities(), project.tracks(), films.first, films.stop, gap=gap)
        if not found:
            raise UsageError(
                f"The project {project.folder} has nobody on screen in what is compared; "
                "there is no face to show."
            )
        seats, self.left_out = seat(found)
        self._waiting = deque(seats)
        self._active: list[Seat] = []
        self._faces_of: Callable[[int], Faces] = lambda track: project.faces([track])
        self._paths: dict[int, _Path] = {}
        self._names: dict[int, ImageArray] = {}
        width, height = films.before.geometry.display_size
        wide, high = films.after.geometry.display_size
        self._enlarged = wide / width, high / height
        self._places = _places(1 + max(one.place for one in seats))
        self.size = even(
            max(left for left, _ in self._places) + TILE + _GAP,
            max(top for _, top in self._places) + 2 * TILE + _GAP + _NAME + _GAP,
        )
        self._canvas = self._empty()

    def draw(self, pair: Pair) -> ImageArray:
        """Return the grid of a moment."""
        frame = pair.before.index
        self._move_to(frame)
        canvas = self._canvas.copy()
        before = after = None
        for one in self._active:
            where = self._where(one, frame)
            if where is None:
                continue
            if before is None or after is None:
                before, after = display_rgb(pair.before), display_rgb(pair.after)
            left, top = self._places[one.place]
            canvas[top : top + TILE, left : left + TILE] = tile(before, where, (1.0, 1.0))
            low = top + TILE + _GAP
            canvas[low : low + TILE, left : left + TILE] = tile(after, where, self._enlarged)
            low += TILE
            canvas[low : low + _NAME, left : left + TILE] = self._name(one)
        return canvas

    def _move_to(self, frame: int) -> None:
        while self._waiting and self._waiting[0].presence.first <= frame:
            self._active.append(self._waiting.popleft())
        gone = [one for one in self._active if one.presence.stop <= frame]
        for one in gone:
            self._active.remove(one)
            for track in one.presence.tracks:
                self._paths.pop(track, None)

    def _where(self, one: Seat, frame: int) -> tuple[float, float, float] | None:
        for track in one.presence.tracks:
            if track not in self._paths:
                self._paths[track] = _Path.of(self._faces_of(track))
            if (where := self._paths[track].at(frame)) is not None:
                return where
        return None

    def _name(self, one: Seat) -> ImageArray:
        identity = one.presence.identity
        if identity.id not in self._names:
            self._names[identity.id] = strip(identity.name, (TILE, _NAME))
        return self._names[identity.id]

    def _empty(self) -> ImageArray:
        width, height = self.size
        canvas: ImageArray = np.empty((height, width, 3), np.uint8)
        canvas[:] = BACKGROUND
        for top in {top for _, top in self._places}:
            for row, word in enumerate((BEFORE, AFTER)):
                low = top + row * (TILE + _GAP) + (TILE - _NAME) // 2
                canvas[low : low + _NAME, :_LEFT] = strip(word, (_LEFT, _NAME), colour=MUTED)
        return canvas


def _places(count: int) -> Sequence[tuple[int, int]]:
    """Return left and top of each place."""
    cell = 2 * TILE + _GAP + _NAME + _GAP
    return [
        (_LEFT + place % A_ROW * (TILE + _GAP), _GAP + place // A_ROW * cell)
        for place in range(count)
    ]


def tile(
    picture: ImageArray, where: tuple[float, float, float], enlarged: tuple[float, float]
) -> ImageArray:
    """Return a square of a picture as (TILE, TILE, 3), Lanczos where it is enlarged.

    Parameters
    ----------
    picture : (H, W, 3) uint8
        RGB.
    where
        Middle (x, y) and side in pixels of the film before; moved into the picture.
    enlarged
        How much wider and higher the picture is than the film before.
    """
    height, width = picture.shape[:2]
    across, down = enlarged
    side_x, side_y = min(where[2] * across, width), min(where[2] * down, height)
    # Edges, not centres, keep their place when a picture is enlarged.
    left = min(max((where[0] + 0.5) * across - side_x / 2, 0), width - side_x)
    top = min(max((where[1] + 0.5) * down - side_y / 2, 0), height - side_y)
    scale = min(TILE / side_x, TILE / side_y)
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    matrix[:, 2] += 0.5 * (scale - 1)
    if scale < 1:
        return np.asarray(cut_crops(picture, matrix[None], TILE)[0], np.uint8)
    cut = cv2.warpAffine(
        picture, matrix, (TILE, TILE), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)
