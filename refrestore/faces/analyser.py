"""The networks that look at faces, opened together from a pack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from refrestore.config import Device
from refrestore.faces.align import crops, invert, transform
from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import MESH_SIZE, Landmarker, mesh_squares
from refrestore.faces.pose import distance_over_radius, head_pose, mesh_keypoints
from refrestore.faces.quality import quality, sharpness_and_exposure, visibility_term
from refrestore.faces.recogniser import Recogniser
from refrestore.types import Faces, FloatArray, ImageArray

PRESENT = 0.5
"""Presence from which the mesh shows a face."""

SLIPPED = 0.6
"""Distance of the mesh's keypoints from where they were expected, over the face's radius, beyond
which the mesh has slipped off."""

_AGREED = 0.12
"""Distance of detector's and mesh's keypoints, over the face's radius, that is usual."""

_SECOND_LOOK = 0.8
"""What the mesh's agreement with itself is worth, beside the detector's with it."""


class FaceFiles(Protocol):
    """The files this room needs of a `models.Pack`."""

    @property
    def detector(self) -> Path:
        """SCRFD with keypoints."""

    @property
    def recogniser(self) -> Path:
        """ArcFace-style embedding network."""

    @property
    def landmarks(self) -> Path:
        """468-point face mesh."""


@dataclass(frozen=True)
class FaceModels:
    """Detector, landmarker and recogniser of one pack; open once, use from one thread."""

    detector: Detector
    landmarker: Landmarker
    recogniser: Recogniser

    def mesh(
        self, image: ImageArray, box: FloatArray, keypoints: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Find the dense landmarks of faces in a picture.

        Steadier on profiles than `landmarker.dense` on FFHQ crops (see `mesh_squares`).

        Parameters
        ----------
        image : (H, W, 3) uint8
            RGB picture with square pixels.
        box, keypoints : (N, 4), (N, 5, 2)
            Where they are, pixels of the picture.

        Returns
        -------
        landmarks : (N, 468, 2) float32
            Pixels of the picture.
        presence : (N,) float32
            0..1.
        """
        matrices = mesh_squares(box, keypoints)
        found, presence = self.landmarker.dense(crops(image, matrices, MESH_SIZE))
        return transform(invert(matrices), found).astype("f4"), presence

    def describe(self, image: ImageArray, faces: Faces, *, embed: bool = True) -> Faces:
        """Return one picture's faces with landmarks, pose, sharpness, quality and embedding.

        The keypoints become the mesh's: on tilted and turned heads they are far better than a
        small detector's, and the embedding with them (docs/decisions/008).

        Parameters
        ----------
        image : (H, W, 3) uint8
            RGB picture with square pixels.
        faces
            Detections in it.
        embed
            Whether to take embeddings (the dearest part).
        """
        if not len(faces):
            return faces
        landmarks, keypoints, visibility = self._looked_twice(image, faces)
        pose = head_pose(landmarks)
        detail, light = sharpness_and_exposure(image, landmarks)
        return faces.with_columns(
            keypoints=keypoints,
            landmarks=landmarks,
            pose=pose,
            sharpness=detail,
            quality=quality(
                size=faces.size,
                sharpness=detail,
                pose=pose,
                exposure=light,
                visibility=visibility,
            ),
            embedding=self.recogniser.embed_faces(image, keypoints) if embed else None,
        )

    def _looked_twice(
        self, image: ImageArray, faces: Faces
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return landmarks, keypoints and visibility.

        Where detector and mesh disagree, the mesh looks again from where it saw the face itself.
        A face that nothing covers is found in the same place again.
        """
        landmarks, presence = self.mesh(image, faces.box, faces.keypoints)
        points = mesh_keypoints(landmarks)
        visibility = visibility_term(faces.keypoints, landmarks, presence)
        apart = distance_over_radius(points, faces.keypoints)
        doubtful = np.flatnonzero(apart > _AGREED)
        if len(doubtful):
            again, sure = self.mesh(image, faces.box[doubtful], points[doubtful])
            seen_again = _SECOND_LOOK * visibility_term(points[doubtful], again, sure)
            visibility[doubtful] = np.maximum(visibility[doubtful], seen_again)
            landmarks[doubtful], presence[doubtful] = again, sure
            points = mesh_keypoints(landmarks)
        slipped = (distance_over_radius(points, faces.keypoints) > SLIPPED) | (presence < PRESENT)
        keypoints = np.where(slipped[:, None, None], faces.keypoints, points).astype(np.float32)
        return landmarks, keypoints, visibility


def load_face_models(
    pack: FaceFiles,
    device: Device = "auto",
    *,
    threads: int | None = None,
    min_score: float = 0.5,
) -> FaceModels:
    """Open the networks of a pack.

    Raises
    ------
    ModelError
        If a file is missing or is another kind of network.
    """
    return FaceModels(
        detector=Detector(pack.detector, device, threads, min_score=min_score),
        landmarker=Landmarker(pack.landmarks, device, threads),
        recogniser=Recogniser(pack.recogniser, device, threads),
    )
