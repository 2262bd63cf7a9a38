"""What tells whether references make a face more like itself, and what the guard then does.

    python benchmarks/guard.py MODELS WORK PERSON... [--half 0] [--fit] -o benchmarks/guard.json

PERSON is a folder of photos of one, MODELS has the recognisers that score (MobileFaceNet and
EdgeFace), WORK keeps what was measured: restoring takes three quarters of a minute a person, and
goes on where it was stopped. One photo of everybody is degraded in eleven ways and restored without
references and from three profiles: their own (of other photos), the most similar other person's,
and the next person's. `--half` takes every second person; with `--fit` the weights of
`Cosines.gain` are fitted on them, their own profile counting twice, and printed; without, the
weights of the tree are tried. The truth's likeness is the mean of both scorers' cosines.
"""

from __future__ import annotations

import argparse
import json
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from refrestore.config import RuntimeSettings
from refrestore.evaluate.degrade import Degradation, degrade
from refrestore.evaluate.scorer import SCORER_FILE, IdentityScorer
from refrestore.evaluate.tape import TAPES, Tape, on_tape
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.pose import mesh_keypoints
from refrestore.faces.recogniser import Recogniser
from refrestore.media.stills import pictures_in
from refrestore.profiles import Profile
from refrestore.profiles.cosines import Cosines, cosines
from refrestore.render.believed import between
from refrestore.render.crops import arcface_crops, bytes_of, from_uint8
from refrestore.render.low_resolution import (
    UNREADABLE_SHARE,
    shrunk_cosines,
    shrunk_embeddings,
    unreadable,
)
from refrestore.render.still import restore_picture
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.bank import own_likeness
from refrestore.restore.guard import (
    HALF,
    Belief,
    Choice,
    GuardSettings,
    clearer_than_shrunk,
    gain_terms,
    judge,
)
from refrestore.scan.photos import faces_of_pictures
from refrestore.types import FloatArray, ImageArray, Reference

FACE = 512 / 1.6
"""Height in pixels of a face in a 512-px crop, about."""

SHRUNK = {
    f"{size} px": Degradation(shrink=FACE / size, noise=3, quality=80) for size in (64, 40, 28, 20)
}
KINDS: Mapping[str, Degradation | Tape] = {
    **SHRUNK,
    "blurred a little": Degradation(blur=2, shrink=4, noise=4, quality=60),
    "64px": Degradation(blur=4, shrink=8, noise=12, quality=65),
    "24px": Degradation(shrink=512 / 24, noise=6, quality=60),
    **{f"tape, {n} lines": replace(TAPES["worn tape"], luma_lines=n) for n in (220, 160, 120, 90)},
}
GROUPS = {
    "readable": ("64 px", "blurred a little", "40 px"),
    "between": ("28 px", "64px", "tape, 220 lines", "tape, 160 lines"),
    "hardly": ("20 px", "24px", "tape, 120 lines", "tape, 90 lines"),
}
OWN, SIMILAR, NEXT = "own", "most similar", "next"

FEWEST = 5
ON_TAPE = 144
"""Side in pixels of a crop in a tape's picture: a face of 90 px."""

RIDGE = 1e-3
OWN_COUNTS = 2

REFERENCED = ("half", "restored")

Row = dict[str, Any]


def people_of(folders: Sequence[Path], half: int, toolbox: Toolbox) -> dict[str, list[Reference]]:
    """Return everybody's photos that a profile would take, of every second person."""
    found = {}
    for one in sorted(folders)[half::2]:
        photos = faces_of_pictures(pictures_in([one])[:24], toolbox.models).references
        if len(photos) >= FEWEST:
            found[one.name] = list(photos)
    return found


def spoilt(image: ImageArray, how: Degradation | Tape, random: np.random.Generator) -> ImageArray:
    """Return a 512-px crop degraded, at its size."""
    if isinstance(how, Degradation):
        return degrade(image, how, random)
    small = cv2.resize(image, (ON_TAPE, ON_TAPE), interpolation=cv2.INTER_AREA)
    picture = np.empty((480, 640, 3), np.uint8)
    picture[:] = small.mean((0, 1))
    place = slice(168, 168 + ON_TAPE), slice(248, 248 + ON_TAPE)
    picture[place] = small
    played = next(on_tape([picture], how, random))[place]
    return np.asarray(cv2.resize(played, (512, 512), interpolation=cv2.INTER_CUBIC), np.uint8)


class Bench:
    """The restorer without its guard, and who scores."""

    def __init__(self, models: Path) -> None:
        runtime = RuntimeSettings(models_dir=models, threads=1)
        self.toolbox = open_toolbox(runtime).without("guard")
        self.first = IdentityScorer(models / SCORER_FILE, "cpu", 1)
        self.second = Recogniser(models / "edgeface_xs.fp32.onnx", "cpu", 1)

    def truth(self, image: ImageArray, photo: Reference) -> list[FloatArray]:
        """Return both scorers' embeddings of a crop at the true face's place."""
        points = mesh_keypoints(photo.landmarks[None])
        small = crops(image, similarity(points, ARCFACE_TEMPLATE), 112)
        return [self.first.embed(small)[0], self.second.embed(small)[0]]

    def rows(self, name: str, photo: Reference, profiles: Mapping[str, Profile]) -> Iterator[Row]:
        """Yield what is measured of a photo, a row a degradation and profile."""
        random = np.random.default_rng(zlib.crc32(name.encode()))
        recogniser = self.toolbox.models.recogniser
        true = self.truth(photo.image, photo)
        for kind, how in KINDS.items():
            picture = spoilt(photo.image, how, random)
            plain = restore_picture(picture, self.toolbox)
            if not len(plain.faces):
                continue
            row = int(np.argmax(plain.faces.size))
            assert plain.faces.landmarks is not None
            mesh = plain.faces.landmarks[[row]]

            def seen(image: ImageArray, mesh: FloatArray = mesh) -> FloatArray:
                return recogniser.embed(arcface_crops(from_uint8(image[None]), mesh))

            itself = seen(picture)
            smaller = shrunk_embeddings(from_uint8(picture[None]), mesh, recogniser)
            shrunk = shrunk_cosines(itself, smaller)[0]
            for which, profile in profiles.items():
                result = restore_picture(picture, self.toolbox, profile=profile)
                if not result.strength[row]:
                    continue
                restored = seen(result.image)[0]
                both = (from_uint8(one.image[None]) for one in (plain, result))
                halved = bytes_of(between(*both, np.array([HALF])))[0].numpy()
                yield {
                    "person": name,
                    "kind": kind,
                    "profile": which,
                    "input": _cosine(self.truth(picture, photo), true),
                    "plain": _cosine(self.truth(plain.image, photo), true),
                    "restored": _cosine(self.truth(result.image, photo), true),
                    "half": _cosine(self.truth(halved, photo), true),
                    "seen": [itself[0], seen(plain.image)[0], restored, profile.centroid],
                    "shrunk": shrunk,
                    "clearer": clearer_than_shrunk(itself, smaller[-1], [profile.centroid]),
                    "alike": own_likeness(profile.embeddings),
                    "terms": gain_terms(
                        float(itself[0] @ profile.centroid),
                        float(restored @ itself[0]),
                        shrunk.tolist(),
                    ),
                }


def _cosine(some: Sequence[FloatArray], true: Sequence[FloatArray]) -> float:
    return float(np.mean([float(a @ b) for a, b in zip(some, true, strict=True)]))


def three_profiles(name: str, profiles: Mapping[str, Profile]) -> dict[str, Profile]:
    """Return somebody's own profile, the most similar other person's, and the next one's."""
    names = list(profiles)
    others = [one for one in names if one != name]
    near = max(others, key=lambda one: profiles[one].similarity(profiles[name].centroid))
    following = names[(names.index(name) + 1) % len(names)]
    return {OWN: profiles[name], SIMILAR: profiles[near], NEXT: profiles[following]}


def measure(people: Mapping[str, list[Reference]], bench: Bench, kept: Path) -> list[Row]:
    """Return all rows; those of people who are in `kept` are read from there."""
    done: dict[str, list[Row]] = pickle.loads(kept.read_bytes()) if kept.exists() else {}
    network = bench.toolbox.eyes.network
    profiles = {name: Profile.chosen(name, own[2:], network) for name, own in people.items()}
    names = list(profiles)
    for place, name in enumerate(names):
        if name in done:
            continue
        three = three_profiles(name, profiles)
        done[name] = list(bench.rows(name, people[name][place % 2], three))
        kept.write_bytes(pickle.dumps(done))
        print(name, len(done[name]), flush=True)
    return [row for name in names for row in done[name]]


def fit(rows: Sequence[Row]) -> list[float]:
    """Return the weights of a ridge regression of the gain over the input."""
    terms = np.array([row["terms"] for row in rows])
    gains = np.array([row["restored"] - row["input"] for row in rows])
    counts = np.array([OWN_COUNTS if row["profile"] == OWN else 1.0 for row in rows])
    penalty = RIDGE * counts.sum() * np.diag([0.0] + [1.0] * (terms.shape[1] - 1))
    weighted = terms * counts[:, None]
    return np.linalg.solve(weighted.T @ terms + penalty, weighted.T @ gains).round(3).tolist()


def enough(row: Row, levels: Cosines) -> bool:
    """Say whether a face of a still is like enough to the person, as `render.still` asks.

    But for the comparison with close-ups from afar.
    """
    _, own, _, change, *_ = row["terms"]
    share = float(unreadable(np.array([[1 - 10**change]]))[0])
    return own >= levels.blurred_of(row["alike"]) * (1 - (1 - UNREADABLE_SHARE) * share)


def shown_of(row: Row, weights: Sequence[float], levels: Cosines) -> str:
    """Return what the guard shows of a face, as a row names its likeness to the truth."""
    as_input, plain, restored, centroid = row["seen"]
    judged = judge(
        as_input[None],
        plain[None],
        restored[None],
        [centroid],
        beliefs=[Belief.SAME if enough(row, levels) else Belief.UNLIKE],
        gains=np.array([np.dot(weights, row["terms"])]),
        shrunk=row["shrunk"][None],
        clearer=row["clearer"],
        settings=GuardSettings(
            legible=levels.legible, recognised=levels.recognised, likely=levels.likely
        ),
    )[0]
    if judged.choice is Choice.RESTORED:
        return "half" if judged.share < 1 else "restored"
    return "plain" if judged.choice is Choice.UNREFERENCED else "input"


def outcome(rows: Sequence[Row], weights: Sequence[float], levels: Cosines) -> dict[str, Any]:
    """Return what the guard does with these weights, by profile and how readable faces are."""
    table: dict[str, Any] = {}
    for which in (OWN, SIMILAR, NEXT):
        for group, kinds in GROUPS.items():
            some = [row for row in rows if row["profile"] == which and row["kind"] in kinds]
            shown = [shown_of(row, weights, levels) for row in some]
            given = np.array(
                [row[what] - row["input"] for row, what in zip(some, shown, strict=True)]
            )
            gains = np.array([row["restored"] - row["input"] for row in some])
            table[f"{which}, {group}"] = {
                "faces": len(some),
                "used": round(float(np.mean([what in REFERENCED for what in shown])), 3),
                "half": round(float(np.mean([what == "half" for what in shown])), 3),
                "gain": round(float(given.mean()), 4),
                "worst": round(float(given.min()), 3),
                "always": round(float(gains.mean()), 4),
                "oracle": round(float(np.maximum(gains, 0).mean()), 4),
            }
    return table


def main() -> None:
    """Measure, fit if asked, and write what the guard does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("people", type=Path, nargs="+", metavar="PERSON")
    parser.add_argument("--half", type=int, choices=(0, 1), default=0)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(asked.models)
    people = people_of(asked.people, asked.half, bench.toolbox)
    rows = measure(people, bench, asked.work / f"rows{asked.half}.pkl")
    levels = cosines(bench.toolbox.eyes.network.name)
    weights = fit(rows) if asked.fit or levels.gain is None else list(levels.gain)
    print("weights", tuple(weights))
    told = json.loads(asked.output.read_text()) if asked.output.exists() else {}
    told[f"half {asked.half}"] = {
        "date": date.today().isoformat(),
        "people": len(people),
        "weights": weights,
        "fitted": asked.fit,
        "guard": outcome(rows, weights, levels),
    }
    asked.output.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
