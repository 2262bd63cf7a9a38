"""What the processor still has to do for a face when a GPU does the computing.

    python benchmarks/host_work.py [--batch 128] [-o benchmarks/host_work.json]

Faces of a 720p film, two a frame, are cut, restored from five references or carried over, steadied
and made into patches, and these into the frames' planes, by the networks in use, on CUDA tensors
that are only pretended (`FakeTensorMode`): the code runs as it would beside a GPU, and nothing is
computed. What is counted are operations, views and waits; the pretence itself is too slow to be
timed, so an operation is taken to cost the host `LAUNCH` and a view `VIEW`. Landmarks and
recogniser (ONNX files) are not in it, nor decoder and encoder.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np
import torch
from torch._subclasses import fake_tensor
from torch.utils._python_dispatch import TorchDispatchMode

from refrestore.render.carrying import frames_apart
from refrestore.render.face_table import FaceTable
from refrestore.render.restore_segment import restore_segment
from refrestore.render.segment_result import Account
from refrestore.render.tools import Tools
from refrestore.render.window import composed
from refrestore.restore import bank as banks
from refrestore.restore import burst, restorer
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import FusionConfig
from refrestore.restore.mask import LearntMask, MaskNetwork
from refrestore.restore.restorer import DEFAULT_REFERENCES, Restorer
from refrestore.restore.sides import SIDES
from refrestore.types import Faces, Frame, Geometry, Reference

LAUNCH, VIEW = 8e-6, 2e-6
"""Seconds that eager PyTorch takes on the host: to call, dispatch and launch an operation, and for
a view, of which the GPU hears nothing."""

UNSEEN = ("aten::detach", "aten::_unsafe_view")
"""Views by another name."""

PRETENDED = ("prim::device",)
"""What only a pretended tensor dispatches: a real one knows its device."""

SIZE = (1280, 720)
FACES, RATE = 2, Fraction(25)
GOAL = {"milliseconds_a_face": 1.0, "waits_a_batch": 3}


class Host(TorchDispatchMode):
    """Counts operations, views, and what is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.views = self.waits = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._schema.name in PRETENDED:
            return result
        given = [one for one in args if isinstance(one, torch.Tensor)]
        back = isinstance(result, torch.Tensor) and result.device.type == "cpu"
        self.waits += back and any(one.device.type == "cuda" for one in given)
        alias = func._schema.returns[0].alias_info if func._schema.returns else None
        if (alias is not None and not alias.is_write) or func._schema.name in UNSEEN:
            self.views += 1
        else:
            self.operations += 1
        return result


@contextmanager
def pretended() -> Iterator[Host]:
    """Let tensors of `device="cuda"` be fake ones."""
    with (
        mock.patch.object(fake_tensor, "CONSTANT_NUMEL_LIMIT", 0),
        mock.patch.object(torch.nn.Module, "to", lambda network, *_, **__: network),
        fake_tensor.FakeTensorMode(),
        Host() as host,
    ):
        yield host


def mesh(side: int) -> np.ndarray:
    """Return points all over the middle of a crop."""
    return (np.random.default_rng(0).uniform(0.25, 0.75, (468, 2)) * side).astype(np.float32)


def person(names: int) -> ReferenceBank:
    """Return a bank of pictures of noise."""
    random = np.random.default_rng(1)
    return ReferenceBank.from_references(
        [
            Reference(
                image=random.integers(0, 256, (512, 512, 3), dtype=np.uint8),
                landmarks=mesh(512),
                embedding=np.eye(512, dtype=np.float32)[number],
                pose=np.zeros(3, np.float32),
                sharpness=1.0,
                quality=1.0,
                native_size=200.0,
                source=str(number),
            )
            for number in range(names)
        ]
    )


def film(count: int) -> Iterator[Frame]:
    """Yield frames of noise."""
    image = np.random.default_rng(3).integers(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
    for index in range(count):
        yield Frame(index, index / RATE, picture, Geometry(*SIZE))


def work_of(frames: int, side: int, shown: float) -> FaceTable:
    """Return the faces of a film, each `shown` pixels of it to a crop."""
    frame, who = np.divmod(np.arange(frames * FACES), FACES)
    count = len(frame)
    to_crop = np.zeros((count, 2, 3))
    to_crop[:, 0, 0] = to_crop[:, 1, 1] = side / shown
    to_crop[:, 0, 2] = -side / shown * (100 + 500 * who + frame)
    to_crop[:, 1, 2] = -side / shown * 200
    ones = np.ones(count, np.float32)
    faces = Faces(
        frame=frame.astype(np.int64),
        box=np.tile(np.float32([0, 0, 90, 90]), (count, 1)),
        score=ones,
        keypoints=np.zeros((count, 5, 2), np.float32),
        track=who.astype(np.int64),
    )
    sides = np.full(count, side)
    landmarks = np.tile(mesh(side), (count, 1, 1))
    own = np.ones(count, bool)
    sharp = np.zeros((count, burst.TERMS), np.float32)
    whose = who.astype(np.int64)
    columns = (sides, to_crop, ones, landmarks, ones, sharp, ones, 0 * ones)
    return FaceTable(faces, whose, ones, own, *columns)


def measure(side: int, batch: int) -> dict[str, float]:
    """Return host milliseconds and operations a face, and waits a batch."""
    light = lambda images: np.zeros((len(images), 64), np.float32)  # noqa: E731
    with (
        mock.patch.object(banks, "light_of", light),
        mock.patch.object(restorer, "light_of", light),
        pretended() as host,
    ):
        with torch.device("cuda"):
            network = FusionNetwork(FusionConfig(sides=SIDES)).requires_grad_(False)
            mask = LearntMask(MaskNetwork(), "cuda")
        own = Restorer(network, mask=mask, device="cuda")
        everybody = {one: person(DEFAULT_REFERENCES) for one in range(FACES)}
        tools = Tools(
            None,  # type: ignore[arg-type]
            own,
            everybody,
            DEFAULT_REFERENCES,
            batch,
            apart=frames_apart(RATE),
        )
        frames = 4 * batch * tools.apart // FACES
        work, pictures = work_of(frames, side, 107), film(frames)
        host.operations = host.views = host.waits = 0
        for batch_of in restore_segment(work, pictures, tools, Account(), scale=1):
            deque(composed(batch_of, None, 1), 0)
        faces = frames * FACES
        return {
            "operations_a_face": round(host.operations / faces, 1),
            "views_a_face": round(host.views / faces, 1),
            "milliseconds_a_face": round(
                1e3 * (LAUNCH * host.operations + VIEW * host.views) / faces, 3
            ),
            # Faces choose their references by their light, on the host: one wait more.
            "waits_a_batch": round(host.waits / 4 + 1, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "command": " ".join(["python", "benchmarks/host_work.py", *sys.argv[1:]]),
        "date": str(date.today()),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "batch": arguments.batch,
        "microseconds": {"operation": 1e6 * LAUNCH, "view": 1e6 * VIEW},
        "sides": {str(side): measure(side, arguments.batch) for side in SIDES},
        "goal": GOAL,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
