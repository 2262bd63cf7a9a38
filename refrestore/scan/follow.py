"""Follow the faces of one shot: detect on a stride, fill the frames between by the mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from refrestore.config import ScanSettings
from refrestore.faces.align import (
    ARCFACE_SIZE,
    ARCFACE_TEMPLATE,
    CROP_SIZE,
    FFHQ_TEMPLATE,
    crops,
    invert,
    resized,
    similarity,
    transform,
)
from refrestore.faces.analyser import FaceModels
from refrestore.faces.landmarker import MESH_SIZE, mesh_squares
from refrestore.faces.pose import eye_opening, mesh_keypoints, mouth_opening
from refrestore.scan.association import Matches, ambiguous, assign, geometry_cost, overlap
from refrestore.scan.samples import Best, Candidate, Closeup, Sample, traits
from refrestore.scan.smoothing import interpolate
from refrestore.types import Faces, FloatArray, ImageArray

MIN_CANDIDATE_SIZE = 48.0
"""Face size in display pixels from which a close-up is worth keeping at all."""

MIN_CANDIDATE_SHARPNESS = 0.25

_INSIDE = 0.99
"""Part of a close-up's mesh that must lie in the picture: no reference shows a mirrored chin."""

THUMBNAIL_SIZE = 128
"""Side in pixels of the picture that shows a track to people."""

_PRESENT = 0.5
_STRAY = 0.6
"""Distance of the mesh's keypoints from where they were expected, over the face's radius, beyond
which the mesh has slipped off."""

_UNSEEN_SECONDS = 1.0
"""A face the detector misses this long has gone; what the mesh followed since is dropped."""

_TAIL_SECONDS = 0.2
"""What is kept of a track after its last detection if it is never confirmed."""

_SAME_FACE = 0.5
"""Overlap at which two tracks follow one face."""

_FAST = 0.5
"""Movement between detections, in face sizes, from which the stride is halved."""

_IDLE_STRIDE = 2
"""Factor on the stride while nobody is there."""


@dataclass
class Row:
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

    rows: list[Row] = field(default_factory=list)
    best: Best = field(default_factory=Best)

    @property
    def detections(self) -> list[Row]:
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


class Follower:
    """Follows all faces of one shot.

    Give it the shot's frames in order through `push`; it works whenever a stride is full.
    `finish` returns the tracks.

    Parameters
    ----------
    models
        Detector, landmarker, recogniser.
    settings
        Stride, sizes.
    rate
        Frames per second.
    """

    def __init__(self, models: FaceModels, settings: ScanSettings, rate: Fraction) -> None:
        self._models = models
        self._settings = settings
        self._unseen = max(1, round(rate * Fraction(_UNSEEN_SECONDS)))
        self._tail = max(1, round(rate * Fraction(_TAIL_SECONDS)))
        self._pending: list[tuple[int, ImageArray]] = []
        self._live: list[Followed] = []
        self._done: list[Followed] = []
        self._stride = 1
        self.detections = 0

    def push(self, frame: int, image: ImageArray) -> None:
        """Take the next frame of the shot; `image` (H, W, 3) uint8 RGB in display pixels."""
        self._pending.append((frame, image))
        if len(self._pending) >= self._stride:
            self._advance()

    def finish(self) -> list[Followed]:
        """Work off what is pending and return all tracks, unconfirmed tails cut off."""
        if self._pending:
            self._advance()
        tracks = self._done + self._live
        for track in tracks:
            track.trim(self._tail)
        return sorted(tracks, key=lambda track: track.first)

    def _advance(self) -> None:
        """Detect on the last pending frame and connect it with the one before the first."""
        between, (frame, image) = self._pending[:-1], self._pending[-1]
        self._pending = []
        found = self._detect(frame, image)
        matches = self._match(image, found)
        motion = self._motion(found, matches)
        self._fill(between, found, matches)
        matched = {int(row) for row in matches.tracks}
        lost = [track for row, track in enumerate(self._live) if row not in matched]
        for row, column in zip(matches.tracks, matches.detections, strict=True):
            self._extend(self._live[row], image, found[[int(column)]])
        known = set(matches.detections.tolist())
        fresh = [self._start(image, found[[row]]) for row in range(len(found)) if row not in known]
        self._trace(lost, [*between, (frame, image)])
        self._trace_back(fresh, between)
        self._retire(frame)
        self._choose_stride(motion, bool(lost or fresh))

    def _detect(self, frame: int, image: ImageArray) -> Faces:
        self.detections += 1
        found = self._models.detector.detect([image], [frame], self._settings.detect_size)
        found = found[found.size >= self._settings.min_face]
        return self._models.describe(image, found, embed=False)

    def _match(self, image: ImageArray, found: Faces) -> Matches:
        if not len(found) or not self._live:
            return Matches(np.zeros(0, np.int64), np.zeros(0, np.int64))
        boxes = np.stack([track.rows[-1].box for track in self._live])
        cost = geometry_cost(boxes, found.box)
        alike = np.full(cost.shape, np.nan)
        tracks, detections = ambiguous(cost, overlap(boxes, found.box))
        if len(tracks):
            seen = self._models.recogniser.embed_faces(image, found.keypoints[detections])
            for row in tracks:
                samples = self._live[row].best.samples
                if samples:
                    known = np.stack([sample.embedding for sample in samples])
                    alike[row, detections] = (seen @ known.T).max(1)
        return assign(cost, alike)

    def _motion(self, found: Faces, matches: Matches) -> float:
        """Return the largest movement of a matched face since the last detection, face sizes."""
        moved = [
            np.linalg.norm(
                found.keypoints[column].mean(0) - self._live[row].rows[-1].keypoints.mean(0)
            )
            / max(float(found.size[column]), 1.0)
            for row, column in zip(matches.tracks, matches.detections, strict=True)
        ]
        return float(max(moved, default=0.0))

    def _fill(
        self, between: Sequence[tuple[int, ImageArray]], found: Faces, matches: Matches
    ) -> None:
        """Give matched tracks a row for each frame between two detections, all in one batch."""
        pairs = list(zip(matches.tracks, matches.detections, strict=True))
        if not between or not pairs:
            return
        expected, boxes, images, owners = [], [], [], []
        arrived = _steady_keypoints(found)
        for step, (frame, image) in enumerate(between, start=1):
            share = step / (len(between) + 1)
            for row, column in pairs:
                last = self._live[row].rows[-1]
                expected.append(interpolate(last.keypoints, arrived[column], share))
                boxes.append(interpolate(last.box, found.box[column], share))
                images.append(image)
                owners.append((self._live[row], frame))
        refined, good = self._refine(images, np.stack(boxes), np.stack(expected))
        for owner, box, guess, points, sure in zip(
            owners, boxes, expected, refined, good, strict=True
        ):
            track, frame = owner
            place = points if sure else guess
            shift = np.tile(place.mean(0) - guess.mean(0), 2)
            track.rows.append(Row(frame, box + shift, place, 0.0))

    def _refine(
        self, images: Sequence[ImageArray], boxes: FloatArray, expected: FloatArray
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the mesh's keypoints (N, 5, 2) near expected ones, and whether to trust them."""
        matrices = mesh_squares(boxes, expected)
        cut = np.concatenate(
            [crops(image, matrices[row : row + 1], MESH_SIZE) for row, image in enumerate(images)]
        )
        landmarks, presence = self._models.landmarker.dense(cut)
        points = transform(invert(matrices), mesh_keypoints(landmarks)).astype(np.float32)
        return points, (presence >= _PRESENT) & (_stray(points, expected) <= _STRAY)

    def _trace(self, tracks: list[Followed], frames: Sequence[tuple[int, ImageArray]]) -> None:
        """Follow tracks without a detection forwards, frame by frame, as long as the mesh holds."""
        for frame, image in frames:
            tracks = [track for track in tracks if track.last == frame - 1]
            if not tracks:
                return
            expected = np.stack([track.rows[-1].keypoints for track in tracks])
            boxes = np.stack([track.rows[-1].box for track in tracks])
            points, good = self._refine([image] * len(tracks), boxes, expected)
            for track, place, sure in zip(tracks, points, good, strict=True):
                if sure:
                    track.rows.append(_moved(track.rows[-1], frame, place))

    def _trace_back(self, tracks: list[Followed], frames: Sequence[tuple[int, ImageArray]]) -> None:
        """Follow new tracks backwards to where their face came into the picture."""
        for frame, image in reversed(frames):
            tracks = [track for track in tracks if track.first == frame + 1]
            if not tracks:
                return
            expected = np.stack([track.rows[0].keypoints for track in tracks])
            boxes = np.stack([track.rows[0].box for track in tracks])
            points, good = self._refine([image] * len(tracks), boxes, expected)
            taken = [
                row.box
                for track in self._live
                if track not in tracks
                for row in track.rows[-len(frames) - 1 :]
                if row.frame == frame
            ]
            for track, place, sure in zip(tracks, points, good, strict=True):
                row = _moved(track.rows[0], frame, place)
                free = not taken or overlap(row.box[None], np.stack(taken)).max() < _SAME_FACE
                if sure and free:
                    track.rows.insert(0, row)

    def _start(self, image: ImageArray, face: Faces) -> Followed:
        track = Followed()
        self._live.append(track)
        self._extend(track, image, face)
        return track

    def _extend(self, track: Followed, image: ImageArray, face: Faces) -> None:
        """Add a detection (a table of one described face) to a track."""
        assert face.quality is not None
        assert face.sharpness is not None
        assert face.pose is not None
        points = _steady_keypoints(face)[0]
        frame, quality = int(face.frame[0]), float(face.quality[0])
        judged = np.array([quality, face.sharpness[0], *face.pose[0]], np.float32)
        track.rows.append(Row(frame, face.box[0], points, float(face.score[0]), judged))
        if track.best.wants_thumbnail(quality):
            matrix = resized(similarity(points[None], FFHQ_TEMPLATE), THUMBNAIL_SIZE / CROP_SIZE)
            track.best.thumbnail = crops(image, matrix, THUMBNAIL_SIZE)[0]
            track.best.shown = quality
        wants_crop, look = self._wants_crop(track, image, face)
        if not (track.best.wants_sample(quality) or wants_crop):
            return
        aligned = crops(image, similarity(face.keypoints, ARCFACE_TEMPLATE), ARCFACE_SIZE)
        embedding = self._models.recogniser.embed(aligned)[0]
        track.best.add_sample(Sample(frame, quality, embedding))
        if wants_crop:
            track.best.add_candidate(_candidate(image, face, points, embedding, look))

    def _wants_crop(
        self, track: Followed, image: ImageArray, face: Faces
    ) -> tuple[bool, FloatArray]:
        assert face.landmarks is not None
        assert face.quality is not None
        assert face.sharpness is not None
        assert face.pose is not None
        limits = np.array(image.shape[1::-1]) - 1
        inside = ((face.landmarks[0] >= 0) & (face.landmarks[0] <= limits)).all(1).mean()
        if (
            face.size[0] < MIN_CANDIDATE_SIZE
            or face.sharpness[0] < MIN_CANDIDATE_SHARPNESS
            or inside < _INSIDE
        ):
            return False, np.zeros(5, np.float32)
        left, top, right, bottom = np.clip(np.rint(face.box[0]), 0, None).astype(int)
        light = float(image[top:bottom, left:right].mean()) / 255 if right > left else 0.0
        look = traits(
            face.pose[0],
            float(mouth_opening(face.landmarks)[0]),
            float(eye_opening(face.landmarks)[0].mean()),
            light,
        )
        return track.best.wants_candidate(float(face.quality[0]), look), look

    def _retire(self, frame: int) -> None:
        """End tracks that were lost, not confirmed for too long, or follow another's face."""
        keep: list[Followed] = []
        seen = [track for track in self._live if track.rows[-1].score > 0 and track.last == frame]
        boxes = np.stack([track.rows[-1].box for track in seen]) if seen else None
        for track in self._live:
            last = track.rows[-1]
            gone = last.frame < frame
            if last.score == 0 and not gone:
                gone = frame - track.detections[-1].frame > self._unseen
                gone |= boxes is not None and overlap(last.box[None], boxes).max() > _SAME_FACE
            (self._done if gone else keep).append(track)
        self._live = keep

    def _choose_stride(self, motion: float, changed: bool) -> None:
        base = self._settings.detect_every
        if not self._live:
            self._stride = base * _IDLE_STRIDE
        elif motion > _FAST or changed:
            self._stride = max(1, base // 2)
        else:
            self._stride = base


def _stray(points: FloatArray, expected: FloatArray) -> FloatArray:
    """Return how far keypoints (N, 5, 2) are from expected ones, over the face's radius, (N,)."""
    radius = np.linalg.norm(expected - expected.mean(1, keepdims=True), axis=-1).mean(1)
    distance = np.linalg.norm(points - expected, axis=-1).mean(1)
    stray: FloatArray = distance / np.maximum(radius, 1e-6)
    return stray


def _steady_keypoints(found: Faces) -> FloatArray:
    """Return the mesh's keypoints of detections, or their own where the mesh has slipped off.

    The mesh's in every frame, detected or not: two sources would beat against each other with
    the period of the stride.
    """
    assert found.landmarks is not None
    points = mesh_keypoints(found.landmarks)
    slipped = _stray(points, found.keypoints) > _STRAY
    steady: FloatArray = np.where(slipped[:, None, None], found.keypoints, points)
    return steady


def _moved(row: Row, frame: int, keypoints: FloatArray) -> Row:
    """Return a row whose box moved and grew as its keypoints did."""
    before, after = row.keypoints.mean(0), keypoints.mean(0)
    spread = [
        float(np.linalg.norm(points - centre, axis=-1).mean())
        for points, centre in ((row.keypoints, before), (keypoints, after))
    ]
    growth = spread[1] / max(spread[0], 1e-6)
    box = (row.box.reshape(2, 2) - before) * growth + after
    return Row(frame, box.reshape(4).astype(np.float32), keypoints, 0.0)


def _candidate(
    image: ImageArray, face: Faces, points: FloatArray, embedding: FloatArray, look: FloatArray
) -> Candidate:
    assert face.landmarks is not None
    assert face.pose is not None
    assert face.sharpness is not None
    assert face.quality is not None
    matrix = similarity(points[None], FFHQ_TEMPLATE)
    return Candidate(
        frame=int(face.frame[0]),
        closeup=Closeup(
            image=crops(image, matrix, CROP_SIZE)[0],
            landmarks=transform(matrix, face.landmarks)[0].astype(np.float32),
        ),
        embedding=embedding,
        pose=face.pose[0],
        traits=look,
        sharpness=float(face.sharpness[0]),
        quality=float(face.quality[0]),
        native_size=float(face.size[0]),
    )
