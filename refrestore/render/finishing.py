"""Restored faces as their frames get them: steadied, blurred as filmed, pasted and told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from refrestore.media.patch import Patch
from refrestore.media.tensors import stacked
from refrestore.render.crops import bytes_of, enlarged, to_uint8
from refrestore.render.face_table import FaceTable
from refrestore.render.segment_result import Account, Changed, Example, Face, RestoredFrame, Witness
from refrestore.render.tools import Tools
from refrestore.restore.camera import as_filmed, middle_shutters, native_sides
from refrestore.restore.composite import differences, inside_crops, shared
from refrestore.restore.steady import REACH, RestoredFace, steadied
from refrestore.types import FloatArray, Frame, Geometry, IntArray

WHOLE = 0.98
"""Share of a crop from which a face counts as wholly in the picture: a sliver of mirrored border is
not seen, half a mirrored cheek is."""


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


class Finishing:
    """Turns restored faces into the patches of their frames, and tells of them.

    Parameters
    ----------
    work
        Refined.
    moments
        Faces by row as they are restored: grows and shrinks while frames go by.
    motion : (N, 2)
        How each face moves over the picture, crop pixels a frame.
    scale
        How much larger the output is than the source.
    """

    def __init__(
        self,
        work: FaceTable,
        tools: Tools,
        account: Account,
        witness: Witness | None,
        *,
        moments: Mapping[int, RestoredFace],
        motion: FloatArray,
        scale: int,
    ) -> None:
        self._work, self._account, self._scale = work, account, scale
        self._restorer, self._switches = tools.restorer, tools.switches
        self._witness = witness
        self._moments, self._motion = moments, motion
        self._shown = examples(work)
        self.neighbours = _neighbours(work)

    def painted(self, frames: Sequence[Frame]) -> list[RestoredFrame]:
        """Return frames with their patches."""
        own = [
            [row for row in self._work.rows_of_frame(frame.index) if row in self.neighbours]
            for frame in frames
        ]
        rows = np.array([row for of_frame in own for row in of_frame], np.int64)
        batches = self._work.together(rows, self._restorer.device)
        sizes = [frame.geometry.scaled(self._scale) for frame in frames[:1]]
        patches: dict[int, Patch] = {}
        finished = self._restorer.each(lambda rows: self._finished(rows, sizes[0]), batches)
        for alike, done in zip(batches, finished, strict=True):
            patches.update(self._told(alike, {frame.index: frame for frame in frames}, done))
        return [
            RestoredFrame(frame, shared([patches[row] for row in of_frame if row in patches]))
            for frame, of_frame in zip(frames, own, strict=True)
        ]

    @torch.inference_mode()
    def _finished(self, rows: IntArray, grid: Geometry) -> _Finished:
        """Return faces of one side steadied, and as their frames were filmed."""
        work, switches = self._work.select(rows), self._switches
        faces = [self._moments[row] for row in rows.tolist()]
        near = [
            [self._moments[other] for other in self.neighbours[row] if other in self._moments]
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
        behind = self._restorer.second is not None
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
