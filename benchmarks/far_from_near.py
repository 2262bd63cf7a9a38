"""Are far faces restored from near ones? A film with ground truth says so.

    python benchmarks/far_from_near.py CLIPS SCORER WORK [--json out.json]

CLIPS is a folder of talking heads (shared/data/clips), SCORER the recogniser that scores and
takes no part in the work (mobilefacenet_scorer.onnx), WORK an empty folder for the films. Makes a
film in which four people are each seen near and clean, then far and degraded, and then two at
once, runs the whole job with and without references, and compares every far face to the true one.
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings
from refrestore.engine.run import run
from refrestore.evaluate.degrade import Degradation
from refrestore.evaluate.film_maker import Filmed, Scene, SceneLabel, make_film
from refrestore.evaluate.metrics import cosine_similarity, identity_jitter, psnr
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, FFHQ_TEMPLATE, crops, similarity
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.models import load_face_pack
from refrestore.types import ImageArray

PEOPLE = (
    "LivePortrait__assets_examples_source_s20.mp4",
    "LivePortrait__assets_examples_driving_d12.mp4",
    "MegaPortrait-hack__junk_M2Ohb0FAaJU_1.mp4",
    "video-retalking__examples_face_2_f431ba.mp4",
)
"""None of them was seen in training (training/fusion/data.py, HELD_OUT)."""

NEAR, FAR = 300.0, 110.0
"""Height of a face, pixels of the 1280 x 720 film."""

MODERATE = Degradation(blur=1.0, shrink=3.0, noise=5.0, quality=70)
SEVERE = Degradation(blur=1.5, shrink=4.5, noise=6.0, quality=60)
"""Faces of 110 px shrunk to 37 and to 24."""

SCORE_EVERY = 3
"""Frames between scored ones."""


def scenes(clips: Path) -> list[Scene]:
    """Return the film: everybody near, everybody far, and twice two at once."""

    def person(name: str, start: float, face: float) -> Filmed:
        return Filmed(clips / name, start, face)

    near = [Scene((person(name, 0.0, NEAR),), 1.6) for name in PEOPLE]
    far = [
        Scene((person(name, 2.0, FAR),), 1.2, MODERATE if place % 2 else SEVERE)
        for place, name in enumerate(PEOPLE)
    ]
    pairs = [
        Scene(tuple(person(name, 2.6, FAR) for name in pair), 1.2, chain)
        for pair, chain in ((PEOPLE[:2], SEVERE), (PEOPLE[2:], MODERATE))
    ]
    return [scene for both in zip(near, far, strict=True) for scene in both] + pairs


def pictures(video: Path, frames: set[int]) -> dict[int, ImageArray]:
    with VideoReader(video) as reader:
        return {frame.index: display_rgb(frame) for frame in reader if frame.index in frames}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("scorer", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    models = load_face_models(load_face_pack(RuntimeSettings()))
    film, truth = options.work / "film.mp4", options.work / "truth.mkv"
    plan = scenes(options.clips)
    labels = make_film(plan, film, truth, models=models)
    project = options.work / "project"
    rows = {"input": film}
    for name, count in (("without references", 0), ("with references", 5)):
        output = options.work / f"{name.replace(' ', '-')}.mkv"
        settings = RenderSettings(references=count)
        encoder = EncoderSettings(codec="ffv1")
        result = run([film], output, project=project, render_settings=settings, encoder=encoder)
        rows[name] = result[0].output
    report = {
        "command": "python benchmarks/far_from_near.py CLIPS SCORER WORK",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {platform.python_version()}",
        **score(rows, truth, labels, plan, models, IdentityScorer(options.scorer), options.work),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def score(
    rows: dict[str, Path],
    truth: Path,
    labels: list[SceneLabel],
    plan: list[Scene],
    models: FaceModels,
    scorer: IdentityScorer,
    work: Path,
) -> dict[str, object]:
    """Compare every far face of every row with the true one."""
    far = [(label, scene) for label, scene in zip(labels, plan, strict=True) if label.degraded]
    frames = {frame for label, _ in far for frame in range(label.first, label.stop, SCORE_EVERY)}
    true = pictures(truth, frames)
    found = {
        frame: models.describe(image, models.detector.detect([image], [frame], 640), embed=False)
        for frame, image in true.items()
    }
    kinds = {id(MODERATE): "moderate", id(SEVERE): "severe"}
    sheets: dict[int, list[ImageArray]] = {}
    result: dict[str, object] = {}
    wanted: dict[int, np.ndarray] = {}
    for name, video in {"truth": truth, **rows}.items():
        shown = true if name == "truth" else pictures(video, frames)
        scores: dict[str, list[float]] = {"moderate": [], "severe": []}
        ratios: dict[str, list[float]] = {"moderate": [], "severe": []}
        jitter: list[float] = []
        for label, scene in far:
            kind = kinds[id(scene.degradation)]
            tracks: dict[int, list[np.ndarray]] = {}
            for frame in range(label.first, label.stop, SCORE_EVERY):
                faces = found[frame]
                if not len(faces):
                    continue
                order = np.argsort(faces.box[:, 0])
                faces = faces[order]
                cut = crops(shown[frame], similarity(faces.keypoints, ARCFACE_TEMPLATE), 112)
                embedded = scorer.embed(cut)
                for place, embedding in enumerate(embedded):
                    tracks.setdefault(place, []).append(embedding)
                if name == "truth":
                    wanted[frame] = embedded
                    continue
                scores[kind] += cosine_similarity(embedded, wanted[frame]).tolist()
                mask = np.zeros(true[frame].shape[:2], np.float32)
                for points in faces.landmarks if faces.landmarks is not None else []:
                    hull = cv2.convexHull(points.astype(np.float32)).astype(np.int32)
                    cv2.fillConvexPoly(mask, hull, 1.0)
                ratios[kind].append(psnr(shown[frame], true[frame], mask))
            jitter += [
                identity_jitter(np.stack(track)) for track in tracks.values() if len(track) > 2
            ]
            middle = label.first + (label.stop - label.first) // 2 // SCORE_EVERY * SCORE_EVERY
            big = crops(shown[middle], similarity(found[middle].keypoints, FFHQ_TEMPLATE), 512)
            sheets.setdefault(label.first, []).append(np.concatenate(list(big), axis=0))
        if name != "truth":
            result[name] = {
                kind: {
                    "identity": round(float(np.mean(scores[kind])), 4),
                    "psnr": round(float(np.mean(ratios[kind])), 2),
                    "faces": len(scores[kind]),
                }
                for kind in scores
            }
        result.setdefault("identity_jitter", {})[name] = round(float(np.mean(jitter)), 4)  # type: ignore[index]
    for first, row in sheets.items():
        sheet = np.concatenate([*row[1:], row[0]], axis=1)
        cv2.imwrite(str(work / f"far-{first:04d}.png"), sheet[..., ::-1])
    return {"rows": result}


if __name__ == "__main__":
    main()
