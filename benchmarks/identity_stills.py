"""Clustering and open-set recognition of photos of known people.

    python benchmarks/identity_stills.py IDENTITIES [--pack lite] [--models-dir FOLDER]
        [--cache FILE.npz] -o benchmarks/identity_stills.json

IDENTITIES holds one folder of photos a person, or folders of such folders. Each photo stands for a
track of one face; what is known of them is their embedding and its trust, as in a scan. Looked at
as they are, and
degraded: shrunk until the face is 24 to 48 px, noise 4, JPEG 60. Results of several packs are kept
beside each other in the file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.degrade import Degradation, degrade, shrink
from refrestore.evaluate.identity import bcubed, open_set
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.profiles.profile import MATCH_MARGIN, MATCH_THRESHOLD
from refrestore.scan.clustering import Constraints, cluster_tracks
from refrestore.scan.samples import EmbeddingSample
from refrestore.scan.tracks import FOUNDING_SIZE, FOUNDING_WEIGHT, pool
from refrestore.types import ImageArray, Track

GROUPS = {"celeb20": ("celeb20_", 1), "lfw": ("lfw_", 5)}
"""Start of the folder's name, and the fewest photos of a person."""

FAR = "24-48"
"""Widths of the degraded photos that are clustered, log-uniform."""

WIDTHS = {"celeb20": (16, 20, 24, 32, 48), "lfw": ()}
"""Widths of the curve."""

MARGIN = 0.4
ENROLLED = 6
"""Photos in a profile."""


@dataclass
class Album:
    """Photos of many people, looked at in one way."""

    person: np.ndarray
    embedding: np.ndarray
    quality: np.ndarray
    size: np.ndarray


def people(folder: Path, start: str, fewest: int) -> Iterator[tuple[str, list[Path]]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(start):
            inside = sorted(entry.iterdir())
            for person in [entry] if inside[0].is_file() else inside:
                photos = sorted(person.glob("*.[jp][pn]g"))
                if len(photos) >= fewest:
                    yield person.name, photos


def look(models: FaceModels, image: ImageArray, size: int) -> tuple[np.ndarray, float, float]:
    """Return embedding (NaN without a face), quality and size of the largest face."""
    found = models.detector.detect([image], [0], size)
    if not len(found):
        return np.full(512, np.nan, np.float32), 0.0, 0.0
    face = models.describe(image, found[[int(np.argmax(found.size))]])
    return face.embedding[0], float(face.quality[0]), float(face.size[0])


def albums(folder: Path, group: str, models: FaceModels) -> dict[str, Album]:
    """Return the group as it is ("112"), far away, and at each width of the curve."""
    start, fewest = GROUPS[group]
    random = np.random.default_rng(0)
    rows: dict[str, list] = {"112": [], FAR: [], **{str(width): [] for width in WIDTHS[group]}}
    for number, (_, photos) in enumerate(people(folder, start, fewest)):
        for photo in photos:
            picture = np.ascontiguousarray(cv2.imread(str(photo))[..., ::-1])
            edge = round(MARGIN * max(picture.shape[:2]))
            image = cv2.copyMakeBorder(picture, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
            embedding, quality, size = look(models, image, 320)
            rows["112"].append((number, embedding, quality, size))
            far = float(np.exp(random.uniform(*np.log([24, 48]))))
            for name, width in {FAR: far, **{str(w): float(w) for w in WIDTHS[group]}}.items():
                factor = max(1.0, (size or 80.0) / width)
                chain = Degradation(shrink=factor, noise=4.0, quality=60)
                small = shrink(degrade(image, chain, random), Degradation(shrink=factor))
                rows[name].append((number, *look(models, small, max(small.shape[:2]))))
    return {
        name: Album(
            np.array([row[0] for row in part]),
            np.stack([row[1] for row in part]),
            np.array([row[2] for row in part]),
            np.array([row[3] for row in part]),
        )
        for name, part in rows.items()
    }


def tracks_of(album: Album) -> list[Track]:
    tracks = []
    for row, (embedding, quality, size) in enumerate(
        zip(album.embedding, album.quality, album.size, strict=True)
    ):
        seen = bool(np.isfinite(embedding).all())
        mean, weight = pool([EmbeddingSample(row, float(quality), embedding)] if seen else [])
        weak = size < FOUNDING_SIZE or weight < FOUNDING_WEIGHT
        tracks.append(Track(row, row, row, row + 1, mean, weight, quality, size, weak))
    return tracks


def clustering(album: Album, threshold: float) -> dict[str, float]:
    """Return B-cubed figures of all photos, and of those that are in an identity."""
    start = time.perf_counter()
    groups = cluster_tracks(tracks_of(album), Constraints(), threshold=threshold)
    seconds = time.perf_counter() - start
    where = {row: number for number, group in enumerate(groups) for row in group}
    found = [where.get(row) for row in range(len(album.person))]
    score = bcubed(album.person.tolist(), found)
    return {
        "photos": len(found),
        "people": len(set(album.person.tolist())),
        "identities": len(groups),
        "in_none": sum(one is None for one in found),
        "precision": round(score.precision, 4),
        "recall": round(score.recall, 4),
        "f": round(score.f, 4),
        "seconds": round(seconds, 2),
    }


def opened(clean: Album, probe: Album, rounds: int = 8) -> dict[str, float]:
    """Enrol random halves of the people with a few clean photos, and name the other photos."""
    random = np.random.default_rng(1)
    rates = []
    numbers = np.unique(clean.person)
    for _ in range(rounds):
        inside = random.permutation(numbers)[: len(numbers) // 2]
        centroids, known, owner = [], [], []
        for place, person in enumerate(inside):
            rows = np.flatnonzero((clean.person == person) & np.isfinite(clean.embedding[:, 0]))
            rows = random.permutation(rows)
            total = clean.embedding[rows[:ENROLLED]].sum(0)
            centroids.append(total / np.linalg.norm(total))
            rest = [row for row in rows[ENROLLED:] if np.isfinite(probe.embedding[row, 0])]
            known += [probe.embedding[row] for row in rest]
            owner += [place] * len(rest)
        outside = np.flatnonzero(
            ~np.isin(probe.person, inside) & np.isfinite(probe.embedding[:, 0])
        )
        rates.append(
            open_set(
                np.stack(known),
                np.array(owner),
                probe.embedding[outside],
                np.stack(centroids),
                thresholds=MATCH_THRESHOLD,
                margin=MATCH_MARGIN,
            )
        )
    return {
        key: round(float(np.mean([getattr(rate, key) for rate in rates])), 4)
        for key in ("found", "confused", "unknown")
    }


def load(path: Path) -> dict[str, dict[str, Album]]:
    table = np.load(path)
    result: dict[str, dict[str, Album]] = {}
    for name in table.files:
        group, width, column = name.split("/")
        result.setdefault(group, {}).setdefault(width, Album(*[np.zeros(0)] * 4))
        setattr(result[group][width], column, table[name])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("identities", type=Path)
    parser.add_argument("--pack", default="lite")
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("--cache", type=Path, help="keep what the networks said here")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if arguments.cache and arguments.cache.exists():
        seen = load(arguments.cache)
    else:
        runtime = RuntimeSettings(
            pack=arguments.pack, models_dir=arguments.models_dir, device="cpu", threads=1
        )
        models = load_face_models(load_face_pack(runtime), "cpu", threads=1)
        seen = {group: albums(arguments.identities, group, models) for group in GROUPS}
        if arguments.cache:
            columns = {
                f"{group}/{width}/{name}": value
                for group, parts in seen.items()
                for width, album in parts.items()
                for name, value in vars(album).items()
            }
            np.savez(arguments.cache, **columns)
    threshold = ScanSettings().identity_threshold
    result: dict[str, dict] = {"clustering": {}, "open_set": {}}
    for group, parts in seen.items():
        for width in ("112", FAR):
            album = parts[width]
            result["clustering"][f"{group}, {width} px"] = clustering(album, threshold)
    for width, album in seen["celeb20"].items():
        result["open_set"][f"{width} px"] = opened(seen["celeb20"]["112"], album)
    print(json.dumps(result, indent=1))
    if arguments.output:
        path = arguments.output
        every = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(every | {arguments.pack: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
