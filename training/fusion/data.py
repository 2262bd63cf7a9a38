"""Training samples: a degraded face, references (right, wrong, misplaced, missing), the truth."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from refrestore.faces.align import ARCFACE_TEMPLATE, similarity
from refrestore.faces.landmarker import Landmarker
from refrestore.restore.restorer import hull_cells
from refrestore.restore.select import mesh_distances
from refrestore.restore.warp import displacement, triangulate

# Nobody of these is ever trained on.
HELD_OUT = (
    "dmdnet_00022",
    "dmdnet_00119",
    "dmdnet_00146",
    "sport_roger_federer",
    "sport_serena_williams",
    "LivePortrait__assets_examples_source_s20",
    "LivePortrait__assets_examples_driving_d12",
    "MegaPortrait-hack__junk_M2Ohb0FAaJU_1",
    "video-retalking__examples_face_2_f431ba",
    "celeb20_Kate_Winslet",
    "celeb20_Will_Smith",
    "celeb5_Madonna",
    "celeb5_Jerry_Seinfield",
)
FULL_EYES = 126.0
"""Distance of the eyes in an FFHQ crop at 512."""

COUNT_SHARES = (0.08, 0.1, 0.3, 0.07, 0.45)
"""How often a batch has at most one, two, ... five references a face."""

PHOTO, CLIP, SMALL, SINGLE = range(4)
KIND_SHARES = (0.48, 0.30, 0.12, 0.10)


@dataclass(frozen=True)
class Cache:
    """What prepare.py wrote."""

    crops: np.ndarray
    person: np.ndarray
    kind: np.ndarray
    eyes: np.ndarray
    landmarks: np.ndarray
    keypoints: np.ndarray
    embedding: np.ndarray
    people: list[str]

    @classmethod
    def open(cls, folder: Path) -> Cache:
        table = np.load(folder / "faces.npz")
        columns = {name: table[name] for name in table.files}
        columns["people"] = [str(name) for name in columns["people"]]
        return cls(crops=np.load(folder / "crops.npy", mmap_mode="r"), **columns)

    def rows(self, *, held_out: bool) -> np.ndarray:
        out = np.array([name in HELD_OUT for name in self.people])
        return np.flatnonzero(out[self.person] == held_out)


def mirror_order(landmarks: np.ndarray) -> np.ndarray:
    """Mesh index of each point's mirror image, from the mean mesh."""
    mean = landmarks.mean(0)
    middle = mean[:, 0].mean()
    mirrored = mean * [-1, 1] + [2 * middle, 0]
    cost = np.linalg.norm(mean[:, None] - mirrored[None], axis=2)
    return linear_sum_assignment(cost)[1]


# -- degradations -----------------------------------------------------------------------------


def _motion_blur(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    length = int(random.integers(3, 25))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, random.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1e-3), borderType=cv2.BORDER_REFLECT)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def h264(image: np.ndarray, crf: int) -> np.ndarray:
    """One intra picture and one predicted one through libx264; the second is returned."""
    side = image.shape[0] // 2 * 2
    image = np.ascontiguousarray(image[:side, :side])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": "veryfast", "bf": "0"}
        for shift in (1, 0):
            frame = av.VideoFrame.from_ndarray(np.roll(image, shift, 1), format="rgb24")
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        return list(source.decode(video=0))[-1].to_ndarray(format="rgb24")


def degrade(image: np.ndarray, kind: str, random: np.random.Generator) -> np.ndarray:
    """Degrade a 512-px crop; ranges as in ReF-LDM (NeurIPS 2024), section 5.1, and clean ones."""
    size = image.shape[0]
    if kind == "clean":
        blur, shrink, noise, quality = (
            random.uniform(0, 1.2),
            random.uniform(1, 1.7),
            random.uniform(0, 3),
            int(random.integers(80, 100)),
        )
    elif kind == "severe":
        blur, shrink, noise, quality = (
            random.uniform(2, 12),
            random.uniform(8, 24),
            random.uniform(0, 14),
            int(random.integers(35, 100)),
        )
    else:  # moderate, video
        blur, shrink, noise, quality = (
            random.uniform(1, 7),
            random.uniform(3, 10),
            random.uniform(0, 15),
            int(random.integers(50, 100)),
        )
    if kind != "clean" and random.random() < 0.15:
        image = _motion_blur(image, random)
    if random.random() < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), max(blur, 0.1))
    side = max(20, round(size / shrink))
    way = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[random.integers(3)]
    small = cv2.resize(image, (side, side), interpolation=way)
    if kind == "video":
        noise *= 0.4
    if noise > 0:
        spread = random.normal(0, noise, small.shape if random.random() < 0.7 else (side, side, 1))
        small = np.clip(small + spread, 0, 255).astype(np.uint8)
    small = h264(small, int(random.integers(20, 38))) if kind == "video" else _jpeg(small, quality)
    back = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)[random.integers(3)]
    return cv2.resize(small, (size, size), interpolation=back)


# -- samples ----------------------------------------------------------------------------------


class Samples:
    """Endless batches, drawn anew from a seed."""

    def __init__(self, cache: Path, mesh: Path, seed: int, crop: int = 384) -> None:
        cv2.setNumThreads(1)
        self.crop = crop
        self.random = np.random.default_rng(seed)
        self.cache = Cache.open(cache)
        self.landmarker = Landmarker(mesh, threads=1)
        self.mirror = mirror_order(self.cache.landmarks)
        rows = self.cache.rows(held_out=False)
        self.rows_of: dict[int, np.ndarray] = {
            int(p): rows[self.cache.person[rows] == p] for p in np.unique(self.cache.person[rows])
        }
        self.kind_of = {p: int(self.cache.kind[r[0]]) for p, r in self.rows_of.items()}
        centroids = {p: self.cache.embedding[r].mean(0) for p, r in self.rows_of.items()}
        ids = np.array(list(centroids))
        stack = np.stack([c / np.linalg.norm(c) for c in centroids.values()])
        alike = stack @ stack.T
        np.fill_diagonal(alike, -1)
        self.strangers = {int(p): ids[np.argsort(-alike[i])] for i, p in enumerate(ids)}

    def batch(self, size: int) -> dict[str, torch.Tensor]:
        """Return samples that have up to the same number of references (or places for them)."""
        most = int(self.random.choice(len(COUNT_SHARES), p=COUNT_SHARES)) + 1
        parts = [self.sample(self.random, most) for _ in range(size)]
        return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}

    def _person(self, random: np.random.Generator) -> int:
        kind = random.choice(4, p=KIND_SHARES)
        people = [p for p, k in self.kind_of.items() if k == kind]
        if kind == SINGLE:
            return int(random.choice(people))
        weight = np.sqrt([len(self.rows_of[p]) for p in people])
        return int(random.choice(people, p=weight / weight.sum()))

    def _reference_rows(
        self, target: int, person: int, mode: str, most: int, random: np.random.Generator
    ) -> list[int]:
        count = most if random.random() < 0.8 else int(random.integers(1, most + 1))
        own = self.rows_of[person][self.rows_of[person] != target]
        if mode == "none":
            return []
        if mode == "wrong":
            near = self.strangers[person]
            pick = near[: max(8, len(near) // 12)] if random.random() < 0.6 else near
            own = self.rows_of[int(random.choice(pick))]
        if not len(own):
            return []
        pool = random.permutation(own)[: int(random.integers(count, 4 * count + 1))]
        meshes = self.cache.landmarks
        distance = mesh_distances(meshes[[target]], meshes[pool])[0]
        rows = [int(r) for r in pool[np.argsort(distance)][:count]]
        if mode == "mixed" and len(rows) > 1:
            other = int(random.choice(self.strangers[person][:20]))
            rows[int(random.integers(len(rows)))] = int(random.choice(self.rows_of[other]))
        return rows

    def _reference(self, row: int, flip: bool, random) -> tuple[np.ndarray, np.ndarray]:
        image, mesh = np.array(self.cache.crops[row]), self.cache.landmarks[row].copy()
        if flip:
            image, mesh = self._flip(image, mesh)
        if random.random() < 0.25:  # a softer reference
            side = int(random.integers(140, 400))
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            image = cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC)
        if random.random() < 0.5:  # other light
            gain = random.uniform(0.7, 1.3) * random.uniform(0.93, 1.07, 3)
            curve = np.linspace(0, 1, 256) ** random.uniform(0.8, 1.25) * 255
            table = np.clip(curve[:, None] * gain, 0, 255).astype(np.uint8)
            image = cv2.LUT(image, table[None])
        return image, mesh

    def _flip(self, image: np.ndarray, mesh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mirrored = mesh[self.mirror] * [-1, 1] + [image.shape[1] - 1, 0]
        return np.ascontiguousarray(image[:, ::-1]), mirrored.astype(np.float32)

    def sample(self, random: np.random.Generator, most: int) -> dict[str, torch.Tensor]:
        cache, size = self.cache, self.crop
        person = self._person(random)
        target = int(random.choice(self.rows_of[person]))
        mode = str(random.choice(["right", "wrong", "none", "mixed"], p=[0.68, 0.18, 0.08, 0.06]))
        kind = str(
            random.choice(["moderate", "severe", "video", "clean"], p=[0.46, 0.34, 0.15, 0.05])
        )
        rows = self._reference_rows(target, person, mode, most, random)
        flip = random.random() < 0.5
        truth, five = np.array(cache.crops[target]), cache.keypoints[target].copy()
        if flip:
            truth = np.ascontiguousarray(truth[:, ::-1])
            five = (five * [-1, 1] + [511, 0])[[1, 0, 2, 4, 3]]
        if random.random() < 0.4:  # the crop is cut by landmarks found on a degraded face
            turn = cv2.getRotationMatrix2D(
                (255.5, 300), random.uniform(-4, 4), random.uniform(0.95, 1.05)
            )
            turn[:, 2] += random.normal(0, 5, 2)
            border = cv2.BORDER_REFLECT_101
            truth = cv2.warpAffine(
                truth, turn, (512, 512), flags=cv2.INTER_CUBIC, borderMode=border
            )
            five = five @ turn[:, :2].T + turn[:, 2]
        face = degrade(truth, kind, random)
        mesh = self.landmarker.dense(face[None])[0]
        if random.random() < 0.1:
            mesh = mesh + random.normal(0, 4, (1, 1, 2)).astype(np.float32)
        images = np.zeros((most, 3, 512, 512), np.uint8)
        meshes = np.zeros((1, most, *mesh.shape[1:]), np.float32)
        for index, row in enumerate(rows):
            image, points = self._reference(row, flip, random)
            if random.random() < 0.08:  # its own mesh was wrong
                points = points + random.normal(0, 8, (1, 2)).astype(np.float32)
            images[index], meshes[0, index] = image.transpose(2, 0, 1), points
        offsets = displacement(triangulate(mesh), torch.from_numpy(meshes))[0]
        top = int(random.integers(9, 17)) * 8
        left = int(random.integers(4, 13)) * 8
        offsets = offsets[..., top // 4 : (top + size) // 4, left // 4 : (left + size) // 4]
        offsets = offsets + torch.tensor([left, top], dtype=torch.float32)[:, None, None]
        hull = hull_cells(mesh)[0]
        hull = hull[..., top // 8 : (top + size) // 8, left // 8 : (left + size) // 8]
        arcface = similarity((five - [left, top])[None], ARCFACE_TEMPLATE)[0]
        sharp = float(np.clip((cache.eyes[target] / FULL_EYES - 0.4) / 0.4, 0, 1))

        def cut(image: np.ndarray) -> torch.Tensor:
            part = image[top : top + size, left : left + size].transpose(2, 0, 1)
            return torch.from_numpy(np.ascontiguousarray(part))

        return {
            "face": cut(face),
            "truth": cut(truth),
            "references": torch.from_numpy(images),
            "offsets": offsets.contiguous(),
            "valid": torch.arange(most) < len(rows),
            "hull": hull.contiguous(),
            "arcface": torch.from_numpy(arcface.astype(np.float32)),
            "sharp": torch.tensor(sharp),
            "right": torch.tensor(mode in ("right", "mixed") and len(rows) > 0),
            "severe": torch.tensor(kind == "severe"),
        }
