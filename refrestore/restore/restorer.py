"""The restorer: a batch of faces and their people's reference banks in, restored faces out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch

from refrestore.media.tensors import at, sent, stacked
from refrestore.restore.adapter import Adapter
from refrestore.restore.bank import ReferenceBank, light_of
from refrestore.restore.composite import mesh_boxes
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.hull_mask import (
    HULL_CELL,
    around_lips,
    cells,
    eye_masks,
    grown,
    hull_cells,
    hull_mask,
)
from refrestore.restore.lids import ALONE, Lids, unlike
from refrestore.restore.light import as_tinted, averaged
from refrestore.restore.mask import FaceMask
from refrestore.restore.resize import Window, cells_around
from refrestore.restore.second.combined import combine
from refrestore.restore.second.stage import SecondStage, redrawn
from refrestore.restore.select import select
from refrestore.restore.warp import displacement
from refrestore.types import FloatArray, IntArray

DEFAULT_REFERENCES = 5
"""References used per face (ReF-LDM, NeurIPS 2024: five is where more stops paying)."""

CPU_PIXELS, CUDA_PIXELS = 256**2, 32 * 512**2
"""Pixels of crops fused at a time. On a CPU one face of 512 is more than its cache holds, and two
are slower each."""

UNREFERENCED = 0.5
"""How far a face that was drawn from its frames goes towards what the network makes of it without
any reference: the noise is gone, and all the way it likens what it draws to others
(docs/decisions/030 has the table)."""

Part = TypeVar("Part")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Restored:
    """Restored faces.

    Parameters
    ----------
    images : (B, 3, S, S) float32
        RGB, 0..1.
    masks : (B, S, S) float32
        Where they may be pasted: the mesh hull with a soft edge, less what is in front of it.
    confidence : (B, S, S) float32
        0..1, how much of the detail is shown by references that agree; 0 without references.
    used
        Per face, the rows of its bank that were used, best first.
    fused : (B, 3, S, S) float32, optional
        The images without what the second stage draws; None if there is none.
    lowered
        Rows of the faces whose shut eyes no reference shows: lids were drawn down over its open
        ones.
    """

    images: torch.Tensor
    masks: torch.Tensor
    confidence: torch.Tensor
    used: list[list[int]]
    fused: torch.Tensor | None = None
    lowered: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        return f"Restored({len(self.images)} faces, references {[len(u) for u in self.used]})"

    def inventing(self, amount: float | FloatArray) -> Restored:
        """Return the same with so much of what the second stage draws, 0..1, of all or of each."""
        if self.fused is None:
            return self
        amounts = np.full(len(self.images), amount, np.float32)
        weights = torch.from_numpy(amounts).to(self.images.device)[:, None, None, None]
        return replace(self, images=torch.lerp(self.fused, self.images, weights))


@dataclass(frozen=True, eq=False, slots=True)
class _Given:
    """What faces are restored from.

    Per face its bank, the rows of it to use, (B, K), and, (B,), how much of the network's work is
    taken where there are none, and of the second stage's, and how far its eyes are shut.
    """

    banks: Sequence[ReferenceBank | None]
    rows: IntArray
    alone: FloatArray
    invented: FloatArray
    shut: FloatArray


class Restorer:
    """Restores aligned crops; holds the networks and nothing else.

    Parameters
    ----------
    fusion
        The reference fusion network.
    second
        The second stage behind it, or None: the same path, one stage less.
    device, dtype
        Where and in what to compute (the networks are moved there).
    workers
        Faces restored side by side on a CPU. Each takes one thread: beside decoder and encoder,
        two threads on one face wait for each other longer than they work.
    mask
        Tells the face from what is in front of it, or None: all of the hull is face.
    lids
        Says which eyes are shut, or None: all are taken for open.
    """

    def __init__(
        self,
        fusion: FusionNetwork,
        second: SecondStage | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        workers: int = 1,
        mask: FaceMask | None = None,
        lids: Lids | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        side_by_side = workers > 1 and self.device.type == "cpu"
        self._pool = ThreadPoolExecutor(workers, "restore") if side_by_side else None
        self.fusion = fusion.to(device=self.device, dtype=dtype).eval()
        self._adapted: WeakKeyDictionary[Adapter, FusionNetwork] = WeakKeyDictionary()
        self.second = second
        self.mask = mask
        self.lids = lids
        self._own_mouths = True
        self._pixels = CUDA_PIXELS if self.device.type == "cuda" else CPU_PIXELS
        self._check: Callable[[], None] = lambda: None

    @torch.inference_mode()
    def restore(
        self,
        crops: torch.Tensor,
        landmarks: FloatArray,
        banks: Sequence[ReferenceBank | None],
        *,
        exclude: Sequence[Collection[int] | None] | None = None,
        references: int = DEFAULT_REFERENCES,
        drawn: FloatArray | None = None,
        invented: FloatArray | None = None,
        shut: FloatArray | None = None,
    ) -> Restored:
        """Restore faces of any number of people in one batch.

        Parameters
        ----------
        crops : (B, 3, S, S)
            RGB, float 0..1 or uint8, aligned to the FFHQ template; S is one of `sides.SIDES`.
        landmarks : (B, 468, 2) float32
            Dense landmarks in crop pixels.
        banks
            Each face's reference bank, or None to restore it without references.
        exclude
            Per face, rows of its bank not to be used (the face's own frame).
        references
            How many to use at most.
        drawn : (B,), optional
            How much of each face was drawn from the frames around it (`burst.share`); default 0.
        invented : (B,), optional
            How much is shown of what the second stage draws, 0..1; default all.
        shut : (B,), optional
            How far the eyes of each face are shut, 0..1 (`Lids.shut`); default as it looks.

        Raises
        ------
        ValueError
            Lengths that do not agree.
        """
        if not len(crops) == len(landmarks) == len(banks):
            raise ValueError(
                f"{len(crops)} crops, {len(landmarks)} landmarks and {len(banks)} banks"
            )
        faces = crops.to(self.device)
        faces = faces.float() / 255 if faces.dtype == torch.uint8 else faces.float()
        size = faces.shape[-1]
        if self.lids is None or all(bank is None for bank in banks):
            shut = np.zeros(len(faces), np.float32)
        elif shut is None:
            shut = self.lids.shut(faces, landmarks, banks, ALONE)
        chosen = self._choose(faces, landmarks, banks, references, exclude=exclude, shut=shut)
        meshes = torch.from_numpy(np.asarray(landmarks, np.float32)).to(self.device)
        masks = hull_mask(grown(meshes), size)
        images = torch.empty_like(faces)
        fused = None if self.second is None else torch.empty_like(faces)
        confidence = torch.empty_like(masks)
        counts = (chosen >= 0).sum(axis=1)
        alone = np.ones(len(faces), np.float32)
        if drawn is not None:
            alone -= (1 - UNREFERENCED) * drawn
        shares = np.ones(len(faces), np.float32) if invented is None else invented
        networks = [self._network(bank) for bank in banks]
        alike = _alike(counts, networks)
        chunk = max(1, self._pixels // size**2)
        parts = [
            rows[start : start + chunk] for rows in alike for start in range(0, len(rows), chunk)
        ]
        lowered: set[int] = set()

        def restore_part(part: IntArray) -> None:
            with torch.inference_mode():  # holds for one thread only
                own, number = [banks[row] for row in part], counts[part[0]]
                given = _Given(own, chosen[part, :number], alone[part], shares[part], shut[part])
                rows = at(part, self.device)
                face, mesh = faces[rows], meshes[rows]
                hulls = cells_around(mesh_boxes(landmarks[part], size), size, HULL_CELL)
                image, trust, down = self._restore_alike(
                    networks[part[0]], face, mesh, given, hulls=hulls
                )
                lowered.update(part[down].tolist())
                if fused is not None:
                    fused[rows] = image
                    image = self._invent(image, trust, mesh, given.invented)
                images[rows], confidence[rows] = image, trust[:, 0]
                if self.mask is not None:
                    masks[rows] = masks[rows] * self.mask.visible(face, mesh)

        self.each(restore_part, parts)
        images = as_tinted(images, faces)
        fused = None if fused is None else as_tinted(fused, faces)
        used = [[int(row) for row in rows if row >= 0] for rows in chosen]
        return Restored(images, masks, confidence, used, fused, frozenset(lowered))

    def each(self, do: Callable[[Part], Made], parts: Iterable[Part]) -> list[Made]:
        """Do something for each part of a batch, on a CPU side by side; return what it made.

        What is done so may not wait for others: it has the restorer `alone`.
        """

        def do_one(part: Part) -> Made:
            self._check()
            return do(part)

        return list(self._pool.map(do_one, parts) if self._pool else map(do_one, parts))

    @property
    def alone(self) -> Restorer:
        """The same networks for one who works in a thread of `each`: all is done in that."""
        other = copy(self)
        other._pool = None
        return other

    def heeding(self, check: Callable[[], None]) -> Restorer:
        """Return the same networks; what `check` raises before a part of a batch ends the batch."""
        other = copy(self)
        other._check = check
        return other

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of crops that it knows, ascending."""
        return self.fusion.config.sides

    def followed_by(self, second: SecondStage | None) -> Restorer:
        """Return the same networks with another second stage, or none."""
        other = copy(self)
        other.second = second
        return other

    def unmasked(self) -> Restorer:
        """Return the same networks without the mask: all of the hull is face."""
        other = copy(self)
        other.mask = None
        return other

    def with_open_eyes(self) -> Restorer:
        """Return the same networks without `lids`: all eyes are taken for open."""
        other = copy(self)
        other.lids = None
        return other

    def with_their_mouths(self) -> Restorer:
        """Return the same networks without `fusion_bands.unshown`: mouths are the references'."""
        other = copy(self)
        other._own_mouths = False
        return other

    def averaging(self) -> Restorer:
        """Return the same networks without `blocks.raised`: texture is averaged away."""
        other = self._with_a_network_of_its_own()
        other.fusion.raises = False
        return other

    def with_the_films_colours(self) -> Restorer:
        """Return the same networks without `colours.recoloured`: blotches of chroma stay."""
        other = self._with_a_network_of_its_own()
        other.fusion.recolours = False
        return other

    def _with_a_network_of_its_own(self) -> Restorer:
        other = copy(self)
        other.fusion = copy(self.fusion)
        other._adapted = WeakKeyDictionary()
        return other

    def _network(self, bank: ReferenceBank | None) -> FusionNetwork:
        """Return the network for a person: everybody's, or with the person's adapter."""
        if bank is None or bank.adapter is None:
            return self.fusion
        if bank.adapter not in self._adapted:
            self._adapted[bank.adapter] = bank.adapter.applied(self.fusion)
        return self._adapted[bank.adapter]

    def _choose(
        self,
        faces: torch.Tensor,
        landmarks: FloatArray,
        banks: Sequence[ReferenceBank | None],
        count: int,
        *,
        exclude: Sequence[Collection[int] | None] | None,
        shut: FloatArray,
    ) -> IntArray:
        """Return rows of each face's bank, (B, count), -1 where there are no more."""
        chosen = np.full((len(faces), count), -1, np.int64)
        light = light_of(faces)
        for bank in {id(bank): bank for bank in banks if bank is not None}.values():
            rows = [row for row, other in enumerate(banks) if other is bank]
            without = None if exclude is None else [exclude[row] for row in rows]
            given = landmarks[rows], light[rows], count
            shows = None if self.lids is None else self.lids.shown(bank)
            chosen[rows] = select(bank, *given, exclude=without, shut=shut[rows], shows=shows)
        return chosen

    def _restore_alike(
        self,
        network: FusionNetwork,
        faces: torch.Tensor,
        meshes: torch.Tensor,
        given: _Given,
        *,
        hulls: Window,
    ) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
        """Restore faces that have the same number of references and the same network.

        Returned are their pictures, how far these are trusted, and which have lowered lids.
        """
        batch, count = given.rows.shape
        size = faces.shape[-1]
        lowered: list[int] = []
        if count:
            lent, shown, lowered = self._shown(given)
            chosen = [
                bank.on(size, self.device).rows(rows)
                for bank, rows in zip(lent, given.rows, strict=True)
            ]
            pictures, theirs = (stacked(part) for part in zip(*chosen, strict=True))
            offsets = displacement(meshes, theirs, size)
        else:
            pictures = faces.new_zeros((batch, 0, 3, size, size))
            offsets = faces.new_zeros((batch, 0, 2, 1, 1))
        hull = hull_cells(meshes, size)
        mouth = cells(around_lips(meshes), size) if self._own_mouths else None
        used = faces.new_ones((batch, count))
        eyes = lids = missing = None
        if count and np.any(shown != given.shut[:, None]):
            losses, missing = unlike(given.shut, shown)
            eyes = eye_masks(meshes, size)[:, None]
            lost = sent(torch.from_numpy(losses), self.device)[:, :, None, None]
            lids = averaged(eyes, size // HULL_CELL) * lost
        fused = network(faces, pictures, offsets, used, hull, mouth=mouth, lids=lids, within=hulls)
        images = fused.images.clamp(0, 1)
        if not count:
            images = self._alone(faces, images, given)
        elif eyes is not None and missing is not None and missing.any():
            nobody = pictures[:, :0], offsets[:, :0], used[:, :0], hull
            own = network(faces, *nobody, within=hulls).images.clamp(0, 1)
            weights = sent(torch.from_numpy(missing), self.device)[:, None, None, None]
            images = torch.lerp(images, self._alone(faces, own, given), eyes * weights)
        return images, fused.confidence, lowered

    def _shown(self, given: _Given) -> tuple[list[ReferenceBank], FloatArray, list[int]]:
        """Return the banks of faces, `unlike`'s shown, and which banks have their lids drawn down.

        Shut eyes of a face whose references are all open are those of its references.
        """
        lowered: list[int] = []
        banks = [bank for bank in given.banks if bank is not None]
        shown = np.zeros(given.rows.shape, np.float32)
        if self.lids is None:
            return banks, shown, lowered
        for face, (bank, rows, shut) in enumerate(
            zip(banks.copy(), given.rows, given.shut, strict=True)
        ):
            shown[face] = self.lids.shown(bank)[rows]
            if shut and not shown[face].any():
                banks[face], shown[face] = bank.lowered(float(shut)), shut
                lowered.append(face)
        return banks, shown, lowered

    def _alone(self, faces: torch.Tensor, made: torch.Tensor, given: _Given) -> torch.Tensor:
        """Return how much is shown of what the network makes without references."""
        share = sent(torch.from_numpy(given.alone), self.device)[:, None, None, None]
        return torch.lerp(faces, made, share)

    def _invent(
        self,
        images: torch.Tensor,
        confidence: torch.Tensor,
        meshes: torch.Tensor,
        amounts: FloatArray,
    ) -> torch.Tensor:
        """Return fused faces with so much of what the second stage draws where none shows it."""
        if self.second is None or not amounts.any():
            return images
        drawn = redrawn(self.second, images, meshes, confidence)
        eyes = eye_masks(meshes, images.shape[-1])[:, None]
        whole = combine(images, drawn, confidence, eyes)
        weights = torch.from_numpy(amounts).to(images.device)[:, None, None, None]
        return torch.lerp(images, whole, weights)


def _alike(counts: IntArray, networks: Sequence[FusionNetwork]) -> list[IntArray]:
    """Return the rows that go together: of one network, and none pays for another's references."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, (count, network) in enumerate(zip(counts, networks, strict=True)):
        groups.setdefault((int(count), id(network)), []).append(row)
    return [np.array(rows, np.int64) for _, rows in sorted(groups.items())]
