"""Measure the network that says whether eyes are shut, on people and clips held out.

    python -m training.lids.evaluate CACHE [--weights models/lite/lids.safetensors] \
        [--output training/lids/evaluation.json]

CACHE is what `training.common.faces` wrote. Each face is degraded in every way, as it is and with
its lids drawn down (`draw_lids`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from refrestore.restore.drawn_lids import draw_lids
from refrestore.restore.lids import eye_pictures, load_lids
from training.common.degrade import degrade
from training.common.faces import INNER, Bank
from training.common.split import held_out
from training.lids.data import DEGRADATIONS, SEEN_FROM

FACES = 300
MARGIN = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/lids.safetensors"))
    parser.add_argument("--output", type=Path, default=Path("training/lids/evaluation.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bank, network = Bank.open(arguments.cache), load_lids(arguments.weights).network
    random = np.random.default_rng(0)
    apart = np.array([held_out(name) for name in bank.people])
    usable = apart[bank.person] & (bank.presence > 0.5) & (bank.eyes > SEEN_FROM)
    rows = random.permutation(np.flatnonzero(usable))[:FACES]
    inner = slice(MARGIN, MARGIN + INNER)
    found: dict[str, Any] = {}
    for kind in DEGRADATIONS:
        if kind == "drawn":
            continue
        said = []
        for share in (0.0, 1.0):
            faces = [
                degrade(
                    draw_lids(bank.crops[row], bank.landmarks[row], share)[inner, inner],
                    kind,
                    random,
                )
                for row in rows
            ]
            planes = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float() / 255
            meshes = torch.from_numpy(bank.landmarks[rows] - MARGIN).float()
            with torch.inference_mode():
                said.append(network(eye_pictures(planes, meshes)).sigmoid().numpy())
        opened, shut = said
        found[kind] = {
            "auc": round(float((shut[:, None] > opened).mean()), 4),
            "shut_found": round(float((shut > 0.5).mean()), 4),
            "open_kept": round(float((opened <= 0.5).mean()), 4),
        }
        print(kind, found[kind], flush=True)
    people = len(set(bank.person[rows].tolist()))
    result = {"faces": len(rows), "people": people, "kinds": found}
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
