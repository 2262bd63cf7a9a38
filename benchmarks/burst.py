"""What a face gains from the frames around it, without any photo, and by which of its parts.

    python benchmarks/burst.py MODELS SOURCE... [--variants] -o benchmarks/burst.json

SOURCE is a clip of a talking head or a photo (a camera moves over it), MODELS has the recognisers
that score (MobileFaceNet and EdgeFace). Each is a shot of a film that is recorded on every tape
(`evaluate.tape`) and shrunk as far shots are; the film is scanned, and of every shot the middle
face is drawn. Likeness to the truth and PSNR inside the face, in crops of 256 px.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from refrestore.config import RenderSettings, RuntimeSettings, ScanSettings
from refrestore.evaluate.degrade import VIDEO_DEGRADATIONS
from refrestore.evaluate.film_maker import Filmed, Scene, make_film
from refrestore.evaluate.scorer import SCORER_FILE, IdentityScorer
from refrestore.evaluate.tape import TAPES
from refrestore.faces.recogniser import Recogniser
from refrestore.media.reader import VideoReader
from refrestore.media.tensors import FrameTensor, crops
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.render.crops import arcface_crops
from refrestore.render.face_table import gather
from refrestore.render.people import gather_people
from refrestore.render.recipe import read_recipe
from refrestore.render.refine import refine
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore import burst
from refrestore.restore.hull_mask import grown, hull_mask
from refrestore.scan.scan import scan
from refrestore.types import FloatArray

SIDE = 256
SIZE = (640, 480)
SECONDS = 1.4
HEIGHTS = (65.0, 120.0)
CONDITIONS = ("clean", *TAPES, *VIDEO_DEGRADATIONS)

VARIANTS: Mapping[str, Mapping[str, float]] = {
    "every frame of 17": {"STEP": 1},
    "9 frames, every one": {"REACH": 4, "STEP": 1},
    "5 of 9 frames": {"REACH": 4},
    "noise as it differs": {"NOISE": 1.0},
    "noise times 12": {"NOISE": 12.0},
    "raised 2 times at most": {"MOST": 2.0},
    "raised 8 times at most": {"MOST": 8.0},
    "agreement .02": {"AGREEMENT": 0.02},
    "agreement .08": {"AGREEMENT": 0.08},
}

Made = dict[str, list[list[float]]]


def film_of(condition: str, sources: Sequence[Path], folder: Path, tools: Toolbox) -> Path:
    """Write and scan a film of one shot a source; return its project's folder."""
    random = np.random.default_rng(3)
    chain = VIDEO_DEGRADATIONS.get(condition)
    far: dict[str, Any] = {}
    if chain is not None:
        far = {"degradation": chain.chain, "codec": chain.codec, "crf": chain.crf}
    scenes = [
        Scene((Filmed(one, 0.0, float(random.uniform(*HEIGHTS))),), SECONDS, **far)
        for one in sources
    ]
    film, truth = folder / "film.mkv", folder / "truth.mkv"
    make_film(
        scenes, film, truth, models=tools.models, size=SIZE, seed=4, tape=TAPES.get(condition)
    )
    return film


def bursts(film: Path, folder: Path, tools: Toolbox) -> Iterator[tuple[Any, ...]]:
    """Yield of each shot's middle face its crop, those around it, the truth and its mesh."""
    with Project.open(folder / "project") as project:
        info = project_film(project, film)
        people = gather_people(project, [], None, eyes=tools.eyes, fusion=tools.fusion)
        recipe = read_recipe(project, info, tools, people, RenderSettings())
        frames = project.shots()[-1].stop
    work = gather(recipe.plans, 0, frames, info.geometry, context=0, sides=(SIDE,))
    with VideoReader(film) as reader:
        work = refine(work, reader, info.geometry, recipe.tools(tools, SIDE)).work
    cut: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    with VideoReader(film) as seen, VideoReader(folder / "truth.mkv") as true:
        for one, other in zip(seen, true, strict=False):
            for row in work.rows_of_frame(one.index).tolist():
                matrix = work.to_crop[[row]]
                pictures = [FrameTensor.of(frame.picture) for frame in (one, other)]
                crop, truth = (crops([picture], matrix, SIDE)[0] for picture in pictures)
                cut[row] = (crop, truth)
    for _, rows in work.by_track():
        middle = int(rows[len(rows) // 2])
        first, last = (int(work.faces.frame[rows[place]]) for place in (0, -1))
        if last - first >= 2 * burst.REACH:
            frames_of = {int(work.faces.frame[row]): int(row) for row in rows}
            yield middle, work, cut, frames_of


class Bench:
    """The networks, and who scores."""

    def __init__(self, models: Path) -> None:
        runtime = RuntimeSettings(models_dir=models, threads=1)
        self.tools = open_toolbox(runtime).without("guard").without("burst")
        self.first = IdentityScorer(models / SCORER_FILE, "cpu", 1)
        self.second = Recogniser(models / "edgeface_xs.fp32.onnx", "cpu", 1)

    def likeness(self, images: torch.Tensor, mesh: FloatArray) -> list[FloatArray]:
        """Return both scorers' embeddings of a crop, (1, 3, S, S)."""
        small = arcface_crops(images, mesh).numpy()
        return [self.first.embed(small)[0], self.second.embed(small)[0]]

    def restored(self, images: torch.Tensor, mesh: FloatArray) -> torch.Tensor:
        """Return a crop as it is restored without any reference."""
        drawn = np.ones(1, np.float32)
        return self.tools.restorer.restore(images, mesh, [None], drawn=drawn).images

    @torch.inference_mode()
    def measure(self, film: Path, folder: Path, variants: bool) -> Made:
        """Return both cosines and PSNR of every shot, by what was done to its face."""
        made: Made = {}
        for row, work, cut, rows in bursts(film, folder, self.tools):
            face, truth = (one[None] for one in cut[row])
            mesh = work.landmarks[[row]]
            inside = hull_mask(grown(torch.from_numpy(mesh)), SIDE)[0] > 0.5
            true = self.likeness(truth, mesh)

            def near(row: int = row, rows: Any = rows, work: Any = work, cut: Any = cut) -> Any:
                at = int(work.faces.frame[row])
                offsets = range(-burst.REACH, burst.REACH + 1, burst.STEP)
                return [cut[rows[at + one]][0] for one in offsets if one and at + one in rows]

            def drawn(
                face: torch.Tensor = face, near: Callable[[], Any] = near
            ) -> tuple[torch.Tensor, torch.Tensor, FloatArray]:
                seen = burst.measured(face, [near()])
                blur = seen.blur()
                return burst.sharpened(face, seen.images, blur), seen.images, blur

            sharp, seen, blur = drawn()
            own = np.full(1, burst.OWN_ERROR)
            restored = self.restored(sharp, mesh)
            ways = {
                "input": face,
                "restored": self.restored(face, mesh),
                "mean of the frames as they are": torch.stack([face[0], *near()]).mean(0)[None],
                "laid over each other": burst.together(face, [near()]),
                "drawn": sharp,
                "drawn, restored": restored,
                "drawn, restored, put right": burst.agreeing(restored, seen, blur, own),
            }
            for name, values in VARIANTS.items() if variants else ():
                with patch.multiple(burst, **values):
                    ways[f"drawn, {name}"] = drawn()[0]
            for name, image in ways.items():
                scores = [
                    float(a @ b)
                    for a, b in zip(self.likeness(image.clamp(0, 1), mesh), true, strict=True)
                ]
                apart = float((image - truth)[0][:, inside].square().mean())
                made.setdefault(name, []).append([*scores, -10 * float(np.log10(apart + 1e-9))])
        return made


def main() -> None:
    """Measure every condition and write the means, and their differences to the input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--variants", action="store_true", help="Each part as it could be too.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    bench, table = Bench(asked.models), {}
    for condition in CONDITIONS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            film = film_of(condition, asked.sources, folder, bench.tools)
            runtime = RuntimeSettings(models_dir=asked.models, threads=1)
            scan(film, folder / "project", settings=ScanSettings(), runtime=runtime)
            made = bench.measure(film, folder, asked.variants)
        if not made:
            continue  # nobody in it needs anything
        inputs = np.array(made["input"])
        table[condition] = {"shots": len(inputs)} | {
            way: {
                "mean": np.mean(rows, 0).round(3).tolist(),
                "over input": (np.array(rows) - inputs).mean(0).round(3).tolist(),
                "error": ((np.array(rows) - inputs).std(0) / max(1, len(rows) - 1) ** 0.5)
                .round(3)
                .tolist(),
            }
            for way, rows in made.items()
        }
        print(condition, json.dumps(table[condition], indent=1), flush=True)
        columns = ["MobileFaceNet", "EdgeFace", "PSNR dB"]
        content = {"date": str(date.today()), "columns": columns, "conditions": table}
        asked.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
