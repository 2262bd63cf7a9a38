"""The faces of one segment that get something, as one table with its parallel columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from refrestore.faces.align import CROP_SIZE
from refrestore.media.tensors import parts
from refrestore.render.crops import at_sides, inside, storage_to_crop
from refrestore.render.plan import TrackPlan
from refrestore.restore import burst
from refrestore.restore.sides import crop_sides
from refrestore.types import DoubleArray, Faces, FloatArray, Geometry, IntArray


@dataclass(frozen=True, eq=False)
class FaceTable:
    """N faces in ascending order of frames.

    Parameters
    ----------
    faces : Faces
        Keypoints in display pixels, with the `track` column.
    identity : (N,) int64
        Whose face it is.
    strength : (N,) float32
        From the plan.
    own : (N,) bool
        False for context rows, which only steady the segment's own.
    side : (N,) int64
        Side of its crop in pixels, as the output shows it (`restore.sides`).
    to_crop : (N, 2, 3) float64
        Storage pixels to a crop of that side.
    inside : (N,) float32
        Share of the crop that the picture fills.
    landmarks : (N, 468, 2) float32
        In crop pixels; zeros until refined.
    guided : (N,) float32
        Weight of the references, 1 until the guard says otherwise.
    blur : (N, 6) float32
        What the film did to it (`burst.blur_of`), zeros until refined.
    invented : (N,) float32
        How much is shown of what the second stage draws, 1 until the recogniser says otherwise.
    shut : (N,) float32
        How far its eyes are shut, 0 until refined.
    """

    faces: Faces
    identity: IntArray
    strength: FloatArray
    own: NDArray[np.bool_]
    side: IntArray
    to_crop: DoubleArray
    inside: FloatArray
    landmarks: FloatArray
    guided: FloatArray
    blur: FloatArray
    invented: FloatArray
    shut: FloatArray

    def __len__(self) -> int:
        return len(self.faces)

    def select(self, rows: IntArray) -> FaceTable:
        """Return the work of some rows."""
        return FaceTable(
            self.faces[rows],
            self.identity[rows],
            self.strength[rows],
            self.own[rows],
            self.side[rows],
            self.to_crop[rows],
            self.inside[rows],
            self.landmarks[rows],
            self.guided[rows],
            self.blur[rows],
            self.invented[rows],
            self.shut[rows],
        )

    def rows_of_frame(self, frame: int) -> IntArray:
        """Return the rows of a frame."""
        start, stop = np.searchsorted(self.faces.frame, [frame, frame + 1])
        rows: IntArray = np.arange(start, stop, dtype=np.int64)
        return rows

    def by_track(self) -> list[tuple[int, IntArray]]:
        """Return track ids with their rows, ascending frames."""
        tracks = self.track
        return [(int(track), np.flatnonzero(tracks == track)) for track in np.unique(tracks)]

    @property
    def track(self) -> IntArray:
        """Track of every row, (N,)."""
        assert self.faces.track is not None
        return self.faces.track

    def refined(
        self,
        landmarks: FloatArray,
        *,
        guided: FloatArray | None = None,
        effect: FloatArray | None = None,
        blur: FloatArray | None = None,
        invented: FloatArray | None = None,
        shut: FloatArray | None = None,
    ) -> FaceTable:
        """Return the same work with what was found, and with strengths times `effect`."""
        return replace(
            self,
            landmarks=landmarks,
            guided=self.guided if guided is None else guided,
            strength=self.strength if effect is None else self.strength * effect,
            blur=self.blur if blur is None else blur,
            invented=self.invented if invented is None else invented,
            shut=self.shut if shut is None else shut,
        )

    def by_side(self, rows: IntArray) -> list[tuple[int, IntArray]]:
        """Return sides of crops with those of some rows that have them."""
        sides = self.side[rows]
        return [(int(side), rows[sides == side]) for side in np.unique(sides)]

    def together(self, rows: IntArray, device: torch.device) -> list[IntArray]:
        """Return rows of one side that are worked on together: on a CPU each face by itself."""
        return [own[part] for _, own in self.by_side(rows) for part in parts(len(own), device)]

    def around(self, rows: Iterable[int]) -> dict[int, list[int]]:
        """Return, for some rows, those of their tracks that are laid over them (`burst`)."""
        wanted = set(rows)
        offsets = np.arange(-burst.REACH, burst.REACH + 1, burst.STEP)
        near: dict[int, list[int]] = {}
        for _, own in self.by_track():
            row_of = dict(zip(self.faces.frame[own].tolist(), own.tolist(), strict=True))
            for row in wanted.intersection(own.tolist()):
                frames = int(self.faces.frame[row]) + offsets[offsets != 0]
                near[row] = [row_of[frame] for frame in frames.tolist() if frame in row_of]
        return near


def gather(
    plans: Sequence[TrackPlan],
    first: int,
    stop: int,
    geometry: Geometry,
    *,
    context: int,
    scale: int = 1,
    sides: Sequence[int] = (CROP_SIZE,),
) -> FaceTable:
    """Return the work of frames `first <= frame < stop` with `context` frames around it.

    Context rows are of the same tracks, hence of the same shot. Sides of crops follow from whole
    tracks, so that they do not depend on where a segment begins.

    Parameters
    ----------
    plans
        Of all tracks.
    geometry
        Of the frames.
    scale
        How much larger the output is.
    sides
        Of crops that the restorer knows, ascending.
    """
    tables, identities, strengths, owned, matrices, chosen = [], [], [], [], [], []
    for plan in plans:
        own = (plan.faces.frame >= first) & (plan.faces.frame < stop)
        if not np.any(plan.strength[own] > 0):
            continue
        near = (plan.faces.frame >= first - context) & (plan.faces.frame < stop + context)
        rows = np.flatnonzero(near)
        tables.append(plan.faces[rows])
        identities.append(np.full(len(rows), plan.identity, np.int64))
        strengths.append(plan.strength[rows])
        owned.append(own[rows])
        to_crop = storage_to_crop(plan.faces.keypoints, geometry)
        chosen.append(crop_sides(to_crop, plan.faces.frame, scale, sides)[rows])
        matrices.append(to_crop[rows])
    faces = Faces.concatenate(tables, common=True)  # older scans noted less
    order = np.argsort(faces.frame, kind="stable")
    faces = faces[order]
    if faces.track is None:
        faces = faces.with_columns(track=np.zeros(len(faces), np.int64))
    count = len(faces)
    to_whole = (np.concatenate(matrices) if matrices else np.zeros((0, 2, 3)))[order]
    side = (np.concatenate(chosen) if chosen else np.zeros(0, np.int64))[order]
    return FaceTable(
        faces=faces,
        identity=(np.concatenate(identities) if identities else np.zeros(0, np.int64))[order],
        strength=(np.concatenate(strengths) if strengths else np.zeros(0, np.float32))[order],
        own=(np.concatenate(owned) if owned else np.zeros(0, bool))[order],
        side=side,
        to_crop=at_sides(to_whole, side),
        inside=inside(to_whole, geometry),
        landmarks=np.zeros((count, 468, 2), np.float32),
        guided=np.ones(count, np.float32),
        blur=np.zeros((count, burst.TERMS), np.float32),
        invented=np.ones(count, np.float32),
        shut=np.zeros(count, np.float32),
    )
