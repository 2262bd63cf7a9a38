"""Second look at a segment: restore its faces in batches that span frames, and steady them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from refrestore.faces.align import CROP_SIZE, FFHQ_TEMPLATE
from refrestore.faces.align import crops as cut_crops
from refrestore.media.compose import Patch
from refrestore.media.pixels import rgb
from refrestore.render.crops import enlarged
from refrestore.render.painted import Account, Example, Face, Painted, Witness
from refrestore.render.refine import Tools, to_uint8
from refrestore.render.work import Work
from refrestore.restore.camera import as_filmed, native_side, shutter_of, velocities
from refrestore.restore.composite import differences
from refrestore.restore.restorer import Restored
from refrestore.restore.steady import REACH, Moment, steadied
from refrestore.types import FloatArray, Frame, ImageArray, IntArray

MOST_FRAMES_HELD = 32
"""Frames that may wait for a batch to fill: bounds memory where faces are rare."""


WHOLE = 0.98
"""Share of a crop from which a face counts as wholly in the picture: a sliver of mirrored border is
not seen, half a mirrored cheek is."""


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
        In order: the segment's, and `steady.REACH` of its context either side where there are.
    account
        Is added to; what is made of context rows is not counted.
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
    yield from painter.flush(last=True)


def examples(work: Work) -> set[int]:
    """Return the row of each track that the report shows.

    Of the faces restored at least half as much as its strongest, those in the picture, or most
    nearly; of these the strongest, nearest the middle.
    """
    shown = set()
    for _, all_rows in work.by_track():
        rows = all_rows[work.own[all_rows]]
        strength = work.strength[rows]
        if not np.any(strength > 0):
            continue
        best = rows[strength >= strength.max() / 2]
        for worth in (np.minimum(work.inside, WHOLE), work.strength):
            best = best[worth[best] >= worth[best].max() - 1e-6]
        shown.add(int(best[len(best) // 2]))
    return shown


def _neighbours(work: Work) -> dict[int, list[int]]:
    """Return, for each row that is painted, the rows of its track that steady it."""
    near: dict[int, list[int]] = {}
    for _, rows in work.by_track():
        restored = rows[work.strength[rows] > 0]
        frames = work.faces.frame[restored]
        for place, row in enumerate(restored.tolist()):
            if work.own[row]:
                close = np.abs(frames - frames[place]) <= REACH
                close[place] = False
                near[row] = restored[close].tolist()
    return near


def _motion(work: Work) -> FloatArray:
    """Return how each face moves over the picture, (N, 2) crop pixels a frame."""
    motion = np.zeros((len(work), 2), np.float32)
    middle = FFHQ_TEMPLATE.mean(0)
    for _, rows in work.by_track():
        motion[rows] = velocities(work.to_crop[rows], work.faces.frame[rows], middle)
    return motion


@dataclass(frozen=True, eq=False)
class _Face:
    """A restored face that waits for its neighbours in time."""

    moment: Moment
    before: Tensor
    shutter: float | None
    used: tuple[int, ...]


class _Painter:
    """Holds frames until their faces fill a batch and their neighbours are restored."""

    def __init__(
        self, work: Work, tools: Tools, account: Account, scale: int, witness: Witness | None
    ) -> None:
        self._work, self._tools, self._account, self._scale = work, tools, account, scale
        self._witness = witness
        self._shown = examples(work)
        self._neighbours = _neighbours(work)
        self._motion = _motion(work)
        self._wanted = np.zeros(len(work), bool)
        self._wanted[list(self._neighbours)] = True
        self._wanted[[row for rows in self._neighbours.values() for row in rows]] = True
        self._frames: deque[Frame] = deque()
        self._rows: list[IntArray] = []
        self._crops: list[ImageArray] = []
        self._faces: dict[int, _Face] = {}

    @property
    def full(self) -> bool:
        """Whether it is time to flush."""
        waiting = sum(len(crops) for crops in self._crops)
        return waiting >= self._tools.batch or len(self._frames) >= MOST_FRAMES_HELD + REACH

    def hold(self, frame: Frame) -> None:
        """Take a frame and cut its faces out."""
        rows = self._work.rows_of_frame(frame.index)
        rows = rows[self._wanted[rows]]
        self._frames.append(frame)
        if len(rows):
            self._rows.append(rows)
            self._crops.append(cut_crops(rgb(frame), self._work.to_crop[rows]))

    def flush(self, *, last: bool = False) -> Iterator[Painted]:
        """Restore what is held; give back the frames all of whose neighbours are restored."""
        if not self._frames:
            return
        seen = self._frames[-1].index
        self._restore_held()
        while self._frames and (last or self._frames[0].index + REACH <= seen):
            yield self._painted(self._frames.popleft())
        oldest = self._frames[0].index - REACH if self._frames else seen + 1
        gone = [row for row in self._faces if self._work.faces.frame[row] < oldest]
        for row in gone:
            del self._faces[row]

    def _restore_held(self) -> None:
        if not self._rows:
            return
        rows, cut = np.concatenate(self._rows), np.concatenate(self._crops)
        self._rows, self._crops = [], []
        batch = self._work.select(rows)
        crops = torch.from_numpy(np.ascontiguousarray(cut.transpose(0, 3, 1, 2)))
        done = _restore(batch, crops, self._tools, self._account)
        restored, masks = done.images, done.masks
        before = crops.to(restored.device).float() / 255
        for place, row in enumerate(rows.tolist()):
            moment = Moment(int(batch.faces.frame[place]), restored[place], masks[place])
            side = native_side(batch.to_crop[place], CROP_SIZE)
            shutter = shutter_of(
                restored[place], before[place], masks[place], self._motion[row], side
            )
            used = tuple(done.used[place])
            self._faces[row] = _Face(moment, before[place], shutter, used)

    def _painted(self, frame: Frame) -> Painted:
        rows = [row for row in self._work.rows_of_frame(frame.index) if row in self._neighbours]
        if not rows:
            return Painted(frame, [])
        faces = [self._faces[row] for row in rows]
        finished = [self._finished(row) for row in rows]
        restored, masks = (torch.stack(parts) for parts in zip(*finished, strict=True))
        before = torch.stack([face.before for face in faces])
        batch = self._work.select(np.array(rows))
        self._account.restored.update(batch.identity.tolist())
        self._account.unreferenced.update(
            int(identity)
            for identity, face, weight in zip(batch.identity, faces, batch.guided, strict=True)
            if not face.used or weight <= 0
        )
        for place, row in enumerate(rows):
            self._show(row, frame, before[place], restored[place], masks[place])
        geometry = frame.geometry.scaled(self._scale)
        made = differences(
            restored,
            before,
            masks,
            batch.strength.tolist(),
            enlarged(batch.to_crop, self._scale),
            picture_size=(geometry.width, geometry.height),
        )
        patches = [Patch(one.left, one.top, one.delta) for one in made]
        return Painted(frame, patches, made)

    def _finished(self, row: int) -> tuple[Tensor, Tensor]:
        """Return a restored face and its mask: steadied, and as its frame was filmed."""
        face = self._faces[row]
        near = [self._faces[other] for other in self._neighbours[row] if other in self._faces]
        switches = self._tools.switches
        moments = [other.moment for other in near] if switches.steadied else []
        steady, mask = steadied(face.moment, moments)
        if not switches.as_filmed:
            return steady, mask
        known = [one.shutter for one in (face, *near) if one.shutter is not None]
        shutter = float(np.median(known)) if known else 0.0
        side = native_side(self._work.to_crop[row], CROP_SIZE)
        return as_filmed(steady, face.before, mask, self._motion[row] * shutter, side), mask

    def _show(self, row: int, frame: Frame, before: Tensor, after: Tensor, mask: Tensor) -> None:
        """Keep a face for the report, and show it to the witness, if they want it."""
        work, track = self._work, int(self._work.track[row])
        told = self._witness is not None and self._witness.wants(track, frame.index)
        if not told and row not in self._shown:
            return
        strength, used = float(work.strength[row]), self._faces[row].used
        pasted = before + mask * strength * (after - before)
        was, became = to_uint8(torch.stack([before, pasted]))
        if row in self._shown:
            inside = float(work.inside[row])
            self._account.pictures[track] = Example(frame.index, inside, was, became)
        if told and self._witness is not None:
            guided = float(work.guided[row]) if used else 0.0
            identity = int(work.identity[row])
            self._witness.see(
                Face(frame.index, frame.time, identity, track, strength, guided, used, was, became)
            )


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
    for identity, weight, used, own in zip(
        batch.identity, guided, first.used, batch.own, strict=True
    ):
        if weight > 0 and own:
            account.used.setdefault(int(identity), Counter()).update(used)
    images = first.images
    mixed = np.flatnonzero((guided > 0) & (guided < 1))
    if len(mixed):
        plain = tools.restorer.restore(crops[mixed], batch.landmarks[mixed], [None] * len(mixed))
        weights = torch.from_numpy(guided[mixed].astype(np.float32)).to(images.device)
        images[mixed] = torch.lerp(plain.images, images[mixed], weights[:, None, None, None])
    return first
