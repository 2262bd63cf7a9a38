"""Second look at a segment: restore its faces in batches that span frames, and steady them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from refrestore.faces.align import CROP_SIZE, FFHQ_TEMPLATE
from refrestore.media.patch import Patch
from refrestore.media.reader import frame_bytes
from refrestore.media.tensors import FrameTensor, at, crops, parts, stacked
from refrestore.render.around import Around, FacesAround
from refrestore.render.believed import between, for_references, put_right
from refrestore.render.carrying import Carrying
from refrestore.render.crops import bytes_of, enlarged, to_uint8
from refrestore.render.face_table import FaceTable
from refrestore.render.frames import HELD_BYTES
from refrestore.render.heads import in_heads
from refrestore.render.segment_result import Account, Changed, Example, Face, RestoredFrame, Witness
from refrestore.render.tools import Tools
from refrestore.restore import burst
from refrestore.restore.camera import (
    as_filmed,
    middle_shutters,
    native_sides,
    shutters_of,
    velocities,
)
from refrestore.restore.carried import carried
from refrestore.restore.composite import differences, inside_crops, mesh_boxes, shared
from refrestore.restore.restorer import Restored
from refrestore.restore.steady import REACH, RestoredFace, greys, steadied, union
from refrestore.types import FloatArray, Frame, Geometry, IntArray

MOST_FRAMES_HELD = 32
"""Frames that may wait for a batch to fill: bounds memory where faces are rare. A GPU's batches are
larger, and more may wait for them: as many as `HELD_BYTES` hold."""

WHOLE = 0.98
"""Share of a crop from which a face counts as wholly in the picture: a sliver of mirrored border is
not seen, half a mirrored cheek is."""


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


def examples(work: FaceTable) -> set[int]:
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


def _neighbours(work: FaceTable) -> dict[int, list[int]]:
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


def _motion(work: FaceTable) -> FloatArray:
    """Return how each face moves over the picture, (N, 2) crop pixels a frame."""
    motion = np.zeros((len(work), 2), np.float32)
    middle = FFHQ_TEMPLATE.mean(0) * (work.side / CROP_SIZE)[:, None]
    for _, rows in work.by_track():
        motion[rows] = velocities(work.to_crop[rows], work.faces.frame[rows], middle[rows])
    return motion


class _Finished(NamedTuple):
    """Faces of one side as they are pasted.

    Parameters
    ----------
    before, after : (B, 3, S, S)
        RGB 0..1.
    masks : (B, S, S)
        Where they show, 0..1.
    patches
        What is added to their pictures; None where that is nothing.
    """

    before: Tensor
    after: Tensor
    masks: Tensor
    patches: list[Patch | None]


class _SegmentRestorer:
    """Holds frames until their faces fill a batch and their neighbours are restored."""

    def __init__(
        self, work: FaceTable, tools: Tools, account: Account, scale: int, witness: Witness | None
    ) -> None:
        self._work, self._account, self._scale = work, account, scale
        self._each, self._device = tools.restorer.each, tools.restorer.device
        self._tools = replace(tools, restorer=tools.restorer.alone)
        self._witness = witness
        self._shown = examples(work)
        self._neighbours = _neighbours(work)
        self._motion = _motion(work)
        wanted = {*self._neighbours}.union(*self._neighbours.values())
        self._carrying, self._needed = Carrying(work, wanted, tools.apart), needed(tools.apart)
        sources = self._carrying.sources
        wanted = wanted.union(*sources.values())
        blurred = set(np.flatnonzero(burst.share(work.blur) > 0).tolist())
        self._around = Around(work, sorted(wanted), (wanted & blurred) - set(sources), set(sources))
        self._frames: deque[Frame] = deque()
        self._most = MOST_FRAMES_HELD
        self._held: list[tuple[IntArray, FrameTensor]] = []
        self._moments: dict[int, RestoredFace] = {}

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
            self._each(lambda rows: self._cut(rows, of), self._apart(np.array(list(of), np.int64)))
            self._held = []
        rows = self._around.take(None if last else seen)
        waits = np.array([row in self._carrying.sources for row in rows.tolist()], bool)
        self._each(self._restore_rows, self._apart(rows[~waits]))
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
        painted = self._painted(ready)
        oldest = self._frames[0].index - self._needed if self._frames else seen + 1
        gone = [row for row in self._moments if self._work.faces.frame[row] < oldest]
        for row in gone:
            del self._moments[row]
        return painted

    def _apart(self, rows: IntArray) -> list[IntArray]:
        """Return rows of one side that are worked on together: on a CPU each face by itself."""
        sides = self._work.by_side(rows)
        return [own[part] for _, own in sides for part in parts(len(own), self._device)]

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
        self._each(self._carry_rows, self._apart(rows))
        self._each(self._restore_alone, self._apart(alone))
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

    def _painted(self, frames: Sequence[Frame]) -> list[RestoredFrame]:
        """Return frames with their patches."""
        own = [
            [row for row in self._work.rows_of_frame(frame.index) if row in self._neighbours]
            for frame in frames
        ]
        rows = np.array([row for of_frame in own for row in of_frame], np.int64)
        apart, patches = self._apart(rows), dict[int, Patch]()
        sizes = [frame.geometry.scaled(self._scale) for frame in frames[:1]]
        finished = self._each(lambda rows: self._finished(rows, sizes[0]), apart)
        for alike, done in zip(apart, finished, strict=True):
            patches.update(self._told(alike, {frame.index: frame for frame in frames}, done))
        return [
            RestoredFrame(frame, shared([patches[row] for row in of_frame if row in patches]))
            for frame, of_frame in zip(frames, own, strict=True)
        ]

    @torch.inference_mode()
    def _finished(self, rows: IntArray, grid: Geometry) -> _Finished:
        """Return faces of one side steadied, and as their frames were filmed."""
        work, switches = self._work.select(rows), self._tools.switches
        faces = [self._moments[row] for row in rows.tolist()]
        near = [
            [self._moments[other] for other in self._neighbours[row] if other in self._moments]
            for row in rows.tolist()
        ]
        layers, boxes = steadied(faces, near if switches.steadied else [[]] * len(faces))
        before, restored, masks = (
            stacked([one.before for one in faces]),
            layers[:, :3],
            inside_crops(layers[:, 3]),
        )
        if switches.as_filmed:
            restored = as_filmed(
                restored,
                before,
                masks,
                self._motion[rows],
                middle_shutters(_shutters(faces, near)),
                sides=native_sides(work.to_crop, before.shape[-1]),
                boxes=boxes,
            )
        made = differences(
            restored,
            before,
            masks,
            work.strength,
            enlarged(work.to_crop, self._scale),
            boxes=boxes,
            picture_size=(grid.width, grid.height),
        )
        return _Finished(before, restored, masks, made)

    @torch.inference_mode()
    def _told(
        self, rows: IntArray, frames: Mapping[int, Frame], done: _Finished
    ) -> dict[int, Patch]:
        """Return the patches of faces that are finished, and tell of them."""
        work, made = self._work.select(rows), done.patches
        changes = [one.change if one else done.masks.new_zeros(()) for one in made]
        behind = self._tools.restorer.second is not None
        for row, identity, weight, change, invented in zip(
            rows.tolist(), work.identity.tolist(), work.guided, changes, work.invented, strict=True
        ):
            referenced = bool(self._moments[row].used) and float(weight) > 0
            drawn = float(invented) if behind else 0.0
            lowered = referenced and self._moments[row].lowered
            self._account.changed.append(Changed(identity, referenced, change, drawn, lowered))
        self._show(rows, frames, done, changes)
        return {row: patch for row, patch in zip(rows.tolist(), made, strict=True) if patch}

    def _show(
        self,
        rows: IntArray,
        frames: Mapping[int, Frame],
        done: _Finished,
        changes: Sequence[Tensor],
    ) -> None:
        """Keep faces for the report, and show them to the witness, if they want them."""
        work, (before, after, masks, _) = self._work, done
        for place, row in enumerate(rows.tolist()):
            track, frame = int(work.track[row]), frames[int(work.faces.frame[row])]
            told = self._witness is not None and self._witness.wants(track, frame.index)
            if not told and row not in self._shown:
                continue
            strength, used = float(work.strength[row]), self._moments[row].used
            pasted = before[place] + masks[place] * strength * (after[place] - before[place])
            pair = torch.stack([before[place], pasted])
            if row in self._shown:
                # Fetched with the record: a device is not waited for.
                inside, (was, became) = float(work.inside[row]), bytes_of(pair)
                self._account.pictures[track] = Example(
                    frame.index, inside, changes[place], was, became
                )
            if told and self._witness is not None:
                guided = float(work.guided[row]) if used else 0.0
                identity, (crop, blended) = int(work.identity[row]), to_uint8(pair)
                self._witness.see(
                    Face(
                        frame.index,
                        frame.time,
                        identity,
                        track,
                        strength,
                        guided,
                        used,
                        crop,
                        blended,
                    )
                )


def _shutters(faces: Sequence[RestoredFace], near: Sequence[Sequence[RestoredFace]]) -> Tensor:
    """Return the shutters of faces and their neighbours, (B, K); where there is none, no number."""
    most = 1 + max(map(len, near))
    none = torch.full((), torch.nan, device=faces[0].shutter.device)
    known = [
        [one.shutter for one in (face, *others)] + [none] * (most - 1 - len(others))
        for face, others in zip(faces, near, strict=True)
    ]
    return torch.stack([torch.stack(row) for row in known])


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
    images = first.images
    mixed = np.flatnonzero((guided > 0) & (guided < 1))
    if len(mixed):
        plain = tools.restorer.restore(
            drawn[mixed],
            batch.landmarks[mixed],
            [None] * len(mixed),
            drawn=share[mixed],
            invented=batch.invented[mixed],
        )
        images[mixed] = between(plain.images, images[mixed], guided[mixed])
    return first
