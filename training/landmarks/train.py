"""Train the dense landmark network.

    python -m training.landmarks.train CACHE DATA MODELS RUN [--minutes 33] [--seed 3]

CACHE is what `training.common.faces` wrote, DATA the data (backgrounds come from its clips),
MODELS the teachers. RUN receives checkpoints and `landmarks.onnx`; the same command goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from refrestore.faces.landmarker import Landmarker
from training.common.export import export
from training.common.faces import Bank
from training.common.run import Run
from training.landmarks.data import Samples, backgrounds, shape_basis, weights
from training.landmarks.network import BASIS, SIDE, Exported, MeshNetwork

BATCH = 64
RATE = 2e-3
PRESENCE_SHARE = 0.05


def write(network: nn.Module, path: Path) -> None:
    export(
        Exported(network),
        path,
        torch.rand(2, SIDE, SIDE, 3),
        inputs="picture",
        outputs=["points", "presence"],
        axes={name: {0: "faces"} for name in ("picture", "points", "presence")},
        about="468-point face mesh; RGB 0..1 in, points in 0..192 and a presence logit out",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cache", "data", "models", "run"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--minutes", type=float, default=33)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    teacher = Landmarker(arguments.models / "face_landmark_468.onnx", threads=1)
    random = np.random.default_rng(arguments.seed)
    nothing = backgrounds(arguments.data, teacher, random)
    samples = Samples(Bank.open(arguments.cache), nothing, arguments.seed)
    print(f"{len(samples.crops)} faces, {len(nothing)} squares without", flush=True)
    network = MeshNetwork(*shape_basis(samples, 12_000, BASIS))
    network = network.to(memory_format=torch.channels_last).train()
    run = Run(
        arguments.run,
        network,
        minutes=arguments.minutes,
        rate=RATE,
        save=lambda mean: write(mean, arguments.run / "landmarks.onnx"),
    )
    # A run that goes on does not see the same samples again.
    samples.random = np.random.default_rng([arguments.seed, run.steps])
    weight = torch.from_numpy(weights())
    while run.more():
        batch = samples.batch(BATCH)
        faces = len(batch["points"])
        with torch.autocast("cpu", torch.bfloat16):
            points, logits = network(batch["picture"])
        apart = (points[:faces] - batch["points"]).view(faces, -1, 2)
        distance = (apart.square().sum(2) + 1e-8).sqrt() / batch["norm"][:, None]
        present = torch.zeros(BATCH)
        present[:faces] = 1
        presence = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], present)
        error = (distance * weight).mean()
        run.step(
            {
                "total": error + PRESENCE_SHARE * presence,
                "points": distance.detach().mean(),
                "presence": presence.detach(),
            }
        )


if __name__ == "__main__":
    main()
