"""Training canvases: tiles of labelled pictures at random scales, spoilt as films are."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from refrestore.evaluate.degrade import jpeg, motion_blur
from training.detector.scenes import FACE, SEEN, Scene

SIDE = 320
FACES = (8.0, 300.0)
"""Sides of the aimed-at faces on the canvas, log-uniform."""

SMALLEST = 8.0
ENLARGE = 2.5
VISIBLE = 0.6
"""Part of a box that must be inside its tile; faces below it are ignored."""

WEIGHTS = {
    **{"crowd": 0.25, "clip": 0.15, "portrait": 0.1, "person": 0.08, "lfw": 0.1},
    **{"texture": 0.03, "ground": 0.19, "profile": 0.1},
}
PROFILES = 0.3
"""How often the aimed-at face is one of the turned ones."""

TURNED = 0.36
"""Interocular distance in sides of the box, below which a face counts as turned."""

MIRROR = [1, 0, 2, 4, 3]


@dataclass
class Labels:
    """Faces of one canvas, in its pixels, and rectangles that are neither face nor background."""

    box: np.ndarray
    keypoints: np.ndarray
    ignored: np.ndarray


class Canvases:
    """An endless source of canvases.

    Parameters
    ----------
    cache
        Folder of `prepare.py` and `profiles.py`.
    random
        Where everything random comes from.
    """

    def __init__(self, cache: Path, random: np.random.Generator) -> None:
        with (cache / "scenes.pkl").open("rb") as file:
            scenes: list[Scene] = pickle.load(file)
        with (cache / "profiles.pkl").open("rb") as file:
            scenes += pickle.load(file)
        self.random = random
        self.groups: dict[str, list[list[Scene]]] = {}
        names: dict[tuple[str, str], list[Scene]] = {}
        for scene in scenes:
            names.setdefault((scene.group, scene.name), []).append(scene)
        for (group, _), part in names.items():
            self.groups.setdefault(group, []).append(part)
        self.plain = [scene for scene in scenes if not (scene.score >= SEEN).any()]
        self.turned: dict[str, list[tuple[Scene, int]]] = {}
        for scene in scenes:
            size = np.sqrt(np.prod(scene.box[:, 2:] - scene.box[:, :2], 1))
            eyes = np.linalg.norm(scene.keypoints[:, 1] - scene.keypoints[:, 0], axis=1)
            for row in np.flatnonzero((scene.score >= FACE) & (eyes < TURNED * size)):
                self.turned.setdefault(scene.group, []).append((scene, int(row)))
        self.shrunk: dict[tuple[int, int], np.ndarray] = {}

    def _pick(self) -> tuple[Scene, int | None]:
        """Draw a picture, and the face in it to aim at or none."""
        random = self.random
        if random.random() < PROFILES:
            others = [group for group in self.turned if group not in ("crowd", "profile")]
            kind = random.choice(3, p=[0.4, 0.4, 0.2])
            group = ("crowd", "profile", others[random.integers(len(others))])[kind]
            part = self.turned[group]
            return part[random.integers(len(part))]
        groups = list(WEIGHTS)
        group = groups[random.choice(len(groups), p=np.array(list(WEIGHTS.values())))]
        names = self.groups[group]
        name = names[random.integers(len(names))]
        scene = name[random.integers(len(name))]
        faces = np.flatnonzero(scene.score >= FACE)
        if len(faces) and random.random() < 0.9:
            return scene, int(faces[random.integers(len(faces))])
        return scene, None

    def _level(self, scene: Scene, scale: float) -> tuple[np.ndarray, float]:
        """Return the picture shrunk by a power of two to little more than a scale."""
        step = 0
        while scale * 2 ** (step + 1) <= 1.0 and step < 4:
            step += 1
        if step == 0:
            return scene.image, 1.0
        key = (id(scene), step)
        if key not in self.shrunk:
            if len(self.shrunk) > 4000:
                self.shrunk.clear()
            height, width = scene.image.shape[:2]
            size = (max(1, round(width / 2**step)), max(1, round(height / 2**step)))
            self.shrunk[key] = cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA)
        image = self.shrunk[key]
        return image, image.shape[1] / scene.image.shape[1]

    def _ground(self, height: int, width: int) -> np.ndarray:
        """Return what lies around a picture: a colour, noise, or a piece of a texture."""
        random = self.random
        kind = random.random()
        colour = random.integers(0, 256, 3)
        if kind < 0.35:
            colour = colour if random.random() < 0.6 else [random.integers(0, 256)] * 3
            return np.full((height, width, 3), colour, np.uint8)
        if kind < 0.45:
            cells = random.integers(2, 24)
            noise = random.integers(0, 256, (cells, cells, 3), np.uint8)
            return cv2.resize(noise, (width, height), interpolation=int(random.integers(0, 3)))
        if kind < 0.55:
            return self._drawing(height, width)
        image = self.plain[random.integers(len(self.plain))].image
        side = int(min(*image.shape[:2]) * random.uniform(0.2, 1.0))
        y = random.integers(0, image.shape[0] - side + 1)
        x = random.integers(0, image.shape[1] - side + 1)
        return cv2.resize(image[y : y + side, x : x + side], (width, height))

    def _drawing(self, height: int, width: int) -> np.ndarray:
        """Draw lines, circles and letters."""
        random = self.random
        image = np.full((height, width, 3), random.integers(0, 256, 3), np.uint8)
        for _ in range(random.integers(3, 30)):
            colour = tuple(int(value) for value in random.integers(0, 256, 3))
            one, two = (
                (int(random.integers(-20, width + 20)), int(random.integers(-20, height + 20)))
                for _ in range(2)
            )
            kind, thick = random.integers(4), int(random.integers(1, 5))
            if kind == 0:
                cv2.line(image, one, two, colour, thick, cv2.LINE_AA)
            elif kind == 1:
                fill = -1 if random.random() < 0.3 else thick
                cv2.circle(image, one, int(random.integers(2, 60)), colour, fill, cv2.LINE_AA)
            elif kind == 2:
                cv2.rectangle(image, one, two, colour, -1 if random.random() < 0.2 else thick)
            else:
                text = "".join(chr(code) for code in random.integers(33, 127, 8))
                font, size = int(random.integers(8)), random.uniform(0.3, 2)
                cv2.putText(image, text, one, font, size, colour, thick)
        return image

    def _tile(self, height: int, width: int) -> tuple[np.ndarray, Labels]:
        """Put one picture on a ground, mostly with one of its faces inside at a drawn size."""
        random = self.random
        scene, face = self._pick()
        turn = 0.0
        if random.random() < 0.5:
            turn = random.normal(0, 9) if random.random() < 0.9 else random.uniform(-45, 45)
        if face is not None:
            target = scene.box[face]
            size = float(np.sqrt(np.prod(target[2:] - target[:2])))
            wanted = np.exp(random.uniform(*np.log(FACES)))
            wanted = min(wanted, 1.2 * min(height, width))
            scale = min(wanted / size, ENLARGE)
            centre = (target[:2] + target[2:]) / 2
            half = np.minimum(0.5 * size * scale, (width * 0.5, height * 0.5))
            place = np.array(
                [
                    random.uniform(half[0] * 0.8, width - half[0] * 0.8),
                    random.uniform(half[1] * 0.8, height - half[1] * 0.8),
                ]
            )
        else:
            across = np.array(scene.image.shape[1::-1], np.float64)
            scale = np.exp(random.uniform(np.log(0.25), np.log(ENLARGE)))
            reach = np.array([width, height]) / 2 / scale
            low, high = np.minimum(reach, across / 2), np.maximum(across - reach, across / 2)
            centre = random.uniform(low, high)
            place = np.array([width / 2, height / 2])
        stretch = np.exp(random.normal(0, 0.07, 2))
        mirror = -1.0 if random.random() < 0.5 else 1.0
        angle = np.deg2rad(turn)
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turned @ np.diag(stretch * scale * [mirror, 1.0])
        shift = place - matrix @ centre
        image, factor = self._level(scene, scale)
        # Pixel centres are integers: those of the shrunk picture lie between the original's.
        moved = shift + matrix @ np.full(2, 0.5 / factor - 0.5)
        warp = np.hstack([matrix / factor, moved[:, None]])
        ground = self._ground(height, width)
        way = cv2.INTER_LINEAR if random.random() < 0.7 else cv2.INTER_CUBIC
        mode = cv2.BORDER_TRANSPARENT
        cv2.warpAffine(image, warp, (width, height), dst=ground, flags=way, borderMode=mode)
        labels = self._labels(scene, matrix, shift, angle, mirror < 0, (width, height))
        return ground, labels

    def _labels(
        self,
        scene: Scene,
        matrix: np.ndarray,
        shift: np.ndarray,
        angle: float,
        mirrored: bool,
        size: tuple[int, int],
    ) -> Labels:
        middle = ((scene.box[:, :2] + scene.box[:, 2:]) / 2) @ matrix.T + shift
        extent = (scene.box[:, 2:] - scene.box[:, :2]) * np.linalg.norm(matrix, axis=0)
        # A face is about an ellipse: the box of a turned one.
        cos, sin = np.cos(angle) ** 2, np.sin(angle) ** 2
        extent = np.sqrt(extent**2 * cos + extent[:, ::-1] ** 2 * sin)
        whole = np.hstack([middle - extent / 2, middle + extent / 2])
        limit = np.tile(np.array(size, np.float64), 2)
        box = np.clip(whole, 0, limit)
        area = np.prod(box[:, 2:] - box[:, :2], 1)
        keypoints = scene.keypoints @ matrix.T + shift
        if mirrored:
            keypoints = keypoints[:, MIRROR]
        seen = (area > 0) & (scene.score >= SEEN)
        good = seen & (scene.score >= FACE) & (area >= SMALLEST**2)
        good &= area >= VISIBLE * np.prod(extent, 1)
        return Labels(box[good], keypoints[good], box[seen & ~good])

    def _cover(self, image: np.ndarray, labels: Labels) -> None:
        """Hide a part of some faces."""
        random = self.random
        for x0, y0, x1, y1 in labels.box:
            width, height = x1 - x0, y1 - y0
            if min(width, height) < 24 or random.random() > 0.25:
                continue
            part = random.uniform(0.2, 0.5)
            patch = self._ground(max(2, int(height)), max(2, int(width)))
            side = random.integers(4)
            mask = np.zeros(patch.shape[:2], np.uint8)
            h, w = mask.shape
            if random.random() < 0.5:
                spans = [(0, part), (1 - part, 1)]
                low, high = spans[side % 2]
                if side < 2:
                    mask[:, int(low * w) : int(high * w)] = 1
                else:
                    mask[int(low * h) : int(high * h)] = 1
            else:
                centre = (int(random.uniform(0, w)), int(random.uniform(0, h)))
                axes = (int(w * part * 0.6) + 1, int(h * part * 0.6) + 1)
                cv2.ellipse(mask, centre, axes, random.uniform(0, 180), 0, 360, 1, -1)
            top, left = int(y0), int(x0)
            place = image[top : top + h, left : left + w]
            h, w = place.shape[:2]
            np.copyto(place, patch[:h, :w], where=mask[:h, :w, None].astype(bool))

    def _spoil(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Light, colour, blur, noise and coding; also returns the factor it was shrunk by."""
        random = self.random
        shrunk = 1.0
        if random.random() < 0.6:
            levels = np.arange(256, dtype=np.float32) / 255
            dark = random.random() < 0.4
            gamma = np.exp(random.uniform(0, 1.0) if dark else random.normal(0, 0.25))
            gain = random.uniform(0.25, 1.0) if dark else np.exp(random.normal(0, 0.2))
            tint = np.exp(random.normal(0, 0.12 if random.random() < 0.7 else 0.3, 3))
            base = gain * levels**gamma + random.normal(0, 0.04)
            table = np.clip(base[:, None] * tint * 255, 0, 255).astype(np.uint8)
            image = cv2.LUT(image, table[None])
        if random.random() < 0.15:
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
        kind = random.random()
        if kind < 0.2:
            image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 2.0))
        elif kind < 0.26:
            image = motion_blur(image, int(random.integers(3, 10)), random.uniform(0, 180))
        elif kind < 0.45:
            shrunk = random.uniform(1.2, 3.0)
            side = round(SIDE / shrunk)
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            way = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[random.integers(2)]
            image = cv2.resize(image, (SIDE, SIDE), interpolation=way)
        if random.random() < 0.25:
            noise = np.empty(image.shape, np.int8)
            cv2.randn(noise, 0, random.uniform(1, 12))
            image = cv2.add(image, noise, dtype=cv2.CV_8U)
        if random.random() < 0.25:
            image = jpeg(image, int(random.integers(25, 95)))
        return image, shrunk

    def one(self) -> tuple[np.ndarray, Labels]:
        """Return a canvas (320, 320, 3) uint8 and its labels."""
        random = self.random
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        cells = [(0, 0, SIDE, SIDE)]
        if random.random() < 0.15:  # letterbox and pillarbox
            bar = int(random.uniform(0.04, 0.2) * SIDE)
            if random.random() < 0.7:
                cells = [(0, bar, SIDE, SIDE - bar)]
            else:
                cells = [(bar, 0, SIDE - bar, SIDE)]
        for _ in range(random.choice(5, p=[0.4, 0.15, 0.2, 0.15, 0.1])):
            areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in cells]
            x0, y0, x1, y1 = cells.pop(int(np.argmax(areas)))
            part = random.uniform(0.3, 0.7)
            if x1 - x0 > y1 - y0:
                cut = int(x0 + part * (x1 - x0))
                cells += [(x0, y0, cut, y1), (cut, y0, x1, y1)]
            else:
                cut = int(y0 + part * (y1 - y0))
                cells += [(x0, y0, x1, cut), (x0, cut, x1, y1)]
        found = []
        for x0, y0, x1, y1 in cells:
            tile, labels = self._tile(y1 - y0, x1 - x0)
            self._cover(tile, labels)
            image[y0:y1, x0:x1] = tile
            corner = np.array([x0, y0], np.float64)
            found.append(
                Labels(
                    labels.box + np.tile(corner, 2),
                    labels.keypoints + corner,
                    labels.ignored + np.tile(corner, 2),
                )
            )
        image, shrunk = self._spoil(image)
        box = np.concatenate([labels.box for labels in found])
        keypoints = np.concatenate([labels.keypoints for labels in found])
        ignored = np.concatenate([labels.ignored for labels in found])
        large = np.prod(box[:, 2:] - box[:, :2], 1) >= (SMALLEST * max(1, shrunk * 0.75)) ** 2
        ignored = np.concatenate([ignored, box[~large]])
        return image, Labels(box[large], keypoints[large], ignored)
