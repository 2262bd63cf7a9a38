"""Make the pairs that the stand-in generator learns from: degraded, fused and true faces.

    python -m training.gfpgan.prepare BANK PAIRS --count 5000 --seed 1

BANK is what `training.common.faces` wrote. The fusion network and the landmarks of the lite pack
make the fused faces, with none to five references. PAIRS receives 0.6 MB a pair; a training may
start while it still grows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from refrestore.restore.fusion import load_fusion
from training.gfpgan.data import Pairs, Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/fusion.safetensors"))
    parser.add_argument("--mesh", type=Path, default=Path("models/lite/landmarks.onnx"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pairs = Pairs(arguments.bank, arguments.mesh, arguments.seed)
    fusion = load_fusion(arguments.weights)
    store = Store.create(arguments.pairs, arguments.count)
    for row in range(arguments.count):
        store.write(row, pairs.pair(fusion))
        if row % 250 == 249:
            print(f"{row + 1} pairs", flush=True)


if __name__ == "__main__":
    main()
