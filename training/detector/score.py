"""How far a detector's faces agree with the teacher's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refrestore.faces.detector import Detector
from refrestore.types import Faces

SIZE = 640
"""Longer side that `refrestore scan` detects at."""

SURE = 0.5
POSSIBLE = 0.3
"""Teacher's score from which a student's face is no false one."""

SMALLEST = 24.0
"""Side at detection size below which a missed face does not count."""

OVERLAP = 0.4


def boxes_overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return intersection over union of (N, 4) and (M, 4) boxes as (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inner = np.prod(np.maximum(high - low, 0), 2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], 1) for boxes in (first, second)]
    return inner / (areas[0][:, None] + areas[1][None] - inner)


@dataclass
class Seen:
    """A picture's faces by teacher (from POSSIBLE on) and student (from any score on)."""

    picture: np.ndarray
    teacher: Faces
    student: Faces

    @property
    def scale(self) -> float:
        return SIZE / max(self.picture.shape[:2])


@dataclass
class Agreement:
    """Counts over pictures at one threshold."""

    wanted: int = 0
    matched: int = 0
    found: int = 0
    extra: int = 0
    errors: list[float] | None = None
    """Mean keypoint distance of each matched face over the teacher's interocular distance."""

    relative: list[float] | None = None
    """The same over the side of the teacher's box."""

    @property
    def recall(self) -> float:
        return self.matched / max(self.wanted, 1)

    @property
    def extra_share(self) -> float:
        return self.extra / max(self.found, 1)


def pairs(overlap: np.ndarray) -> list[tuple[int, int]]:
    """Match rows to columns one to one, best overlap first."""
    overlap = overlap.copy()
    chosen = []
    while overlap.size and overlap.max() >= OVERLAP:
        row, column = np.unravel_index(int(np.argmax(overlap)), overlap.shape)
        chosen.append((int(row), int(column)))
        overlap[row], overlap[:, column] = -1, -1
    return chosen


def extras(seen: Seen, threshold: float) -> np.ndarray:
    """Return the rows of the student's faces where the teacher has none."""
    student = np.flatnonzero(seen.student.score >= threshold)
    if not len(seen.teacher):
        return student
    overlap = boxes_overlap(seen.student.box[student], seen.teacher.box)
    return student[overlap.max(1, initial=0) < OVERLAP]


def missed(seen: Seen, threshold: float) -> np.ndarray:
    """Return the rows of the teacher's faces that the student lacks."""
    sure = np.flatnonzero(
        (seen.teacher.score >= SURE) & (seen.teacher.size * seen.scale >= SMALLEST)
    )
    student = seen.student.box[seen.student.score >= threshold]
    matched = [row for row, _ in pairs(boxes_overlap(seen.teacher.box[sure], student))]
    return np.delete(sure, matched)


def agreement(pictures: list[Seen], threshold: float) -> Agreement:
    total = Agreement(errors=[], relative=[])
    for seen in pictures:
        student = np.flatnonzero(seen.student.score >= threshold)
        sure = np.flatnonzero(
            (seen.teacher.score >= SURE) & (seen.teacher.size * seen.scale >= SMALLEST)
        )
        total.wanted += len(sure)
        total.found += len(student)
        total.extra += len(extras(seen, threshold))
        overlap = boxes_overlap(seen.teacher.box[sure], seen.student.box[student])
        for row, column in pairs(overlap):
            total.matched += 1
            points = seen.teacher.keypoints[sure[row]]
            off = seen.student.keypoints[student[column]] - points
            distance = float(np.linalg.norm(off, axis=1).mean())
            eyes = float(np.linalg.norm(points[1] - points[0]))
            total.errors.append(distance / max(eyes, 1e-3))
            total.relative.append(distance / float(seen.teacher.size[sure[row]]))
    return total


def look(
    pictures: Iterator[np.ndarray] | list[np.ndarray], teacher: Detector, student: Detector
) -> list[Seen]:
    return [
        Seen(
            picture,
            teacher.detect([picture], [0], SIZE),
            student.detect([picture], [0], SIZE),
        )
        for picture in pictures
    ]
