"""Segments: the stretches of video that are rendered, kept and resumed one by one.

A segment's frames are a pure function of the source, the plan and the settings: every filter in
time looks at most `CONTEXT` frames past its ends, and batches never span two segments. So a
render that was stopped, or spread over machines, gives the same frames as one that was not.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refrestore.errors import Kept
from refrestore.media.files import disk_error, write_file
from refrestore.storage.workplace import LOCK, remove
from refrestore.types import Shot

CONTEXT = 9
"""Frames read on either side of a segment inside the same shot (see refine)."""

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames `first <= frame < stop`, in order number `index`."""

    index: int
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


def split(shots: Sequence[Shot], *, longest: int, first: int, stop: int) -> list[Segment]:
    """Return segments that cover `first <= frame < stop`, ending at cuts where they can.

    Whole shots are gathered until the next one would exceed `longest` frames; a shot that alone
    exceeds it is divided evenly.
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1 frame, got {longest}")
    cuts = {min(max(shot.first, first), stop) for shot in shots}
    bounds = sorted(cuts | {first, stop})
    ends: list[int] = []
    begun = first
    for last, bound in itertools.pairwise(bounds):
        if bound - begun > longest and last > begun:
            ends.append(last)
            begun = last
        pieces = -(-(bound - begun) // longest)
        ends += [begun + round(piece * (bound - begun) / pieces) for piece in range(1, pieces)]
        begun = ends[-1] if pieces > 1 else begun
    ends.append(stop)
    starts = [first, *ends[:-1]]
    pairs = [(a, b) for a, b in zip(starts, ends, strict=True) if b > a]
    return [Segment(index, a, b) for index, (a, b) in enumerate(pairs)]


def digest(parts: Iterable[Any]) -> str:
    """Return the SHA-256 of JSON-like parts, in order; two equal digests are equal renders."""
    text = json.dumps(list(parts), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class SegmentFolder:
    """The finished segments of one render, kept beside the output until it is complete.

    Parameters
    ----------
    path
        The folder; of an output that nobody else is writing (`OutputPlace`).
    key
        Digest of everything the frames depend on. A folder with another key is emptied.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        try:
            self._prepare()
        except OSError as error:
            raise disk_error(self.path, error) from error

    def _prepare(self) -> None:
        if self._stored().get("key") != self._key:
            self._empty()

    def _stored(self) -> Mapping[str, Any]:
        try:
            stored = json.loads((self.path / MANIFEST).read_text())
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def sign(self) -> None:
        """Say whose segments these are, before the first is finished; else they are not kept.

        Raises
        ------
        DiskError
            It cannot be written.
        """
        manifest = self.path / MANIFEST
        if not manifest.exists():
            write_file(manifest, json.dumps({"key": self._key}).encode(), make_folders=False)

    def video(self, segment: Segment) -> Path:
        """Return where a segment's packets lie, or will."""
        return self.path / f"segment-{segment.index:06d}.mkv"

    def record(self, segment: Segment) -> Path:
        """Return where a segment's part of the report lies; written before the packets."""
        return self.path / f"segment-{segment.index:06d}.json"

    def faces(self, segment: Segment) -> Path:
        """Return the folder of a segment's exported faces, if any are; whole before the packets."""
        return self.path / f"segment-{segment.index:06d}.faces"

    def finished(self, segment: Segment) -> bool:
        """Say whether a segment needs no rendering."""
        return self.video(segment).is_file() and self.record(segment).is_file()

    def kept(self, segments: Sequence[Segment]) -> Kept:
        """Say what a render that is broken off now leaves behind; `segments` are all it has."""
        finished = [segment for segment in segments if self.finished(segment)]
        if not finished:
            return Kept("no segment was finished", goes_on=False)
        frames, every = (sum(map(len, some)) for some in (finished, segments))
        return Kept(
            f"{len(finished)} of {len(segments)} segments ({frames:,} of {every:,} frames) are "
            f"kept in {self.path}",
            goes_on=True,
        )

    def remove(self) -> None:
        """Delete what is in the folder, once the output is complete."""
        with suppress(OSError):
            self._empty()

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.name != LOCK:
                remove(entry)
