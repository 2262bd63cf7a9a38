"""What trackers are given of a film, made once and kept, for `trackers.py`.

The detections of every picture with their embeddings, also the unsure ones; where shots begin; our
own tracks of the same detections; and the pictures, small, for those that estimate the camera's
motion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from identity_films import Film, marks
from numpy.typing import NDArray
from tracker_adapters import CLEAR, Seen

import refrestore.scan
from refrestore.config import ScanSettings
from refrestore.faces.analyser import FaceModels
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.scan.follow import Follower
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.shots import cut, measured
from refrestore.scan.tracks import finish_shot
from refrestore.types import Faces, Frame, ImageArray

WEAK = 0.1
"""Score from which detections are kept for trackers that use unsure ones."""

STRIDES = {"stride": ScanSettings().detect_every, "every frame": 1}
SCAN = Path(refrestore.scan.__file__).parent

KEPT_SIDE = 480
"""Longer side of the kept pictures: camera motion is estimated on less."""

Rows = dict[int, list[tuple[int, NDArray[np.float32]]]]
"""Of each track, its boxes by frame."""


class Cache(NamedTuple):
    """What all trackers see of a film, and where they must begin anew."""

    faces: Faces
    rate: float
    shots: list[tuple[int, int]]
    size: tuple[int, int]
    pictures: dict[int, NDArray[np.uint8]]
    ours: dict[str, Rows]
    looked: NDArray[np.int64]

    def seen(self, frame: int, *, weak: bool) -> Seen:
        start, stop = np.searchsorted(self.faces.frame, (frame, frame + 1))
        part = self.faces[np.arange(start, stop)]
        part = part if weak else part[part.score >= CLEAR]
        assert part.embedding is not None
        return Seen(
            frame, part.box, part.keypoints, part.score, part.embedding, lambda: self.picture(frame)
        )

    def picture(self, frame: int) -> NDArray[np.uint8]:
        small = cv2.imdecode(self.pictures[frame], cv2.IMREAD_COLOR)
        return np.asarray(cv2.resize(small, self.size), np.uint8)


class _Kept:
    """A detector that gives what was found before, and remembers where it was asked."""

    def __init__(self, faces: Faces, size: tuple[int, int]) -> None:
        self._faces = faces[faces.score >= CLEAR]
        self._size = np.array(size, np.float32)
        self.asked: list[int] = []

    def detect(self, images: Sequence[ImageArray], frames: Sequence[int], size: int) -> Faces:
        del size
        self.asked += frames
        found = self._faces[np.isin(self._faces.frame, frames)]
        # The follower shows a shrunk picture, and takes its pixels.
        factor = np.array(images[0].shape[1::-1], np.float32) / self._size
        shift = (factor - 1) / 2
        return found.with_columns(
            box=found.box * np.tile(factor, 2) + np.tile(shift, 2),
            keypoints=found.keypoints * factor + shift,
        )


def look(film: Film, folder: Path, models: FaceModels) -> Cache:
    """Return what trackers see of a film, and our tracks, made where they are not kept.

    Shots without labels are left out. Our tracks are made anew when the code of the scan changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{film.name}.npz"
    if not path.exists():
        _write(path, _found(film, models))
    cache = _read(path)
    code = hashlib.sha256(b"".join(one.read_bytes() for one in sorted(SCAN.glob("*.py"))))
    own = folder / f"{film.name}.ours-{code.hexdigest()[:12]}.npz"
    if not own.exists():
        _write_ours(own, film, cache, models)
    with np.load(own) as kept:
        looked = kept["looked"]
        ours = {name: _rows(kept[name]) for name in STRIDES}
    return cache._replace(ours=ours, looked=looked)


def _found(film: Film, models: FaceModels) -> Cache:
    """Detect, embed and keep the pictures of a film's labelled shots."""
    info, wanted = probe(film.path), ScanSettings()
    labelled = {frame for _, frame, _ in marks(film.labels)}
    shots = [shot for shot in _shots(film) if labelled.intersection(range(*shot))]
    found, pictures = [], {}
    for _, frame in _frames(film, shots):
        image = display_rgb(frame)
        faces = models.detector.detect([image], [frame.index], wanted.detect_size)
        faces = faces[faces.size >= wanted.min_face]
        if len(faces):
            described = models.describe(image, faces)
            found.append(faces.with_columns(embedding=described.embedding))
        scale = min(1.0, KEPT_SIDE / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures[frame.index] = cv2.imencode(".jpg", small[..., ::-1])[1]
    faces = Faces.concatenate(found)
    height, width = image.shape[:2]
    size = (width, height)
    return Cache(faces, float(info.average_rate), shots, size, pictures, {}, np.zeros(0, np.int64))


def _write_ours(path: Path, film: Film, cache: Cache, models: FaceModels) -> None:
    arrays = {}
    for name, every in STRIDES.items():
        kept = _Kept(cache.faces, cache.size)
        rows = _follow(film, cache.shots, replace(models, detector=kept), every)
        flat = [(track, frame, *box) for track, parts in rows.items() for frame, box in parts]
        arrays[name] = np.array(flat, np.float64).reshape(-1, 6)
        if name == "stride":
            arrays["looked"] = np.array(kept.asked)
    np.savez(path, **arrays)


def _rows(flat: NDArray[np.float64]) -> Rows:
    rows: Rows = {}
    for track, frame, *box in flat:
        rows.setdefault(int(track), []).append((int(frame), np.array(box, np.float32)))
    return rows


def _shots(film: Film) -> list[tuple[int, int]]:
    info = probe(film.path)
    with VideoReader(film.path, info=info) as reader:
        pictures = map(FrameForms, reader)
        begins = [begin for _, begin in cut(measured(pictures), info.average_rate)]
    edges = [0, *(frame for frame, begin in enumerate(begins) if begin and frame), len(begins)]
    return list(pairwise(edges))


def _frames(film: Film, shots: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], Frame]]:
    """Yield shot and frame of every frame of the shots."""
    left = list(shots)
    with VideoReader(film.path, info=probe(film.path)) as reader:
        for frame in reader:
            if left and frame.index >= left[0][1]:
                left.pop(0)
            if not left:
                return
            if frame.index >= left[0][0]:
                yield left[0], frame


def _follow(film: Film, shots: list[tuple[int, int]], models: FaceModels, every: int) -> Rows:
    """Return our own tracks, as a scan makes them, of given detections."""
    rows: Rows = {}
    rate = probe(film.path).average_rate
    wanted = ScanSettings(detect_every=every)
    for (first, stop), frame in _frames(film, shots):
        if frame.index == first:
            follower = Follower(models, wanted, rate)
        follower.push(FrameForms(frame))
        if frame.index + 1 < stop:
            continue
        for part in finish_shot(follower.finish(), shot=0, first_id=len(rows) + 1, rate=rate):
            table = part.faces
            rows[part.track.id] = list(zip(table.frame.tolist(), table.box, strict=True))
    return rows


def _write(path: Path, cache: Cache) -> None:
    faces = cache.faces
    arrays: dict[str, Any] = {
        name: getattr(faces, name) for name in ("frame", "box", "keypoints", "score", "embedding")
    }
    sizes = [len(picture) for picture in cache.pictures.values()]
    np.savez(
        path,
        **arrays,
        rate=cache.rate,
        shots=np.array(cache.shots),
        size=np.array(cache.size),
        frames=np.array([*cache.pictures]),
        pictures=np.concatenate([*cache.pictures.values()]),
        ends=np.cumsum(sizes),
    )


def _read(path: Path) -> Cache:
    with np.load(path) as kept:
        table = {name: kept[name] for name in kept.files}
    columns = ("frame", "box", "keypoints", "score", "embedding")
    parts = np.split(table["pictures"], table["ends"][:-1])
    return Cache(
        Faces(**{name: table[name] for name in columns}),
        float(table["rate"]),
        [(int(first), int(stop)) for first, stop in table["shots"]],
        (int(table["size"][0]), int(table["size"][1])),
        dict(zip(table["frames"].tolist(), parts, strict=True)),
        {},
        np.zeros(0, np.int64),
    )
