"""Second look at a segment: restore its faces in batches that span frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from refrestore.faces.align import crops as cut_crops
from refrestore.media.compose import Patch
from refrestore.media.pixels import rgb
from refrestore.render.crops import enlarged
from refrestore.render.refine import Tools, to_uint8
from refrestore.render.work import Work
from refrestore.restore.composite import Difference, differences
from refrestore.restore.restorer import Restored
from refrestore.types import Frame, ImageArray, IntArray

MOST_FRAMES_HELD = 32
"""Frames that may wait for a batch to fill: bounds memory where faces are rare."""

WHOLE = 0.98
"""Share of a crop from which a face counts as wholly in the picture: a sliver of mirrored border is
not seen, half a mirrored cheek is."""


@dataclass(frozen=True, eq=False)
class Painted:
    """A frame and what to add to it."""

    frame: Frame
    patches: list[Patch]
    faces: Sequence[Difference] = ()


@dataclass(frozen=True, eq=False)
class Face:
    """A face as it was restored.

    Parameters
    ----------
    frame, time
        Index and presentation time (seconds) of its frame.
    identity, track
        Whose it is, and in which appearance.
    strength
        How much of the restored face shows, 0..1.
    guided
        Weight of the references, 0..1.
    used
        Rows of the bank it was restored from, best first.
    before, after : (512, 512, 3) uint8
        RGB: the aligned crop as the restorer saw it, and as it is blended.
    """

    frame: int
    time: Fraction
    identity: int
    track: int
    strength: float
    guided: float
    used: tuple[int, ...]
    before: ImageArray
    after: ImageArray


class Witness(Protocol):
    """Is shown faces as they are restored."""

    def wants(self, track: int, frame: int) -> bool:
        """Say whether to show a face."""

    def see(self, face: Face) -> None:
        """Take a face."""


@dataclass(frozen=True, eq=False)
class Example:
    """One face before and after, for the report.

    Parameters
    ----------
    frame
        Its index.
    inside
        Share of the crop that the picture fills.
    before, after : (512, 512, 3) uint8
        RGB.
    """

    frame: int
    inside: float
    before: ImageArray
    after: ImageArray


@dataclass
class Account:
    """What was done in one segment.

    Parameters
    ----------
    restored
        Faces restored per identity.
    used
        Per identity, how often each row of its bank was used.
    pictures
        Per track, one face to show.
    """

    restored: Counter[int] = field(default_factory=Counter)
    used: dict[int, Counter[int]] = field(default_factory=dict)
    pictures: dict[int, Example] = field(default_factory=dict)

    @property
    def faces(self) -> int:
        """Faces restored."""
        return self.restored.total()


def paint(
    work: Work,
    frames: Iterable[Frame],
    tools: Tools,
    account: Account,
    *,
    scale: int,
    witness: Witness | None = None,
) -> Iterator[Painted]:
    """Yield every frame, in order, with the patches its faces make.

    Parameters
    ----------
    work
        Refined.
    frames
        The segment's frames, in order.
    account
        Is added to.
    scale
        How much larger the output is than the source.
    witness
        Is shown the faces it wants.
    """
    painter = _Painter(work, tools, account, scale, witness)
    for frame in frames:
        painter.hold(frame)
        if painter.full:
            yield from painter.flush()
    yield from painter.flush()


def examples(work: Work) -> set[int]:
    """Return the row of each track that the report shows.

    Of the faces restored at least half as much as its strongest, those in the picture, or most
    nearly; of these the strongest, nearest the middle.
    """
    shown = set()
    for _, rows in work.by_track():
        strength = work.strength[rows]
        if not np.any(strength > 0):
            continue
        best = rows[strength >= strength.max() / 2]
        for worth in (np.minimum(work.inside, WHOLE), work.strength):
            best = best[worth[best] >= worth[best].max() - 1e-6]
        shown.add(int(best[len(best) // 2]))
    return shown


class _Painter:
    """Holds frames until their faces fill a batch."""

    def __init__(
        self, work: Work, tools: Tools, account: Account, scale: int, witness: Witness | None
    ) -> None:
        self._work, self._tools, self._account, self._scale = work, tools, account, scale
        self._witness = witness
        self._shown = examples(work)
        self._frames: list[tuple[Frame, IntArray]] = []
        self._crops: list[ImageArray] = []

    @property
    def full(self) -> bool:
        """Whether it is time to flush."""
        waiting = sum(len(crops) for crops in self._crops)
        return waiting >= self._tools.batch or len(self._frames) >= MOST_FRAMES_HELD

    def hold(self, frame: Frame) -> None:
        """Take a frame and cut its faces out."""
        rows = self._work.rows_of_frame(frame.index)
        rows = rows[self._work.strength[rows] > 0]
        self._frames.append((frame, rows))
        if len(rows):
            self._crops.append(cut_crops(rgb(frame), self._work.to_crop[rows]))

    def flush(self) -> Iterator[Painted]:
        """Restore what is held and give the frames back in order."""
        held, crops = self._frames, self._crops
        self._frames, self._crops = [], []
        if not crops:
            yield from (Painted(frame, []) for frame, _ in held)
            return
        rows = np.concatenate([rows for _, rows in held])
        batch = self._work.select(rows)
        planes = np.concatenate(crops).transpose(0, 3, 1, 2)
        before = torch.from_numpy(np.ascontiguousarray(planes))
        done = _restore(batch, before, self._tools, self._account)
        restored, masks = done.images, done.masks
        faces = before.to(restored.device).float() / 255
        self._account.restored.update(batch.identity.tolist())
        self._show(rows, faces, restored, masks)
        self._tell([frame for frame, _ in held], rows, faces, done)
        matrices = enlarged(batch.to_crop, self._scale)
        start = 0
        for frame, own in held:
            part = slice(start, start + len(own))
            start += len(own)
            geometry = frame.geometry.scaled(self._scale)
            made = differences(
                restored[part],
                faces[part],
                masks[part],
                batch.strength[part].tolist(),
                matrices[part],
                picture_size=(geometry.width, geometry.height),
            )
            patches = [Patch(one.left, one.top, one.delta) for one in made]
            yield Painted(frame, patches, made)

    def _show(self, rows: IntArray, before: Tensor, after: Tensor, masks: Tensor) -> None:
        """Keep the pictures that the report will show."""
        for place, row in enumerate(rows.tolist()):
            if row in self._shown:
                strength = float(self._work.strength[row])
                pictures = _before_after(before[place], after[place], masks[place], strength)
                self._account.pictures[int(self._work.track[row])] = Example(
                    int(self._work.faces.frame[row]),
                    float(self._work.inside[row]),
                    pictures[0],
                    pictures[1],
                )

    def _tell(
        self, frames: Sequence[Frame], rows: IntArray, before: Tensor, done: Restored
    ) -> None:
        """Show the witness the faces it wants."""
        if self._witness is None:
            return
        times = {frame.index: frame.time for frame in frames}
        for place, row in enumerate(rows.tolist()):
            frame, track = int(self._work.faces.frame[row]), int(self._work.track[row])
            if not self._witness.wants(track, frame):
                continue
            strength, used = float(self._work.strength[row]), tuple(done.used[place])
            pictures = _before_after(before[place], done.images[place], done.masks[place], strength)
            self._witness.see(
                Face(
                    frame,
                    times[frame],
                    int(self._work.identity[row]),
                    track,
                    strength,
                    float(self._work.guided[row]) if used else 0.0,
                    used,
                    pictures[0],
                    pictures[1],
                )
            )


def _before_after(before: Tensor, after: Tensor, mask: Tensor, strength: float) -> ImageArray:
    """Return a face as it was and as it is blended, (2, S, S, 3) uint8."""
    pasted = before + mask * strength * (after - before)
    return to_uint8(torch.stack([before, pasted]))


@torch.inference_mode()
def _restore(batch: Work, crops: Tensor, tools: Tools, account: Account) -> Restored:
    """Restore a batch, with references, without, or between the two as the guard decided."""
    banks = [tools.bank_of(int(identity)) for identity in batch.identity]
    guided = np.where([bank is None for bank in banks], 0, batch.guided)
    excluded = [
        [] if bank is None else bank.rows_of_frame(int(frame))
        for bank, frame in zip(banks, batch.faces.frame, strict=True)
    ]
    first = tools.restorer.restore(
        crops,
        batch.landmarks,
        [bank if weight > 0 else None for bank, weight in zip(banks, guided, strict=True)],
        exclude=excluded,
        references=max(1, tools.references),
    )
    for identity, weight, used in zip(batch.identity, guided, first.used, strict=True):
        if weight > 0:
            account.used.setdefault(int(identity), Counter()).update(used)
    images = first.images
    mixed = np.flatnonzero((guided > 0) & (guided < 1))
    if len(mixed):
        plain = tools.restorer.restore(crops[mixed], batch.landmarks[mixed], [None] * len(mixed))
        weights = torch.from_numpy(guided[mixed].astype(np.float32)).to(images.device)
        images[mixed] = torch.lerp(plain.images, images[mixed], weights[:, None, None, None])
    return first
