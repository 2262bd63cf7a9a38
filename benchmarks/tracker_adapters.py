"""Trackers of other libraries behind one call, for `trackers.py`.

Each setting makes a fresh tracker for a shot; a tracker gets the detections of one picture after
the other and says which of them carries on which track. Beside a library's defaults there are
settings for faces (clear detections start a track at once, a lost one is kept for a second), over a
grid of the knobs that matter, so that no library is judged by what it was tuned for: people on
foot. Libraries are imported when a setting is made; one that is missing is an ImportError.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

CLEAR = 0.5
"""Score from which our scan uses a detection."""

_CLOSE = 0.49
"""The same where a library asks for more than its threshold."""


class Seen(NamedTuple):
    """Detections of one picture; `image` gives it in BGR, at its full size."""

    frame: int
    box: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    score: NDArray[np.float32]
    embedding: NDArray[np.float32]
    image: Callable[[], NDArray[np.uint8]]


class Tracker(Protocol):
    """A tracker at work: gives pairs of a track and the row of its detection."""

    def __call__(self, seen: Seen) -> list[tuple[int, int]]: ...


class Pace(NamedTuple):
    """Pictures a second of the film, and how many of them a tracker is shown."""

    rate: float
    calls: float


class Setting(NamedTuple):
    """One way to run one tracker; `weak` if it gets the unsure detections too."""

    library: str
    name: str
    options: str
    weak: bool
    make: Callable[[Pace], Tracker]

    @property
    def default(self) -> bool:
        return self.options == "defaults"


def settings() -> Iterator[Setting]:
    """Yield every setting of every library."""
    yield from _roboflow()
    yield from _norfair()
    yield from _boxmot()


def _text(options: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items()) or "defaults"


def _roboflow() -> Iterator[Setting]:
    """SORT, ByteTrack, OC-SORT, BoT-SORT and C-BIoU of `trackers` (supervision's ByteTrack is now
    there).
    """
    overlaps: list[tuple[str, dict[str, float], float]]
    overlaps = [("IoU", {}, 0.1), ("IoU", {}, 0.3), ("DIoU", {}, -0.3), ("DIoU", {}, 0.0)]
    overlaps += [("BIoU", {"buffer_ratio": 0.5}, 0.1)]
    lone = {"track_activation_threshold": CLEAR}
    high = {"high_conf_det_threshold": CLEAR}
    least_of = {
        "SORTTracker": ("minimum_iou_threshold",),
        "ByteTrackTracker": ("minimum_iou_threshold",),
        "OCSORTTracker": ("minimum_iou_threshold",),
        "BoTSORTTracker": tuple(
            f"minimum_iou_threshold_{part}_assoc" for part in ("first", "second", "unconfirmed")
        ),
    }
    common: dict[str, dict[str, Any]] = {
        "SORTTracker": lone,
        "ByteTrackTracker": {**lone, **high},
        "OCSORTTracker": high,
        "BoTSORTTracker": {**lone, **high},
    }
    for kind, limits in least_of.items():
        still = kind == "BoTSORTTracker"
        for weak in (False, True) if "high_conf_det_threshold" in common[kind] else (False,):
            yield _roboflow_setting(kind, {}, {}, weak=weak)
            for (overlap, arguments, least), buffer in product(overlaps, (30, 60)):
                options = {
                    **common[kind],
                    **dict.fromkeys(limits, least),
                    **({"enable_cmc": False} if still else {}),
                    "minimum_consecutive_frames": 1,
                    "lost_track_buffer": buffer,
                }
                said = {"overlap": overlap, "least": least, "kept": f"{buffer / 30:g} s"}
                yield _roboflow_setting(
                    kind, options, said, weak=weak, overlap=(overlap, arguments)
                )
                if still and (buffer, least, weak) == (30, 0.1, False) and overlap == "IoU":
                    moving = {**options, "enable_cmc": True, "cmc_downscale": 4}
                    said = {**said, "camera": "compensated"}
                    yield _roboflow_setting(
                        kind, moving, said, weak=weak, overlap=(overlap, arguments)
                    )
    yield _roboflow_setting("CBIoUTracker", {}, {}, weak=False)
    for first, buffer in product((0.3, 0.6, 1.0), (30, 60)):
        options = {**lone, **high, "minimum_consecutive_frames": 1, "lost_track_buffer": buffer}
        options |= {"buffer_ratio_first": first, "buffer_ratio_second": 1.5 * first}
        options |= dict.fromkeys(least_of["BoTSORTTracker"], 0.1)
        said = {"buffer": first, "kept": f"{buffer / 30:g} s"}
        yield _roboflow_setting("CBIoUTracker", options, said, weak=False)


def _roboflow_setting(
    kind: str,
    options: dict[str, Any],
    said: dict[str, Any],
    *,
    weak: bool,
    overlap: tuple[str, dict[str, float]] | None = None,
) -> Setting:
    def make(pace: Pace) -> Tracker:
        library = importlib.import_module("trackers")
        import supervision

        chosen = {} if overlap is None else {"iou": getattr(library, overlap[0])(**overlap[1])}
        tracker = getattr(library, kind)(frame_rate=pace.rate, **options, **chosen)

        def step(seen: Seen) -> list[tuple[int, int]]:
            table = supervision.Detections(
                xyxy=seen.box.astype(np.float64),
                confidence=seen.score.astype(np.float64),
                data={"row": np.arange(len(seen.box))},
            )
            image = seen.image() if getattr(tracker, "cmc", None) else None
            found = tracker.update(table, frame=image, timestamp=seen.frame / pace.rate)
            if not len(found):
                return []
            pairs = zip(found.tracker_id, found.data["row"], strict=True)
            return [(int(track), int(row)) for track, row in pairs if track >= 0]

        return step

    return Setting("trackers", kind.removesuffix("Tracker"), _text(said), weak, make)


def _norfair() -> Iterator[Setting]:
    yield _norfair_setting("iou", 0.7, {}, alike=None)
    for (distance, most), kept, alike in product(
        [("iou", 0.9), ("keypoints", 0.75), ("keypoints", 1.5)], (1.0, 2.0), (None, 0.6)
    ):
        said = {"distance": distance, "most": most, "kept": f"{kept:g} s"}
        if alike is not None:
            said["embedding distance"] = alike
        yield _norfair_setting(distance, most, said, alike=alike, kept=kept)


def _norfair_setting(
    distance: str,
    most: float,
    said: dict[str, Any],
    *,
    alike: float | None,
    kept: float | None = None,
) -> Setting:
    def apart(detection: Any, track: Any) -> float:
        size = max(float(np.ptp(detection.data[1], axis=0).max()), 1.0)
        return float(np.linalg.norm(detection.points - track.estimate, axis=1).mean()) / size

    def unlike(new: Any, old: Any) -> float:
        known = [past.embedding for past in (*old.past_detections, old.last_detection)]
        return 1 - float((np.stack(known) @ new.last_detection.embedding).max())

    def make(pace: Pace) -> Tracker:
        norfair = importlib.import_module("norfair")
        options: dict[str, Any] = {}
        if kept is not None:
            # A face that was lost is found again by its embedding only while it is new itself.
            delay = 0 if alike is None else 1
            count = max(2, round(kept * pace.calls))
            options |= {"hit_counter_max": count, "initialization_delay": delay}
        if alike is not None:
            options |= {"reid_distance_function": unlike, "reid_distance_threshold": alike}
            options |= {"reid_hit_counter_max": max(2, round(2 * pace.calls))}
        tracker = norfair.Tracker(
            distance_function="iou" if distance == "iou" else apart,
            distance_threshold=most,
            **options,
        )

        def step(seen: Seen) -> list[tuple[int, int]]:
            boxes = seen.box.reshape(-1, 2, 2)
            points = boxes if distance == "iou" else seen.keypoints
            given = [
                norfair.Detection(points[row], data=(row, boxes[row]), embedding=embedding)
                for row, embedding in enumerate(seen.embedding)
            ]
            ours = {id(one) for one in given}
            return [
                (int(track.id), int(track.last_detection.data[0]))
                for track in tracker.update(given)
                if id(track.last_detection) in ours
            ]

        return step

    return Setting("norfair", "norfair", _text(said), False, make)


def _boxmot() -> Iterator[Setting]:
    """ByteTrack, OC-SORT, and those that use embeddings: ours are handed to them."""
    places = ("iou", "diou", "centroid")
    for weak in (False, True):
        yield _boxmot_setting("ByteTrack", {}, {}, weak=weak)
        for place, most in product(places, (0.8, 0.95)):
            options = {"track_thresh": _CLOSE, "match_thresh": most, "asso_func": place}
            yield _boxmot_setting("ByteTrack", options, {"buffer": "track_buffer"}, weak=weak)
    grids: dict[str, dict[str, tuple[Any, ...]]] = {
        "OcSort": {"iou_threshold": (0.1, 0.3), "asso_func": places},
        "DeepOcSort": {
            "iou_threshold": (0.1, 0.3),
            "asso_func": places,
            "w_association_emb": (0.5, 1.5),
            "cmc_off": (True,),
        },
        "BoostTrack": {
            "iou_threshold": (0.1, 0.3),
            "use_embeddings": (True, False),
            "use_cmc": (False,),
        },
    }
    for kind, grid in grids.items():
        yield _boxmot_setting(kind, {}, {})
        for values in product(*grid.values()):
            options = {"det_thresh": _CLOSE, "min_hits": 1, **dict(zip(grid, values, strict=True))}
            yield _boxmot_setting(kind, options, {"buffer": "max_age"})
    for weak in (False, True):
        yield _boxmot_setting("BotSort", {}, {}, weak=weak)
        for match, near, alike in product((0.8, 0.95), (0.5, 0.99), (0.25, 0.35)):
            options = {"track_high_thresh": _CLOSE, "new_track_thresh": _CLOSE}
            options |= {"match_thresh": match, "proximity_thresh": near}
            options |= {"appearance_thresh": alike, "use_cmc": False}
            yield _boxmot_setting("BotSort", options, {"buffer": "track_buffer"}, weak=weak)

    best = {"track_high_thresh": _CLOSE, "new_track_thresh": _CLOSE, "match_thresh": 0.95}
    best |= {"proximity_thresh": 0.99, "appearance_thresh": 0.35, "use_cmc": True}
    yield _boxmot_setting("BotSort", best, {"buffer": "track_buffer"})


def _boxmot_setting(
    kind: str, options: dict[str, Any], names: dict[str, str], *, weak: bool = False
) -> Setting:
    def make(pace: Pace) -> Tracker:
        library = importlib.import_module("boxmot")
        logging.getLogger("boxmot").setLevel(logging.WARNING)
        import torch
        from boxmot.structures import Boxes, Detections

        calls = max(1, round(pace.calls))
        kept = {names["buffer"]: calls} if names else {}
        tracker = getattr(library, kind)(**options, **kept)

        def step(seen: Seen) -> list[tuple[int, int]]:
            image = seen.image() if tracker.requirements.frame else None
            found = tracker.update(
                Detections(
                    geometry=Boxes(torch.from_numpy(seen.box.astype(np.float32))),
                    scores=torch.from_numpy(seen.score.astype(np.float32)),
                    class_ids=torch.zeros(len(seen.box), dtype=torch.int64),
                    sample_id=str(seen.frame),
                    embeddings=torch.from_numpy(seen.embedding.astype(np.float32)),
                ),
                image,
            )
            pairs = zip(found.track_ids.tolist(), found.detection_indices.tolist(), strict=True)
            return [(track, row) for track, row in pairs if row >= 0]

        return step

    return Setting("boxmot", kind, _text(options), weak, make)
