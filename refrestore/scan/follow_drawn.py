"""Follow one face from a box that somebody drew: what the scan's detector missed.

The scan's detector is asked again, near the face only and much less strictly: enlarged, a small
face is plain to it, and one that is large or turned away still scores far more than anything that
is none. Where it says nothing the face is followed by optical flow for a while.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from itertools import islice

import cv2
import numpy as np

from refrestore.faces.align import compose, invert, transform
from refrestore.faces.analyser import PRESENT, SLIPPED, FaceModels
from refrestore.faces.landmarker import MESH_SIZE, mesh_squares
from refrestore.faces.pose import distance_over_radius, mesh_keypoints
from refrestore.project.anchors import overlaps
from refrestore.scan.cut_close_ups import keep_best
from refrestore.scan.follow import TAIL_SECONDS, UNSEEN_SECONDS
from refrestore.scan.followed import Followed, FollowedFrame
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.photos import LEAST_OVERLAP
from refrestore.scan.samples import Best
from refrestore.scan.stretch import Stretch
from refrestore.types import DoubleArray, Faces, FloatArray, ImageArray

MIN_SCORE = 0.2
"""Confidence from which the detector is believed beside the user. In windows around 136 faces that
scans of three clips had missed (24 to 240 px), lite's detector gives small ones about .8 and large,
turned or cut off ones .25 to .58; of 323 windows without a face 1 in 100 has .2
(docs/decisions/031)."""

SURE_SCORE = 0.4
"""Confidence that the detector must have had once in a face. Where 61 boxes around nothing were
followed from, eight tracks came of it, six of them below .3; of 18 boxes around faces that were
missed all have .49 and more."""

_WINDOW, _WINDOW_SIDE = 3.0, 256
"""Side of the window that is looked at, over the longer side of the box, and in pixels."""

_PASSES = (1.0, 0.6)
"""Sizes to look at a window in, as parts of `_WINDOW_SIDE`: faces of about 85 and 50 pixels."""

_SAME_FACE = 0.3
"""Overlap of a detection with where the face is expected, from one frame to the next."""

_GRID = 10
"""Points a side of the box whose motion is measured, as many as MedianFlow's."""

_RETURNED = 1.0
"""Pixels of the window within which a point must come back when it is followed there and back
(Kalal, Mikolajczyk and Matas, "Forward-Backward Error", ICPR 2010)."""

_LEAST_POINTS = 12
_LARGEST_STEP = 1.25
"""Points that must agree on a motion, and the factor by which it may enlarge a face."""


class BoxFollower:
    """Follows one face from a box through the frames of one shot, both ways.

    Parameters
    ----------
    models
        Opened with `MIN_SCORE`.
    stretch
        The frames of the shot, and the faces that are known in them.
    rate
        Frames per second.
    """

    def __init__(self, models: FaceModels, stretch: Stretch, rate: Fraction) -> None:
        self._models, self._stretch = models, stretch
        self._best = Best()
        self._unseen = max(1, round(rate * Fraction(UNSEEN_SECONDS)))
        self._tail = max(1, round(rate * Fraction(TAIL_SECONDS)))

    def follow(self, frame: int, box: FloatArray) -> Followed | None:
        """Follow the face in a box of a frame backwards and forwards until it is lost.

        It is lost where the detector has not seen it for a second, nothing tells where it moved,
        it leaves the picture, or it comes to where a face is known already.

        Parameters
        ----------
        frame
            Index of the frame the box was drawn on.
        box : (4,)
            In display pixels.

        Returns
        -------
        Followed or None
            None where no face is seen in the box, in that frame and for a second before and after,
            or none that is surely one.
        """
        start = self._start(frame, box)
        if start is None:
            return None
        before, after = (self._way(way(start.frame), start) for way in self._stretch.ways)
        followed = Followed([*reversed(before), start, *after], self._best)
        sure = max(row.score for row in followed.rows) >= SURE_SCORE
        return followed if sure else None

    def _start(self, frame: int, box: FloatArray) -> FollowedFrame | None:
        """Return the face where the detector sees it in the box, in that frame or near it."""
        for way in self._stretch.ways:
            with closing(way(frame)) as pictures:
                place, last = box, None
                for picture in islice(pictures, self._unseen + 1):
                    if last is not None:
                        motion = measured_motion(last, picture, place)
                        if motion is None:
                            break
                        place = _carried(motion, place)
                    row = self._seen(picture, place, place, LEAST_OVERLAP)
                    if row is not None:
                        return row
                    last = picture
        return None

    def _way(
        self, pictures: Generator[FrameForms, None, None], start: FollowedFrame
    ) -> list[FollowedFrame]:
        """Return the rows after the first picture, which is the start's, as far as they go."""
        rows: list[FollowedFrame] = []
        seen, row = start.frame, start
        with closing(pictures):
            last = next(pictures)
            for picture in pictures:
                found = self._step(row, last, picture)
                if found is None or self._stretch.whose(found.frame, found.box) is not None:
                    break
                rows.append(found)
                seen = picture.number if found.score > 0 else seen
                if abs(picture.number - seen) > self._unseen:
                    break
                last, row = picture, found
        reach = abs(seen - start.frame) + self._tail
        return [row for row in rows if abs(row.frame - start.frame) <= reach]

    def _step(
        self, row: FollowedFrame, last: FrameForms, picture: FrameForms
    ) -> FollowedFrame | None:
        """Return the face of one picture in the next; None where nothing tells its place."""
        motion = measured_motion(last, picture, row.box)
        place = row.box if motion is None else _carried(motion, row.box)
        if not _inside(place, picture):
            return None
        found = self._seen(picture, row.box, place, _SAME_FACE)
        if found is not None or motion is None:
            return found
        points = transform(motion[None], row.keypoints[None])[0].astype(np.float32)
        return FollowedFrame(picture.number, place, self._refined(picture, place, points), 0.0)

    def _seen(
        self, picture: FrameForms, near: FloatArray, place: FloatArray, least: float
    ) -> FollowedFrame | None:
        """Return the unknown face that the detector sees around a box, if it is where expected."""
        found = self._detected(picture, near)
        fits = overlaps(found.box, place)
        for row, box in enumerate(found.box):
            if fits[row] >= least and self._stretch.whose(picture.number, box) is not None:
                fits[row] = 0.0
        if not len(fits) or fits.max() < least:
            return None
        face = self._models.describe(picture.display, found[[int(fits.argmax())]], embed=False)
        keep_best(self._best, self._models, picture.display, face)
        assert face.quality is not None
        assert face.sharpness is not None
        assert face.pose is not None
        judged = np.array([face.quality[0], face.sharpness[0], *face.pose[0]], np.float32)
        return FollowedFrame(
            picture.number, face.box[0], face.keypoints[0], float(face.score[0]), judged
        )

    def _detected(self, picture: FrameForms, near: FloatArray) -> Faces:
        """Return the faces in the window around a box, in display pixels."""
        matrix = window(near)
        shown = cut_window(picture, matrix)
        found = self._models.detector.detect(
            [shown], [picture.number], _WINDOW_SIDE, passes=_PASSES
        )
        back = invert(matrix[None])
        return found.with_columns(
            box=transform(back, found.box.reshape(1, -1, 2)).reshape(-1, 4),
            keypoints=transform(back, found.keypoints.reshape(1, -1, 2)).reshape(-1, 5, 2),
        )

    def _refined(self, picture: FrameForms, box: FloatArray, points: FloatArray) -> FloatArray:
        """Return keypoints (5, 2) as the mesh has them, where it holds."""
        matrix = mesh_squares(box[None], points[None])
        landmarks, presence = self._models.landmarker.dense(picture.crops(matrix, MESH_SIZE))
        found = transform(invert(matrix), mesh_keypoints(landmarks)).astype(np.float32)
        slipped = distance_over_radius(found, points[None])[0] > SLIPPED
        refined: FloatArray = points if slipped or presence[0] < PRESENT else found[0]
        return refined


def window(box: FloatArray) -> DoubleArray:
    """Return the matrix (2, 3) from a picture to the window around a box (4,) of it."""
    centre, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
    scale = _WINDOW_SIDE / (_WINDOW * max(side, 1.0))
    shift = (_WINDOW_SIDE - 1) / 2 - scale * centre
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def cut_window(picture: FrameForms, matrix: DoubleArray) -> ImageArray:
    """Return a window (S, S, 3) of a picture, black beyond its edges: a mirrored face is a face."""
    shown = picture.crops(matrix[None], _WINDOW_SIDE)[0]
    corners = np.array([[[-0.5, -0.5], np.subtract(picture.size, 0.5)]])
    low, high = np.clip(np.rint(transform(matrix[None], corners)[0]), 0, _WINDOW_SIDE).astype(int)
    inside: ImageArray = np.zeros_like(shown)
    there = slice(low[1], high[1]), slice(low[0], high[0])
    inside[there] = shown[there]
    return inside


def measured_motion(last: FrameForms, picture: FrameForms, box: FloatArray) -> DoubleArray | None:
    """Return the similarity (2, 3) that takes a face's box to its place in the next picture.

    MedianFlow (Kalal et al., ICPR 2010): a grid of points is followed there and back by pyramids
    of Lucas and Kanade's, and those that do not come back are left out.

    Returns
    -------
    (2, 3) float64 or None
        In display pixels; None where too few points agree.
    """
    matrix = window(box)
    old, new = (
        cv2.cvtColor(cut_window(one, matrix), cv2.COLOR_RGB2GRAY) for one in (last, picture)
    )
    corners = transform(matrix[None], box.reshape(1, 2, 2))[0]
    across, down = (np.linspace(low, high, _GRID + 2)[1:-1] for low, high in corners.T)
    points = np.stack(np.meshgrid(across, down), -1).reshape(-1, 1, 2).astype(np.float32)
    there, found, _ = cv2.calcOpticalFlowPyrLK(old, new, points, None)  # type: ignore[call-overload]
    again, back, _ = cv2.calcOpticalFlowPyrLK(new, old, there, None)  # type: ignore[call-overload]
    apart = np.linalg.norm(again - points, axis=-1)[:, 0]
    good = (found[:, 0] == 1) & (back[:, 0] == 1) & (apart < _RETURNED)
    if np.count_nonzero(good) < _LEAST_POINTS:
        return None
    fitted, agree = cv2.estimateAffinePartial2D(points[good], there[good])
    if fitted is None or np.count_nonzero(agree) < _LEAST_POINTS:
        return None
    grown = float(np.hypot(*fitted[:, 0]))
    if not 1 / _LARGEST_STEP < grown < _LARGEST_STEP:
        return None
    return compose(invert(matrix), compose(fitted, matrix))


def _carried(motion: DoubleArray, box: FloatArray) -> FloatArray:
    """Return a box (4,) moved and enlarged by a motion, upright as before."""
    size = (box[2:] - box[:2]) * np.hypot(*motion[:, 0]) / 2
    centre = transform(motion[None], ((box[:2] + box[2:]) / 2)[None, None])[0, 0]
    return np.concatenate([centre - size, centre + size]).astype(np.float32)


def _inside(box: FloatArray, picture: FrameForms) -> bool:
    """Say whether the middle of a box is in the picture."""
    centre = (box[:2] + box[2:]) / 2
    return bool((centre >= 0).all() and (centre < picture.size).all())
