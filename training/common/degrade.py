"""Degradations of training samples: as published, real JPEG and H.264, motion blur, tapes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

import av
import cv2
import numpy as np
import torch

from refrestore.evaluate.degrade import TRAINING, jpeg, motion_blur
from refrestore.evaluate.tape import TAPES, on_tape
from refrestore.restore import burst

FULL = 512
"""Side of the crop that blur and shrink factors are meant for."""

TAPE_HEIGHT = 480
"""Lines of a picture on a tape."""

LINES = (85, 230)
"""Television lines of luma that a tape keeps: from a worn one to a good one."""

ON_TAPE = (120, 250)
"""Side of a crop in a tape's picture; a face is a little more than half of that."""

FAR = (40, 130)
"""Side of a crop in a film that shows it from afar, or small, and is compressed."""

AROUND = 9
"""Frames that a face is drawn from."""


def h264(image: np.ndarray, crf: int) -> np.ndarray:
    """One intra picture and one predicted one through libx264; the second is returned."""
    shifted = np.roll(image, 1, 1)
    options = {"crf": str(crf), "preset": "veryfast", "bf": "0"}
    return encoded([shifted, image], "libx264", options)[-1]


def encoded(
    images: Sequence[np.ndarray], codec: str, options: Mapping[str, str]
) -> list[np.ndarray]:
    """Return pictures, all of a size, as an encoder leaves them; odd sides lose a pixel."""
    height, width = (side // 2 * 2 for side in images[0].shape[:2])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as target:
        stream = target.add_stream(codec, rate=25)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = dict(options)
        for image in images:
            kept = np.ascontiguousarray(image[:height, :width])
            target.mux(stream.encode(av.VideoFrame.from_ndarray(kept, format="rgb24")))
        target.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


def drawn(image: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a square crop as one frame of a bad film shows it, and drawn from its frames together.

    The frames differ in noise and a little in place, as those of a moving face do once they are cut
    along its landmarks; then they are laid over each other and sharpened as a render does it.
    """
    size = image.shape[0]
    taped = random.random() < 0.7
    side = int(random.integers(*(ON_TAPE if taped else FAR))) // 2 * 2
    moves = np.cumsum(random.normal(0, 0.004, (AROUND, 2)), 0)
    moves -= moves[AROUND // 2]
    soft = cv2.GaussianBlur(image, (0, 0), 0.35 * size / side) if side < size else image
    frames = []
    for move in moves:
        turn = cv2.getRotationMatrix2D(
            (size / 2, size / 2), 60 * random.normal(0, 0.004), 1 + random.normal(0, 0.003)
        )
        turn[:, 2] += move * size
        moved = cv2.warpAffine(
            soft, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        frames.append(cv2.resize(moved, (side, side), interpolation=cv2.INTER_AREA))
    if taped:
        share = side / TAPE_HEIGHT
        lines = float(np.exp(random.uniform(*np.log(LINES))))
        tape = replace(
            TAPES["tape"],
            luma_lines=lines * share,
            chroma_lines=random.uniform(40, 70) * share,
            noise=random.uniform(4, 14),
            chroma_noise=random.uniform(10, 35),
            jitter=random.uniform(0.05, 0.5),
            generations=int(random.integers(1, 3)),
        )
        frames = list(on_tape(frames, tape, random))
    elif random.random() < 0.7:
        spread = random.uniform(0, 6)
        frames = [
            np.clip(frame + random.normal(0, spread, frame.shape), 0, 255).astype(np.uint8)
            for frame in frames
        ]
    crf = int(random.integers(18, 27 if taped else 33))
    frames = encoded(frames, "libx264", {"crf": str(crf), "preset": "veryfast"})
    fitted = [cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR) for frame in frames]
    stack = torch.from_numpy(np.stack(fitted)).permute(0, 3, 1, 2).float() / 255
    middle = AROUND // 2
    near = [stack[index] for index in range(AROUND) if index != middle]
    face = stack[middle : middle + 1]
    seen = burst.measured(face, [near])
    result = burst.sharpened(face, seen.images, seen.blur())[0]
    levels = (result * 255).round().clamp(0, 255).to(torch.uint8)
    return fitted[middle], levels.permute(1, 2, 0).contiguous().numpy()


def degrade(image: np.ndarray, kind: str, random: np.random.Generator) -> np.ndarray:
    """Spoil a square FFHQ-aligned crop and return it at its own size.

    Ranges as in ReF-LDM (NeurIPS 2024), section 5.1, and clean ones. They are those of a 512-px
    crop; for a smaller one the blur is less in proportion and the shrunk picture is the same.

    Parameters
    ----------
    image : (S, S, 3) uint8
        RGB.
    kind
        `clean`, `legible` (85 px and more, little else), `moderate`, `severe` (to 21-64 px), `far`
        (to 20-40 px, hardly blurred before:
        a small face in a good picture), `poor` (4-9 times down, always noisy and compressed) or
        `video` (moderate, through libx264).
    random
        Where the values come from.
    """
    size = image.shape[0]
    span = TRAINING[kind]
    blur, shrink, noise = (random.uniform(*one) for one in (span.blur, span.shrink, span.noise))
    quality = int(random.integers(*span.quality))
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
