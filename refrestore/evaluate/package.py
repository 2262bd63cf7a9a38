"""Restorers as their own tools apply them: every frame aligned by itself, a square pasted.

The faces are found by our detector, the same for every row; nothing is smoothed over time. What
the tools would download (RetinaFace, ParseNet) is not asked for. GFPGAN is its own package's
network, with fresh noise every call.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from refrestore.faces.align import CROP_SIZE, FFHQ_TEMPLATE, crops, invert, similarity
from refrestore.faces.analyser import FaceModels
from refrestore.restore.second.gfpgan import GFPGAN
from refrestore.restore.second.stage import SecondStage, redrawn
from refrestore.types import DENSE_LANDMARKS, ImageArray

DETECT_SIZE = 1024
PASSES = (1.0, 0.4, 0.2, 0.1)
"""As `refrestore image` looks for faces in pictures that were enlarged."""


class NotInstalledError(Exception):
    """The package cannot be used; says why."""


def package_network(weights: Path) -> tuple[Any, int]:
    """Build the package's own GFPGANv1Clean with weights in it; return it and its side in pixels.

    Raises
    ------
    NotInstalledError
        If the gfpgan package is not there or does not import.
    ModelError
        If the weights are not of that network.
    """
    if importlib.util.find_spec("gfpgan") is None:
        raise NotInstalledError("the gfpgan package is not installed")
    try:
        # basicsr imports a module that torchvision renamed in 0.17.
        sys.modules.setdefault(
            "torchvision.transforms.functional_tensor",
            importlib.import_module("torchvision.transforms._functional_tensor"),
        )
        network = importlib.import_module("gfpgan.archs.gfpganv1_clean_arch").GFPGANv1Clean
    except ImportError as error:
        raise NotInstalledError(f"the gfpgan package does not import ({error})") from error
    ours = GFPGAN.from_file(weights)  # every parameter and buffer has the official name
    config = ours.config
    official = network(
        out_size=config.out_size,
        num_style_feat=config.style_size,
        channel_multiplier=config.channel_multiplier,
        fix_decoder=False,
        num_mlp=config.mapping_layers,
        input_is_latent=True,
        different_w=True,
        narrow=config.narrow,
        sft_half=True,
    )
    official.load_state_dict(ours.state_dict())
    return official.eval().requires_grad_(False), config.out_size


Redraw = Callable[[Tensor], Tensor]
"""(N, 3, 512, 512) RGB 0..1, aligned to the FFHQ template, to the same, about in that range."""


def as_the_package(network: Any, side: int) -> Redraw:
    """Return what `GFPGANer` makes of aligned faces; both from `package_network`."""

    def redraw(faces: Tensor) -> Tensor:
        planes = faces * 2 - 1
        if side != CROP_SIZE:
            planes = functional.interpolate(planes, size=side, mode="area")
        # As GFPGANer calls it: randomize_noise is left at its default, true.
        made = torch.cat([network(one[None], return_rgb=False)[0] for one in planes])
        if side != CROP_SIZE:
            made = functional.interpolate(made, size=CROP_SIZE, mode="bicubic")
        return made / 2 + 0.5

    return redraw


def as_a_stage(stage: SecondStage) -> Redraw:
    """Return what a second stage makes of aligned faces by itself."""

    def redraw(faces: Tensor) -> Tensor:
        nothing = faces.new_zeros(len(faces), 1, *faces.shape[2:])
        meshes = faces.new_zeros(len(faces), DENSE_LANDMARKS, 2)
        return redrawn(stage, faces, meshes, nothing)

    return redraw


@dataclass(frozen=True, eq=False)
class Alone:
    """Restores every face of a picture as the tool of a restorer does (`GFPGANer.enhance`).

    Parameters
    ----------
    redraw
        Makes faces of faces.
    models
        To find the faces.
    """

    redraw: Redraw
    models: FaceModels

    def __call__(self, image: ImageArray) -> ImageArray:
        """Return (H, W, 3) uint8 RGB with all its faces restored."""
        found = self.models.detector.detect([image], [0], DETECT_SIZE, passes=PASSES)
        if not len(found):
            return image
        matrices = similarity(found.keypoints, FFHQ_TEMPLATE)
        restored = self._restore(crops(image, matrices))
        return pasted(image, restored, list(invert(matrices)))

    @torch.inference_mode()
    def _restore(self, faces: ImageArray) -> ImageArray:
        planes = torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))
        made = self.redraw(planes.float() / 255)
        values = made.clamp(0, 1).mul(255).round().to(torch.uint8)
        result: ImageArray = values.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return result


def pasted(image: ImageArray, faces: ImageArray, inverse: Sequence[Any]) -> ImageArray:
    """Paste faces with facexlib's eroded and blurred square (`paste_faces_to_input_image`).

    Parameters
    ----------
    faces : (N, 512, 512, 3) uint8
    inverse
        Matrices (2, 3) crop → picture.
    """
    height, width = image.shape[:2]
    result = image.astype(np.float32)
    for face, matrix in zip(faces, inverse, strict=True):
        moved = cv2.warpAffine(face, matrix, (width, height)).astype(np.float32)
        square = np.ones(face.shape[:2], np.float32)
        mask = cv2.erode(cv2.warpAffine(square, matrix, (width, height)), np.ones((2, 2), "u1"))
        edge = int(np.sqrt(mask.sum())) // 20
        reach = max(1, 2 * edge)
        core = cv2.erode(mask, np.ones((reach, reach), "u1"))
        soft = cv2.GaussianBlur(core, (2 * edge + 1, 2 * edge + 1), 0)[..., None]
        result = soft * (mask[..., None] * moved) + (1 - soft) * result
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)
