"""How well profiles recognise people, and what their thresholds rest on.

    python benchmarks/profile_matching.py PEOPLE --strangers STRANGERS --pack lite \\
        -o benchmarks/profile_matching.json

PEOPLE and STRANGERS hold one folder of photos a person. Profiles are made of a few random photos of
half of the people; the rest of their photos, the other half (strangers) and one photo of each of
STRANGERS are matched with them. The numbers under "cosines" belong into
`refrestore/profiles/cosines.py`. The output keeps what it says of other packs.
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from refrestore.config import RuntimeSettings
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.media.stills import read_picture
from refrestore.models.pack import load_face_pack
from refrestore.profiles import Profile
from refrestore.profiles.calibration import TAIL, calibrated, expected_own, left_out
from refrestore.profiles.cosines import cosines
from refrestore.profiles.profile import MATCH_MARGIN, MATCH_THRESHOLD, likeness
from refrestore.scan.majority import one_person
from refrestore.scan.photos import flaw
from refrestore.types import Reference

MOST_PHOTOS = 30
"""Photos used per person, so that nobody weighs more than others."""

FEWEST_PHOTOS = 10
MARGIN = 40
"""Pixels added around tight crops; the detector wants to see a whole head."""

SIZES = (1, 3, 6, 10)
UPPER = (0.98, 0.999)
LOWER = 0.05
TAIL_SHARES = (0.003, 0.01, 0.02, 0.05, 0.1)
"""Quantiles that the models of strangers and of the person go through."""

TYPICAL = 6
"""Photos of the profiles that `profile_cosines` is measured with."""

MIXES = ((8, 0), (8, 1), (8, 3), (12, 5))
"""Photos in an album, and how many of them are one stranger's."""

BLANK = np.zeros((512, 512, 3), np.uint8)
Embeddings = NDArray[np.float32]
People = dict[str, Embeddings]


def embeddings(folder: Path, models: FaceModels, most: int) -> Embeddings:
    """Return the embeddings (N, 512) of the largest face of each photo good enough for a profile.

    As `refrestore profile build` sees them, but for the size of the face, which is small here.
    """
    rows = []
    for file in sorted(folder.glob("*.[jp][pn]g"))[:most]:
        image = np.pad(read_picture(file), ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), "edge")
        found = models.detector.detect([image], [0], 320)
        if not len(found):
            continue
        face = models.describe(image, found[[int(np.argmax(found.size))]])
        if flaw(face) is None:
            rows.append(face.embedding[0])
    return np.array(rows, np.float32).reshape(-1, 512)


def profile_of(name: str, rows: Embeddings, recogniser: str) -> Profile:
    references = tuple(
        Reference(
            BLANK,
            np.zeros((468, 2), np.float32),
            row,
            np.zeros(3, np.float32),
            1,
            1,
            200,
            f"photo {number}",
        )
        for number, row in enumerate(rows)
    )
    return Profile(name, references, recogniser)


def measured_cosines(people: People, rng: np.random.Generator, rounds: int) -> dict[str, float]:
    """Return what `profile_cosines` holds."""
    strangers, own, away, pairs = [], [], [], []
    for _ in range(rounds):
        for name, photos in people.items():
            order = rng.permutation(len(photos))
            profile = profile_of(name, photos[order[:TYPICAL]], "")
            mine = photos[order[TYPICAL:]] @ profile.centroid
            own.append(mine.mean())
            away += list(mine - mine.mean())
            for other, rows in people.items():
                if other != name:
                    strangers += list(rows[:FEWEST_PHOTOS] @ profile.centroid)
    names = list(people)
    for number, name in enumerate(names):
        for other in names[:number]:
            pairs += list((people[name] @ people[other].T).ravel())
    above = tail(strangers, UPPER)
    return {
        "strangers_mean": round(above.mean, 3),
        "strangers_deviation": round(above.stdev, 3),
        "stranger": round(float(np.mean(strangers)), 3),
        "own_mean": round(float(np.mean(own)), 3),
        "own_deviation": round(float(np.quantile(away, LOWER)) / NormalDist().inv_cdf(LOWER), 3),
        "pairs_99th_percentile": round(float(np.quantile(pairs, 0.99)), 2),
    }


def tail(values: list[float], shares: tuple[float, float]) -> NormalDist:
    """Return the normal distribution that has two of the values' quantiles."""
    low, high = np.quantile(values, shares)
    first, second = map(NormalDist().inv_cdf, shares)
    deviation = float(high - low) / (second - first)
    return NormalDist(float(low) - first * deviation, deviation)


def taken(
    faces: Embeddings, profiles: list[Profile], fixed: bool, margin: float = MATCH_MARGIN
) -> NDArray[np.int64]:
    """Return the profile each face is taken for, -1 for none, as `profiles.match` does."""
    scores = faces @ np.stack([one.centroid for one in profiles]).T
    best = np.argmax(scores, axis=1)
    first, second = np.sort(scores, axis=1)[:, :-3:-1].T
    least = MATCH_THRESHOLD if fixed else np.array([one.threshold for one in profiles])[best]
    return np.where((first >= least) & (first - second >= margin), best, -1)


def open_set(
    people: People, strangers: Embeddings, recogniser: str, size: int, rounds: int, seed: int
) -> dict[str, object]:
    """Return rates with half of the people known, over random choices of them and of photos."""
    rng = np.random.default_rng(seed)
    names = list(people)
    thresholds, expected, missed = [], [], []
    rates: dict[str, list[bool]] = {}
    for _ in range(rounds):
        order = rng.permutation(len(names))
        known = [names[i] for i in order[: len(names) // 2]]
        unknown = np.concatenate([people[names[i]] for i in order[len(names) // 2 :]])
        photos = {name: rng.permutation(people[name]) for name in known}
        chosen = [photos[name][:size] for name in known]
        profiles = [
            calibrated(profile_of(name, rows, recogniser), [x for x in chosen if x is not rows])
            for name, rows in zip(known, chosen, strict=True)
        ]
        thresholds += [one.threshold for one in profiles]
        for kind, fixed in (("calibrated", False), ("fixed", True)):
            for number, name in enumerate(known):
                found = taken(photos[name][size:], profiles, fixed) == number
                rates.setdefault(f"{kind}_found", []).extend(found)
            rates.setdefault(f"{kind}_unknown_taken", []).extend(
                taken(unknown, profiles, fixed) >= 0
            )
            rates.setdefault(f"{kind}_strangers_taken", []).extend(
                taken(strangers, profiles, fixed) >= 0
            )
        rates.setdefault("without_margin_unknown_taken", []).extend(
            taken(unknown, profiles, False, 0.0) >= 0
        )
        for one in profiles:
            rest = photos[one.name][size:] @ one.centroid
            expected.append(one.calibration.misses)
            missed.append(np.mean(rest < one.threshold))
    return {
        "photos": size,
        **{name: round(float(np.mean(values)), 4) for name, values in rates.items()},
        "thresholds": [round(float(np.quantile(thresholds, q)), 3) for q in (0, 0.5, 1)],
        "misses_expected": round(float(np.mean(expected)), 4),
        "misses": round(float(np.mean(missed)), 4),
    }


def albums(people: People, recogniser: str, rounds: int, seed: int) -> list[dict[str, object]]:
    """Return what becomes of photos of one stranger in albums, look-alikes apart."""
    rng = np.random.default_rng(seed)
    levels, means = cosines(recogniser), {}
    for name, rows in people.items():
        means[name] = profile_of(name, rows, recogniser).centroid
    results = []
    for size, wrong in MIXES:
        for kind in ("anybody", "most alike") if wrong else ("nobody",):
            kept = dropped = refused = albums = 0
            for name in people:
                others = sorted(
                    (n for n in people if n != name), key=lambda n: -float(means[n] @ means[name])
                )
                for _ in range(rounds):
                    who = others[0] if kind == "most alike" else str(rng.choice(others))
                    mine = rng.permutation(people[name])[: size - wrong]
                    theirs = rng.permutation(people[who])[:wrong]
                    found = one_person(np.concatenate([mine, theirs]), levels)
                    albums += 1
                    if not found.clear:
                        refused += 1
                        continue
                    kept += np.count_nonzero(found.own[size - wrong :])
                    dropped += np.count_nonzero(~found.own[: size - wrong])
            left = albums - refused
            results.append(
                {
                    "album": size,
                    "strangers": wrong,
                    "stranger": kind,
                    "albums_refused": round(refused / albums, 4),
                    "strangers_kept": round(kept / max(left * wrong, 1), 4),
                    "own_left_out": round(dropped / max(left * (size - wrong), 1), 4),
                }
            )
    return results


def likenesses(people: People, rounds: int, seed: int) -> list[dict[str, object]]:
    """Return quantiles of the likeness of two sets of one person's photos, and of two people's."""
    rng, results = np.random.default_rng(seed), []
    for size in SIZES[1:]:
        own, others = [], []
        for _ in range(rounds):
            photos = {name: rng.permutation(rows) for name, rows in people.items()}
            for name, rows in photos.items():
                if len(rows) >= 2 * size:
                    own.append(likeness(rows[:size], rows[size : 2 * size]))
                others += [
                    likeness(rows[:size], photos[other][:size]) for other in people if other > name
                ]
        results.append(
            {
                "photos": size,
                "own": [round(float(np.quantile(own, q)), 2) for q in (0, 0.01, 0.5)],
                "others": [round(float(np.quantile(others, q)), 2) for q in (0.99, 0.999, 1)],
            }
        )
    return results


def own_tail(
    people: People, recogniser: str, rng: np.random.Generator, rounds: int
) -> list[dict[str, object]]:
    """Return how far below their expected mean people's other photos are, in expected deviations.

    Beside the quantiles that `profile_calibration` expects.
    """
    results = []
    for size in SIZES:
        away = []
        for _ in range(rounds):
            for name, photos in people.items():
                order = rng.permutation(len(photos))
                profile = profile_of(name, photos[order[:size]], recogniser)
                own = expected_own(profile)
                away += list((photos[order[size:]] @ profile.centroid - own.mean) / own.scale)
        results.append(
            {
                "photos": size,
                "measured": {str(q): round(float(np.quantile(away, q)), 2) for q in TAIL_SHARES},
                "expected": {str(q): round(float(stdtrit(TAIL, q)), 2) for q in TAIL_SHARES},
                "normal": {str(q): round(NormalDist().inv_cdf(q), 2) for q in TAIL_SHARES},
            }
        )
    return results


def leave_one_out(people: People, recogniser: str) -> list[list[float]]:
    """Return the quartiles of each person's leave-one-out similarities."""
    found = [left_out(profile_of(name, rows, recogniser)) for name, rows in people.items()]
    return [[round(float(np.quantile(one, q)), 2) for q in (0.25, 0.5, 0.75)] for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("people", type=Path)
    parser.add_argument("--strangers", type=Path, required=True)
    parser.add_argument("--pack", choices=("lite", "full", "teachers"), default="lite")
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    runtime = RuntimeSettings(
        device="cpu", pack=arguments.pack, models_dir=arguments.models_dir, threads=1
    )
    pack = load_face_pack(runtime)
    models = load_face_models(pack, runtime.device, threads=1)
    people = {
        folder.name: found
        for folder in sorted(arguments.people.iterdir())
        if folder.is_dir()
        and len(found := embeddings(folder, models, MOST_PHOTOS)) >= FEWEST_PHOTOS
    }
    same = {name.partition("_")[2] for name in people}  # whoever is in both sets is no stranger
    folders = [one for one in sorted(arguments.strangers.iterdir()) if one.name not in same]
    strangers = np.concatenate([embeddings(one, models, 1) for one in folders])
    recogniser, rounds, seed = pack.recogniser.stem, arguments.rounds, arguments.seed
    result = {
        "recogniser": recogniser,
        "people": len(people),
        "photos": sum(map(len, people.values())),
        "strangers": len(strangers),
        "cosines": measured_cosines(people, np.random.default_rng(seed), rounds),
        "own_tail": own_tail(people, recogniser, np.random.default_rng(seed), rounds),
        "open_set": [open_set(people, strangers, recogniser, size, rounds, seed) for size in SIZES],
        "albums": albums(people, recogniser, rounds, seed),
        "likeness": likenesses(people, rounds, seed),
        "leave_one_out": leave_one_out(people, recogniser),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "machine": platform.machine(),
    }
    print(json.dumps(result, indent=2))
    if arguments.output:
        known = {}
        if arguments.output.exists():
            known = json.loads(arguments.output.read_text())
        known[arguments.pack] = result
        arguments.output.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
