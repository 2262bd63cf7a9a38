"""Second look at a segment: restore its faces in batches that span frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from refrestore.faces.align import crops as cut_crops
from refrestore.media.compose import Patch
from refrestore.media.pixels import rgb
from refrestore.render.crops import enlarged
from refrestore.render.refine import Tools, to_uint8
from refrestore.render.work import Work
from refrestore.restore.composite import differences
from refrestore.types import Frame, ImageArray, IntArray

MOST_FRAMES_HELD = 32
"""Frames that may wait for a batch to fill: bounds memory where faces are rare."""


@dataclass(frozen=True, eq=False)
class Painted:
    """A frame and what to add to it."""

    frame: Frame
    patches: list[Patch]


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
        Per track, one face before and after, (512, 512, 3) uint8.
    """

    restored: Counter[int] = field(default_factory=Counter)
    used: dict[int, Counter[int]] = field(default_factory=dict)
    pictures: dict[int, tuple[int, ImageArray, ImageArray]] = field(default_factory=dict)

    @property
    def faces(self) -> int:
        """Faces restored."""
        return self.restored.total()


def paint(
    work: Work, frames: Iterable[Frame], tools: Tools, account: Account, *, scale: int
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
    """
    painter = _Painter(work, tools, account, scale)
    for frame in frames:
        painter.hold(frame)
        if painter.full:
            yield from painter.flush()
    yield from painter.flush()


def _shown(work: Work) -> set[int]:
    """Return the row of each track that the report shows: its strongest, nearest the middle."""
    rows = set()
    for _, own in work.by_track():
        strength = work.strength[own]
        if np.any(strength > 0):
            best = own[strength >= strength.max() - 1e-6]
            rows.add(int(best[len(best) // 2]))
    return rows


class _Painter:
    """Holds frames until their faces fill a batch."""

    def __init__(self, work: Work, tools: Tools, account: Account, scale: int) -> None:
        self._work, self._tools, self._account, self._scale = work, tools, account, scale
        self._shown = _shown(work)
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
        restored, masks = _restore(batch, before, self._tools, self._account)
        faces = before.to(restored.device).float() / 255
        self._account.restored.update(batch.identity.tolist())
        self._show(rows, faces, restored, masks)
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
            yield Painted(frame, [Patch(one.left, one.top, one.delta) for one in made])

    def _show(self, rows: IntArray, before: Tensor, after: Tensor, masks: Tensor) -> None:
        """Keep the pictures that the report will show."""
        for place, row in enumerate(rows.tolist()):
            if row in self._shown:
                alpha = masks[place] * float(self._work.strength[row])
                pasted = before[place] + alpha * (after[place] - before[place])
                pictures = to_uint8(torch.stack([before[place], pasted]))
                frame, track = int(self._work.faces.frame[row]), int(self._work.track[row])
                self._account.pictures[track] = (frame, pictures[0], pictures[1])


@torch.inference_mode()
def _restore(batch: Work, crops: Tensor, tools: Tools, account: Account) -> tuple[Tensor, Tensor]:
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
    return images, first.masks
