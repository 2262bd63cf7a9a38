"""Gather every face of the data into one folder that all trainings read.

    python -m training.common.faces DATA MODELS CACHE [--part 0 --parts 2]
    python -m training.common.faces DATA MODELS CACHE --films --every 0.1 --most 300

DATA holds `faces512/`, `identities/`, `clips/`, `film/` and `lq/`; MODELS the teachers. CACHE
receives `crops_N.npy` (faces, 320, 320, 3) uint8 and `faces_N.npz`, one row a face, per part.

A crop is FFHQ-aligned with a margin: the template at 256 px in the middle of 320. Keypoints,
box corners and mesh are the teachers', found in the picture and given in pixels of the crop.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.faces.analyser import FaceModels
from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser
from training.common.split import held_out

SIDE = 320
INNER = 256
SAME = 0.4
SMALLEST = 28.0
"""Faces below this (square root of the box) teach little about faces."""

TEMPLATE = FFHQ_TEMPLATE * (INNER / 512) + (SIDE - INNER) / 2


@dataclass(frozen=True)
class Bank:
    """What this command wrote, all parts together."""

    crops: np.ndarray
    """(N, 320, 320, 3) uint8, RGB."""
    person: np.ndarray
    people: list[str]
    keypoints: np.ndarray
    """(N, 5, 2), pixels of the crop, like what follows."""
    box: np.ndarray
    """(N, 4, 2): the corners of the detector's box."""
    landmarks: np.ndarray
    """(N, 468, 2)."""
    presence: np.ndarray
    embedding: np.ndarray
    """(N, 512), the teacher recogniser's, of the picture itself."""
    eyes: np.ndarray
    """Native interocular distance in pixels."""

    @classmethod
    def open(cls, folder: Path) -> Bank:
        """Read the folder; crops are copied into memory (0.3 MB a face)."""
        tables = [np.load(path) for path in sorted(folder.glob("faces_*.npz"))]
        pictures = [np.load(path) for path in sorted(folder.glob("crops_*.npy"))]
        people: list[str] = []
        person = []
        for table in tables:
            person.append(table["person"] + len(people))
            people += [str(name) for name in table["people"]]
        names = ("keypoints", "box", "landmarks", "presence", "embedding", "eyes")
        columns = {name: np.concatenate([t[name] for t in tables]) for name in names}
        return cls(
            crops=np.concatenate(pictures), person=np.concatenate(person), people=people, **columns
        )

    def rows(self, *, validation: bool) -> np.ndarray:
        out = np.array([held_out(name) for name in self.people])
        return np.flatnonzero(out[self.person] == validation)


def read(path: Path) -> np.ndarray | None:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if image is None else np.ascontiguousarray(image[..., ::-1])


def clip_frames(path: Path, every: Fraction, limit: int) -> Iterator[np.ndarray]:
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        due, taken = None, 0
        for frame in source.decode(stream):
            time = frame.pts * frame.time_base
            if due is None or time >= due:
                due = time + every
                taken += 1
                yield frame.to_ndarray(format="rgb24")
                if taken == limit:
                    return


def sources(data: Path) -> Iterator[tuple[str, bool, list[Path]]]:
    """Yield name, whether it is a film, files."""
    for folder in sorted((data / "faces512/people").iterdir()):
        yield folder.name, False, sorted(folder.iterdir())
    for name in ("celebs", "generated_portraits"):
        for path in sorted((data / "faces512" / name).iterdir()):
            yield f"{name}/{path.stem}", False, [path]
    for folder in sorted((data / "identities").iterdir()):
        if folder.name.startswith("lfw"):
            for person in sorted(folder.iterdir()):
                yield f"lfw/{person.name}", False, sorted(person.iterdir())
        else:
            yield folder.name, False, sorted(folder.iterdir())
    for room in ("clips", "film", "lq"):
        for path in sorted((data / room).iterdir()):
            yield path.stem, True, [path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--films", action="store_true", help="no photos")
    parser.add_argument("--every", type=Fraction, default=Fraction(1, 2), help="seconds of a film")
    parser.add_argument("--most", type=int, default=60, help="pictures of a film")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    faces = FaceModels(
        Detector(arguments.models / "scrfd_2.5g_kps.onnx", threads=1),
        Landmarker(arguments.models / "face_landmark_468.onnx", threads=1),
        Recogniser(arguments.models / "edgeface_xs.fp32.onnx", threads=1),
    )
    people: list[str] = []
    rows: list[tuple] = []
    some = [one for one in sources(arguments.data) if one[1] or not arguments.films]
    for name, film, files in some[arguments.part :: arguments.parts]:
        known: list[np.ndarray] = []
        first = len(people)
        pictures = (
            clip_frames(files[0], arguments.every, arguments.most)
            if film
            else (read(path) for path in files)
        )
        for picture in pictures:
            if picture is None:
                continue
            size = 640 if film else 320
            found = faces.detector.detect([picture], [0], size=size)
            if not film and len(found):
                found = found[[int(np.argmax(found.size))]]
            found = found[np.flatnonzero(found.size >= SMALLEST)]
            if not len(found):
                continue
            meshes, presence = faces.mesh(picture, found.box, found.keypoints)
            embeddings = faces.recogniser.embed_faces(picture, found.keypoints)
            matrices = similarity(found.keypoints, TEMPLATE)
            cut = crops(picture, matrices, SIDE)
            for i in range(len(found)):
                if film:
                    alike = [float(embeddings[i] @ other) for other in known] or [-1.0]
                    who = int(np.argmax(alike))
                    if alike[who] < SAME:
                        who = len(known)
                        known.append(embeddings[i])
                        people.append(f"{name}#{who}")
                elif not known:
                    known.append(embeddings[i])
                    people.append(name)
                    who = 0
                else:
                    who = 0
                x0, y0, x1, y1 = found.box[i]
                corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
                place = [
                    transform(matrices[[i]], points[None])[0].astype(np.float32)
                    for points in (found.keypoints[i], corners, meshes[i])
                ]
                eyes = float(np.linalg.norm(found.keypoints[i, 1] - found.keypoints[i, 0]))
                rows.append((cut[i], first + who, *place, presence[i], embeddings[i], eyes))
    names = ("person", "keypoints", "box", "landmarks", "presence", "embedding", "eyes")
    columns = {name: np.stack([row[i + 1] for row in rows]) for i, name in enumerate(names)}
    np.save(arguments.cache / f"crops_{arguments.part}.npy", np.stack([row[0] for row in rows]))
    np.savez(arguments.cache / f"faces_{arguments.part}.npz", people=np.array(people), **columns)
    print(f"{len(rows)} faces of {len(people)} people")


if __name__ == "__main__":
    main()
