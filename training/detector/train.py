"""Train the face detector of the lite pack.

    python -m training.detector.train CACHE RUN [--minutes 48] [--seed 0]

CACHE is what prepare.py wrote; RUN receives checkpoints, the log and `detector_raw.onnx`, whose
scores are not calibrated yet (calibrate.py). The same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.common.export import export
from training.common.run import Run
from training.detector.anchors import anchor_table, batch
from training.detector.data import SIDE, Canvases
from training.detector.network import STRIDES, DetectorNet, Exported

BATCH = 16
FOCUS = 2.0
"""Exponent of the quality focal loss (NeurIPS 2020)."""

QUALITY = 0.5
"""The score aims at the overlap to this power: small faces, whose boxes are coarse, count more."""

BOX_WEIGHT, POINT_WEIGHT = 2.0, 4.0
POINT_LINEAR = 0.02
"""Keypoint error, in face sizes, above which its loss is linear."""


def overlaps(found: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return IoU and DIoU loss of boxes (P, 4)."""
    low = torch.maximum(found[:, :2], wanted[:, :2])
    high = torch.minimum(found[:, 2:], wanted[:, 2:])
    inner = (high - low).clamp(min=0).prod(1)
    area = (found[:, 2:] - found[:, :2]).clamp(min=0).prod(1)
    full = (wanted[:, 2:] - wanted[:, :2]).prod(1)
    iou = inner / (area + full - inner).clamp(min=1e-3)
    hull = torch.maximum(found[:, 2:], wanted[:, 2:]) - torch.minimum(found[:, :2], wanted[:, :2])
    apart = ((found[:, :2] + found[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2).square().sum(1)
    return iou, 1 - iou + apart / hull.square().sum(1).clamp(min=1e-3)


def losses(
    levels: list[torch.Tensor],
    rows: torch.Tensor,
    targets: torch.Tensor,
    centres: torch.Tensor,
    strides: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Quality focal loss, DIoU and keypoints; shapes as `anchors.batch` gives them."""
    found = torch.cat(levels, 1).float()
    score = found[..., 0]
    positive = rows >= 0
    at = positive.nonzero(as_tuple=True)
    stride, centre = strides[at[1], None], centres[at[1]]
    values, target = found[at], targets[at]
    reach = values[:, 1:5] * stride
    boxes = torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], 1)
    iou, box_loss = overlaps(boxes, target[:, :4])
    quality = torch.zeros_like(score)
    quality[at] = iou.detach().clamp(0, 1) ** QUALITY
    weight = (quality - score.sigmoid()).abs().pow(FOCUS) * (rows > -2)
    focal = functional.binary_cross_entropy_with_logits(score, quality, reduction="none") * weight
    count = quality[at].sum().clamp(min=1)
    size = (target[:, 2:4] - target[:, :2]).prod(1).sqrt()[:, None]
    points = centre.repeat(1, 5) + values[:, 5:] * stride
    off = (points - target[:, 4:]) / size
    point_loss = functional.smooth_l1_loss(
        off, torch.zeros_like(off), beta=POINT_LINEAR, reduction="none"
    )
    trust = quality[at]
    terms = {
        "score": focal.sum() / count,
        "box": (box_loss * trust).sum() / count,
        "points": (point_loss.mean(1) * trust).sum() / count,
    }
    terms["total"] = terms["score"] + BOX_WEIGHT * terms["box"] + POINT_WEIGHT * terms["points"]
    return terms | {"iou": iou.detach().mean(), "positives": positive.sum() / len(rows)}


def write(network: nn.Module, path: Path, shift: float = 0.0) -> None:
    names = [f"{kind}_{stride}" for kind in ("score", "box", "points") for stride in STRIDES]
    free = {name: {0: "n", 1: name} for name in names}
    export(
        Exported(network, shift),
        path,
        torch.zeros(2, 3, 64, 96),
        inputs="images",
        outputs=names,
        axes={"images": {0: "n", 2: "height", 3: "width"}, **free},
        about="Face detector in SCRFD's form, trained from random weights (training/detector).",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=48)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    network = DetectorNet().to(memory_format=torch.channels_last).train()
    run = Run(
        arguments.run,
        network,
        minutes=arguments.minutes,
        rate=arguments.rate,
        decay=1e-3,
        save=lambda mean: write(mean, arguments.run / "detector_raw.onnx"),
    )
    cv2.setRNGSeed(arguments.seed + run.steps)
    source = Canvases(arguments.cache, np.random.default_rng(arguments.seed + run.steps))
    table = anchor_table(SIDE)
    centres = torch.from_numpy(table[0]).float()
    counts = torch.tensor([part.stop - part.start for part in table[2]])
    strides = torch.tensor(STRIDES, dtype=torch.float32).repeat_interleave(counts)
    while run.more():
        images, rows, targets = batch(source, BATCH, table)
        planes = (torch.from_numpy(images).float() - 127.5) / 128
        planes = planes.permute(0, 3, 1, 2)  # channels_last as it lies
        with torch.autocast("cpu", torch.bfloat16):
            levels = network(planes)
        run.step(
            losses(levels, torch.from_numpy(rows), torch.from_numpy(targets), centres, strides)
        )


if __name__ == "__main__":
    main()
