"""The judge: looks at a face beside the true one and says how far it is from it.

Everything is taken at the true face's place, so that a restorer that moves a face is not forgiven
for it. Identity is scored by a recogniser, and landmarks are found by a mesh, that take no part
in the restoration.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refrestore.config import RuntimeSettings
from refrestore.errors import ModelError
from refrestore.evaluate.metrics import (
    blotches,
    cosine_similarity,
    detail,
    landmark_error,
    psnr,
    ssim,
)
from refrestore.evaluate.niqe import NIQE_FILE, Niqe
from refrestore.evaluate.perceptual import (
    ALEXNET_FILE,
    LPIPS_FILE,
    SQUEEZENET_FILE,
    PerceptualDistance,
    lpips,
    named_by_digest,
    squeezenet_distance,
)
from refrestore.evaluate.scorer import SCORER_FILE, IdentityScorer
from refrestore.evaluate.table import METRICS, Metric
from refrestore.faces.align import (
    ARCFACE_TEMPLATE,
    CROP_SIZE,
    FFHQ_TEMPLATE,
    crops,
    resized,
    scale_of,
    similarity,
    transform,
)
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser
from refrestore.models import ModelStore, load_face_pack
from refrestore.models.pack import load_pack
from refrestore.render.crops import from_uint8
from refrestore.restore.composite import head_masks
from refrestore.restore.lids import Lids, load_lids
from refrestore.types import DoubleArray, FloatArray, ImageArray

MESH_FILE = "face_landmark_468.onnx"

SECOND_FILE = "edgeface_xs.fp32.onnx"

LOOKED_AT = (slice(96, 480), slice(64, 448))
"""Rows and columns of an FFHQ crop in which NIQE is taken: brows to chin, 16 of its blocks."""

PERCEPTUAL_SIDE = 256
"""Side of the crop that the perceptual distance sees: LPIPS is trained and reported on pictures of
about this size."""

SMALLEST_NATIVE = 48
"""Side in pixels below which a crop is not taken at the picture's own resolution."""


@dataclass(frozen=True, eq=False)
class TrueFace:
    """Where a face truly is.

    Parameters
    ----------
    keypoints, landmarks : (5, 2), (468, 2)
        Pixels of the picture.
    """

    keypoints: FloatArray
    landmarks: FloatArray

    @property
    def to_crop(self) -> DoubleArray:
        """Matrix (1, 2, 3) picture → 512-px FFHQ crop."""
        return similarity(self.keypoints[None], FFHQ_TEMPLATE)


@dataclass(frozen=True, eq=False)
class JudgedFace:
    """What the judge sees of a face in one picture.

    Parameters
    ----------
    crop : (512, 512, 3) uint8
        FFHQ crop at the true face's place.
    native : (S, S, 3) uint8
        The same at the picture's own resolution.
    embedding : (128,)
        By the scorer.
    mesh : (468, 2)
        As found in the crop.
    features
        For the perceptual distance, where it was asked for.
    naturalness
        NIQE, where it was asked for.
    second
        Embedding by the second scorer, where there is one.
    shut
        How far the eyes are shut, 0..1, by the network that also guides the restorer.
    """

    crop: ImageArray
    native: ImageArray
    embedding: FloatArray
    mesh: FloatArray
    features: Sequence[Tensor] = ()
    naturalness: float = float("nan")
    second: FloatArray | None = None
    shut: float = 0.0


@dataclass(frozen=True, eq=False)
class Judge:
    """The networks that score and what they are called.

    Parameters
    ----------
    scorer, landmarker
        Independent of the restorer.
    perceptual, niqe
        None where their files are missing.
    notes
        What is missing and what stands in for it, in sentences.
    second
        Another recogniser that scores, where it is there and takes no part in the work.
    lids
        Says which eyes are shut.
    """

    scorer: IdentityScorer
    landmarker: Landmarker
    perceptual: PerceptualDistance | None
    niqe: Niqe | None
    notes: tuple[str, ...] = ()
    second: Recogniser | None = None
    lids: Lids | None = None

    @property
    def metrics(self) -> list[Metric]:
        """The columns that can be filled, the perceptual one under its own name."""
        missing = {
            "second": self.second is None,
            "perceptual": self.perceptual is None,
            "ring": self.perceptual is None,
            "niqe": self.niqe is None,
        }
        name = "" if self.perceptual is None else self.perceptual.name
        return [
            metric.called(name) if metric.key == "perceptual" else metric
            for metric in METRICS
            if not missing.get(metric.key)
        ]

    def look(self, picture: ImageArray, face: TrueFace, *, closely: bool = True) -> JudgedFace:
        """Look at a face of a picture.

        Parameters
        ----------
        closely
            Whether perceptual features and NIQE (the dearest part) are wanted.
        """
        matrix = face.to_crop
        crop = crops(picture, matrix, CROP_SIZE)[0]
        side = native_side(matrix)
        native = crops(picture, resized(matrix, side / CROP_SIZE), side)[0]
        small = crops(picture, similarity(face.keypoints[None], ARCFACE_TEMPLATE), 112)
        part = np.ascontiguousarray(crop[LOOKED_AT])
        mesh = self.landmarker.dense(crop[None])[0]
        shut = 0.0
        if self.lids is not None:
            shut = float(self.lids.shut(from_uint8(crop[None]), mesh)[0])
        return JudgedFace(
            crop=crop,
            native=native,
            embedding=self.scorer.embed(small)[0],
            mesh=mesh[0],
            features=self._features(crop) if closely else (),
            naturalness=self.niqe(part) if self.niqe and closely else float("nan"),
            second=None if self.second is None else self.second.embed(small)[0],
            shut=shut,
        )

    def _features(self, crop: ImageArray) -> Sequence[Tensor]:
        if self.perceptual is None:
            return ()
        size = (PERCEPTUAL_SIDE, PERCEPTUAL_SIDE)
        small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        return self.perceptual.features(np.asarray(small, np.uint8))

    def compare(self, shown: JudgedFace, truth: JudgedFace, face: TrueFace) -> dict[str, float]:
        """Return the values of the metrics of single pictures, by key."""
        matrix = face.to_crop
        side = truth.native.shape[0]
        mesh = transform(matrix, face.landmarks[None])[0].astype(np.float32)
        native = face_region(mesh, side)
        values = {
            "identity": float(cosine_similarity(shown.embedding, truth.embedding)),
            "psnr": psnr(shown.native, truth.native, native),
            "ssim": ssim(shown.native, truth.native, native),
            "blotches": blotches(shown.native, truth.native, native),
            "detail": detail(shown.native, truth.native, native),
            "landmarks": landmark_error(shown.mesh, truth.mesh, interocular(face)),
            "niqe": shown.naturalness,
        }
        if shown.second is not None and truth.second is not None:
            values["second"] = float(cosine_similarity(shown.second, truth.second))
        if self.perceptual and shown.features and truth.features:
            region = face_region(mesh, PERCEPTUAL_SIDE)
            around = head_region(mesh, PERCEPTUAL_SIDE) * (1 - region)
            for key, where in (("perceptual", region), ("ring", around)):
                values[key] = self.perceptual.between(shown.features, truth.features, where)
        return values


def native_side(matrix: DoubleArray) -> int:
    """Return the side at which a crop has the picture's own resolution, at most 512."""
    side = CROP_SIZE / float(scale_of(matrix)[0])
    return int(np.clip(round(side), SMALLEST_NATIVE, CROP_SIZE))


def interocular(face: TrueFace) -> float:
    """Return the true distance of the eyes in pixels of the 512-px crop."""
    points = transform(face.to_crop, face.keypoints[None])[0]
    return float(np.linalg.norm(points[1] - points[0]))


def face_region(mesh: FloatArray, side: int) -> NDArray[np.float32]:
    """Return 1 in the hull of a mesh (468, 2) of the 512-px crop, at another side."""
    points = ((mesh + 0.5) * (side / CROP_SIZE) - 0.5).astype(np.float32)
    inside: NDArray[np.float32] = (hull_polygon(points[None], side)[0] > 0).astype(np.float32)
    return inside


def head_region(mesh: FloatArray, side: int) -> NDArray[np.float32]:
    """Return 1 in the head around a mesh (468, 2) of the 512-px crop, at another side."""
    points = (mesh + 0.5) * (side / CROP_SIZE) - 0.5
    heads = head_masks(torch.from_numpy(points.astype(np.float32))[None], side)
    inside: NDArray[np.float32] = (heads[0].numpy() > 0).astype(np.float32)
    return inside


def open_judge(settings: RuntimeSettings) -> Judge:
    """Open what scores; what is missing is named and its columns are left out.

    Raises
    ------
    ModelError
        If the scorer is missing: without it nothing can be said of identity; or the
        package torchvision is.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise ModelError(
            "evaluate needs the package torchvision, which is not installed here; "
            "run: pip install 'refrestore[evaluate]'"
        )
    store = ModelStore(settings)
    threads = settings.threads
    try:
        scorer = IdentityScorer(store.locate(SCORER_FILE), "cpu", threads)
    except ModelError as error:
        raise ModelError(
            f"Identity has to be scored by a recogniser that takes no part in the work: {error}"
        ) from error
    notes: list[str] = []
    mesh = store.verify(MESH_FILE)
    path = mesh.path if mesh.state == "present" else None
    if path is None:
        path = load_face_pack(settings).landmarks
        notes.append(
            f"{MESH_FILE} is missing (--models-dir): landmarks are found by the mesh that also "
            "guides the restorer."
        )
    niqe = None
    if store.verify(NIQE_FILE).state == "present":
        niqe = Niqe.from_file(store.locate(NIQE_FILE))
    else:
        notes.append(f"NIQE is left out: {NIQE_FILE} is missing (--models-dir).")
    perceptual = _perceptual(store, notes)
    other = store.find(SECOND_FILE)
    taken = other is None or load_face_pack(settings).recogniser.name == SECOND_FILE
    second = None if other is None or taken else Recogniser(other, "cpu", threads)
    mesh_finder = Landmarker(path, "cpu", threads)
    return Judge(scorer, mesh_finder, perceptual, niqe, tuple(notes), second, _lids(settings))


def _lids(settings: RuntimeSettings) -> Lids | None:
    found = load_pack(settings).lids
    return None if found is None else load_lids(found)


def _perceptual(store: ModelStore, notes: list[str]) -> PerceptualDistance | None:
    backbone, linear = store.find(ALEXNET_FILE), store.find(LPIPS_FILE)
    if backbone is not None and linear is not None:
        if named_by_digest(backbone):
            return lpips(backbone, linear)
        notes.append(f"{backbone.name} is damaged (its SHA-256 is not the one it is named by).")
    missing = f"{ALEXNET_FILE} and {LPIPS_FILE} are missing (--models-dir)"
    if store.verify(SQUEEZENET_FILE).state != "present":
        notes.append(f"No perceptual distance: {missing}, and so is {SQUEEZENET_FILE}.")
        return None
    notes.append(f"LPIPS is left out ({missing}); the distance shown is SqueezeNet's, unweighted.")
    return squeezenet_distance(store.locate(SQUEEZENET_FILE))
