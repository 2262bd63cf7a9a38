"""ParseNet of the full pack in the role of the face mask."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor, nn

from refrestore.errors import ModelError
from refrestore.restore.parsenet import ParseNet
from refrestore.restore.weights import read_tensors

PARSER_SIZE = 512
"""Side of ParseNet's input in pixels."""

FACE_CLASSES = tuple(range(1, 13))
"""Skin, nose, glasses, eyes, brows, ears, mouth, lips; after them come hair, hat, earring, neck
and clothes (the order is that of MASK_COLORMAP in facexlib's face_restoration_helper.py)."""


class ParserMask:
    """A `FaceMask` that asks a face parser (PSFRGAN's, made for degraded faces).

    Parameters
    ----------
    network
        `ParseNet()`, trained; it is moved to `device` and `dtype`.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype
        network = network.to(device=self.device, dtype=dtype).to(memory_format=torch.channels_last)
        self.network = network.eval().requires_grad_(False)

    def visible(self, faces: Tensor, landmarks: Tensor) -> Tensor:
        """Return how much of each pixel may be repaired; see `FaceMask`."""
        size = faces.shape[-1]
        pictures = faces.to(self.device).float() * 2 - 1
        if size != PARSER_SIZE:
            pictures = F.interpolate(pictures, size=PARSER_SIZE, mode="bilinear")
        classes: Tensor = self.network(pictures.to(self.dtype))
        seen = classes.float().softmax(1)[:, list(FACE_CLASSES)].sum(1, keepdim=True)
        if size != PARSER_SIZE:
            seen = F.interpolate(seen, size=size, mode="bilinear")
        visible: Tensor = seen[:, 0].clamp(0, 1)
        return visible


def load_parser(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ParserMask:
    """Open ParseNet's weights as facexlib publishes them.

    Raises
    ------
    ModelError
        The file is missing, damaged or holds another network.
    """
    state = read_tensors(path, "the face parser comes with `refrestore models fetch full`")
    network = ParseNet()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"{path} holds another network than the face parser, which comes with "
            "`refrestore models fetch full`."
        ) from error
    return ParserMask(network, device, dtype)
