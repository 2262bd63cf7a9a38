"""Still pictures: the same restorer, one picture at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from refrestore.config import RenderSettings
from refrestore.faces.align import FFHQ_TEMPLATE, similarity, transform
from refrestore.faces.align import crops as cut_crops
from refrestore.project import Profile
from refrestore.render.afar import UNREADABLE_SHARE, unreadable
from refrestore.render.crops import arcface_crops, enlarged
from refrestore.render.need import DetailReason, need
from refrestore.render.people import resolved_by
from refrestore.render.toolbox import Toolbox
from refrestore.restore.adapter import usable
from refrestore.restore.bank import ReferenceBank, own_likeness
from refrestore.restore.composite import differences, mesh_boxes, shared
from refrestore.restore.guard import (
    REFUSED,
    Belief,
    Choice,
    Judgement,
    Reason,
    judge,
    recognise,
)
from refrestore.types import DoubleArray, Faces, FloatArray, ImageArray

DETECT_SIZE = 1024
"""Longer side of the picture the detector sees: photos show more and smaller faces than film."""

PASSES = (1.0, 0.4, 0.2, 0.1)
"""A picture that somebody enlarged has large faces with the detail of small ones, which a detector
finds only where they look small."""


PLAINLY = 0.15
"""Difference of likeness to a person, by which of two faces in a picture one is not theirs (in a
mirror or a collage both may be)."""


@dataclass(frozen=True)
class PictureResult:
    """A restored picture and what was done to each of its faces.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, `scale` times the size of the picture given.
    faces
        The faces found, with all columns.
    judgements, beliefs
        The guard's words on each face.
    strength : (N,)
        0 where a face was left alone.
    needless
        Per face why it needs nothing, or None.
    """

    image: ImageArray
    faces: Faces
    judgements: Sequence[Judgement]
    beliefs: Sequence[Belief]
    strength: FloatArray
    needless: Sequence[DetailReason | None]

    def summary(self) -> list[dict[str, Any]]:
        """Return one plain object a face."""
        return [
            {
                "box": [round(float(value), 1) for value in self.faces.box[row]],
                "size": round(float(self.faces.size[row]), 1),
                "strength": round(float(self.strength[row]), 3),
                "person": self.beliefs[row].value,
                "done": word.choice.value if self.strength[row] > 0 else Choice.INPUT.value,
                "reason": self.needless[row] or word.reason.value,
                "similarity": {
                    "input": word.input_similarity,
                    "unreferenced": word.unreferenced_similarity,
                    "restored": word.restored_similarity,
                },
            }
            for row, word in enumerate(self.judgements)
        ]


def restore_picture(
    image: ImageArray,
    toolbox: Toolbox,
    *,
    profile: Profile | None = None,
    settings: RenderSettings | None = None,
) -> PictureResult:
    """Restore every face of a picture.

    With a profile, faces that can be that person are restored from its references; a face that
    is clear enough to judge and is somebody else is restored without, as is a blurred one that is
    unlike the person.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, upright, square pixels.
    """
    settings = settings or RenderSettings()
    models = toolbox.models
    found = models.detector.detect([image], [0], DETECT_SIZE, passes=PASSES)
    faces = models.describe(image, found[found.size >= settings.min_face])
    large = _enlarged(image, settings.scale)
    if not len(faces):
        return PictureResult(large, faces, [], [], np.zeros(0, np.float32), [])
    to_crop = similarity(faces.keypoints, FFHQ_TEMPLATE)
    pixels = cut_crops(image, to_crop)
    assert faces.landmarks is not None
    landmarks = transform(to_crop, faces.landmarks).astype(np.float32)
    crops = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

    def embed(images: ImageArray | torch.Tensor) -> FloatArray:
        return models.recogniser.embed(arcface_crops(images, landmarks))

    seen = _Seen(pixels, landmarks, embed(pixels))
    beliefs, banks, centroid = _who(faces, seen, profile, settings, toolbox)
    needed, needless = _needed(faces, banks, profile, settings, toolbox)
    strength = (settings.strength * needed).astype(np.float32)
    plain = toolbox.restorer.restore(crops, landmarks, [None] * len(faces))
    guided = toolbox.restorer.restore(
        crops, landmarks, banks, references=max(1, settings.references)
    )

    restored = embed(guided.images)
    restored[[bank is None for bank in banks]] = np.nan
    judgements = judge(
        seen.embeddings,
        embed(plain.images),
        restored,
        [centroid] * len(faces),
        beliefs=beliefs,
        alike=[None if bank is None else bank.alike for bank in banks],
    )
    if not toolbox.switches.guard:
        judgements = [
            word if bank is None else replace(word, choice=Choice.RESTORED, reason=Reason.BEST)
            for word, bank in zip(judgements, banks, strict=True)
        ]
    chosen = [word.choice for word in judgements]
    images = torch.stack(
        [
            guided.images[row] if choice is Choice.RESTORED else plain.images[row]
            for row, choice in enumerate(chosen)
        ]
    )
    strength[[choice is Choice.INPUT for choice in chosen]] = 0
    height, width = large.shape[:2]
    made = differences(
        images,
        crops.to(images.device).float() / 255,
        guided.masks,
        strength,
        enlarged(to_crop, settings.scale),
        boxes=mesh_boxes(landmarks, pixels.shape[1]),
        picture_size=(width, height),
    )
    result = large.astype(np.float32)
    for one in shared([patch for patch in made if patch]):
        rows, columns = one.alpha.shape
        delta = one.delta.cpu().numpy() * 255
        result[one.top : one.top + rows, one.left : one.left + columns] += delta
    return PictureResult(
        np.clip(np.rint(result), 0, 255).astype(np.uint8),
        faces,
        judgements,
        beliefs,
        strength,
        needless,
    )


def _needed(
    faces: Faces,
    banks: Sequence[ReferenceBank | None],
    profile: Profile | None,
    settings: RenderSettings,
    toolbox: Toolbox,
) -> tuple[DoubleArray, list[DetailReason | None]]:
    """Return how much each face needs, (N,) 0..1, and why it needs nothing, if it does not."""
    needed = np.zeros(len(faces))
    needless: list[DetailReason | None] = []
    for row, bank in enumerate(banks):
        shown = None if bank is None or profile is None else resolved_by(profile.references)
        gates = need(faces[[row]], settings.scale, shown)
        needed[row] = min(gate[0] for _, gate in gates)
        needless.append(next((reason for reason, gate in gates if gate[0] == 0), None))
    return needed, needless


def _enlarged(image: ImageArray, scale: int) -> ImageArray:
    if scale == 1:
        return image
    return np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4), np.uint8
    )


class _Seen(NamedTuple):
    """Faces as the recogniser sees them: crops, meshes in them, embeddings of those."""

    crops: ImageArray
    landmarks: FloatArray
    embeddings: FloatArray


def _who(
    faces: Faces,
    seen: _Seen,
    profile: Profile | None,
    settings: RenderSettings,
    toolbox: Toolbox,
) -> tuple[list[Belief], list[ReferenceBank | None], FloatArray | None]:
    """Return per face whether it is the person, and the bank to restore it from."""
    count = len(faces)
    if profile is None or not settings.references:
        return [Belief.CANNOT_TELL] * count, [None] * count, None
    assert faces.embedding is not None
    assert faces.sharpness is not None
    blurred, least = _evidence(faces.embedding, seen, profile, toolbox)
    beliefs = recognise(
        faces.embedding,
        profile.centroid,
        size=faces.size,
        sharpness=faces.sharpness,
        blurred=blurred,
        least=least,
    )
    adapter, _ = usable(profile.adapter, toolbox.fusion, profile.name)
    bank = replace(ReferenceBank.from_references(profile.references), adapter=adapter)
    refused = REFUSED if toolbox.switches.guard else {}
    banks = [None if belief in refused else bank for belief in beliefs]
    return beliefs, banks, profile.centroid


def _evidence(
    embeddings: FloatArray, seen: _Seen, profile: Profile, toolbox: Toolbox
) -> tuple[FloatArray, FloatArray]:
    """Return how like the person each face is if it is blurred, and how like it must be, (N,) each.

    The profile was named for the picture, not for each face in it, and people are in it once: who
    is plainly less like the person than another face is somebody else.
    """
    share = unreadable(seen.crops, seen.landmarks, seen.embeddings, toolbox.models.recogniser)
    near = embeddings @ profile.centroid
    alike = near + share * np.maximum(embeddings @ toolbox.afar(profile) - near, 0)
    least = profile.cosines.blurred_of(own_likeness(profile.embeddings))
    most = np.nanmax(alike, initial=-1)  # a face that cannot be embedded says nothing of the others
    needed = np.maximum(least * (1 - (1 - UNREADABLE_SHARE) * share), most - PLAINLY)
    return alike.astype(np.float32), needed.astype(np.float32)
