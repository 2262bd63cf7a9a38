"""Make many faces out of few, with the teacher's embedding of each.

    python -m training.recogniser.prepare BANK MODELS CACHE [--faces 40000]

BANK is what `training.common.faces` wrote, MODELS holds `edgeface_xs.fp32.onnx`. CACHE receives
`faces.npy` (N, 136, 136, 3) uint8 RGB: ArcFace-aligned at 112 px with a margin of 12, and
`rows.npz`: `embedding` (N, 512), `person` (N,), -1 where nobody is shown. The real faces of the
training people come first, then faces made of them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity, transform
from refrestore.faces.recogniser import Recogniser
from training.common.faces import Bank

MARGIN = 12
SIDE = 112 + 2 * MARGIN
INNER = slice(MARGIN, MARGIN + 112)
TOO_LIKE = 0.45
"""A training person whose embedding is as close as this to somebody held out is left out: the
single portraits have numbers for names, and some show people of the validation set."""

SOFTNESS = 1e-3
GRID = 18
BATCH = 8


@dataclass(frozen=True)
class Aligned:
    """Faces on the ArcFace template with a margin."""

    images: np.ndarray
    """(N, 136, 136, 3) uint8, RGB."""
    mesh: np.ndarray
    """(N, 468, 2), pixels of the image."""
    person: np.ndarray


def allowed(bank: Bank) -> np.ndarray:
    """Return the rows of people who neither are held out nor look like somebody who is."""
    out = bank.rows(validation=True)
    centres = []
    for who in np.unique(bank.person[out]):
        centre = bank.embedding[bank.person == who].mean(0)
        centres.append(centre / np.linalg.norm(centre))
    rows = bank.rows(validation=False)
    alike = (bank.embedding[rows] @ np.stack(centres).T).max(1)
    leaked = np.unique(bank.person[rows[alike > TOO_LIKE]])
    return rows[~np.isin(bank.person[rows], leaked)]


def align(bank: Bank, rows: np.ndarray) -> Aligned:
    matrices = similarity(bank.keypoints[rows], ARCFACE_TEMPLATE + MARGIN)
    images = [
        crops(bank.crops[row], matrix[None], SIDE)[0]
        for row, matrix in zip(rows, matrices, strict=True)
    ]
    mesh = transform(matrices, bank.landmarks[rows]).astype(np.float32)
    return Aligned(np.stack(images), mesh, bank.person[rows])


class Warp:
    """Smooth displacement given at some points: radial basis r² log r with a linear part."""

    def __init__(self) -> None:
        edge = np.linspace(0, SIDE - 1, 4)
        frame = [(x, y) for x in edge for y in edge if x in (0, SIDE - 1) or y in (0, SIDE - 1)]
        self.frame = np.array(frame, np.float64)
        self.chosen = np.arange(0, 468, 8)
        line = np.linspace(0, SIDE - 1, GRID)
        self.grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        plain = np.arange(SIDE, dtype=np.float32)
        self.plain = np.stack(np.meshgrid(plain, plain), -1)

    @staticmethod
    def _basis(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squared = ((a[:, None] - b[None]) ** 2).sum(-1) / SIDE**2
        return 0.5 * squared * np.log(squared + 1e-9)

    def __call__(self, image: np.ndarray, mesh: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Move what lies at `mesh` (468, 2) to `target` (468, 2); the frame stays."""
        to = np.concatenate([target[self.chosen], self.frame])
        shift = np.concatenate([(mesh - target)[self.chosen], np.zeros_like(self.frame)])
        count = len(to)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = self._basis(to, to) + SOFTNESS * np.eye(count)
        system[:count, count:] = np.c_[np.ones(count), to / SIDE]
        system[count:, :count] = system[:count, count:].T
        weights = np.linalg.solve(system, np.r_[shift, np.zeros((3, 2))])
        known = np.c_[self._basis(self.grid, to), np.ones(len(self.grid)), self.grid / SIDE]
        coarse = (known @ weights).reshape(GRID, GRID, 2).astype(np.float32)
        # align the grid's corners with those of the picture, which cv2.resize does not
        step = (GRID - 1) / (SIDE - 1)
        fine = cv2.warpAffine(
            coarse,
            np.array([[step, 0, 0], [0, step, 0]]),
            (SIDE, SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return cv2.remap(
            image, self.plain + fine, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


def noise_field(random: np.random.Generator, cells: int, channels: int = 1) -> np.ndarray:
    """Smooth random values of about unit deviation, (136, 136, channels)."""
    coarse = random.normal(0, 1, (cells, cells, channels)).astype(np.float32)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).reshape(
        SIDE, SIDE, channels
    )


def blend_mask(mesh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(136, 136, 1) weights of the second face: constant, halves, blobs, or inside the hull."""
    kind = random.integers(5)
    if kind == 0:
        return np.full((SIDE, SIDE, 1), random.uniform(0.25, 0.75), np.float32)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    if kind in (1, 2):
        place = y - random.uniform(0.42, 0.68) * SIDE
        if kind == 2:
            turn = random.uniform(0, 2 * np.pi)
            place = np.cos(turn) * (x - SIDE / 2) + np.sin(turn) * (y - SIDE / 2)
        mask = 1 / (1 + np.exp(-place / random.uniform(2, 8)))
    elif kind == 3:
        mask = 1 / (1 + np.exp(-3 * noise_field(random, int(random.integers(3, 6)))[..., 0]))
    else:
        hull = np.zeros((SIDE, SIDE), np.float32)
        cv2.fillConvexPoly(hull, cv2.convexHull(mesh.astype(np.int32)), 1.0)
        mask = cv2.GaussianBlur(hull, (0, 0), random.uniform(2, 5))
    if random.random() < 0.5:
        mask = 1 - mask
    return mask[..., None].astype(np.float32)


def match_colour(image: np.ndarray, like: np.ndarray, share: float) -> np.ndarray:
    middle = slice(SIDE // 4, 3 * SIDE // 4)
    mine, theirs = image[middle, middle], like[middle, middle]
    spread = (theirs.std((0, 1)) + 5) / (mine.std((0, 1)) + 5)
    moved = (image - mine.mean((0, 1))) * spread + theirs.mean((0, 1))
    return image * (1 - share) + moved * share


def relight(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Gamma, gain, tint, saturation and a gradient of light, on 0..255 float."""
    image = np.clip(image / 255, 0, 1)
    if random.random() < 0.6:
        image = image ** np.float32(np.exp(random.normal(0, 0.25)))
    if random.random() < 0.6:
        image = image * np.exp(random.normal(0, 0.08, 3)).astype(np.float32)
    if random.random() < 0.5:
        grey = image.mean(2, keepdims=True)
        image = grey + (image - grey) * np.float32(random.uniform(0, 1.6))
    if random.random() < 0.5:
        y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
        turn = random.uniform(0, 2 * np.pi)
        ramp = np.cos(turn) * x + np.sin(turn) * y
        image = image * np.exp(random.uniform(0, 0.6) * ramp)[..., None]
    if random.random() < 0.3:
        image = image * np.exp(0.2 * noise_field(random, 3))
    gain = np.exp(random.normal(0, 0.15))
    return np.clip(image * gain * 255, 0, 255)


class Maker:
    """Faces of nobody, made of aligned faces of somebody."""

    def __init__(self, faces: Aligned, random: np.random.Generator) -> None:
        self.faces, self.random = faces, random
        self.warp = Warp()
        self.of = [np.flatnonzero(faces.person == who) for who in np.unique(faces.person)]
        # aligned by the keypoints, so what is left at the nose and the outline is mostly pose
        self.pose = faces.mesh[:, [1, 234, 454, 10, 152]].reshape(len(faces.mesh), -1)

    def one(self) -> int:
        if self.random.random() < 0.5:
            return int(self.random.integers(len(self.faces.person)))
        return int(self.random.choice(self.of[self.random.integers(len(self.of))]))

    def partner(self, first: int) -> int:
        """Somebody else in a similar pose."""
        others = self.random.integers(len(self.faces.person), size=24)
        others = others[self.faces.person[others] != self.faces.person[first]]
        apart = np.linalg.norm(self.pose[others] - self.pose[first], axis=1)
        return int(others[np.argmin(apart)])

    def __call__(self) -> np.ndarray:
        """(136, 136, 3) uint8."""
        random, faces = self.random, self.faces
        first = self.one()
        mesh = faces.mesh[first]
        image = faces.images[first].astype(np.float32)
        alone = random.random() < 0.2
        other = first if alone else self.partner(first)
        shape = mesh + (faces.mesh[other] - mesh) * random.uniform(-0.6, 1.2)
        if alone or random.random() < 0.3:
            field = noise_field(random, int(random.integers(4, 7)), 2) * random.uniform(0, 2.5)
            at = np.clip(shape.astype(int), 0, SIDE - 1)
            shape = shape + field[at[:, 1], at[:, 0]]
        image = self.warp(image, mesh, shape)
        if not alone:
            second = self.warp(faces.images[other].astype(np.float32), faces.mesh[other], shape)
            if random.random() < 0.7:
                second = match_colour(second, image, random.uniform(0.3, 1))
            mask = blend_mask(shape, random)
            image = image + (second - image) * mask
        if random.random() < 0.7:
            image = relight(image, random)
        if random.random() < 0.5:
            image = image[:, ::-1]
        return np.clip(image, 0, 255).astype(np.uint8)


def teach(teacher: Recogniser, images: np.ndarray) -> np.ndarray:
    """The teacher's embedding averaged with that of the mirrored face."""
    inner = np.ascontiguousarray(images[:, INNER, INNER])
    both = teacher.embed(inner) + teacher.embed(np.ascontiguousarray(inner[:, :, ::-1]))
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--faces", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(arguments.seed)
    bank = Bank.open(arguments.bank)
    rows = allowed(bank)
    faces = align(bank, rows)
    left = len(bank.rows(validation=False)) - len(rows)
    del bank
    print(
        f"{len(rows)} faces of {len(np.unique(faces.person))} people, {left} left out", flush=True
    )
    teacher = Recogniser(arguments.models / "edgeface_xs.fp32.onnx", threads=1)
    real, total = len(rows), max(arguments.faces, len(rows))
    store = np.lib.format.open_memmap(
        arguments.cache / "faces.npy", "w+", np.uint8, (total, SIDE, SIDE, 3)
    )
    store[:real] = faces.images
    embedding = np.empty((total, 512), np.float32)
    person = np.full(total, -1)
    person[:real] = np.unique(faces.person, return_inverse=True)[1]
    make = Maker(faces, random)
    start = time.monotonic()
    for at in range(0, total, BATCH):
        for index in range(max(at, real), min(at + BATCH, total)):
            store[index] = make()
        embedding[at : at + BATCH] = teach(teacher, store[at : at + BATCH])
        if at % 8000 < BATCH:
            print(f"{at} of {total}, {time.monotonic() - start:.0f} s", flush=True)
    store.flush()
    np.savez(arguments.cache / "rows.npz", embedding=embedding, person=person)


if __name__ == "__main__":
    main()
