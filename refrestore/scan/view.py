"""How much of a close-up's face nothing covers: hands, microphones, hair, another head."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from refrestore.config import RuntimeSettings
from refrestore.models.model_store import ModelStore
from refrestore.scan.samples import CloseUpCrop

if TYPE_CHECKING:
    from refrestore.restore.mask import LearntMask

ViewOf = Callable[[CloseUpCrop], float]

MASK_ROLE = "mask"

_FACE = 0.5
"""Probability from which a pixel is face."""


def load_view(settings: RuntimeSettings) -> ViewOf | None:
    """Return what tells the share of a close-up's mesh that is face, 0..1; None in a pack without.

    Raises
    ------
    ModelError
        If the pack's face mask is missing or damaged.
    """
    store = ModelStore(settings)
    file = store.catalogue.role(settings.pack, MASK_ROLE)
    if file is None:
        return None
    path = store.locate(file.name)

    @cache
    def mask() -> LearntMask:
        # Torch takes seconds to load, and a film without close-ups needs none of it.
        import torch

        from refrestore.restore.mask import load_mask

        torch.set_num_threads(1)  # docs/decisions/005
        return load_mask(path)

    def share(close_up: CloseUpCrop) -> float:
        return _share(mask(), close_up)

    return share


def _share(mask: LearntMask, close_up: CloseUpCrop) -> float:
    import torch

    from refrestore.restore.mask import hull_input

    pixels = torch.from_numpy(close_up.image).permute(2, 0, 1)[None].float() / 255
    mesh = torch.from_numpy(close_up.landmarks)[None]
    hull = hull_input(mesh, close_up.image.shape[0])
    face = mask.probability(pixels, hull) > _FACE
    return float((face * hull).sum() / hull.sum().clamp(min=1))
