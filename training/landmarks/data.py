"""Samples of the landmark network: degraded faces with the teacher's mesh of the clean ones."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import torch

from refrestore.faces.landmarker import Landmarker
from training.common.degrade import degrade
from training.common.faces import INNER, SIDE, Bank
from training.common.mesh import (
    CHIN,
    FOREHEAD,
    LEFT_EYE,
    LIPS,
    RIGHT_EYE,
    interocular,
    mirror_order,
    turn,
)
from training.common.split import held_out

CROP = 192
KINDS = ("clean", "moderate", "severe", "video")
KIND_SHARES = (0.35, 0.22, 0.35, 0.08)
VIEWS = 2
"""Cuts of one degraded picture: degrading costs more than cutting."""

NEGATIVES = 0.125
"""Share of a batch without a face."""

LEAST_PRESENCE, LEAST_EYES = 0.5, 12.0
OCCLUDED = 0.2
CROWDED = ("facefusion", "face_recognition", "facenet-pytorch", "sample-videos", "EDTalk")
"""Clips with room for squares that hold no face."""


def weights() -> np.ndarray:
    """How much each of the 468 points counts: eyelids and lips twice."""
    values = np.ones(468, np.float32)
    values[[*RIGHT_EYE, *LEFT_EYE, *LIPS]] = 2
    return values / values.mean()


def usable(bank: Bank, *, validation: bool) -> np.ndarray:
    """Rows whose mesh can be trusted."""
    rows = bank.rows(validation=validation)
    return rows[(bank.presence[rows] >= LEAST_PRESENCE) & (bank.eyes[rows] >= LEAST_EYES)]


def backgrounds(data: Path, teacher: Landmarker, random: np.random.Generator) -> np.ndarray:
    """Squares of training clips (N, 192, 192, 3) in which the teacher sees no face."""
    found = []
    for path in sorted((data / "clips").iterdir()):
        if held_out(path.stem) or not path.name.startswith(CROWDED):
            continue
        with av.open(str(path)) as source:
            for number, frame in enumerate(source.decode(video=0)):
                if number % 15 or number > 1500:
                    continue
                picture = frame.to_ndarray(format="rgb24")
                height, width = picture.shape[:2]
                cut = []
                for _ in range(8):
                    side = int(random.integers(40, min(height, width) // 2))
                    top, left = random.integers(height - side), random.integers(width - side)
                    part = picture[top : top + side, left : left + side]
                    cut.append(cv2.resize(part, (CROP, CROP), interpolation=cv2.INTER_AREA))
                stack = np.stack(cut)
                found.append(stack[teacher.dense(stack)[1] < 0.05])
    return np.concatenate(found)


class Samples:
    """Endless batches.

    Parameters
    ----------
    bank
        Faces; only those of training people are used.
    nothing
        What `backgrounds` returned.
    seed
        Of everything.
    """

    def __init__(self, bank: Bank, nothing: np.ndarray, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        rows = usable(bank, validation=False)
        self.crops = bank.crops[rows]
        self.landmarks = bank.landmarks[rows].astype(np.float64)
        self.keypoints, self.box = bank.keypoints[rows], bank.box[rows]
        self.nothing = nothing
        self.mirror = mirror_order(bank.landmarks[rows])
        lfw = np.array([name.startswith("lfw/") for name in bank.people])[bank.person[rows]]
        chance = (1 + 4 * np.clip(turn(self.landmarks), 0, 0.8)) * np.where(lfw, 1, 2)
        # Photos of 96 px are mirrored beyond their edge, faces and all.
        self.roomy = np.flatnonzero(~lfw)
        self.chance = np.cumsum(chance / chance.sum())

    def draw(self) -> int:
        return min(int(np.searchsorted(self.chance, self.random.random())), len(self.crops) - 1)

    def place(self, row: int) -> np.ndarray:
        """Return a random matrix (2, 3) bank crop → network input, around the face."""
        random = self.random
        if random.random() < 0.6:
            corners = self.box[row]
            centre = corners.mean(0)
            longer = max(np.ptp(corners[:, 0]), np.ptp(corners[:, 1]))
            side = longer * np.exp(random.uniform(np.log(1.1), np.log(1.6)))
            keypoints = self.keypoints[row]
            x, y = keypoints[3:].mean(0) - keypoints[:2].mean(0)
            angle = -np.degrees(np.arctan2(x, y))
        else:
            centre, angle = np.full(2, (SIDE - 1) / 2), 0.0
            side = INNER * random.uniform(0.85, 1.12)
        if random.random() < 0.3:
            angle += random.uniform(-25, 25)
        else:
            angle += float(np.clip(random.normal(0, 6), -25, 25))
        centre = centre + random.uniform(-0.08, 0.08, 2) * side
        if random.random() < 0.5:
            centre = (centre + self.landmarks[row].mean(0) * 0.5) / 1.5
        matrix = cv2.getRotationMatrix2D(tuple(map(float, centre)), angle, CROP / side)
        matrix[:, 2] += (CROP - 1) / 2 - centre
        return matrix

    def view(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a matrix (2, 3) and the mesh (468, 2) in its crop; half of them are mirrored."""
        matrix = self.place(row)
        mirrored = self.random.random() < 0.5
        if mirrored:
            matrix[0] *= -1
            matrix[0, 2] += CROP - 1
        points = self.landmarks[row] @ matrix[:, :2].T + matrix[:, 2]
        if mirrored:
            points = points[self.mirror]
        return matrix, points

    def cover(self, image: np.ndarray, row: int) -> np.ndarray:
        """Put one or two things in front of the face."""
        random, image = self.random, image.copy()
        low, high = self.landmarks[row].min(0), self.landmarks[row].max(0)
        for _ in range(random.integers(1, 3)):
            shape = np.zeros(image.shape[:2], np.uint8)
            middle = random.uniform(low, high)
            size = random.uniform(0.08, 0.3, 2) * (high - low).max()
            turned = random.uniform(0, 180)
            if random.random() < 0.5:
                cv2.ellipse(shape, (tuple(middle), tuple(2 * size), turned), 1, -1)
            else:
                corners = cv2.boxPoints((tuple(middle), tuple(2 * size), turned))
                cv2.fillPoly(shape, [corners.astype(np.int32)], 1)
            if random.random() < 0.5:
                other = self.crops[random.integers(len(self.crops))]
                thing = np.roll(other, random.integers(0, SIDE, 2), (0, 1))
            else:
                thing = np.empty_like(image)
                thing[:] = random.integers(0, 256, 3)
            cv2.copyTo(thing, shape, image)
        return image

    def colour(self, image: np.ndarray) -> np.ndarray:
        random = self.random
        if random.random() < 0.1:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        level = np.arange(256)[:, None] / 255
        bent = level ** np.exp(random.normal(0, 0.3))
        gain = np.exp(random.normal(0, 0.15)) * np.exp(random.normal(0, 0.06, 3))
        table = np.clip((bent * gain + random.normal(0, 0.05)) * 255, 0, 255).astype(np.uint8)
        return cv2.LUT(image, table[None])

    def kind(self) -> str:
        return KINDS[self.random.choice(4, p=KIND_SHARES)]

    def negative(self) -> np.ndarray:
        """Return a crop without a face."""
        random = self.random
        way = random.random()
        if way < 0.4:
            image = self.nothing[random.integers(len(self.nothing))]
            image = image[:, ::-1] if random.random() < 0.5 else image
        elif way < 0.65:
            image = self.beside(random.choice(self.roomy))
        elif way < 0.85:
            row = random.choice(self.roomy)
            side = int(random.integers(50, 86))
            left, top = (int(v) for v in random.choice([0, SIDE - side], 2))
            part = self.crops[row][top : top + side, left : left + side]
            image = cv2.resize(part, (CROP, CROP), interpolation=cv2.INTER_LINEAR)
        else:
            cells = int(random.integers(1, 24))
            values = random.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
            image = cv2.resize(values, (CROP, CROP), interpolation=cv2.INTER_CUBIC)
        return self.colour(degrade(np.ascontiguousarray(image), self.kind(), random))

    def beside(self, row: int) -> np.ndarray:
        """Return a square that has lost its face: off by three quarters of the face and more."""
        random = self.random
        corners = self.box[row]
        longer = max(np.ptp(corners[:, 0]), np.ptp(corners[:, 1]))
        angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.75, 1.3)
        centre = corners.mean(0) + far * longer * np.array([np.cos(angle), np.sin(angle)])
        scale = CROP / (longer * random.uniform(0.7, 1.35))
        matrix = np.array([[scale, 0, 0], [0, scale, 0]])
        matrix[:, 2] = (CROP - 1) / 2 - scale * centre
        # Not mirrored beyond the edge: that would show the face again.
        return cv2.warpAffine(
            self.crops[row], matrix, (CROP, CROP), borderMode=cv2.BORDER_REPLICATE
        )

    def batch(self, size: int) -> dict[str, torch.Tensor]:
        """Return pictures (B, 192, 192, 3) 0..1, points (F, 936) for the first F, norms (F,)."""
        random = self.random
        faces = int(size * (1 - NEGATIVES)) // VIEWS * VIEWS
        pictures = np.empty((size, CROP, CROP, 3), np.uint8)
        points = np.empty((faces, 468, 2))
        for first in range(0, faces, VIEWS):
            row = self.draw()
            image = self.crops[row]
            if random.random() < OCCLUDED:
                image = self.cover(image, row)
            image = degrade(image, self.kind(), random)
            for number in range(first, first + VIEWS):
                matrix, points[number] = self.view(row)
                border = cv2.BORDER_REFLECT_101 if random.random() < 0.85 else cv2.BORDER_CONSTANT
                cut = cv2.warpAffine(image, matrix, (CROP, CROP), borderMode=border)
                pictures[number] = self.colour(cut)
        for number in range(faces, size):
            pictures[number] = self.negative()
        norm = np.maximum(interocular(points), 0.35 * height(points)) / CROP
        return {
            "picture": torch.from_numpy(pictures).float().div_(255),
            "points": torch.from_numpy(edges(points)),
            "norm": torch.from_numpy(norm.astype(np.float32)),
        }


def edges(points: np.ndarray) -> np.ndarray:
    """Crop pixels (N, 468, 2), centres at integers → (N, 936) sides from the crop's centre."""
    return ((points + 0.5) / CROP - 0.5).reshape(len(points), -1).astype(np.float32)


def height(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, FOREHEAD] - points[:, CHIN], axis=1)


def shape_basis(samples: Samples, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (936,) and principal components (936, size), times their deviation, of random views."""
    meshes = edges(np.stack([samples.view(samples.draw())[1] for _ in range(count)]))
    mean = meshes.mean(0)
    values, vectors = np.linalg.eigh(np.cov(meshes - mean, rowvar=False))
    order = np.argsort(-values)[:size]
    return mean, (vectors[:, order] * np.sqrt(np.maximum(values[order], 1e-10))).astype(np.float32)
