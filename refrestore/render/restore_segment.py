"""Second look at a segment: restore its faces in batches that span frames, and steady them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from refrestore.faces.align import CROP_SIZE, FFHQ_TEMPLATE
from refrestore.media.reader import frame_bytes
from refrestore.media.tensors import FrameTensor, at, crops, stacked
from refrestore.render.around import Around, FacesAround
from refrestore.render.believed import between, for_references, half_will_do, put_right
from refrestore.render.carrying import Carrying
from refrestore.render.face_table import FaceTable
from refrestore.render.finishing import Finishing
from refrestore.render.frames import HELD_BYTES
from refrestore.render.heads import in_heads
from refrestore.render.segment_result import Account, RestoredFrame, Witness
from refrestore.render.tools import Tools
from refrestore.restore import burst
from refrestore.restore.camera import (
    native_sides,
    shutters_of,
    velocities,
)
from refrestore.restore.carried import carried
from refrestore.restore.composite import mesh_boxes
from refrestore.restore.light import shrunk
from refrestore.restore.restorer import Restored
from refrestore.restore.steady import REACH, RestoredFace, greys, union
from refrestore.types import FloatArray, Frame, IntArray

MOST_FRAMES_HELD = 32
"""Frames that may wait for a batch to fill: bounds memory where faces are rare. A GPU's batches are
larger, and more may wait for them: as many as `HELD_BYTES` hold."""


def restore_segment(
    work: FaceTable,
    frames: Iterable[Frame],
    tools: Tools,
    account: Account,
    *,
    scale: int,
    witness: Witness | None = None,
) -> Iterator[list[RestoredFrame]]:
    """Yield every frame, in order, with the patches its faces make: those of a batch together.

    Parameters
    ----------
    work
        Refined.
    frames
        In order: the segment's, and of its context either side what `reach_of` says, where there
        are.
    account
        Is added to; what is made of context rows is not counted.
    scale
        How much larger the output is than the source.
    witness
        Is shown the faces it wants.
    """
    painter = _SegmentRestorer(work, tools, account, scale, witness)
    for frame in frames:
        painter.hold(frame)
        if painter.full:
            yield painter.flush()
    yield painter.flush(last=True)


def reach_of(work: FaceTable, apart: int) -> int:
    """Return how many frames before and after a face are looked at to paint it.

    Those that steady it, those that they are carried over from where restored faces are `apart`
    frames, and the frames around these.
    """
    return needed(apart) + (burst.REACH if np.any(burst.share(work.blur) > 0) else 0)


def needed(apart: int) -> int:
    """Return how many frames before and after a face have restored ones that it needs."""
    return REACH + apart - 1


def _motion(work: FaceTable) -> FloatArray:
    """Return how each face moves over the picture, (N, 2) crop pixels a frame."""
    motion = np.zeros((len(work), 2), np.float32)
    middle = FFHQ_TEMPLATE.mean(0) * (work.side / CROP_SIZE)[:, None]
    for _, rows in work.by_track():
        motion[rows] = velocities(work.to_crop[rows], work.faces.frame[rows], middle[rows])
    return motion


class _SegmentRestorer:
    """Holds frames until their faces fill a batch and their neighbours are restored."""

    def __init__(
        self, work: FaceTable, tools: Tools, account: Account, scale: int, witness: Witness | None
    ) -> None:
        self._work, self._account = work, account
        self._each, self._device = tools.restorer.each, tools.restorer.device
        self._tools = replace(tools, restorer=tools.restorer.alone)
        self._motion = _motion(work)
        self._moments: dict[int, RestoredFace] = {}
        self._finishing = Finishing(
            work,
            tools,
            account,
            witness,
            moments=self._moments,
            motion=self._motion,
            scale=scale,
        )
        steadied = self._finishing.neighbours
        wanted = {*steadied}.union(*steadied.values())
        self._carrying, self._needed = Carrying(work, wanted, tools.apart), needed(tools.apart)
        sources = self._carrying.sources
        wanted = wanted.union(*sources.values())
        blurred = set(np.flatnonzero(burst.share(work.blur) > 0).tolist())
        self._around = Around(work, sorted(wanted), (wanted & blurred) - set(sources), set(sources))
        self._frames: deque[Frame] = deque()
        self._most = MOST_FRAMES_HELD
        self._held: list[tuple[IntArray, FrameTensor]] = []

    @property
    def full(self) -> bool:
        """Whether it is time to flush."""
        seen = self._frames[-1].index
        held = len(self._frames) >= self._most + self._needed + self._around.ahead
        return held or self._around.ready(self._tools.batch, seen)

    def hold(self, frame: Frame) -> None:
        """Take a frame, and send it on its way if it has faces."""
        rows = self._work.rows_of_frame(frame.index)
        rows = rows[self._around.wanted[rows]]
        if not self._frames and self._device.type == "cuda":
            self._most = max(MOST_FRAMES_HELD, HELD_BYTES // frame_bytes(frame.geometry, 16))
        self._frames.append(frame)
        if not len(rows):
            return
        picture = FrameTensor.of(frame.picture).to(self._device)
        self._held.append((rows, picture))

    def flush(self, *, last: bool = False) -> list[RestoredFrame]:
        """Restore what is held; give back the frames all of whose neighbours are restored."""
        if not self._frames:
            return []
        seen = self._frames[-1].index
        if self._held:
            of = {int(row): picture for rows, picture in self._held for row in rows}
            held = self._together(np.array(list(of), np.int64))
            self._each(lambda rows: self._cut(rows, of), held)
            self._held = []
        rows = self._around.take(None if last else seen)
        waits = np.array([row in self._carrying.sources for row in rows.tolist()], bool)
        self._each(self._restore_rows, self._together(rows[~waits]))
        for row in rows[waits].tolist():
            self._carrying.wait(row, self._around.crop(row))
        rows = np.concatenate([rows[~waits], self._carry(None if last else seen)])
        for row in rows[self._work.own[rows]].tolist():
            if used := self._moments[row].used:
                identity = int(self._work.identity[row])
                self._account.used.setdefault(identity, Counter()).update(used)
        self._around.forget()
        ready = []
        while self._frames and (
            last or self._frames[0].index + self._needed + self._around.ahead <= seen
        ):
            ready.append(self._frames.popleft())
        painted = self._finishing.painted(ready)
        oldest = self._frames[0].index - self._needed if self._frames else seen + 1
        gone = [row for row in self._moments if self._work.faces.frame[row] < oldest]
        for row in gone:
            del self._moments[row]
        return painted

    def _together(self, rows: IntArray) -> list[IntArray]:
        return self._work.together(rows, self._device)

    def _cut(self, rows: IntArray, of: Mapping[int, FrameTensor]) -> None:
        """Cut faces of one side out of their pictures."""
        pictures, side = [of[row] for row in rows.tolist()], int(self._work.side[rows[0]])
        self._around.add(rows, crops(pictures, self._work.to_crop[rows], side))

    def _carry(self, seen: int | None) -> IntArray:
        """Carry over the faces whose sources are restored; return their rows.

        Those that have none are restored.
        """
        over = partial(self._around.over, seen=seen)
        rows, alone = self._carrying.ready(self._moments.keys(), over)
        self._each(self._carry_rows, self._together(rows))
        self._each(self._restore_alone, self._together(alone))
        return np.concatenate([rows, alone])

    @torch.inference_mode()
    def _carry_rows(self, rows: IntArray) -> None:
        """Carry over faces of one side."""
        before, frames = stacked(self._carrying.crops(rows)), self._work.faces.frame[rows].tolist()
        sources = [
            [self._moments[one] for one in self._carrying.sources[row] if one in self._moments]
            for row in rows.tolist()
        ]
        layers, side = carried(before, frames, sources), before.shape[-1]
        shutters = self._shutters(rows, layers[:, :3], before, layers[:, 3])
        self._keep(
            rows,
            layers,
            before,
            boxes=[union([one.at(side) for one in near]) for near in sources],
            shutters=shutters,
            used=[near[0].used for near in sources],
            lowered=[any(one.lowered for one in near) for near in sources],
        )

    def _restore_alone(self, rows: IntArray) -> None:
        """Restore faces of one side that were to be carried over, without those around them."""
        faces = stacked(self._carrying.crops(rows))
        soft = [[one] for one in burst.softened(faces)]
        self._restore_rows(rows, FacesAround(faces, [[] for _ in rows], soft))

    @torch.inference_mode()
    def _restore_rows(self, rows: IntArray, around: FacesAround | None = None) -> None:
        """Restore a batch of one side."""
        batch = self._work.select(rows)
        around = around or self._around.of(rows)
        before, (drawn, seen) = around.faces, self._drawn(batch, around)
        done = _restore(batch, before, drawn, self._tools)
        shutters = self._shutters(rows, done.images, before, done.masks)
        banks = self._tools.banks_of(batch)
        blurred = burst.share(batch.blur)
        if blurred.any():
            given = (seen, batch.landmarks, batch.blur)
            right = put_right(done, *given, banks=banks, guided=batch.guided)
            done = replace(done, images=right)
        images, masks, boxes = in_heads(
            done,
            drawn,
            batch.landmarks,
            banks,
            self._tools.restorer,
            guided=batch.guided * self._tools.switches.head,
            drawn=blurred,
        )
        self._keep(
            rows,
            torch.cat([images, masks[:, None]], 1),
            before,
            boxes=boxes,
            shutters=shutters,
            used=[tuple(one) for one in done.used],
            lowered=[place in done.lowered for place in range(len(rows))],
        )

    def _shutters(self, rows: IntArray, images: Tensor, before: Tensor, masks: Tensor) -> Tensor:
        """Return by how much of their motion faces of one side are blurred, (B,)."""
        batch, side = self._work.select(rows), before.shape[-1]
        return shutters_of(
            images,
            before,
            masks,
            self._motion[rows],
            sides=native_sides(batch.to_crop, side),
            boxes=mesh_boxes(batch.landmarks, side),
        )

    def _keep(
        self,
        rows: IntArray,
        layers: Tensor,
        before: Tensor,
        *,
        boxes: Sequence[IntArray] | IntArray,
        shutters: Tensor,
        used: Sequence[tuple[int, ...]],
        lowered: Sequence[bool],
    ) -> None:
        """Keep restored faces until all that need them are shown."""
        grey = greys(layers)
        for place, row in enumerate(rows.tolist()):
            self._moments[row] = RestoredFace(
                frame=int(self._work.faces.frame[row]),
                layers=layers[place],
                before=before[place],
                box=boxes[place],
                grey=grey[place],
                shutter=shutters[place],
                used=used[place],
                lowered=lowered[place],
            )

    def _drawn(self, batch: FaceTable, around: FacesAround) -> tuple[Tensor, Tensor]:
        """Return blurred faces drawn from the frames around them, and as these show them.

        The others as they are.
        """
        before, blurred = around.faces, np.flatnonzero(burst.share(batch.blur) > 0)
        if not len(blurred):
            return before, before
        seen, drawn, rows = before.clone(), before.clone(), at(blurred, before.device)
        near, soft = ([one[place] for place in blurred] for one in (around.near, around.soft))
        images = burst.together(before[rows], near, soft)
        drawn[rows] = burst.sharpened(before[rows], images, batch.blur[blurred])
        seen[rows] = images
        return drawn, seen


def _restore(batch: FaceTable, before: Tensor, drawn: Tensor, tools: Tools) -> Restored:
    """Restore a batch, with references, without, or between the two as the guard decided."""
    banks = tools.banks_of(batch)
    guided = np.where([bank is None for bank in banks], 0, batch.guided)
    share = burst.share(batch.blur)
    lent = [bank if weight > 0 else None for bank, weight in zip(banks, guided, strict=True)]
    first = tools.restorer.restore(
        for_references(before, drawn, lent, batch.blur),
        batch.landmarks,
        lent,
        exclude=tools.hidden(batch, banks),
        references=max(1, tools.references),
        drawn=share,
        invented=batch.invented,
        shut=batch.shut,
    )
    images, enough = first.images, half_will_do(drawn.shape[-1], guided, tools.restorer.sides)
    for smaller in (1, 2):
        rows = np.flatnonzero((guided > 0) & (guided < 1) & (enough == (smaller > 1)))
        if not len(rows):
            continue
        plain = tools.restorer.restore(
            shrunk(drawn[rows], smaller),
            batch.landmarks[rows] / np.float32(smaller),
            [None] * len(rows),
            drawn=share[rows],
            invented=batch.invented[rows],
        )
        images[rows] = between(plain.images, images[rows], guided[rows])
    return first
