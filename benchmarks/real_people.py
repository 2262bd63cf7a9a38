"""Albums alone: photos that the profile did not get, as they are and as a tape would show them.

    python benchmarks/real_people.py MODELS PERSON... -o benchmarks/real_people.json

PERSON is a folder of photos of one. A profile is made of every second of them; the first of the
others is restored with it as it is and played from tapes of two kinds, as `refrestore image` does
it, and compared with the mean of the rest, which nobody but the two recognisers in MODELS saw.
"Always" is what references would do wherever they show more than the face, without the guard.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from guard import Bench, spoilt

from refrestore.config import RuntimeSettings
from refrestore.evaluate.tape import TAPES, Tape
from refrestore.media.stills import pictures_in
from refrestore.profiles import Profile
from refrestore.render.still import restore_picture
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.scan.photos import faces_of_pictures
from refrestore.types import FloatArray, Reference

KINDS: Mapping[str, Tape | None] = {
    "as it is": None,
    **{f"tape, {n} lines": replace(TAPES["worn tape"], luma_lines=n) for n in (160, 100)},
}

WORSE = -0.01

Row = dict[str, Any]


def rows(name: str, photos: Sequence[Reference], bench: Bench, guarded: Toolbox) -> Iterator[Row]:
    """Yield a row a kind: both scorers' likeness of the input, the job's result, and always."""
    profile = Profile.chosen(name, photos[::2], guarded.eyes.network)
    filmed, *others = photos[1::2]
    every = [bench.truth(one.image, one) for one in others]
    means = [np.mean(rows, 0) for rows in zip(*every, strict=True)]
    truth = [mean / np.linalg.norm(mean) for mean in means]

    def like(image: Any) -> FloatArray:
        pairs = zip(bench.truth(image, filmed), truth, strict=True)
        return np.array([seen @ true for seen, true in pairs], np.float32)

    for kind, how in KINDS.items():
        random = np.random.default_rng(zlib.crc32(name.encode()))
        picture = filmed.image if how is None else spoilt(filmed.image, how, random)
        ours = restore_picture(picture, guarded, profile=profile)
        always = restore_picture(picture, bench.toolbox, profile=profile)
        faces = sorted(ours.summary(), key=lambda face: -face["size"])
        yield {
            "person": name,
            "kind": kind,
            "input": like(picture),
            "ours": like(ours.image),
            "always": like(always.image),
            "why": f"{faces[0]['done']} ({faces[0]['reason']})" if faces else "no face found",
        }


def told(found: Sequence[Row]) -> dict[str, Any]:
    """Return means over people, first and second scorer."""
    before, ours, always = (np.stack([r[k] for r in found]) for k in ("input", "ours", "always"))
    change = ours - before
    error = change.std(0, ddof=1) / np.sqrt(len(found))
    return {
        "people": len(found),
        "input": _rounded(before.mean(0)),
        "ours": _rounded(ours.mean(0)),
        "change": _rounded(change.mean(0)),
        "standard error": _rounded(error),
        "always": _rounded((always - before).mean(0)),
        "worse by more than .01": (change < WORSE).sum(0).tolist(),
        "worst": _rounded(change.min(0)),
        "why": dict(Counter(row["why"] for row in found)),
    }


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(value), 3) for value in values]


def main() -> None:
    """Measure everybody who has five photos and write the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("people", type=Path, nargs="+", metavar="PERSON")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    guarded = open_toolbox(RuntimeSettings(models_dir=asked.models, threads=1))
    bench = Bench(asked.models)
    found: list[Row] = []
    for folder in sorted(asked.people):
        photos = faces_of_pictures(pictures_in([folder]), guarded.models).references
        if len(photos) >= 5:
            found += rows(folder.name, photos, bench, guarded)
            print(folder.name, *(_rounded(one["ours"] - one["input"]) for one in found[-3:]))
    kinds = {kind: told([row for row in found if row["kind"] == kind]) for kind in KINDS}
    text = json.dumps({"date": date.today().isoformat(), **kinds}, indent=1)
    asked.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
