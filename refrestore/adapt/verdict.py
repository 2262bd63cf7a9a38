"""Whether an adapter helps: the restorer with it and without it, on references kept out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from refrestore.adapt.training_samples import spoilt
from refrestore.evaluate.degrade import TUNING
from refrestore.evaluate.metrics import psnr
from refrestore.faces.hull import hull_polygon
from refrestore.render.crops import arcface_crops, from_uint8, to_uint8
from refrestore.render.toolbox import Toolbox
from refrestore.restore.adapter import Adapter
from refrestore.restore.bank import ReferenceBank
from refrestore.types import FloatArray, IntArray

LEAST_GAIN = 0.005
"""Identity similarity that must be gained: less is what another draw of noise would change."""

FEW, LEAST_OF_FEW = 4, 0.02
"""Below so many close-ups kept out, more must be gained: of a person with nine close-ups, two kept
out promised 0.009 where other photos lost 0.003 (docs/decisions/013)."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Means over restored faces.

    Parameters
    ----------
    identity
        Cosine similarity to the true face, by the pack's recogniser.
    psnr
        Decibels, inside the mesh hull.
    """

    identity: float
    psnr: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the references kept out say.

    Parameters
    ----------
    held
        How many references were kept out; each was restored twice.
    before, after
        Without and with the adapter.
    """

    held: int
    before: Marks
    after: Marks

    @property
    def passed(self) -> bool:
        """Whether it is more like the person, and no farther from the picture."""
        gained = self.after.identity - self.before.identity
        least = LEAST_OF_FEW if self.held < FEW else LEAST_GAIN
        return gained >= least and self.after.psnr >= self.before.psnr


def judged(
    adapter: Adapter,
    bank: ReferenceBank,
    held: Sequence[int],
    toolbox: Toolbox,
    *,
    seed: int,
) -> Verdict:
    """Spoil the references kept out, restore them from the others and compare with what they were.

    Parameters
    ----------
    bank
        All of the person's references.
    held
        The rows that were not learnt from.
    toolbox
        The networks in use.
    seed
        Of the degradations.
    """
    random = np.random.default_rng(seed)
    rows: IntArray = np.repeat(np.asarray(held, np.int64), 2)
    truth = bank.images[torch.from_numpy(rows)].permute(0, 2, 3, 1).contiguous().numpy()
    faces = np.stack(
        [spoilt(image, random, TUNING[index % 2]) for index, image in enumerate(truth)]
    )
    found = toolbox.models.landmarker.dense(faces)[0]
    planes = from_uint8(faces)
    meshes = bank.landmarks[rows]
    hulls = hull_polygon(meshes, truth.shape[1]) > 0

    def embedded(images: np.ndarray) -> FloatArray:
        return toolbox.models.recogniser.embed(arcface_crops(from_uint8(images), meshes))

    wanted = embedded(truth)

    def marks(with_adapter: Adapter | None) -> Marks:
        own = replace(bank, adapter=with_adapter)
        hidden = [list(held)] * len(rows)
        images = to_uint8(
            toolbox.restorer.restore(planes, found, [own] * len(rows), exclude=hidden).images
        )
        likeness = float((embedded(images) * wanted).sum(1).mean())
        pairs = zip(images, truth, hulls, strict=True)
        return Marks(likeness, float(np.mean([psnr(*three) for three in pairs])))

    return Verdict(len(held), marks(None), marks(adapter))
