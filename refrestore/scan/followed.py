"""A track under construction: plain data, one row a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from refrestore.scan.samples import Best
from refrestore.types import Faces, FloatArray


@dataclass
class FollowedFrame:
    """A track in one frame; `score` 0 where it was followed and not detected.

    `judged` is quality, sharpness, yaw, pitch, roll, where the face was detected.
    """

    frame: int
    box: FloatArray
    keypoints: FloatArray
    score: float
    judged: FloatArray | None = None


@dataclass(eq=False)
class Followed:
    """A track under construction."""

    rows: list[FollowedFrame] = field(default_factory=list)
    best: Best = field(default_factory=Best)

    @property
    def detections(self) -> list[FollowedFrame]:
        """Rows of frames in which the detector saw it."""
        return [row for row in self.rows if row.score > 0]

    @property
    def first(self) -> int:
        """First frame."""
        return self.rows[0].frame

    @property
    def last(self) -> int:
        """Last frame."""
        return self.rows[-1].frame

    def trim(self, keep: int) -> None:
        """Drop rows more than `keep` frames after the last detection."""
        limit = self.detections[-1].frame + keep
        self.rows = [row for row in self.rows if row.frame <= limit]

    def divided(self, frame: int) -> tuple[Followed, Followed]:
        """Return the parts before a frame and from it on."""
        early, late = self.best.divided(frame)
        return (
            Followed([row for row in self.rows if row.frame < frame], early),
            Followed([row for row in self.rows if row.frame >= frame], late),
        )

    def faces(self) -> Faces:
        """Return its rows as a table; what was judged at detections is interpolated between."""
        frame = np.array([row.frame for row in self.rows])
        seen = [(row.frame, row.judged) for row in self.rows if row.judged is not None]
        judged = np.stack([values for _, values in seen], 1)
        dense = np.stack([np.interp(frame, [at for at, _ in seen], row) for row in judged], 1)
        return Faces(
            frame=frame,
            box=np.stack([row.box for row in self.rows]),
            keypoints=np.stack([row.keypoints for row in self.rows]),
            score=np.array([row.score for row in self.rows]),
            quality=dense[:, 0],
            sharpness=dense[:, 1],
            pose=dense[:, 2:],
        )


def moved(row: FollowedFrame, frame: int, keypoints: FloatArray) -> FollowedFrame:
    """Return a row whose box moved and grew as its keypoints did."""
    before, after = row.keypoints.mean(0), keypoints.mean(0)
    spread = [
        float(np.linalg.norm(points - centre, axis=-1).mean())
        for points, centre in ((row.keypoints, before), (keypoints, after))
    ]
    growth = spread[1] / max(spread[0], 1e-6)
    box = (row.box.reshape(2, 2) - before) * growth + after
    return FollowedFrame(frame, box.reshape(4).astype(np.float32), keypoints, 0.0)
