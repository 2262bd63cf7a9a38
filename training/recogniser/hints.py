"""What the teacher computes on the way: targets for the student's stages.

Two dozen numbers per place of the face say far more about how the teacher looks at it than the
one embedding does, and what a stage does to a neighbourhood cannot be learnt by knowing people by
heart, of whom there are few. Found when a face is first drawn, kept in a file.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from training.recogniser.network import STAGES, Student
from training.recogniser.prepare import INNER, SIDE, noise_field, relight

POINTS = (
    ("stages.0/blocks/blocks.2/Add", 32, 14),
    ("stages.1/blocks/blocks.2/Add_3", 64, 14),
    ("stages.2/blocks/blocks.2/Add", 100, 7),
    ("stages.2/blocks/blocks.5/Add", 100, 7),
    ("stages.2/blocks/blocks.8/Add_3", 100, 7),
    ("stages.3/blocks/blocks.2/Add_4", 192, 3),
)
"""Nodes of EdgeFace-XS, channels, side; the first is averaged from 28 to 14."""

STEPS = 20.0
"""Steps of the stored bytes per standard deviation."""

SAMPLE = 512
LENGTH = sum(channels * side**2 for _, channels, side in POINTS)


class Teacher:
    """The recogniser with its inner outputs; standardised by the first faces it sees."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(str(path))
        names = [f"/model/stages/{node}_output_0" for node, _, _ in POINTS]
        model.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self.outputs = [model.graph.output[0].name, *names]

    def __call__(self, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 112, 112, 3) uint8 → unit embeddings (N, 512) and inner outputs (N, LENGTH)."""
        planes = (faces.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        embedding, *inner = self._session.run(self.outputs, {self._input: planes})
        first = inner[0]
        inner[0] = first.reshape(*first.shape[:2], 14, 2, 14, 2).mean((3, 5))
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        return embedding, np.concatenate([x.reshape(len(x), -1) for x in inner], 1)


class Hints:
    """Faces with the teacher's embedding and inner outputs, found on demand.

    Besides the stored faces there are `mixes` more: two or three stored ones put together,
    displaced and lit, always the same for the same number.
    """

    def __init__(self, cache: Path, teacher: Path, faces: np.ndarray, mixes: int) -> None:
        self.faces, self.stored = faces, len(faces)
        self.teacher = Teacher(teacher)
        total = self.stored + mixes
        known = cache / "known.npy"
        mode = "r+" if known.exists() else "w+"
        make = np.lib.format.open_memmap
        self.inner = make(cache / "inner.npy", mode, np.int8, (total, LENGTH))
        self.embedding = make(cache / "embedding.npy", mode, np.float32, (total, 512))
        self.known = make(known, mode, np.bool_, (total,))
        rows = np.linspace(0, self.stored - 1, SAMPLE).astype(int)
        inner = self.teacher(np.stack([self.face(row)[INNER, INNER] for row in rows]))[1]
        self.mean = inner.mean(0)
        self.spread = np.empty(LENGTH, np.float32)
        at = 0
        for _, channels, side in POINTS:
            size = channels * side**2
            rest = (inner - self.mean)[:, at : at + size].reshape(SAMPLE, channels, -1)
            self.spread[at : at + size] = np.repeat(rest.std((0, 2)) + 1e-6, side**2)
            at += size

    def __len__(self) -> int:
        return len(self.known)

    def face(self, number: int) -> np.ndarray:
        """(136, 136, 3) uint8."""
        if number < self.stored:
            return self.faces[number]
        random = np.random.default_rng(number)
        image = self.faces[random.integers(self.stored)].astype(np.float32)
        for _ in range(int(random.integers(1, 4))):
            other = self.faces[random.integers(self.stored)].astype(np.float32)
            cells = int(random.integers(3, 9))
            mask = 1 / (1 + np.exp(-4 * noise_field(random, cells) - random.normal(0, 1)))
            image += (other - image) * mask
        plain = np.arange(SIDE, dtype=np.float32)
        field = noise_field(random, int(random.integers(4, 9)), 2) * random.uniform(0, 3)
        place = np.stack(np.meshgrid(plain, plain), -1) + field
        image = cv2.remap(image, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return np.clip(relight(image, random), 0, 255).astype(np.uint8)

    def fetch(self, faces: np.ndarray, numbers: np.ndarray) -> None:
        """Ask the teacher about those of the faces (N, 136, 136, 3) that are not known yet."""
        new = np.flatnonzero(~self.known[numbers])
        for at in range(0, len(new), 8):
            chosen = new[at : at + 8]
            embedding, inner = self.teacher(np.ascontiguousarray(faces[chosen][:, INNER, INNER]))
            scaled = (inner - self.mean) / self.spread * STEPS
            self.inner[numbers[chosen]] = np.clip(np.rint(scaled), -127, 127).astype(np.int8)
            self.embedding[numbers[chosen]] = embedding
            self.known[numbers[chosen]] = True


class Heads(nn.Module):
    """Linear maps from the student's stages to the teacher's; thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip(STAGES, POINTS, strict=True)
        self.maps = nn.ModuleList(nn.Conv2d(width, out, 1) for (_, width), (_, out, _) in pairs)

    def forward(self, stages: list[torch.Tensor], inner: torch.Tensor) -> torch.Tensor:
        """Mean squared errors, one a stage; `inner` (N, LENGTH) standardised."""
        errors, at = [], 0
        for found, head, (_, channels, side) in zip(stages, self.maps, POINTS, strict=True):
            features = found
            if found.shape[-1] == 2 * side:
                features = nn.functional.avg_pool2d(found, 2)
            elif found.shape[-1] == 2 * side + 1:
                features = nn.functional.avg_pool2d(found, 3, 2)
            size = channels * side**2
            wanted = inner[:, at : at + size].view(-1, channels, side, side)
            errors.append((head(features).float() - wanted).square().mean())
            at += size
        return torch.stack(errors)


class Trained(nn.Module):
    """Student and heads together, so that one optimiser and one checkpoint hold both."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.heads = Student(), Heads()
