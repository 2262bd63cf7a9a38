"""3 x 3 convolutions with half or a quarter of the products, where that is measured faster.

GFPGAN is 390 GFLOP a face, nearly all in such convolutions, and a core does its convolutions at
nine tenths of its peak already: only fewer products help. Both ways are exact but for rounding.

* Four rows of the output by six products each in place of twelve (Winograd, 1980; Lavin and Gray,
  CVPR 2016), over rows only: both ways would save more products and lose it in moving numbers.
* After a bilinear enlargement the convolution is done before it, on a quarter of the pixels: a
  transposed convolution and a blur, as StyleGAN2's own (Karras et al., CVPR 2020).

As faces are done one by one here, a style is multiplied into the weights, not into the maps.

Elsewhere (CUDA, bfloat16, training) it is the library's convolution: one call for all faces, but in
bfloat16 on a CPU a call a face where there is a style, which the weights carry there too.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""Lavin and Gray's G of F(4, 3): points 0, 1, -1, 2, -2 and infinity."""

_TILE = 4
"""Rows that a tile gives."""

_LEAST_SIDE, _LEAST_CHANNELS = 32, 64
"""Smaller maps and fewer channels are faster by the library's own convolution."""

_STRIP = 1 << 21
"""Numbers that a strip works on at a time: they stay in the cache."""

_BLUR = (0.25, 0.75, 0.75, 0.25)
"""Bilinear enlargement by two as a filter over pixels with zeros between."""


def resize(x: Tensor, factor: float) -> Tensor:
    """Resize bilinearly by 2 or 0.5; halving so is the mean of 2x2 pixels."""
    if factor < 1:
        return functional.avg_pool2d(x, 2)
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class Modulation(NamedTuple):
    """What a style does to a convolution: inputs (B, C) and outputs (B, O) times a number a face.

    Where faces are convolved one by one it is in the weights.
    """

    inputs: Tensor
    outputs: Tensor

    def of(self, face: int, weight: Tensor) -> Tensor:
        """Return the weights (O, C, 3, 3) of one face."""
        return weight * (self.outputs[face][:, None] * self.inputs[face])[:, :, None, None]


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, style: Modulation | None = None
) -> Tensor:
    """Convolve 3 x 3 over zero edges.

    Parameters
    ----------
    x : (B, C, H, W)
    weight : (O, C, 3, 3)
    bias : (O,)
    style
        What the weights are multiplied by; the bias is not.

    Returns
    -------
    (B, O, H, W)
    """
    height = x.shape[2]
    suits = (
        height >= _LEAST_SIDE and height % _TILE == 0 and min(weight.shape[:2]) >= _LEAST_CHANNELS
    )
    if not (suits and _infers(x, weight, style, torch.float32)):
        return _by_library(x, weight, bias, style)
    return _by_tiles(x, weight, bias, style)


def convolve_enlarged(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, style: Modulation | None = None
) -> Tensor:
    """Enlarge bilinearly by two, then convolve 3 x 3 over zero edges.

    Parameters as for `convolve`.

    Returns
    -------
    (B, O, 2 H, 2 W)
    """
    if not (x.shape[2] >= _LEAST_SIDE // 2 and _infers(x, weight, style, torch.float32)):
        return _by_library(x, weight, bias, style, enlarge=True)
    return _before_enlarging(x, weight, bias, style)


def _by_library(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    style: Modulation | None,
    *,
    enlarge: bool = False,
) -> Tensor:
    """Convolve all faces by one call of the library, or styled ones by a call each."""
    if (
        style is not None
        and x.shape[2] >= _LEAST_SIDE
        and _infers(x, weight, style, torch.bfloat16)
    ):
        seen = resize(x, 2) if enlarge else x
        faces = [
            functional.conv2d(seen[i : i + 1], _laid_out(style.of(i, weight)), bias, padding=1)
            for i in range(len(x))
        ]
        return torch.cat(faces)
    if style is not None:
        x = x * style.inputs[:, :, None, None]
    if enlarge:
        x = resize(x, 2)
    if style is None:
        return functional.conv2d(x, weight, bias, padding=1)
    out = functional.conv2d(x, weight, padding=1)
    gain = style.outputs[:, :, None, None]
    return out * gain if bias is None else torch.addcmul(bias[:, None, None], out, gain)


def _infers(x: Tensor, weight: Tensor, style: Modulation | None, dtype: torch.dtype) -> bool:
    """Tell whether this is inference in a precision on a CPU, for which it was measured."""
    given = (x, weight, *(style or ()))
    learns = torch.is_grad_enabled() and any(one.requires_grad for one in given)
    return x.device.type == "cpu" and x.dtype == dtype and not learns


def _by_tiles(x: Tensor, weight: Tensor, bias: Tensor | None, style: Modulation | None) -> Tensor:
    batch, channels, height, width = x.shape
    outputs = len(weight)
    rows = x.permute(0, 2, 3, 1).contiguous()
    kernels = _tile_kernels(weight) if style is None else None
    result = x.new_empty((batch, height, width, outputs))
    tiles = max(1, _STRIP // (6 * width * max(channels, outputs)))
    for face, (row, out) in enumerate(zip(rows, result, strict=True)):
        if style is not None:
            kernels = _tile_kernels(style.of(face, weight))
        assert kernels is not None
        for start in range(0, height, _TILE * tiles):
            stop = min(height, start + _TILE * tiles)
            strip = row[max(0, start - 1) : stop + 1]
            if start == 0 or stop == height:
                edges = (0, 0, 0, 0, int(start == 0), int(stop == height))
                strip = functional.pad(strip, edges)
            _tile_rows(strip, kernels, bias, out[start:stop])
    return result.permute(0, 3, 1, 2)


def _tile_kernels(weight: Tensor) -> Tensor:
    """Return Lavin and Gray's G times the kernels' rows, (6, O, C, 1, 3)."""
    outputs, channels = weight.shape[:2]
    kernels = weight.new_tensor(_KERNEL) @ weight.permute(2, 0, 3, 1).reshape(3, -1)
    return kernels.view(6, outputs, 1, 3, channels).permute(0, 1, 4, 2, 3)


def _tile_rows(strip: Tensor, kernels: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """Convolve a strip (4 n + 2, W, C) into `out` (4 n, W, O): Lavin and Gray's B, then A."""
    d0, d1, d2, d3, d4, d5 = (strip[k : len(strip) - 5 + k : _TILE] for k in range(6))
    even, odd = torch.sub(d4, d2), torch.sub(d3, d1)
    mixed = [
        torch.add(even, d0 - d2, alpha=4),
        (a := torch.sub(d4, d2, alpha=4)) + (b := torch.sub(d3, d1, alpha=4)),
        a.sub_(b),
        torch.add(even, odd, alpha=2),
        even.sub_(odd, alpha=2),
        torch.sub(d5, d3).sub_(odd, alpha=4),
    ]
    # The second product is in all four rows: it carries the bias.
    m0, m1, m2, m3, m4, m5 = (
        functional.conv2d(
            rows.permute(2, 0, 1)[None], kernel, bias if k == 1 else None, padding=(0, 1)
        )[0].permute(1, 2, 0)
        for k, (rows, kernel) in enumerate(zip(mixed, kernels, strict=True))
    )
    near, far = m1 + m2, m3 + m4
    m1.sub_(m2)
    m3.sub_(m4)
    torch.add(m0.add_(near), far, out=out[0::_TILE])
    torch.add(m1, m3, alpha=2, out=out[1::_TILE])
    torch.add(near, far, alpha=4, out=out[2::_TILE])
    torch.add(m5.add_(m1), m3, alpha=8, out=out[3::_TILE])


def _before_enlarging(
    x: Tensor, weight: Tensor, bias: Tensor | None, style: Modulation | None
) -> Tensor:
    batch, _, height, width = x.shape
    outputs = len(weight)
    around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    around = around.contiguous(memory_format=torch.channels_last)
    taps = x.new_tensor(_BLUR)
    blur = (taps[:, None] * taps).expand(outputs, 1, 4, 4).contiguous()
    kernels = _spread_kernels(weight) if style is None else []
    result = _empty(batch, outputs, 2 * height, 2 * width)
    step = max(8, _STRIP // (4 * width * outputs))
    for face in range(batch):
        if style is not None:
            own = style.of(face, weight)
            kernels = _spread_kernels(own)
        for start in range(0, height, step):
            rows = min(step, height - start)
            strip = around[face : face + 1, :, start : start + rows + 2]
            spread = _empty(1, outputs, 2 * rows + 3, 2 * width + 3)
            for top, left, kernel in kernels:
                spread[:, :, top::2, left::2] = functional.conv2d(strip, kernel)
            wide = functional.conv2d(spread, blur, bias, groups=outputs)
            result[face, :, 2 * start : 2 * (start + rows)] = wide[0]
        _mend_edges(x[face], weight if style is None else own, result[face])
    return result


def _spread_kernels(weight: Tensor) -> list[tuple[int, int, Tensor]]:
    """Return what falls on even and on odd places of an enlarged picture with zeros between."""
    falls = (slice(1, 2), slice(0, 3, 2))
    return [
        (top, left, _laid_out(weight[:, :, falls[top], falls[left]]))
        for top, left in product((0, 1), repeat=2)
    ]


def _mend_edges(x: Tensor, weight: Tensor, result: Tensor) -> None:
    """Take away what a face's outermost pixels got from beyond: the blur saw the edge go on.

    Rows beyond the top and the bottom reach over the corners; columns then do not.
    """
    for axis in (1, 2):
        for far in (False, True):
            edge = x.select(axis, x.shape[axis] - 1 if far else 0)
            line = functional.interpolate(edge[None], scale_factor=2, mode="linear")
            line = functional.pad(line, (1, 1), mode="replicate" if axis == 1 else "constant")[0]
            taps = weight.select(axis + 1, 2 if far else 0)
            for tap in range(3):
                beyond = taps[:, :, tap] @ line[:, tap : line.shape[1] - 2 + tap]
                result.select(axis, -1 if far else 0).sub_(beyond)


def _laid_out(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last)


def _empty(*shape: int) -> Tensor:
    """Return memory for float32, channels last."""
    return torch.empty(shape, dtype=torch.float32, memory_format=torch.channels_last)
