"""Follow the faces of one shot: detect on a stride, fill the frames between by the mesh."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from refrestore.config import ScanSettings
from refrestore.faces.align import invert, transform
from refrestore.faces.analyser import PRESENT, SLIPPED, FaceModels
from refrestore.faces.landmarker import MESH_SIZE, mesh_squares
from refrestore.faces.pose import distance_over_radius, mesh_keypoints
from refrestore.scan.association import (
    FORBIDDEN,
    Matches,
    ambiguous,
    assign,
    geometry_cost,
    overlap,
    without_returned,
)
from refrestore.scan.cut_close_ups import keep_best
from refrestore.scan.followed import Followed, FollowedFrame, moved
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.smoothing import interpolate
from refrestore.types import EMBEDDING_SIZE, DoubleArray, Faces, FloatArray

UNSEEN_SECONDS = 1.0
"""A face the detector misses this long has gone; what the mesh followed since is dropped."""

TAIL_SECONDS = 0.2
"""What is kept of a track after its last detection if it is never confirmed."""

_SAME_FACE = 0.5
"""Overlap at which two tracks follow one face."""

_FAST = 0.5
"""Movement between detections, in face sizes, from which the stride is halved."""

_IDLE_STRIDE = 2
"""Factor on the stride while nobody is there, or while everybody is known and hardly moves."""


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
        self._unseen = max(1, round(rate * Fraction(UNSEEN_SECONDS)))
        self._tail = max(1, round(rate * Fraction(TAIL_SECONDS)))
        self._pending: list[FrameForms] = []
        self._live: list[Followed] = []
        self._done: list[Followed] = []
        self._stride = 1
        self.detections = 0

    def push(self, picture: FrameForms) -> None:
        """Take the next frame of the shot."""
        self._pending.append(picture)
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
        between, picture = self._pending[:-1], self._pending[-1]
        self._pending = []
        found = self._detect(picture)
        matches, found = self._match(picture, found)
        motion = self._motion(found, matches)
        self._fill(between, found, matches)
        matched = {int(row) for row in matches.tracks}
        lost = [track for row, track in enumerate(self._live) if row not in matched]
        for row, column in zip(matches.tracks, matches.detections, strict=True):
            self._extend(self._live[row], picture, found[[int(column)]])
        known = set(matches.detections.tolist())
        fresh = [
            self._start(picture, found[[row]]) for row in range(len(found)) if row not in known
        ]
        self._trace(lost, [*between, picture])
        self._trace_back(fresh, between)
        self._retire(picture.number)
        self._choose_stride(motion, bool(lost or fresh))

    def _detect(self, picture: FrameForms) -> Faces:
        self.detections += 1
        size = self._settings.detect_size
        shown = picture.shrunk(size)
        found = self._models.detector.detect([shown], [picture.number], size)
        found = picture.in_display(found, shown)
        found = found[found.size >= self._settings.min_face]
        return self._models.describe(picture.display, found, embed=False) if len(found) else found

    def _match(self, picture: FrameForms, found: Faces) -> tuple[Matches, Faces]:
        """Return whose detections are, and these, with the embeddings of those looked at for it."""
        if not len(found) or not self._live:
            return Matches(np.zeros(0, np.int64), np.zeros(0, np.int64)), found
        boxes = np.stack([track.rows[-1].box for track in self._live])
        cost = geometry_cost(boxes, found.box)
        alike = np.full(cost.shape, np.nan)
        gone = [track for track in self._done if picture.number - track.last <= self._unseen]
        last = np.stack([track.rows[-1].box for track in gone]) if gone else np.zeros((0, 4), "f4")
        absent = geometry_cost(last, found.box)
        tracks, detections = ambiguous(cost, overlap(boxes, found.box), absent)
        if len(tracks):
            seen = self._models.recogniser.embed_faces(picture.display, found.keypoints[detections])
            alike[np.ix_(tracks, detections)] = _likeness([self._live[row] for row in tracks], seen)
            returned = _likeness(gone, seen)
            returned[absent[:, detections] >= FORBIDDEN] = np.nan
            alike[:, detections] = without_returned(alike[:, detections], returned)
            embeddings = np.full((len(found), EMBEDDING_SIZE), np.nan, np.float32)
            embeddings[detections] = seen
            found = found.with_columns(embedding=embeddings)
        return assign(cost, alike), found

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

    def _fill(self, between: Sequence[FrameForms], found: Faces, matches: Matches) -> None:
        """Give matched tracks a row for each frame between two detections, all in one batch."""
        pairs = list(zip(matches.tracks, matches.detections, strict=True))
        if not between or not pairs:
            return
        expected, boxes, pictures, owners = [], [], [], []
        for step, picture in enumerate(between, start=1):
            share = step / (len(between) + 1)
            for row, column in pairs:
                last = self._live[row].rows[-1]
                expected.append(interpolate(last.keypoints, found.keypoints[column], share))
                boxes.append(interpolate(last.box, found.box[column], share))
                pictures.append(picture)
                owners.append((self._live[row], picture.number))
        refined, good = self._refine(pictures, np.stack(boxes), np.stack(expected))
        for owner, box, guess, points, sure in zip(
            owners, boxes, expected, refined, good, strict=True
        ):
            track, frame = owner
            place = points if sure else guess
            shift = np.tile(place.mean(0) - guess.mean(0), 2)
            track.rows.append(FollowedFrame(frame, box + shift, place, 0.0))

    def _refine(
        self, pictures: Sequence[FrameForms], boxes: FloatArray, expected: FloatArray
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the mesh's keypoints (N, 5, 2) near expected ones, and whether to trust them."""
        matrices = mesh_squares(boxes, expected)
        cut = np.concatenate(
            [one.crops(matrices[row : row + 1], MESH_SIZE) for row, one in enumerate(pictures)]
        )
        landmarks, presence = self._models.landmarker.dense(cut)
        points = transform(invert(matrices), mesh_keypoints(landmarks)).astype(np.float32)
        return points, (presence >= PRESENT) & (distance_over_radius(points, expected) <= SLIPPED)

    def _trace(self, tracks: list[Followed], pictures: Sequence[FrameForms]) -> None:
        """Follow tracks without a detection forwards, frame by frame, as long as the mesh holds."""
        for picture in pictures:
            frame = picture.number
            tracks = [track for track in tracks if track.last == frame - 1]
            if not tracks:
                return
            expected = np.stack([track.rows[-1].keypoints for track in tracks])
            boxes = np.stack([track.rows[-1].box for track in tracks])
            points, good = self._refine([picture] * len(tracks), boxes, expected)
            for track, place, sure in zip(tracks, points, good, strict=True):
                if sure:
                    track.rows.append(moved(track.rows[-1], frame, place))

    def _trace_back(self, tracks: list[Followed], pictures: Sequence[FrameForms]) -> None:
        """Follow new tracks backwards to where their face came into the picture."""
        for picture in reversed(pictures):
            frame = picture.number
            tracks = [track for track in tracks if track.first == frame + 1]
            if not tracks:
                return
            expected = np.stack([track.rows[0].keypoints for track in tracks])
            boxes = np.stack([track.rows[0].box for track in tracks])
            points, good = self._refine([picture] * len(tracks), boxes, expected)
            taken = [
                row.box
                for track in self._live
                if track not in tracks
                for row in track.rows[-len(pictures) - 1 :]
                if row.frame == frame
            ]
            for track, place, sure in zip(tracks, points, good, strict=True):
                row = moved(track.rows[0], frame, place)
                free = not taken or overlap(row.box[None], np.stack(taken)).max() < _SAME_FACE
                if sure and free:
                    track.rows.insert(0, row)

    def _start(self, picture: FrameForms, face: Faces) -> Followed:
        track = Followed()
        self._live.append(track)
        self._extend(track, picture, face)
        return track

    def _extend(self, track: Followed, picture: FrameForms, face: Faces) -> None:
        """Add a detection (a table of one described face) to a track."""
        assert face.quality is not None
        assert face.sharpness is not None
        assert face.pose is not None
        frame, quality = int(face.frame[0]), float(face.quality[0])
        judged = np.array([quality, face.sharpness[0], *face.pose[0]], np.float32)
        track.rows.append(
            FollowedFrame(frame, face.box[0], face.keypoints[0], float(face.score[0]), judged)
        )
        keep_best(track.best, self._models, picture.display, face)

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


def _likeness(tracks: Sequence[Followed], seen: FloatArray) -> DoubleArray:
    """Return the best cosine (N, M) of M embeddings to N tracks' samples, NaN without any."""
    alike: DoubleArray = np.full((len(tracks), len(seen)), np.nan)
    for row, track in enumerate(tracks):
        if track.best.samples:
            known = np.stack([sample.embedding for sample in track.best.samples])
            alike[row] = (seen @ known.T).max(1)
    return alike
