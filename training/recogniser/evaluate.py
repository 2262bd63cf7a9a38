"""Score the student beside its teacher on people it never saw.

    python -m training.recogniser.evaluate BANK MODELS [--out OUT] [--weights FILE] [--scorer]

BANK is what `training.common.faces` wrote. Each validation face is scored as it is and with its
picture shrunk until the face (the detector's box) is 48, 32, 24 or 16 px wide, with noise (4-6)
and JPEG (60-75), and enlarged again; aligned by the keypoints of the clean picture, and once more
by keypoints that are off by 5 % of the interocular distance. `probe`: degraded against clean;
`both`: degraded against degraded. Writes `evaluation.json` into OUT
(this folder if none is given) and prints the table of it.

In clips it was the teacher that said who is who, which favours the teacher a little; two people
of one clip are not compared, since they may be one whom the teacher lost.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from refrestore.evaluate.degrade import jpeg
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.recogniser import Recogniser
from training.common.faces import SIDE, Bank
from training.common.split import CLIPS

SIZES = (0, 48, 32, 24, 16)
"""Width of the face in pixels; 0 is the picture as it is, at 112."""

OFF = 0.05
FALSE_ACCEPTS = 0.01
ACCEPT = 0.40
"""The project's clustering threshold, which should mean the same with both networks."""

ALIASES = {"jerry_seinfield": "jerry_seinfeld"}
SETS = ("celeb20", "lfw", "others", "all")

Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Picture (H, W, 3) and keypoints (1, 5, 2) → embeddings (1, D)."""


@dataclass(frozen=True)
class People:
    """Who is in each row, in which set, and of which clip (-1: a photo)."""

    person: np.ndarray
    part: np.ndarray
    clip: np.ndarray

    @classmethod
    def of(cls, names: list[str]) -> People:
        persons, parts, clips = [], [], []
        for name in names:
            film = name.split("#")[0]
            plain = name.rsplit("/", 1)[-1].lower()
            for start in ("celeb20_", "celeb5_", "sport_"):
                plain = plain.removeprefix(start)
            persons.append(ALIASES.get(plain, plain))
            parts.append(
                next((s for s in SETS[:2] if name.startswith((f"{s}_", f"{s}/"))), SETS[2])
            )
            clips.append(CLIPS.index(film) if film in CLIPS else -1)
        person = np.unique(persons, return_inverse=True)[1]
        return cls(person, np.array(parts), np.array(clips))

    def rows(self, part: str) -> np.ndarray:
        return np.flatnonzero((self.part == part) | (part == "all"))


def spoil(picture: np.ndarray, face: float, width: int, random: np.random.Generator) -> np.ndarray:
    """Show a picture as if its face, `face` pixels wide, had been `width` pixels wide."""
    side = max(8, round(SIDE * width / face))
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    noisy = small + random.normal(0, random.uniform(4, 6), small.shape)
    small = jpeg(np.clip(noisy, 0, 255).astype(np.uint8), int(random.integers(60, 76)))
    return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def embed_all(
    bank: Bank, rows: np.ndarray, networks: dict[str, Embed], seed: int
) -> dict[str, dict[tuple[int, bool], np.ndarray]]:
    """Embeddings of each network by face width and whether the keypoints are off."""
    found: dict[str, dict[tuple[int, bool], list[np.ndarray]]] = {name: {} for name in networks}
    for number, row in enumerate(rows):
        random = np.random.default_rng([seed, number])
        keypoints = bank.keypoints[row].astype(np.float64)
        wide = np.linalg.norm(bank.box[row, 1] - bank.box[row, 0])
        eyes = np.linalg.norm(keypoints[1] - keypoints[0])
        moved = keypoints + random.normal(0, OFF * eyes, keypoints.shape)
        for width in SIZES:
            picture = bank.crops[row]
            if width:
                picture = spoil(picture, wide, width, random)
            for name, embed in networks.items():
                for off, points in ((False, keypoints), (True, moved)):
                    found[name].setdefault((width, off), []).append(embed(picture, points[None])[0])
    return {
        name: {key: np.stack(value) for key, value in table.items()}
        for name, table in found.items()
    }


def verification(probes: np.ndarray, clean: np.ndarray, who: People, same: bool) -> dict:
    """True accepts at 1 % false ones, over all ordered pairs of two different pictures.

    `same`: both sides are the same embeddings, so that each pair counts once.
    """
    scores = probes @ clean.T
    one = who.person[:, None] == who.person[None]
    film = (who.clip[:, None] == who.clip[None]) & (who.clip >= 0)[:, None]
    valid = ~np.eye(len(scores), dtype=bool)
    if same:
        valid = np.triu(valid)
    mine, others = scores[valid & one], scores[valid & ~one & ~film]
    threshold = float(np.quantile(others, 1 - FALSE_ACCEPTS))
    return {
        "true_accepts": round(float((mine > threshold).mean()), 4),
        "threshold": round(threshold, 3),
        "same": round(float(mine.mean()), 3),
        "different": round(float(others.mean()), 3),
        "true_at_0.4": round(float((mine > ACCEPT).mean()), 4),
        "false_at_0.4": round(float((others > ACCEPT).mean()), 5),
    }


def nearest_centroid(probes: np.ndarray, clean: np.ndarray, person: np.ndarray) -> float:
    """Leave-one-out: the clean picture of a probe takes no part in its person's centroid."""
    people, index = np.unique(person, return_inverse=True)
    sums = np.stack([clean[person == who].sum(0) for who in people])
    right = 0
    for row, probe in enumerate(probes):
        centres = sums.copy()
        centres[index[row]] -= clean[row]
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        right += int(np.argmax(centres @ probe) == index[row])
    return right / len(probes)


def figures(
    bank: Bank, networks: dict[str, Embed], *, against: str = "teacher", seed: int = 1
) -> dict:
    """Return every figure, by network.

    Parameters
    ----------
    bank
        Faces; only those of validation people are used.
    networks
        What to compare. Cosines to the embedding of `against` on the clean face are given for
        those of its size.
    """
    rows = bank.rows(validation=True)
    who = People.of([bank.people[person] for person in bank.person[rows]])
    found = embed_all(bank, rows, networks, seed)
    result: dict = {"faces": len(rows), "people": len(np.unique(who.person)), "networks": {}}
    for name, table in found.items():
        clean = table[0, False]
        part = who.rows("celeb20")
        entry: dict = {"celeb20_nearest_centroid": {}, "verification": {}, "cosine_to_teacher": {}}
        for (width, off), probes in table.items():
            key = f"{width or 112}{' keypoints off' if off else ''}"
            entry["celeb20_nearest_centroid"][key] = round(
                nearest_centroid(probes[part], clean[part], who.person[part]), 4
            )
            target = found[against][0, False]
            if target.shape == probes.shape:
                entry["cosine_to_teacher"][key] = round(float((probes * target).sum(1).mean()), 4)
            for kind in SETS:
                chosen = who.rows(kind)
                some = People(who.person[chosen], who.part[chosen], who.clip[chosen])
                mine = probes[chosen]
                place = entry["verification"].setdefault(kind, {})
                if width or off:
                    place[f"{key} probe"] = verification(mine, clean[chosen], some, False)
                place[f"{key} both"] = verification(mine, mine, some, True)
        result["networks"][name] = entry
    return result


def table(result: dict) -> str:
    names = list(result["networks"])
    lines = [f"{result['faces']} faces of {result['people']} people", ""]
    lines += ["| celeb20, leave-one-out nearest centroid | " + " | ".join(names) + " |"]
    lines += ["|---|" + "---|" * len(names)]
    first = result["networks"][names[0]]
    for key in first["celeb20_nearest_centroid"]:
        cells = [f"{result['networks'][n]['celeb20_nearest_centroid'][key]:.3f}" for n in names]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    lines += ["", "| true accepts at 1 % false accepts | " + " | ".join(names) + " |"]
    lines += ["|---|" + "---|" * len(names)]
    for kind in SETS:
        for key in first["verification"][kind]:
            cells = [
                f"{result['networks'][n]['verification'][kind][key]['true_accepts']:.3f}"
                for n in names
            ]
            lines.append(f"| {kind}, {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def milliseconds(path: Path, batch: int = 8, times: int = 10) -> float:
    """One thread, milliseconds of processor time a face."""
    network = Recogniser(path, threads=1)
    images = np.random.default_rng(0).integers(0, 256, (batch, 112, 112, 3), np.uint8)
    network.embed(images)
    start = time.process_time()
    for _ in range(times):
        network.embed(images)
    return round((time.process_time() - start) / times / batch * 1000, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/recogniser.onnx"))
    parser.add_argument("--scorer", action="store_true", help="the independent recogniser as well")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    files = {"teacher": arguments.models / "edgeface_xs.fp32.onnx", "student": arguments.weights}
    networks: dict[str, Embed] = {
        name: Recogniser(path, threads=1).embed_faces for name, path in files.items()
    }
    if arguments.scorer:
        scorer = IdentityScorer(arguments.models / "mobilefacenet_scorer.onnx", threads=1)

        def score(picture: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
            return scorer.embed(crops(picture, similarity(keypoints, ARCFACE_TEMPLATE), 112))

        networks["scorer"] = score
    result = figures(Bank.open(arguments.bank), networks)
    result["milliseconds_a_face"] = {name: milliseconds(path) for name, path in files.items()}
    result["megabytes"] = round(arguments.weights.stat().st_size / 1e6, 2)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    print(f"\n{result['milliseconds_a_face']} ms, {result['megabytes']} MB")


if __name__ == "__main__":
    main()
