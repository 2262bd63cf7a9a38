"""Gather the 512-px crops of validation and development people that the evaluation reads.

    python -m training.fusion.prepare DATA MODELS CACHE

DATA is laid out as in README.md beside this file (faces512/people, faces512/celebs,
faces512/generated_portraits, identities, clips), MODELS holds detector, mesh and recogniser.
CACHE receives `crops.npy` (N, 512, 512, 3) uint8 and `faces.npz` with one row a crop: person,
kind, native interocular distance, mesh, recogniser's keypoints and embedding, and the names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from refrestore.faces.align import (
    ARCFACE_TEMPLATE,
    FFHQ_TEMPLATE,
    crops,
    similarity,
)
from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser

KINDS = ("photo", "clip", "small", "single")
CLIP_SPACING = Fraction(1)
CLIP_LIMIT = 40
SMALL_LIMIT = 40
SAME_PERSON = 0.35
VALIDATION = (
    *("dmdnet_00022", "dmdnet_00119", "dmdnet_00146"),
    *("sport_roger_federer", "sport_serena_williams"),
    "LivePortrait__assets_examples_source_s20",
    "LivePortrait__assets_examples_driving_d12",
    "MegaPortrait-hack__junk_M2Ohb0FAaJU_1",
    "video-retalking__examples_face_2_f431ba",
    *("celeb20_Kate_Winslet", "celeb20_Will_Smith"),
    *("celeb5_Madonna", "celeb5_Jerry_Seinfield"),
)
"""Nobody of these is ever trained on, nor looked at when something is chosen."""

TEMPLATE_EYES = float(np.linalg.norm(FFHQ_TEMPLATE[1] - FFHQ_TEMPLATE[0]))

# One person speaks in each of these; clips with several people would need tracking.
CLIPS = (
    "EDTalk",
    "LatentSync",
    "LivePortrait",
    "MegaPortrait",
    "face_recognition__",
    "video-retalking",
)


def read(path: Path) -> np.ndarray | None:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if image is None else np.ascontiguousarray(image[..., ::-1])


def clip_frames(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        due, taken = None, 0
        spacing = CLIP_SPACING
        if stream.duration is not None and stream.duration * stream.time_base < 8:
            spacing = CLIP_SPACING / 2  # a short clip would give too few pairs
        for frame in source.decode(stream):
            time = frame.pts * frame.time_base
            if due is None or time >= due:
                due = time + spacing
                taken += 1
                yield frame.to_ndarray(format="rgb24")
                if taken == CLIP_LIMIT:
                    return


def sources(data: Path) -> Iterator[tuple[str, str, Iterator[np.ndarray]]]:
    """Yield kind, person, pictures."""

    def photos(paths: list[Path]) -> Iterator[np.ndarray]:
        for path in paths:
            image = read(path)
            if image is not None:
                yield image

    for folder in sorted((data / "faces512/people").iterdir()):
        yield "photo", folder.name, photos(sorted(folder.iterdir()))
    for path in sorted((data / "clips").iterdir()):
        if path.name.startswith(CLIPS):
            yield "clip", path.stem, clip_frames(path)
    for folder in sorted((data / "identities").iterdir()):
        if not folder.name.startswith("lfw"):
            yield "small", folder.name, photos(sorted(folder.iterdir())[:SMALL_LIMIT])
    for name in ("celebs", "generated_portraits"):
        for path in sorted((data / "faces512" / name).iterdir()):
            yield "single", f"{name}/{path.stem}", photos([path])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("cache", type=Path)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    detector = Detector(arguments.models / "scrfd_2.5g_kps.onnx", threads=2)
    landmarker = Landmarker(arguments.models / "face_landmark_468.onnx", threads=2)
    recogniser = Recogniser(arguments.models / "edgeface_xs.fp32.onnx", threads=2)

    people: list[str] = []
    columns: dict[str, list] = {
        name: []
        for name in ("person", "kind", "eyes", "landmarks", "keypoints", "embedding", "crop")
    }
    for kind, person, pictures in sources(arguments.data):
        rows = []
        for picture in pictures:
            found = detector.detect([picture], [0], size=640 if kind == "clip" else 320)
            if not len(found):
                continue
            keypoints = found.keypoints[[int(np.argmax(found.size))]]
            matrix = similarity(keypoints, FFHQ_TEMPLATE)
            aligned = picture.shape == (512, 512, 3) and kind in ("photo", "single")
            # A crop that is aligned already is not resampled once more.
            crop = picture if aligned else crops(picture, matrix)[0]
            five = keypoints if aligned else keypoints @ matrix[0, :, :2].T + matrix[0, :, 2]
            mesh, presence = landmarker.dense(crop[None])
            if presence[0] < 0.5:
                continue
            embedding = recogniser.embed(crops(crop, similarity(five, ARCFACE_TEMPLATE), 112))
            eyes = float(np.linalg.norm(keypoints[0, 1] - keypoints[0, 0]))
            rows.append((crop, mesh[0], five[0], embedding[0], eyes))
        if not rows:
            continue
        embeddings = np.stack([row[3] for row in rows])
        typical = embeddings[np.argmax((embeddings @ embeddings.T).sum(1))]
        kept = [row for row in rows if row[3] @ typical > SAME_PERSON]
        people.append(person)
        for crop, mesh, five, embedding, eyes in kept:
            values = (len(people) - 1, KINDS.index(kind), eyes, mesh, five, embedding, crop)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        if kind != "single":
            print(
                f"{kind} {person}: {len(kept)} of {len(rows)}, eyes "
                f"{np.mean([row[4] for row in rows]):.0f} px",
                flush=True,
            )
    stacked = columns.pop("crop")
    store = np.lib.format.open_memmap(
        arguments.cache / "crops.npy", "w+", np.uint8, (len(stacked), 512, 512, 3)
    )
    for row, crop in enumerate(stacked):
        store[row] = crop
    store.flush()
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    np.savez(arguments.cache / "faces.npz", people=np.asarray(people), **arrays)
    print(f"{len(stacked)} crops of {len(people)} people; full size is {TEMPLATE_EYES:.0f} px")


if __name__ == "__main__":
    main()
