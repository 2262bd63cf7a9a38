"""What is taken from a detected face for its track: embedding, close-up, thumbnail."""

from __future__ import annotations

import numpy as np

from refrestore.faces.align import (
    CROP_SIZE,
    FFHQ_TEMPLATE,
    crops,
    resized,
    similarity,
    transform,
)
from refrestore.faces.analyser import FaceModels
from refrestore.faces.eyes import eye_openness
from refrestore.faces.pose import mouth_opening
from refrestore.scan.samples import (
    Best,
    Candidate,
    CloseUpCrop,
    EmbeddingSample,
    Thumbnail,
    shows_enough,
    traits,
)
from refrestore.types import DoubleArray, Faces, FloatArray, ImageArray

THUMBNAIL_SIZE = 128
"""Side in pixels of the picture that shows a track to people."""

_INSIDE = 0.99
"""Part of a close-up's mesh that must lie in the picture: no reference shows a mirrored chin."""


def cut_close_up(image: ImageArray, keypoints: FloatArray, landmarks: FloatArray) -> CloseUpCrop:
    """Cut a face out of a picture, aligned to the FFHQ template.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB picture with square pixels.
    keypoints, landmarks : (5, 2), (468, 2)
        In pixels of the picture.
    """
    return _cut(image, similarity(keypoints[None], FFHQ_TEMPLATE), landmarks)


def _cut(image: ImageArray, matrix: DoubleArray, landmarks: FloatArray) -> CloseUpCrop:
    return CloseUpCrop(
        image=crops(image, matrix, CROP_SIZE)[0],
        landmarks=transform(matrix, landmarks[None])[0].astype(np.float32),
    )


def keep_best(best: Best, models: FaceModels, image: ImageArray, face: Faces) -> None:
    """Take from a face what is better than, or different from, what its track has.

    Parameters
    ----------
    best
        What the track has; changed.
    models
        Networks.
    image : (H, W, 3) uint8
        RGB picture in display pixels.
    face
        A table of one described face; an embedding that is in it, and is not NaN, is taken.
    """
    assert face.landmarks is not None
    assert face.pose is not None
    assert face.sharpness is not None
    assert face.quality is not None
    quality = float(face.quality[0])
    if best.wants_thumbnail(quality):
        matrix = resized(similarity(face.keypoints, FFHQ_TEMPLATE), THUMBNAIL_SIZE / CROP_SIZE)
        shown = crops(image, matrix, THUMBNAIL_SIZE)[0]
        best.thumbnail = Thumbnail(shown, int(face.frame[0]), quality)
    look = _look(image, face)
    close = _is_close(image, face)
    openness = float(eye_openness(image, face.landmarks)[0]) if close else float("nan")
    wants_close_up = close and best.wants_candidate(quality, look, openness)
    if not (wants_close_up or best.wants_sample(quality)):
        return
    if face.embedding is not None and np.isfinite(face.embedding[0, 0]):
        embedding = face.embedding[0]
    else:
        embedding = models.recogniser.embed_faces(image, face.keypoints)[0]
    best.add_sample(EmbeddingSample(int(face.frame[0]), quality, embedding))
    if wants_close_up:
        matrix = similarity(face.keypoints, FFHQ_TEMPLATE)
        best.add_candidate(
            Candidate(
                frame=int(face.frame[0]),
                close_up=_cut(image, matrix, face.landmarks[0]),
                embedding=embedding,
                pose=face.pose[0],
                traits=look,
                sharpness=float(face.sharpness[0]),
                quality=quality,
                native_size=float(face.size[0]),
                box=face.box[0],
                matrix=matrix[0],
                openness=openness,
            )
        )


def _is_close(image: ImageArray, face: Faces) -> bool:
    """Whether a face is large and sharp enough and all in the picture."""
    assert face.landmarks is not None
    assert face.sharpness is not None
    limits = np.array(image.shape[1::-1]) - 1
    inside = ((face.landmarks[0] >= 0) & (face.landmarks[0] <= limits)).all(1).mean()
    return bool(shows_enough(face.size[0], face.sharpness[0]) and inside >= _INSIDE)


def _look(image: ImageArray, face: Faces) -> FloatArray:
    assert face.landmarks is not None
    assert face.pose is not None
    left, top, right, bottom = np.clip(np.rint(face.box[0]), 0, None).astype(int)
    inside = image[top:bottom, left:right]
    return traits(
        face.pose[0],
        float(mouth_opening(face.landmarks)[0]),
        float(inside.mean()) / 255 if inside.size else 0.0,
    )
