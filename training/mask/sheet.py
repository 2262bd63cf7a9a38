"""Draw a sheet of what is put in front of training faces.

python -m training.mask.sheet BANK sheet.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from training.common.faces import Bank
from training.mask.data import Samples, real_hands
from training.mask.occluders import KINDS, cover


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--hands", type=Path)
    parser.add_argument("--kind")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    samples = Samples(Bank.open(arguments.bank), 0, hands=real_hands(arguments.hands))
    rows = []
    for number in range(6):
        row = []
        for step in range(10):
            kind = arguments.kind or list(KINDS)[(step + 10 * number) % len(KINDS)]
            face = samples.face()
            image, alpha = cover(face, kind, samples.textures, samples.random)
            image = image.copy()
            edge = (alpha > 0.5).astype(np.uint8)
            lines, _ = cv2.findContours(edge, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            half = cv2.drawContours(image.copy(), lines, -1, (0, 255, 0), 1)
            row.append(np.vstack([image, half]) if arguments.kind else image)
        rows.append(np.hstack(row))
    cv2.imwrite(str(arguments.sheet), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
