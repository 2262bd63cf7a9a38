"""What a picture of somebody gets from the own profile, and from other people's.

    python benchmarks/others_profiles.py MODELS WORK PERSON... -o benchmarks/others_profiles.json

PERSON is a folder of photos of one, MODELS has the recognisers that score (MobileFaceNet and
EdgeFace), WORK keeps what was measured: a person takes half a minute, and the same command goes on
where it was stopped. One photo of everybody who has four is degraded in four ways and restored as
`refrestore image` does it: without a profile, with the own (of other photos), with that of the most
similar other person and with that of the next by name. By whom nothing was chosen are those of
half 1, every second by name (docs/decisions/027, 038).
"""

from __future__ import annotations

import argparse
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from guard import NEXT, OWN, SIMILAR, Bench, three_profiles

from refrestore.config import RuntimeSettings
from refrestore.evaluate.degrade import DEGRADATIONS, degrade
from refrestore.media.stills import pictures_in
from refrestore.profiles import Profile
from refrestore.render.still import restore_picture
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.guard import Choice
from refrestore.scan.photos import faces_of_pictures
from refrestore.types import FloatArray, Reference

FEWEST, MOST = 4, 8
"""Photos of a person: one is restored, a profile is made of the others."""

WITHOUT = "without"
WORSE = -0.02

Row = dict[str, Any]


def measured(
    name: str, photo: Reference, profiles: Mapping[str, Profile], bench: Bench, guarded: Toolbox
) -> list[Row]:
    """Return both scorers' likeness to the truth, a row a degradation; not of hidden faces."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    true, rows = bench.truth(photo.image, photo), []

    def like(image: Any) -> FloatArray:
        return np.array([a @ b for a, b in zip(bench.truth(image, photo), true, strict=True)])

    for kind, how in DEGRADATIONS.items():
        picture = degrade(photo.image, how.draw(random), random)
        row: Row = {"person": name, "kind": kind, "input": like(picture), "taken": {}}
        for which, profile in {WITHOUT: None, **profiles}.items():
            made = restore_picture(picture, guarded, profile=profile)
            if not len(made.faces):
                break
            largest = int(np.argmax(made.faces.size))
            row[which] = like(made.image)
            choice = made.judgements[largest].choice
            row["taken"][which] = bool(made.strength[largest]) and choice is Choice.RESTORED
        else:
            rows.append(row)
    return rows


def told(rows: Sequence[Row]) -> dict[str, Any]:
    """Return means over people, of both scorers.

    The own profile's and nobody's are over the input, the others' over nobody's.
    """
    found: dict[str, Any] = {"people": len(rows), "input": _means([row["input"] for row in rows])}
    for which in (WITHOUT, OWN, SIMILAR, NEXT):
        base = "input" if which in (WITHOUT, OWN) else WITHOUT
        change = np.stack([row[which] - row[base] for row in rows])
        over_input = np.stack([row[which] - row["input"] for row in rows])
        error = change.std(0, ddof=1) / np.sqrt(len(rows))
        found[which] = {
            f"over {base}": _means(change),
            "standard error": _rounded(error),
            "taken": round(float(np.mean([row["taken"][which] for row in rows])), 3),
            "worse than the input by .02, both scorers": int((over_input < WORSE).all(1).sum()),
        }
    return found


def _means(values: Any) -> list[float]:
    return _rounded(np.stack(list(values)).mean(0))


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(value), 4) for value in values]


def main() -> None:
    """Measure everybody who has four photos and write the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("people", type=Path, nargs="+", metavar="PERSON")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    kept = asked.work / "others_profiles.pkl"
    done: dict[str, list[Row]] = pickle.loads(kept.read_bytes()) if kept.exists() else {}
    guarded = open_toolbox(RuntimeSettings(models_dir=asked.models, threads=1))
    bench = Bench(asked.models)
    photos = {}
    for folder in sorted(asked.people, key=lambda one: one.name):
        found = faces_of_pictures(pictures_in([folder])[: 2 * MOST], guarded.models).references
        if len(found) >= FEWEST:
            photos[folder.name] = list(found)[:MOST]
    network = guarded.eyes.network
    profiles = {name: Profile.chosen(name, own[1:], network) for name, own in photos.items()}
    names = list(photos)
    for name in names:
        if name in done:
            continue
        three = three_profiles(name, profiles)
        done[name] = measured(name, photos[name][0], three, bench, guarded)
        kept.write_bytes(pickle.dumps(done))
        print(name, len(done[name]), flush=True)
    result: dict[str, Any] = {"date": date.today().isoformat()}
    for title, some in (("all", names), ("half 0", names[::2]), ("half 1", names[1::2])):
        rows = [row for name in some for row in done[name]]
        kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in DEGRADATIONS}
        result[title] = {kind: told(own) for kind, own in kinds.items() if len(own) > 1}
    asked.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
