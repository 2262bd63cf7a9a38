"""Degradations of training samples: as published, real JPEG and H.264, motion blur."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np

FULL = 512
"""Side of the crop that blur and shrink factors are meant for."""

RANGES = {
    "clean": ((0, 1.2), (1, 1.7), (0, 3), (80, 100)),
    "moderate": ((1, 7), (3, 10), (0, 15), (50, 100)),
    "severe": ((2, 12), (8, 24), (0, 14), (35, 100)),
    "far": ((0, 4), (12.8, 25.6), (1, 10), (45, 95)),
    "poor": ((2, 6), (4, 9), (6, 15), (45, 80)),
    "video": ((1, 7), (3, 10), (0, 15), (50, 100)),
}
"""Blur (sigma), shrinking, noise (sigma) and JPEG quality of each kind."""


def motion_blur(image: np.ndarray, length: int, angle: float) -> np.ndarray:
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, angle, 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1e-3), borderType=cv2.BORDER_REFLECT)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def h264(image: np.ndarray, crf: int) -> np.ndarray:
    """One intra picture and one predicted one through libx264; the second is returned."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    image = np.ascontiguousarray(image[:height, :width])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height = width, height
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
    """Spoil a square FFHQ-aligned crop and return it at its own size.

    Ranges as in ReF-LDM (NeurIPS 2024), section 5.1, and clean ones. They are those of a 512-px
    crop; for a smaller one the blur is less in proportion and the shrunk picture is the same.

    Parameters
    ----------
    image : (S, S, 3) uint8
        RGB.
    kind
        `clean`, `moderate`, `severe` (to 21-64 px), `far` (to 20-40 px, hardly blurred before:
        a small face in a good picture), `poor` (4-9 times down, always noisy and compressed) or
        `video` (moderate, through libx264).
    random
        Where the values come from.
    """
    size = image.shape[0]
    blurs, shrinks, noises, qualities = RANGES[kind]
    blur, shrink, noise = (random.uniform(*span) for span in (blurs, shrinks, noises))
    quality = int(random.integers(*qualities))
    if kind != "clean" and random.random() < 0.15:
        length = max(3, round(int(random.integers(3, 25)) * size / FULL))
        image = motion_blur(image, length, random.uniform(0, 180))
    if random.random() < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), max(blur * size / FULL, 0.1))
    side = min(size, max(20, round(FULL / shrink)))
    way = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[random.integers(3)]
    small = cv2.resize(image, (side, side), interpolation=way)
    if kind == "video":
        noise *= 0.4
    if noise > 0:
        spread = random.normal(0, noise, small.shape if random.random() < 0.7 else (side, side, 1))
        small = np.clip(small + spread, 0, 255).astype(np.uint8)
    small = h264(small, int(random.integers(20, 38))) if kind == "video" else jpeg(small, quality)
    back = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)[random.integers(3)]
    return cv2.resize(small, (size, size), interpolation=back)
