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
from refrestore.media.patch import VISIBLE, Patch
from refrestore.media.tensors import FrameTensor, crops
from refrestore.profiles import Profile
from refrestore.profiles.cosines import cosines
from refrestore.render import invention
from refrestore.render.believed import between
from refrestore.render.crops import arcface_crops, at_sides, enlarged, from_uint8
from refrestore.render.heads import in_heads
from refrestore.render.low_resolution import (
    UNREADABLE_SHARE,
    shrunk_cosines,
    shrunk_embeddings,
    unreadable,
)
from refrestore.render.need import DetailReason, need
from refrestore.render.people import resolved_by
from refrestore.render.person_words import UNSEEN
from refrestore.render.toolbox import Toolbox
from refrestore.restore.adapter import usable
from refrestore.restore.bank import ReferenceBank, own_likeness
from refrestore.restore.composite import differences, pasted
from refrestore.restore.guard import (
    REFUSED,
    Belief,
    Choice,
    Evidence,
    GuardSettings,
    Judgement,
    Reason,
    clearer_than_shrunk,
    expected_gain,
    judge,
    recognise,
)
from refrestore.restore.restorer import Restored
from refrestore.restore.sides import crop_sides
from refrestore.types import DoubleArray, Faces, FloatArray, ImageArray, IntArray

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
    change : (N,)
        By how many of 255 grey levels each face changed on average.
    invented
        How much each shows of what a second stage drew, 0..1.
    """

    image: ImageArray
    faces: Faces
    judgements: Sequence[Judgement]
    beliefs: Sequence[Belief]
    strength: FloatArray
    needless: Sequence[DetailReason | None]
    change: FloatArray
    invented: Sequence[float] = ()

    def summary(self) -> list[dict[str, Any]]:
        """Return one plain object a face."""
        return [
            {
                "box": [round(float(value), 1) for value in self.faces.box[row]],
                "size": round(float(self.faces.size[row]), 1),
                "strength": round(float(self.strength[row]), 3),
                "person": self.beliefs[row].value,
                "done": self._done(row).value,
                "reason": self._reason(row),
                "change": round(float(self.change[row]), 2),
                "invented": self.invented[row],
                "similarity": {
                    "input": word.input_similarity,
                    "unreferenced": word.unreferenced_similarity,
                    "restored": word.restored_similarity,
                },
            }
            for row, word in enumerate(self.judgements)
        ]

    def _done(self, row: int) -> Choice:
        seen = self.change[row] >= VISIBLE
        return self.judgements[row].choice if seen else Choice.INPUT

    def _reason(self, row: int) -> str:
        word = self.judgements[row]
        if self.needless[row] is None and word.choice is not self._done(row):
            return UNSEEN
        return self.needless[row] or word.reason.value


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
        nothing = np.zeros(0, np.float32)
        return PictureResult(large, faces, [], [], nothing, [], nothing)
    groups = _groups(image, faces, settings.scale, toolbox)
    embeddings = _in_order([(one.rows, one.embeddings) for one in groups])
    beliefs, banks, centroid = _who(faces, groups, profile, settings, toolbox)
    needed, needless = _needed(faces, banks, profile, settings, toolbox)
    strength = (settings.strength * needed).astype(np.float32)
    tried = [_try(one, banks, settings, toolbox) for one in groups]
    unreferenced, restored = (
        _in_order([(one.rows, seen) for one, seen in zip(groups, each, strict=True)])
        for each in ([one.plain_seen for one in tried], [one.guided_seen for one in tried])
    )
    restored[[bank is None for bank in banks]] = np.nan
    own = [None if bank is None else centroid for bank in banks]
    wanted = invention.ideals(own, embeddings, np.arange(len(faces)), {})
    most_plain, most_guided = (
        invention.most(invention.likeness(seen, wanted)) for seen in (unreferenced, restored)
    )
    every = np.arange(len(faces))
    unreferenced, restored = unreferenced[every, most_plain], restored[every, most_guided]
    levels = cosines(toolbox.eyes.network.name)
    shrunk, from_afar = (
        _in_order([(one.rows, seen) for one, seen in zip(groups, each, strict=True)])
        for each in ([one.shrunk for one in groups], [one.from_afar for one in groups])
    )
    evidence = Evidence(shrunk, embeddings, levels.gain)
    who = [centroid] * len(faces)
    judgements = judge(
        embeddings,
        unreferenced,
        restored,
        who,
        beliefs=beliefs,
        gains=expected_gain(embeddings, restored, who, evidence),
        shrunk=shrunk,
        clearer=clearer_than_shrunk(embeddings, from_afar, who),
        settings=GuardSettings(
            legible=levels.legible, recognised=levels.recognised, likely=levels.likely
        ),
    )
    if not toolbox.switches.guard:
        judgements = [
            word
            if bank is None
            else replace(word, choice=Choice.RESTORED, reason=Reason.BEST, share=1.0)
            for word, bank in zip(judgements, banks, strict=True)
        ]
    chosen = [word.choice for word in judgements]
    strength[[choice is Choice.INPUT for choice in chosen]] = 0
    height, width = large.shape[:2]
    patches: list[Patch | None] = []
    change = np.zeros(len(faces), np.float32)
    for one, both in zip(groups, tried, strict=True):
        shares = [judgements[row].share * (chosen[row] is Choice.RESTORED) for row in one.rows]
        guided = np.array(shares, np.float32)
        plain, helped = (
            invention.shown(made, most[one.rows])
            for made, most in ((both.plain, most_plain), (both.guided, most_guided))
        )
        before = one.crops.to(plain.device)
        images, masks, boxes = in_heads(
            replace(both.guided, images=between(plain, helped, guided)),
            before,
            one.landmarks,
            [banks[row] for row in one.rows],
            toolbox.restorer,
            guided=guided * toolbox.switches.head,
        )
        made = differences(
            images,
            before,
            masks,
            strength[one.rows],
            enlarged(one.to_crop, settings.scale),
            boxes=boxes,
            picture_size=(width, height),
        )
        change[one.rows] = [0 if patch is None else float(patch.change) for patch in made]
        patches += made
    image = pasted(large, patches)
    amounts = np.array(invention.AMOUNTS, np.float32)
    by_choice = {Choice.RESTORED: amounts[most_guided], Choice.UNREFERENCED: amounts[most_plain]}
    behind = toolbox.restorer.second is not None
    invented = [
        float(by_choice[choice][row]) if behind and choice in by_choice else 0.0
        for row, choice in enumerate(chosen)
    ]
    return PictureResult(image, faces, judgements, beliefs, strength, needless, change, invented)


class _Group(NamedTuple):
    """Faces whose crops have one side, as the recogniser sees them.

    Parameters
    ----------
    rows : (G,)
        Of the picture's faces.
    to_crop : (G, 2, 3)
        Picture to crop.
    crops : (G, 3, S, S) float32
        RGB 0..1.
    landmarks : (G, 468, 2)
        In pixels of the crops.
    embeddings : (G, 512)
        Of the crops.
    shrunk : (G, 3)
        `shrunk_cosines` of the crops.
    from_afar : (G, 512)
        Embeddings of the crops shrunk to the largest of these sides.
    """

    rows: IntArray
    to_crop: DoubleArray
    crops: torch.Tensor
    landmarks: FloatArray
    embeddings: FloatArray
    shrunk: FloatArray
    from_afar: FloatArray


class _Tried(NamedTuple):
    """A group restored without references and with them, and what the recogniser says of both.

    Embeddings (G, 3, 512) with each amount of what the second stage draws (`invention`).
    """

    plain: Restored
    guided: Restored
    plain_seen: FloatArray
    guided_seen: FloatArray


def _groups(image: ImageArray, faces: Faces, scale: int, toolbox: Toolbox) -> list[_Group]:
    """Cut each face at the side that the result shows it at."""
    assert faces.landmarks is not None
    whole = similarity(faces.keypoints, FFHQ_TEMPLATE)
    known = toolbox.restorer.sides
    once = np.zeros(1, np.int64)
    sides = np.concatenate([crop_sides(one[None], once, scale, known) for one in whole])
    picture = FrameTensor.of_rgb(from_uint8(image[None])[0])
    groups = []
    for side in np.unique(sides):
        rows = np.flatnonzero(sides == side)
        to_crop = at_sides(whole[rows], sides[rows])
        cut = crops([picture] * len(rows), to_crop, int(side))
        landmarks = transform(to_crop, faces.landmarks[rows]).astype(np.float32)
        recogniser = toolbox.models.recogniser
        embeddings = recogniser.embed(arcface_crops(cut, landmarks))
        smaller = shrunk_embeddings(cut, landmarks, recogniser)
        shrunk = shrunk_cosines(embeddings, smaller)
        groups.append(_Group(rows, to_crop, cut, landmarks, embeddings, shrunk, smaller[-1]))
    return groups


def _try(
    group: _Group,
    banks: Sequence[ReferenceBank | None],
    settings: RenderSettings,
    toolbox: Toolbox,
) -> _Tried:
    own = [banks[row] for row in group.rows]
    plain = toolbox.restorer.restore(group.crops, group.landmarks, [None] * len(own))
    guided = toolbox.restorer.restore(
        group.crops, group.landmarks, own, references=max(1, settings.references)
    )

    def embed(made: Restored) -> FloatArray:
        return toolbox.models.recogniser.embed(arcface_crops(made.images, group.landmarks))

    plain_seen, guided_seen = (invention.tried(made, embed) for made in (plain, guided))
    return _Tried(plain, guided, plain_seen, guided_seen)


def _in_order(parts: Sequence[tuple[IntArray, FloatArray]]) -> FloatArray:
    """Lay the groups' rows where the picture has them."""
    rows, values = (np.concatenate(one) for one in zip(*parts, strict=True))
    result: FloatArray = values[np.argsort(rows)]
    return result


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


def _who(
    faces: Faces,
    groups: Sequence[_Group],
    profile: Profile | None,
    settings: RenderSettings,
    toolbox: Toolbox,
) -> tuple[list[Belief], list[ReferenceBank | None], FloatArray | None]:
    """Return per face whether it is the person, and the bank to restore it from."""
    count = len(faces)
    if profile is None or not settings.references:
        return [Belief.CANNOT_TELL] * count, [None] * count, None
    assert faces.embedding is not None
    share, blurred, least = _evidence(faces.embedding, groups, profile, toolbox)
    beliefs = recognise(
        faces.embedding,
        profile.centroid,
        unreadable=share,
        blurred=blurred,
        least=least,
    )
    adapter, _ = usable(profile.adapter, toolbox.fusion, profile.name)
    bank = replace(ReferenceBank.from_references(profile.references), adapter=adapter)
    refused = REFUSED if toolbox.switches.guard else {}
    banks = [None if belief in refused else bank for belief in beliefs]
    return beliefs, banks, profile.centroid


def _evidence(
    embeddings: FloatArray, groups: Sequence[_Group], profile: Profile, toolbox: Toolbox
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return how unreadable each face is, how like the person, and how like it must be, (N,) each.

    The profile was named for the picture, not for each face in it, and people are in it once: who
    is plainly less like the person than another face is somebody else.
    """
    share = unreadable(_in_order([(one.rows, one.shrunk) for one in groups]))
    near = embeddings @ profile.centroid
    alike = near + share * np.maximum(embeddings @ toolbox.low_resolution(profile) - near, 0)
    least = profile.cosines.blurred_of(own_likeness(profile.embeddings))
    most = np.nanmax(alike, initial=-1)  # a face that cannot be embedded says nothing of the others
    needed = np.maximum(least * (1 - (1 - UNREADABLE_SHARE) * share), most - PLAINLY)
    return share, alike.astype(np.float32), needed.astype(np.float32)
