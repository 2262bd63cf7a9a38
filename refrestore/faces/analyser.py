"""The networks that look at faces, opened together from a pack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from refrestore.config import Device
from refrestore.faces.align import crops, invert, transform
from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import MESH_SIZE, Landmarker, mesh_squares
from refrestore.faces.pose import head_pose
from refrestore.faces.quality import quality, sharpness_and_exposure, visibility_term
from refrestore.faces.recogniser import Recogniser
from refrestore.types import Faces, FloatArray, ImageArray


class FacePack(Protocol):
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
        landmarks, presence = self.mesh(image, faces.box, faces.keypoints)
        pose = head_pose(landmarks)
        detail, light = sharpness_and_exposure(image, landmarks)
        return faces.with_columns(
            landmarks=landmarks,
            pose=pose,
            sharpness=detail,
            quality=quality(
                size=faces.size,
                sharpness=detail,
                pose=pose,
                exposure=light,
                visibility=visibility_term(faces.keypoints, landmarks, presence),
            ),
            embedding=self.recogniser.embed_faces(image, faces.keypoints) if embed else None,
        )


def load_face_models(
    pack: FacePack,
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
