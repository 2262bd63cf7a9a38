"""Find the faces of every training picture with the teacher, once.

    python -m training.detector.prepare DATA MODELS CACHE [--grounds FOLDER]

DATA and MODELS as in `training.common.faces`. CACHE receives `scenes.pkl`: a list of `Scene`.
FOLDER is searched for pictures of anything, mostly without faces (README.md says which).
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from refrestore.faces.detector import Detector
from training.common.faces import read
from training.common.split import held_out
from training.detector.scenes import FACE, SEEN, Scene, frames

TEACHER = "scrfd_2.5g_kps.onnx"
SIDE = 768
"""Longer side that pictures are kept at."""

SMALLEST_GROUND = 160
"""Shorter side of pictures worth reading; below are icons."""

SIZES = {"lfw": 192, "clip": 480, "ground": 512}
"""Longer side the teacher sees, where it is not 384."""

CROWDS = ("hamilton", "facenet-pytorch", "dance")
"""Clips with several people per frame; all others are talking heads."""

ASL = "sample-videos__asl_gestures_"
ASL_VALIDATION = ("book", "school", "learn", "walk", "eat", "night", "sister", "hungry", "want")
"""Three of the five people of these clips, told apart by the face bank's embeddings (the same
person 0.8 or more, others 0.32 or less)."""


def validation_clip(stem: str) -> bool:
    return held_out(stem) or stem.removeprefix(ASL) in ASL_VALIDATION


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = (round(width * factor), round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def pictures(data: Path, grounds: Path | None) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield group, name and picture of everything that may be trained on."""
    for room in ("clips", "lq"):
        for path in sorted((data / room).iterdir()):
            if validation_clip(path.stem):
                continue
            crowd = any(word in path.stem for word in CROWDS)
            spacing, limit = (Fraction(1, 5), 90) if crowd else (Fraction(1, 2), 16)
            for frame in frames(path, spacing, limit):
                side = SIDE if crowd else 480
                yield "crowd" if crowd else "clip", path.stem, shrink(frame, side)
    for folder in sorted((data / "faces512/people").iterdir()):
        if not held_out(folder.name):
            for path in sorted(folder.iterdir()):
                yield "portrait", folder.name, shrink(read(path), 384)
    for name in ("celebs", "generated_portraits"):
        for path in sorted((data / "faces512" / name).iterdir()):
            yield "portrait", path.stem, shrink(read(path), 384)
    for folder in sorted((data / "identities").iterdir()):
        if folder.name.startswith("lfw"):
            for person in sorted(folder.iterdir()):
                if not held_out(f"lfw/{person.name}"):
                    for path in sorted(person.iterdir()):
                        yield "lfw", person.name, read(path)
        elif not held_out(folder.name):
            for path in sorted(folder.iterdir()):
                yield "person", folder.name, shrink(read(path), 480)
    import skimage

    for path in sorted((Path(skimage.__file__).parent / "data").iterdir()):
        image = read(path) if path.suffix in (".png", ".jpg") else None
        if image is not None:
            yield "texture", path.stem, shrink(image, SIDE)
    known = set()
    for path in sorted(grounds.rglob("*")) if grounds else ():
        image = read(path) if path.suffix.lower() in (".png", ".jpg", ".jpeg") else None
        if image is None or min(image.shape[:2]) < SMALLEST_GROUND:
            continue
        print_of = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA) // 24
        if print_of.tobytes() not in known and print_of.std() > 0:
            known.add(print_of.tobytes())
            yield "ground", path.stem, shrink(image, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--grounds", type=Path)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    teacher = Detector(
        arguments.models / TEACHER, threads=1, min_score=SEEN, passes=(1.75, 1.0, 0.4)
    )
    small = Detector(arguments.models / TEACHER, threads=1, min_score=SEEN, passes=(1.0, 0.5))
    scenes = []
    for group, name, image in pictures(arguments.data, arguments.grounds):
        if group in ("crowd", "texture"):
            found = teacher.detect([image], [0], 640)
        else:
            found = small.detect([image], [0], SIZES.get(group, 384))
        scenes.append(Scene(group, name, image, found.box, found.keypoints, found.score))
    groups = {scene.group for scene in scenes}
    for group in sorted(groups):
        part = [scene for scene in scenes if scene.group == group]
        faces = sum(int((scene.score >= FACE).sum()) for scene in part)
        print(f"{group}: {len(part)} pictures, {faces} faces")
    with (arguments.cache / "scenes.pkl").open("wb") as file:
        pickle.dump(scenes, file, protocol=5)


if __name__ == "__main__":
    main()
