"""What a second stage is: one protocol, and a descriptor that says all a caller must know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor

from refrestore.errors import ModelError
from refrestore.faces.align import (
    ARCFACE_SIZE,
    ARCFACE_TEMPLATE,
    CROP_SIZE,
    FFHQ_TEMPLATE,
    similarity,
)
from refrestore.types import FloatArray

Template = Literal["ffhq", "arcface"]
"""Where the five points lie in an aligned face; see `faces.align`."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a caller must know of a second stage before calling it.

    Parameters
    ----------
    name, title
        As people type it, and as they read it.
    side
        Of input and output in pixels.
    licence
        As its publisher states it.
    value_range
        Of input and output.
    template, margin
        How its faces are aligned: the template, and the share of its side that is seen beyond it
        on every edge.
    precisions
        Types it may run in.
    takes_fidelity
        Whether it can be told how near to stay to what it is given (`--fidelity`).
    beside
        SHA-256 of what was read from beside its file, if anything was.
    """

    name: str
    title: str
    side: int
    licence: str
    value_range: tuple[float, float] = (-1.0, 1.0)
    template: Template = "ffhq"
    margin: float = 0.0
    precisions: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16)
    takes_fidelity: bool = False
    beside: str | None = None

    def check(self, dtype: torch.dtype) -> None:
        """Refuse a precision that the network does not stand.

        Raises
        ------
        ModelError
            It is none of `precisions`.
        """
        if dtype not in self.precisions:
            allowed = " or ".join(str(kind).removeprefix("torch.") for kind in self.precisions)
            raise ModelError(f"{self.title} does not run in {dtype}; use {allowed}.")

    def points(self) -> FloatArray:
        """Return the five points of an aligned face, (5, 2), as shares of the side."""
        own, side = (
            (FFHQ_TEMPLATE, CROP_SIZE)
            if self.template == "ffhq"
            else (ARCFACE_TEMPLATE, ARCFACE_SIZE)
        )
        shares: FloatArray = ((own / side + self.margin) / (1 + 2 * self.margin)).astype("f4")
        return shares


class SecondStage(Protocol):
    """A restorer of faces."""

    @property
    def descriptor(self) -> Descriptor:
        """What callers must know."""

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the faces that it takes."""

    def __call__(self, faces: Tensor, landmarks: Tensor, confidence: Tensor) -> Tensor:
        """Restore a batch.

        Parameters
        ----------
        faces : (B, 3, side, side)
            RGB in the descriptor's range, aligned to its template, of `dtype`.
        landmarks : (B, 468, 2) float32
            Dense landmarks in their pixels.
        confidence : (B, 1, side, side) float32
            0..1, how much of the detail references show that agree.

        Returns
        -------
        (B, 3, side, side)
            RGB, about in the same range.
        """


@dataclass(frozen=True, eq=False)
class PlainStage:
    """A second stage whose network looks at pictures alone.

    Parameters
    ----------
    descriptor, dtype
        As in the protocol.
    network
        (B, 3, side, side) to the same.
    """

    descriptor: Descriptor
    network: Callable[[Tensor], Tensor]
    dtype: torch.dtype = torch.float32

    def __call__(self, faces: Tensor, landmarks: Tensor, confidence: Tensor) -> Tensor:
        """Restore a batch; see `SecondStage`."""
        return self.network(faces)


def redrawn(stage: SecondStage, faces: Tensor, landmarks: Tensor, confidence: Tensor) -> Tensor:
    """Return crops as a second stage draws them, brought to what it takes and back.

    Parameters
    ----------
    faces : (B, 3, S, S)
        RGB 0..1, aligned to the FFHQ template.
    landmarks : (B, 468, 2) float32
        In their pixels.
    confidence : (B, 1, S, S)
        0..1.

    Returns
    -------
    (B, 3, S, S) float32
        RGB 0..1.
    """
    about, own = stage.descriptor, faces.shape[-1]
    low, high = about.value_range
    small, points, trust = faces, landmarks, confidence
    moved = (about.template, about.margin) != ("ffhq", 0.0)
    if moved:
        there, back = _between(about, faces.device)
        small = _laid(faces, there, about.side).clamp(0, 1)
        trust = _laid(confidence, there, about.side)
        shares = (landmarks + 0.5) / own
        points = (shares @ back[:, :2].T + back[:, 2]) * about.side - 0.5
    elif about.side != own:
        small = _resized(faces, about.side).clamp(0, 1)
        trust = _resized(confidence, about.side)
        points = (landmarks + 0.5) * (about.side / own) - 0.5
    made = stage(small.to(stage.dtype) * (high - low) + low, points, trust)
    made = ((made.float() - low) / (high - low)).clamp(0, 1)
    if moved:
        return _laid(made, back, own).clamp(0, 1)
    return made if about.side == own else _resized(made, own).clamp(0, 1)


def _resized(images: Tensor, side: int) -> Tensor:
    mode = "area" if side < images.shape[-1] else "bicubic"
    return F.interpolate(images, size=side, mode=mode)


def _between(about: Descriptor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what leads from places in its crop to places in ours, and back, (2, 3) of shares."""
    ours = FFHQ_TEMPLATE / CROP_SIZE
    both = (similarity(a[None], b)[0] for a, b in ((about.points(), ours), (ours, about.points())))
    there, back = (torch.tensor(one, dtype=torch.float32, device=device) for one in both)
    return there, back


def _laid(images: Tensor, to_source: Tensor, side: int) -> Tensor:
    """Sample pictures where a matrix of shares leads, (B, C, side, side); beyond, their edge."""
    shares = (torch.arange(side, device=images.device, dtype=torch.float32) + 0.5) / side
    y, x = torch.meshgrid(shares, shares, indexing="ij")
    places = torch.stack([x, y], -1) @ to_source[:, :2].T + to_source[:, 2]
    step = float(to_source[0, :2].norm()) * images.shape[-1] / side
    if step >= 2:  # finer than what is made of it
        images = F.interpolate(images, size=round(images.shape[-1] / int(step)), mode="area")
    grid = (places * 2 - 1)[None].expand(len(images), -1, -1, -1)
    return F.grid_sample(
        images.float(), grid, mode="bicubic", padding_mode="border", align_corners=False
    )
