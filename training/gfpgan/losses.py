"""What the stand-in generator is trained by."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F  # noqa: N812

from training.fusion.losses import Identity, SqueezeFeatures, charbonnier

OUTSIDE = 0.3
"""Weight of a pixel outside the mesh hull."""

SOFT = 0.2
"""Least weight of the fine detail of a truth that is soft itself."""

WINDOW = 176
"""Side of the part whose features are compared: all of the face."""

WEIGHTS = {
    "pixel": 1.0,
    "coarse": 1.0,
    "previews": 0.3,
    "features": 0.15,
    "stages": 0.5,
    "identity": 0.5,
    "patches": 0.01,
}


class Losses:
    """All terms of the loss of one batch.

    Parameters
    ----------
    models
        Folder of `squeezenet1_1_caffe.pth` and `edgeface_xs.fp32.onnx`.
    weights
        Of the terms, as `WEIGHTS`.
    identity
        Whether the recogniser looks too, which it does at 256 px only.
    """

    def __init__(self, models: Path, weights: dict[str, float], *, identity: bool) -> None:
        self.features = SqueezeFeatures(models / "squeezenet1_1_caffe.pth")
        self.features.to(memory_format=torch.channels_last)
        self.identity = Identity(models / "edgeface_xs.fp32.onnx") if identity else None
        self.weights = weights

    def __call__(
        self,
        out: torch.Tensor,
        previews: tuple[torch.Tensor, ...],
        batch: dict[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """Return the terms and, detached, `gain` (dB over the input) and `likeness`.

        Parameters
        ----------
        out : (B, 3, S, S)
            RGB 0..1; the truth in the batch has the same size.
        previews
            The encoder's RGB, 0..1, smallest first.
        batch
            As `Batches.batch` gives it.
        """
        truth, sharp = batch["truth"], batch["sharp"]
        hull = F.interpolate(batch["hull"], truth.shape[-2:], mode="bilinear")
        place = OUTSIDE + (1 - OUTSIDE) * hull
        detail = SOFT + (1 - SOFT) * sharp
        error = out - truth
        terms = {
            "pixel": (charbonnier(error) * place * detail.view(-1, 1, 1, 1)).mean(),
            "coarse": (charbonnier(F.avg_pool2d(error, 4)) * F.avg_pool2d(place, 4)).mean(),
            "previews": out.new_zeros(()),
        }
        for preview in previews:
            goal = F.adaptive_avg_pool2d(truth, preview.shape[-1])
            terms["previews"] = terms["previews"] + charbonnier(preview - goal).mean()
        window = self._window(truth.shape[-1])
        with torch.autocast("cpu", torch.bfloat16):
            mine = self.features(out[window])
            with torch.no_grad():
                theirs = self.features(truth[window])
        terms["features"] = _distance(mine, theirs, detail)
        if self.identity is not None:
            embedding, stages = self.identity(out, batch["arcface"])
            with torch.no_grad():
                wanted, goals = self.identity(truth, batch["arcface"])
            likeness = (embedding * wanted).sum(1)
            terms["identity"] = (1 - likeness).mean()
            terms["stages"] = _distance(stages, goals, detail)
            terms["likeness"] = likeness.mean().detach()
        with torch.no_grad():
            area = 3 * hull.sum((1, 2, 3))
            after, before = (
                ((x - truth).square() * hull).sum((1, 2, 3)) / area for x in (out, batch["given"])
            )
            terms["gain"] = 10 * (before / after).clamp(1e-3, 1e3).log10().mean()
            terms["psnr"] = -10 * after.clamp(min=1e-6).log10().mean()
        return terms

    @staticmethod
    def _window(side: int) -> tuple[object, ...]:
        if side <= WINDOW:
            return (...,)
        left, top = (int(torch.randint(side - WINDOW + 1, ())) for _ in range(2))
        return (..., slice(top, top + WINDOW), slice(left, left + WINDOW))

    def total(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        return sum(weight * terms[name] for name, weight in self.weights.items() if name in terms)


def _distance(
    mine: list[torch.Tensor], theirs: list[torch.Tensor], weight: torch.Tensor
) -> torch.Tensor:
    total = weight.new_zeros(())
    for one, other in zip(mine, theirs, strict=True):
        total = total + ((one - other).square().sum(1).mean((1, 2)) * weight).mean()
    return total
