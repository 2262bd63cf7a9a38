"""Restored faces as pictures for people to look at, kept per segment so that a resume loses none.

A segment's faces lie in its folder beside its packets, whole before the packets are. When the
output is complete, `publish_faces` puts all of them into one folder: a folder a person, files
named by person and time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from refrestore.errors import DiskError
from refrestore.media.files import disk_error, write_file
from refrestore.media.stills import write_picture
from refrestore.render.guarding import GuardSample
from refrestore.render.plan import TrackPlan
from refrestore.render.refine import Refined
from refrestore.render.segment_folder import Segment
from refrestore.render.segment_result import Face
from refrestore.restore.guard import Choice

MOST_FACES = 200
"""Faces exported of a person; in a long film they are spread evenly. 200 are about 200 MB."""

KINDS = ("cropped", "restored", "compare")

RECORD = "faces.json"


def choose_faces(
    plans: Sequence[TrackPlan], every: int, most: int = MOST_FACES
) -> dict[int, frozenset[int]]:
    """Return per track the frames whose face is exported.

    Every n-th frame of the film, where the track is restored at least half as much as it ever is;
    of a track that has none of them, its strongest face. At most `most` of a person, evenly.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for plan in plans:
        if not plan.restored_frames:
            continue
        clear = np.flatnonzero(plan.strength >= plan.strength.max() / 2)
        frames = plan.faces.frame[clear]
        chosen = frames[frames % every == 0]
        if not len(chosen):
            strongest = np.flatnonzero(plan.strength >= plan.strength.max() - 1e-6)
            chosen = plan.faces.frame[strongest[[len(strongest) // 2]]]
        own = wanted.setdefault(plan.identity, [])
        own += [(int(frame), plan.track) for frame in chosen]
    result: dict[int, set[int]] = {}
    for own in wanted.values():
        own.sort()
        count = min(most, len(own))
        for place in np.linspace(0, len(own) - 1, count).round().astype(int):
            frame, track = own[place]
            result.setdefault(track, set()).add(frame)
    return {track: frozenset(frames) for track, frames in result.items()}


def plans_within(plans: Sequence[TrackPlan], first: int, stop: int) -> Sequence[TrackPlan]:
    """Return what plans have of frames `first <= frame < stop`; who has none is left out."""
    parts = []
    for plan in plans:
        rows = np.flatnonzero((plan.faces.frame >= first) & (plan.faces.frame < stop))
        if len(rows) == len(plan.faces):
            parts.append(plan)
        elif len(rows):
            why = tuple(plan.reasons[row] for row in rows)
            own, strength = plan.faces[rows], plan.strength[rows]
            parts.append(replace(plan, faces=own, strength=strength, reasons=why))
    return parts


class FaceExport:
    """Which faces of a render are exported.

    Parameters
    ----------
    plans
        Of the whole film, so that what is chosen does not depend on where a render went on.
    every
        Stride in frames.
    zero
        Time of the film's first frame, from which the times of faces are counted.
    """

    def __init__(
        self, plans: Sequence[TrackPlan], every: int, *, zero: Fraction = Fraction(0)
    ) -> None:
        self.every = every
        self.zero = zero
        self.wanted = choose_faces(plans, every)

    def finished(self, folder: Path) -> bool:
        """Say whether a segment's folder holds its faces, chosen with this stride."""
        try:
            return bool(read_record(folder)["every"] == self.every)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def begin(self, folder: Path) -> SegmentFaces:
        """Return what takes a segment's faces; an older folder is given up."""
        return SegmentFaces(folder, self)


class SegmentFaces:
    """Takes the faces of one segment (`segment_result.Witness`)."""

    def __init__(self, folder: Path, export: FaceExport) -> None:
        self._folder, self._export = folder, export
        self._partial = folder.with_name(f".{folder.name}.partial")
        self._faces: list[dict[str, Any]] = []
        try:
            for old in (self._folder, self._partial):
                if old.exists():
                    shutil.rmtree(old)
            for kind in KINDS:
                (self._partial / kind).mkdir(parents=True)
        except OSError as error:
            raise disk_error(self._partial, error) from error

    def wants(self, track: int, frame: int) -> bool:
        """Say whether a face is among those chosen."""
        return frame in self._export.wanted.get(track, ())

    def see(self, face: Face) -> None:
        """Write a face's pictures."""
        time = face.time - self._export.zero
        name = file_name(face.identity, time, face.frame, face.track)
        pair = np.concatenate([face.before, face.after], axis=1)
        for kind, picture in zip(KINDS, (face.before, face.after, pair), strict=True):
            write_picture(self._partial / kind / name, picture)
        self._faces.append(
            {
                "file": name,
                "identity": face.identity,
                "frame": face.frame,
                "time": round(float(time), 6),
                "track": face.track,
                "strength": round(face.strength, 4),
                "reference_weight": round(face.guided, 4),
                "used": list(face.used),
                "decision": _decision(face.guided),
            }
        )

    def finish(self, segment: Segment, refined: Refined) -> None:
        """Give the segment's faces their folder, complete."""
        samples = refined.samples
        for face in self._faces:
            face["because"] = _reason(samples, face["track"], face["frame"])
        record = {
            "every": self._export.every,
            "faces": self._faces,
            "left_alone": self._left_alone(segment, refined),
        }
        write_file(self._partial / RECORD, json.dumps(record).encode())
        try:
            self._partial.replace(self._folder)
        except OSError as error:
            raise disk_error(self._folder, error) from error

    def _left_alone(self, segment: Segment, refined: Refined) -> list[dict[str, Any]]:
        """Return the chosen faces that the guard left as they were."""
        work = refined.work
        left = []
        for row in np.flatnonzero(work.strength <= 0):
            frame, track = int(work.faces.frame[row]), int(work.track[row])
            if segment.first <= frame < segment.stop and self.wants(track, frame):
                left.append(
                    {
                        "identity": int(work.identity[row]),
                        "track": track,
                        "frame": frame,
                        "frames": 1,
                        "reason": _reason(refined.samples, track, frame),
                    }
                )
        return left


def read_record(folder: Path) -> Mapping[str, Any]:
    """Return what a segment's folder says of its faces.

    Raises
    ------
    OSError, ValueError
        There is none, or it is damaged.
    """
    record = json.loads((folder / RECORD).read_text("utf-8"))
    if not isinstance(record, dict):
        raise ValueError(f"{folder / RECORD} holds no object")
    return record


def file_name(identity: int, time: Fraction, frame: int, track: int) -> str:
    """Return a face's file name, which sorts by person and time.

    >>> file_name(3, Fraction(83456, 1000), 2083, 12)
    '0003_00-01-23.456_f002083_t12.png'
    """
    milliseconds = max(0, round(time * 1000))
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours:02d}-{minutes:02d}-{seconds:02d}.{rest:03d}"
    return f"{identity:04d}_{clock}_f{frame:06d}_t{track}.png"


def check_export_folder(folder: Path) -> None:
    """Refuse a place where faces cannot be put, before anything is rendered.

    Raises
    ------
    DiskError
        It is a file, has something in it, or cannot be made.
    """
    advice = "choose a new or an empty folder for --export-faces"
    try:
        if folder.exists() and not folder.is_dir():
            raise DiskError(f"{folder} is a file; {advice}.")
        if folder.is_dir() and any(folder.iterdir()):
            raise DiskError(f"{folder} is not empty; {advice}.")
        above = next(one for one in folder.absolute().parents if one.exists())
    except OSError as error:
        raise disk_error(folder, error) from error
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise DiskError(f"{folder} cannot be made in {above}; {advice}.")


def _decision(guided: float) -> str:
    if guided >= 1:
        return Choice.RESTORED.value
    return Choice.UNREFERENCED.value if guided <= 0 else "between with and without references"


def _reason(samples: Sequence[GuardSample], track: int, frame: int) -> str | None:
    """Return the guard's reason at its sample of a track that is nearest to a frame."""
    own = [sample for sample in samples if sample.track == track]
    if not own:
        return None
    return min(own, key=lambda one: abs(one.frame - frame)).judgement.reason.value
