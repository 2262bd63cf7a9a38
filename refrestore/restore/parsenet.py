"""ParseNet, the face parser of PSFRGAN, as its published weights have it.

Chen et al., "Progressive Semantic-Aware Style Transformation for Blind Face Restoration", CVPR
2021. A convolutional encoder, residual blocks, a decoder, and two heads: a picture and the logits
of the regions. Names are those of facexlib's `parsing_parsenet.pth`, whose state dict loads key for
key (tests/restore/test_parsenet.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor, nn

CLASSES = 19
"""Background, then CelebAMask-HQ's regions."""

WIDTHS = (64, 128, 256, 256, 256)
"""Channels at full size and after each halving, of 512 px down to 32."""

DEPTH = 10
"""Residual blocks at the smallest size."""

_SLOPE = 0.2


class Convolution(nn.Module):
    """3 x 3 over mirrored edges, after doubling the size or halving it.

    Parameters
    ----------
    scale
        2 to double, -2 to halve, 1 neither.
    normalised
        With a batch norm in place of the bias.
    """

    def __init__(
        self, inputs: int, outputs: int, *, scale: int = 1, normalised: bool = False
    ) -> None:
        super().__init__()
        self.doubles = scale == 2
        stride = 2 if scale == -2 else 1
        self.conv2d = nn.Conv2d(inputs, outputs, 3, stride, bias=not normalised)
        self.norm = nn.ModuleDict({"norm": nn.BatchNorm2d(outputs)} if normalised else {})

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H, W)."""
        if self.doubles:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        for norm in self.norm.values():
            x = norm(x)
        return x


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is one where shape or size change."""

    def __init__(self, inputs: int, outputs: int, scale: int = 1) -> None:
        super().__init__()
        doubling, halving = max(scale, 1), min(scale, 1)
        same = scale == 1 and inputs == outputs
        self.shortcut_func = None if same else Convolution(inputs, outputs, scale=scale)
        self.conv1 = Convolution(inputs, outputs, scale=doubling, normalised=True)
        self.conv2 = Convolution(outputs, outputs, scale=halving, normalised=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H, W)."""
        kept = x if self.shortcut_func is None else self.shortcut_func(x)
        changed: Tensor = self.conv2(F.leaky_relu(self.conv1(x), _SLOPE))
        return kept + changed


class ParseNet(nn.Module):
    """The parser.

    Parameters
    ----------
    widths
        Channels at full size and after each halving.
    depth
        Residual blocks at the smallest size.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, depth: int = DEPTH) -> None:
        super().__init__()
        steps = list(pairwise(widths))
        down = (ResidualBlock(wide, narrow, -2) for wide, narrow in steps)
        up = (ResidualBlock(narrow, wide, 2) for wide, narrow in reversed(steps))
        self.encoder = nn.Sequential(Convolution(3, widths[0]), *down)
        self.body = nn.Sequential(*(ResidualBlock(widths[-1], widths[-1]) for _ in range(depth)))
        self.decoder = nn.Sequential(*up)
        self.out_img_conv = Convolution(widths[0], 3)
        self.out_mask_conv = Convolution(widths[0], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, 19, H, W) of faces (B, 3, H, W), RGB in [-1, 1].

        H and W are multiples of 16. The head that draws a picture is in the weights, and not asked.
        """
        deep = self.encoder(x)
        logits: Tensor = self.out_mask_conv(self.decoder(deep + self.body(deep)))
        return logits
