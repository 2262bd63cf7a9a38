"""Put things in front of faces: hands, microphones, cups, hair, text, other heads."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from refrestore.evaluate.degrade import motion_blur
from training.common.mesh import CHIN, FOREHEAD
from training.mask.face import Face, Painted
from training.mask.hands import draw_hand
from training.mask.textures import Textures

KINDS = {
    "hand": 0.42, "microphone": 0.15, "cup": 0.06, "phone": 0.05, "paper": 0.04, "hair": 0.06,
    "scarf": 0.06, "head": 0.08, "blob": 0.08, "text": 0.10,
}  # fmt: skip
"""How often each is in front of a face that has something in front of it."""

WORDS = ("LIVE", "BREAKING NEWS", "the end", "I am here.", "12:45", "(c) 2020", "What?", "@name")
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def hand(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    if textures.hands and random.random() < 0.35:
        return _real_hand(face, textures, random)
    size, height = len(face.image), face.height
    palm = height * random.uniform(0.32, 0.6)
    goal = face.within(random)
    down = np.pi / 2 + random.normal(0, 0.75)  # the way from the fingers to the arm
    back = np.array([np.cos(down), np.sin(down)])
    # Any part of the hand may be what lies on the face.
    wrist = goal + back * palm * random.uniform(0.3, 2.0)
    layer = draw_hand(size, wrist, down + np.pi, palm, random)
    mean = face.skin() if random.random() < 0.6 else None
    colour = textures.skin_like(mean, size, random)
    colour *= (layer.light * random.uniform(0.9, 1.4))[..., None]
    if layer.cloth.any():
        cloth = textures.thing(size, random) * layer.light[..., None] * 1.2
        colour += layer.cloth[..., None] * (cloth - colour)
    return np.clip(colour, 0, 255), layer.alpha


def _real_hand(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    """A hand cut out of a clip, in the colour of this face or its own."""
    size = len(face.image)
    cut = textures.hands[random.integers(len(textures.hands))]
    if random.random() < 0.5:
        cut = cut[:, ::-1]
    longer = max(cut.shape[:2])
    zoom = face.height * random.uniform(0.5, 1.0) / longer
    matrix = cv2.getRotationMatrix2D((0, 0), random.uniform(-100, 100), zoom)
    middle = np.array([cut.shape[1] / 2, cut.shape[0] / 2])
    matrix[:, 2] = face.within(random) - matrix[:, :2] @ middle
    placed = cv2.warpAffine(np.ascontiguousarray(cut), matrix, (size, size)).astype(np.float32)
    colour, alpha = placed[..., :3], placed[..., 3] / 255
    inside = alpha > 0.5
    if inside.any() and random.random() < 0.6:
        colour = colour * (face.skin() / np.maximum(colour[inside].mean(0), 8))
        colour = colour * random.uniform(0.8, 1.2)
    return np.clip(colour, 0, 255), alpha


def _rod(shape: np.ndarray, start: np.ndarray, end: np.ndarray, near: float, far: float) -> None:
    """Fill a tapered bar on (S, S) float32."""
    way = (end - start) / (np.linalg.norm(end - start) + 1e-6)
    side = np.array([-way[1], way[0]])
    corners = np.array(
        [start + side * near, end + side * far, end - side * far, start - side * near]
    )
    cv2.fillConvexPoly(shape, np.rint(corners * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)


def microphone(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    size, height = len(face.image), face.height
    ball = height * random.uniform(0.09, 0.2)
    place = face.mouth + random.normal(0, 0.16, 2) * height + [0, 0.06 * height]
    angle = np.pi / 2 + random.normal(0, 0.7)
    way = np.array([np.cos(angle), np.sin(angle)])
    alpha = np.zeros((size, size), np.float32)
    rod = np.zeros((size, size), np.float32)
    _rod(rod, place, place + way * 3 * height, ball * random.uniform(0.45, 0.8), ball * 0.5)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    along, across = (x - place[0]) * way[0] + (y - place[1]) * way[1], 0.0
    across = -(x - place[0]) * way[1] + (y - place[1]) * way[0]
    stretch = random.uniform(0.9, 1.6)
    distance = np.sqrt((along / stretch) ** 2 + across**2)
    head = np.clip(ball - distance + 0.5, 0, 1)
    np.maximum(rod, head, out=alpha)
    base = np.full(3, random.uniform(8, 110)) * np.exp(random.normal(0, 0.06, 3))
    if random.random() < 0.2:
        base = random.uniform(10, 220, 3)  # a coloured foam
    light = np.clip(1 - 0.55 * (distance / ball) ** 2, 0.25, 1)
    lit = place + random.normal(0, 0.4, 2) * ball
    light += random.uniform(0, 0.8) * np.exp(
        -((x - lit[0]) ** 2 + (y - lit[1]) ** 2) / (2 * (0.3 * ball) ** 2)
    )
    if random.random() < 0.5:  # a grille
        step = max(ball / random.uniform(4, 9), 2.0)
        grille = np.sin(2 * np.pi * (x + y) / step) * np.sin(2 * np.pi * (x - y) / step)
        light *= 1 + random.uniform(0.1, 0.5) * grille
        base = np.full(3, random.uniform(60, 180))
    else:
        light *= 1 + random.normal(0, random.uniform(0.02, 0.2), light.shape)
    grey = np.array(random.uniform(5, 70)) if random.random() < 0.75 else random.uniform(100, 200)
    shaft = np.clip(1 - np.abs(across / (0.7 * ball)) * 0.7, 0.2, 1)
    shaft += random.uniform(0, 1) * np.exp(-((across / ball - 0.2) ** 2) / 0.01)
    colour = (grey * shaft)[..., None] * np.ones(3)
    if random.random() < 0.4:  # a ring under the head
        colour[np.abs(along - stretch * ball) < 0.15 * ball] = random.uniform(120, 240)
    colour += head[..., None] * (base * light[..., None] - colour)
    if random.random() < 0.4:
        grip = place + way * ball * random.uniform(2.2, 4)
        palm = height * random.uniform(0.32, 0.45)
        turn = angle + random.choice([-1, 1]) * random.uniform(1.0, 1.8)
        aside = np.array([np.cos(turn), np.sin(turn)])
        layer = draw_hand(size, grip + aside * palm * 0.7, turn + np.pi, palm, random)
        skin = textures.skin_like(face.skin(), size, random) * layer.light[..., None] * 1.1
        colour = colour + layer.alpha[..., None] * (skin - colour)
        alpha = np.maximum(alpha, layer.alpha)
    return np.clip(colour, 0, 255).astype(np.float32), alpha


def cup(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    size, height = len(face.image), face.height
    width, tall = height * random.uniform(0.16, 0.3), height * random.uniform(0.35, 0.7)
    rim = face.mouth + random.normal(0, 0.08, 2) * height
    tilt = random.normal(0, 0.35)
    down, side = np.array([-np.sin(tilt), np.cos(tilt)]), np.array([np.cos(tilt), np.sin(tilt)])
    alpha = np.zeros((size, size), np.float32)
    _rod(alpha, rim, rim + down * tall, width, width * random.uniform(0.65, 1))
    box = (tuple(map(float, rim)), (2 * width, width * random.uniform(0.2, 0.8)), np.degrees(tilt))
    cv2.ellipse(alpha, box, 1.0, -1, cv2.LINE_AA)
    if random.random() < 0.4:
        ear = rim + down * tall * 0.5 + side * width * random.choice([-1, 1])
        shape = (tuple(map(float, ear)), (width, tall * 0.6), np.degrees(tilt))
        cv2.ellipse(alpha, shape, 1.0, max(2, round(0.2 * width)), cv2.LINE_AA)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    across = ((x - rim[0]) * side[0] + (y - rim[1]) * side[1]) / width
    light = np.clip(1.1 - 0.6 * (across - random.uniform(-0.5, 0.5)) ** 2, 0.2, 1.3)
    colour = textures.thing(size, random)
    if random.random() < 0.5:
        colour[:] = random.uniform(150, 255)
    return np.clip(colour * light[..., None], 0, 255), alpha


def _plate(face: Face, random: np.random.Generator, wide: float, tall: float) -> np.ndarray:
    """A turned rectangle with rounded corners on the face."""
    size = len(face.image)
    alpha = np.zeros((size, size), np.float32)
    spot = face.within(random) + random.normal(0, 0.1, 2) * face.height
    box = (tuple(map(float, spot)), (float(wide), float(tall)), random.uniform(-50, 50))
    corners = cv2.boxPoints(box) + random.normal(0, 0.03, (4, 2)) * face.height
    cv2.fillConvexPoly(alpha, np.rint(corners * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
    return np.clip(cv2.GaussianBlur(alpha, (0, 0), max(0.03 * wide, 0.5)) * 3 - 1, 0, 1)


def phone(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    size, height = len(face.image), face.height
    alpha = _plate(face, random, 0.36 * height, 0.72 * height)
    colour = np.full((size, size, 3), random.uniform(5, 60), np.float32)
    if random.random() < 0.5:
        colour[:] = textures.thing(size, random)
    inner = cv2.erode(alpha, np.ones((5, 5), np.uint8))
    colour *= (0.6 + 0.4 * inner)[..., None]
    if random.random() < 0.5:
        inside = np.argwhere(inner > 0.9)
        if len(inside):
            y, x = inside[random.integers(len(inside))]
            cv2.circle(colour, (int(x), int(y)), max(2, round(0.04 * height)), (20, 20, 25), -1)
    return colour, alpha


def paper(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    size, height = len(face.image), face.height
    alpha = _plate(face, random, *(height * random.uniform(0.4, 1.1, 2)))
    colour = np.empty((size, size, 3), np.float32)
    colour[:] = random.uniform(150, 255) * np.array([1, 1, random.uniform(0.8, 1)])
    colour *= np.linspace(random.uniform(0.7, 1), 1, size, dtype=np.float32)[:, None, None]
    if random.random() < 0.6:
        step = max(3, round(0.04 * height))
        for line in range(0, size, step):
            cv2.line(colour, (0, line), (size, line + int(random.integers(-2, 3))), (90,) * 3, 1)
    return colour, alpha


def hair(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    """A lock: curved strands that begin above or beside the face."""
    size, height = len(face.image), face.height
    shades = textures.strands(random)
    start = np.array([random.normal(0, 0.3), -random.uniform(0, 0.15)])
    root = face.mesh[FOREHEAD] + start * height
    tip = face.within(random)
    tip[1] += random.uniform(0, 0.3) * height
    bend = (root + tip) / 2 + random.normal(0, 0.2, 2) * height
    width, taper = random.uniform(0.02, 0.12) * height, random.uniform(0.1, 0.8)
    alpha = np.zeros((size, size), np.float32)
    colour = np.empty((size, size, 3), np.float32)
    colour[:] = shades.mean(0)
    part = np.linspace(0, 1, 14)[:, None]
    for _ in range(int(random.integers(12, 60))):
        shift = random.normal(0, width, 2)
        stray = random.normal(0, 0.3 * width, (3, 2))
        ends = [root + shift, bend + shift, tip + shift * taper]
        a, b, c = (end + way for end, way in zip(ends, stray, strict=True))
        line = (1 - part) ** 2 * a + 2 * part * (1 - part) * b + part**2 * c
        points = [np.rint(line * 16).astype(np.int32)]
        thick = int(random.integers(1, 3))
        cv2.polylines(alpha, points, False, 1.0, thick, cv2.LINE_AA, 4)
        shade = shades[random.integers(len(shades))] * random.uniform(0.7, 1.2)
        cv2.polylines(colour, points, False, tuple(map(float, shade)), thick, cv2.LINE_AA, 4)
    return np.clip(colour, 0, 255), alpha


def scarf(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    """Cloth over the lower face: a scarf, a surgical mask."""
    size, height = len(face.image), face.height
    down = face.mesh[CHIN] - face.mesh[FOREHEAD]
    down = down / (np.linalg.norm(down) + 1e-6)
    side = np.array([-down[1], down[0]])
    top = face.mesh[1] + down * height * random.uniform(-0.08, 0.25)
    reach = np.linspace(-1, 1, 15)
    drop = random.uniform(-0.15, 0.2) * (1 - reach**2) + random.normal(0, 0.012, 15)
    drop += random.normal(0, 0.06) * reach
    edge = top + reach[:, None] * side * height * 0.7 + (drop * height)[:, None] * down
    alpha = np.zeros((size, size), np.float32)
    if random.random() < 0.5:
        low = (edge + down * height * random.uniform(0.35, 1.2))[::-1]
        cv2.fillPoly(alpha, [np.rint(np.vstack([edge, low]) * 16).astype(np.int32)], 1.0, 8, 4)
    else:  # a mask ends with the face
        below = edge[::-1] + down * height * 1.2
        cv2.fillPoly(alpha, [np.rint(np.vstack([edge, below]) * 16).astype(np.int32)], 1.0, 8, 4)
        shape = np.zeros_like(alpha)
        centre = face.mesh.mean(0)
        outline = cv2.convexHull(((face.mesh - centre) * 1.04 + centre).astype(np.float32))
        cv2.fillConvexPoly(shape, np.rint(outline).astype(np.int32), 1.0, cv2.LINE_AA)
        alpha *= shape
    colour = textures.thing(size, random)
    if random.random() < 0.35:
        plain = [(150, 190, 220), (235, 235, 235), (25, 25, 28)][random.integers(3)]
        colour[:] = np.array(plain) * random.uniform(0.8, 1.1)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    fold = (x * down[0] + y * down[1]) / (height * random.uniform(0.04, 0.12))
    colour = colour * (1 + random.uniform(0, 0.25) * np.sin(fold + 0.02 * x))[..., None]
    return np.clip(colour, 0, 255), cv2.GaussianBlur(alpha, (0, 0), 0.7)


def head(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    """Somebody else's head, cut a little outside its hull."""
    size = len(face.image)
    crop, mesh = textures.head(size, random)
    zoom = random.uniform(0.6, 1.3)
    matrix = cv2.getRotationMatrix2D((0, 0), random.uniform(-30, 30), zoom)
    if random.random() < 0.5:
        matrix[:, 0] *= -1
    away = np.radians(random.uniform(0, 360))
    goal = face.mesh.mean(0) + np.array([np.cos(away), np.sin(away)]) * face.height * (
        random.uniform(0.35, 0.85)
    )
    matrix[:, 2] = goal - matrix[:, :2] @ mesh.mean(0)
    shape = np.zeros(crop.shape[:2], np.float32)
    centre = mesh.mean(0)
    grown = (mesh - centre) * random.uniform(1.0, 1.2, 2) + centre
    outline = cv2.convexHull(grown.astype(np.float32))
    cv2.fillConvexPoly(shape, np.rint(outline).astype(np.int32), 1.0, cv2.LINE_AA)
    colour = cv2.warpAffine(crop, matrix, (size, size), borderMode=cv2.BORDER_REFLECT)
    return colour, cv2.warpAffine(shape, matrix, (size, size))


def blob(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    """A random outline filled with anything, another face's skin too."""
    size, height = len(face.image), face.height
    around = np.linspace(0, 2 * np.pi, int(random.integers(4, 14)), endpoint=False)
    radius = height * random.uniform(0.08, 0.4) * random.uniform(0.5, 1.3, len(around))
    outline = np.stack([np.cos(around), np.sin(around)], 1) * radius[:, None] + face.within(random)
    alpha = np.zeros((size, size), np.float32)
    cv2.fillPoly(alpha, [np.rint(outline * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    if random.random() < 0.5:
        alpha = np.clip(cv2.GaussianBlur(alpha, (0, 0), 0.04 * height) * 3 - 1, 0, 1)
    if random.random() < 0.35:
        mean = face.skin() if random.random() < 0.5 else None
        return textures.skin_like(mean, size, random), alpha
    return textures.thing(size, random), alpha


def text(face: Face, textures: Textures, random: np.random.Generator) -> Painted:
    """Lettering over the picture, on a banner or bare."""
    size, height = len(face.image), face.height
    alpha = np.zeros((size, size), np.uint8)
    colour = np.empty((size, size, 3), np.uint8)
    ink = np.array([255, 255, 255]) if random.random() < 0.5 else random.integers(0, 256, 3)
    colour[:] = random.integers(0, 256, 3) if random.random() < 0.5 else 255 - ink
    word, font = WORDS[random.integers(len(WORDS))], FONTS[random.integers(len(FONTS))]
    scale, thick = height * random.uniform(0.004, 0.014), int(random.integers(1, 5))
    (wide, tall), _ = cv2.getTextSize(word, font, scale, thick)
    x, y = face.within(random) - [wide * random.uniform(0.1, 0.9), -tall / 2]
    place = (int(x), int(y))
    if random.random() < 0.4:  # a banner
        gap = int(tall * random.uniform(0.2, 0.8))
        cv2.rectangle(alpha, (-5, place[1] + gap), (size + 5, place[1] - tall - gap), 255, -1)
    elif random.random() < 0.6:  # an outline
        cv2.putText(alpha, word, place, font, scale, 255, thick + 2, cv2.LINE_AA)
    cv2.putText(alpha, word, place, font, scale, 255, thick, cv2.LINE_AA)
    cv2.putText(colour, word, place, font, scale, tuple(map(int, ink)), thick, cv2.LINE_AA)
    return colour.astype(np.float32), alpha.astype(np.float32) / 255


MAKERS: dict[str, Callable[[Face, Textures, np.random.Generator], Painted]] = {
    "hand": hand, "microphone": microphone, "cup": cup, "phone": phone, "paper": paper,
    "hair": hair, "scarf": scarf, "head": head, "blob": blob, "text": text,
}  # fmt: skip


def cover(
    face: Face, kind: str, textures: Textures, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Put one thing in front of a face.

    Returns
    -------
    image : (S, S, 3) uint8
        The picture.
    alpha : (S, S) float32
        0..1, how much of each pixel is the thing. Its shadow is not.
    """
    colour, alpha = MAKERS[kind](face, textures, random)
    if kind != "text":
        # Light on the thing is much like light on the face.
        level = face.image.mean() / 110
        colour = colour * (level ** random.uniform(0, 0.7))
    soft = random.uniform(0.4, 1.4) * len(face.image) / 256
    moving = kind == "hand" and random.random() < 0.2
    if moving:
        length, angle = int(random.integers(3, 14)), random.uniform(0, 180)
        stack = np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)
        stack = motion_blur(stack, length, angle)
        alpha = stack[..., 3]
        colour = stack[..., :3] / np.maximum(alpha, 1e-3)[..., None]
    alpha = cv2.GaussianBlur(alpha, (0, 0), soft)
    image = face.image.astype(np.float32)
    if kind not in ("text", "hair") and random.random() < 0.7:
        move = np.float32([[1, 0, 0], [0, 1, 0]])
        move[:, 2] = random.normal(0, 0.03, 2) * face.height
        shadow = cv2.warpAffine(alpha, move, alpha.shape[::-1])
        shadow = cv2.GaussianBlur(shadow, (0, 0), face.height * random.uniform(0.01, 0.06))
        image *= 1 - random.uniform(0, 0.55) * shadow[..., None]
    image += alpha[..., None] * (colour - image)
    return np.clip(image, 0, 255).astype(np.uint8), np.clip(alpha, 0, 1)


def any_kind(random: np.random.Generator) -> str:
    """Return a kind as often as `KINDS` says."""
    chances = np.array(list(KINDS.values()))
    return list(KINDS)[random.choice(len(chances), p=chances / chances.sum())]
