"""How long clustering takes for many tracks, on made embeddings with a realistic spread.

    python benchmarks/identity_scale.py [--tracks 100000] [-o benchmarks/identity_scale.json]

Fifty tracks a person; the cosine of a track to its person's centre is drawn from a normal
distribution of mean 0.75 and deviation 0.1, as of photos with EdgeFace-XS.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from refrestore.config import ScanSettings
from refrestore.evaluate.identity import bcubed
from refrestore.scan.clustering import Constraints, cluster_tracks
from refrestore.types import EMBEDDING_SIZE, Track

TRACKS_PER_PERSON = 50


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def made(count: int, seed: int = 0) -> tuple[list[Track], np.ndarray]:
    """Return tracks and who each is."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(max(1, count // TRACKS_PER_PERSON), EMBEDDING_SIZE)))
    who = random.integers(0, len(centres), count)
    near = np.clip(random.normal(0.75, 0.1, count), 0.3, 0.97)
    aside = random.normal(size=(count, EMBEDDING_SIZE))
    aside -= (aside * centres[who]).sum(1, keepdims=True) * centres[who]
    rows = near[:, None] * centres[who] + np.sqrt(1 - near**2)[:, None] * unit(aside)
    tracks = [
        Track(n, n // 5, 10 * n, 10 * n + 10, row, float(trust), 0.5, 80.0, False)
        for n, (row, trust) in enumerate(zip(rows.astype(np.float32), near, strict=True))
    ]
    return tracks, who


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    tracks, who = made(arguments.tracks)
    start = time.perf_counter()
    groups = cluster_tracks(tracks, Constraints(), threshold=ScanSettings().identity_threshold)
    seconds = time.perf_counter() - start
    home = {track: number for number, group in enumerate(groups) for track in group}
    score = bcubed(who.tolist(), [home.get(track.id) for track in tracks])
    result = {
        "tracks": len(tracks),
        "people": len(set(who.tolist())),
        "identities": len(groups),
        "precision": round(score.precision, 4),
        "recall": round(score.recall, 4),
        "seconds": round(seconds, 1),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
