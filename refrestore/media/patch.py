"""A rectangle of a picture and what is added to it: the one way in which a face is pasted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # half of what imports this never makes one, and torch takes a second
    from torch import Tensor

VISIBLE = 1.0
"""Mean change of a face's 8-bit pixels, in grey levels, below which nobody sees that it was
restored (docs/decisions/032)."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle and what to add to it.

    Parameters
    ----------
    left, top
        Of its first pixel on the storage grid of the output picture; may lie outside it.
    residual : (h, w, 3) float32
        RGB difference with the picture's own transfer function; 1 leads from black to white.
    alpha : (h, w) float32
        How much of it, 0..1.
    known : () float32, optional
        Its `change`, where that was computed with others'.

    Raises
    ------
    ValueError
        Shapes that do not agree.
    """

    left: int
    top: int
    residual: Tensor
    alpha: Tensor
    known: Tensor | None = None

    def __post_init__(self) -> None:
        if tuple(self.residual.shape) != (*self.alpha.shape, 3) or self.alpha.ndim != 2:
            raise ValueError(
                "Patch needs a residual (h, w, 3) and an alpha (h, w), "
                f"got {tuple(self.residual.shape)} and {tuple(self.alpha.shape)}"
            )

    @property
    def delta(self) -> Tensor:
        """What is added, (h, w, 3)."""
        return self.residual * self.alpha[..., None]

    @property
    def change(self) -> Tensor:
        """By how many of 255 grey levels the face's 8-bit pixels change on average, ()."""
        return changes(self.residual, self.alpha) if self.known is None else self.known

    def __repr__(self) -> str:
        height, width = self.alpha.shape
        return f"Patch({width}x{height} at {self.left}, {self.top})"


def changes(residuals: Tensor, alphas: Tensor) -> Tensor:
    """Return `Patch.change`, (...), of residuals (..., h, w, 3) and alphas (..., h, w)."""
    steps = (residuals * alphas[..., None] * 255).round_().abs_().mean(-1)
    return (steps * alphas).sum((-2, -1)) / alphas.sum((-2, -1)).clamp_(min=1e-6)
