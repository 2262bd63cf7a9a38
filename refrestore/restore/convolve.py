"""3 x 3 convolutions with half or a quarter of the products, where that is measured faster.

GFPGAN is 390 GFLOP a face, nearly all in such convolutions, and a core does its convolutions at
nine tenths of its peak already: only fewer products help. Both ways are exact but for rounding.

* Four rows of the output by six products each in place of twelve (Winograd, 1980; Lavin and Gray,
  CVPR 2016), over rows only: both ways would save more products and lose it in moving numbers.
* After a bilinear enlargement the convolution is done before it, on a quarter of the pixels: a
  transposed convolution and a blur, as StyleGAN2's own (Karras et al., CVPR 2020).

Elsewhere (CUDA, bfloat16, training) it is one call of the library's convolution.
"""

from __future__ import annotations

from itertools import product

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


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve 3 x 3 over zero edges.

    Parameters
    ----------
    x : (B, C, H, W)
    weight : (O, C, 3, 3)
    bias : (O,)

    Returns
    -------
    (B, O, H, W)
    """
    height = x.shape[2]
    suits = (
        height >= _LEAST_SIDE and height % _TILE == 0 and min(weight.shape[:2]) >= _LEAST_CHANNELS
    )
    if not (suits and _is_plain(x, weight)):
        return functional.conv2d(x, weight, bias, padding=1)
    return _by_tiles(x, weight, bias)


def convolve_enlarged(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Enlarge bilinearly by two, then convolve 3 x 3 over zero edges.

    Parameters
    ----------
    x : (B, C, H, W)
    weight : (O, C, 3, 3)
    bias : (O,)

    Returns
    -------
    (B, O, 2 H, 2 W)
    """
    if not (x.shape[2] >= _LEAST_SIDE // 2 and _is_plain(x, weight)):
        return functional.conv2d(resize(x, 2), weight, bias, padding=1)
    return _before_enlarging(x, weight, bias)


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """Tell whether this is inference in float32 on a CPU, where both ways are measured faster."""
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    return x.device.type == "cpu" and x.dtype == torch.float32 and not learns


def _by_tiles(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    batch, channels, height, width = x.shape
    outputs = len(weight)
    rows = x.permute(0, 2, 3, 1).contiguous()
    kernels = weight.new_tensor(_KERNEL) @ weight.permute(2, 0, 3, 1).reshape(3, -1)
    kernels = kernels.view(6, outputs, 1, 3, channels).permute(0, 1, 4, 2, 3)
    result = x.new_empty((batch, height, width, outputs))
    tiles = max(1, _STRIP // (6 * width * max(channels, outputs)))
    for row, out in zip(rows, result, strict=True):
        for start in range(0, height, _TILE * tiles):
            stop = min(height, start + _TILE * tiles)
            strip = row[max(0, start - 1) : stop + 1]
            if start == 0 or stop == height:
                edges = (0, 0, 0, 0, int(start == 0), int(stop == height))
                strip = functional.pad(strip, edges)
            _tile_rows(strip, kernels, bias, out[start:stop])
    return result.permute(0, 3, 1, 2)


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


def _before_enlarging(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    batch, _, height, width = x.shape
    outputs = len(weight)
    around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    around = around.contiguous(memory_format=torch.channels_last)
    # What falls on even and on odd places of the enlarged picture with zeros between its pixels.
    falls = (slice(1, 2), slice(0, 3, 2))
    last = torch.channels_last
    kernels = [
        (top, left, weight[:, :, falls[top], falls[left]].contiguous(memory_format=last))
        for top, left in product((0, 1), repeat=2)
    ]
    taps = x.new_tensor(_BLUR)
    blur = (taps[:, None] * taps).expand(outputs, 1, 4, 4).contiguous()
    result = _empty(batch, outputs, 2 * height, 2 * width)
    step = max(8, _STRIP // (4 * width * outputs))
    for row in range(batch):
        for start in range(0, height, step):
            rows = min(step, height - start)
            strip = around[row : row + 1, :, start : start + rows + 2]
            spread = _empty(1, outputs, 2 * rows + 3, 2 * width + 3)
            for top, left, kernel in kernels:
                spread[:, :, top::2, left::2] = functional.conv2d(strip, kernel)
            wide = functional.conv2d(spread, blur, bias, groups=outputs)
            result[row, :, 2 * start : 2 * (start + rows)] = wide[0]
    _mend_edges(x, weight, result)
    return result


def _mend_edges(x: Tensor, weight: Tensor, result: Tensor) -> None:
    """Take away what the outermost pixels got from beyond the edges: the blur saw the edge go on.

    Rows beyond the top and the bottom reach over the corners; columns then do not.
    """
    for axis in (2, 3):
        for far in (False, True):
            edge = x.narrow(axis, x.shape[axis] - 1 if far else 0, 1).squeeze(axis)
            line = functional.interpolate(edge, scale_factor=2, mode="linear")
            line = functional.pad(line, (1, 1), mode="replicate" if axis == 2 else "constant")
            taps = weight.select(axis, 2 if far else 0)
            beyond = sum(
                torch.matmul(taps[:, :, tap], line[:, :, tap : line.shape[2] - 2 + tap])
                for tap in range(3)
            )
            result.select(axis, -1 if far else 0).sub_(beyond)


def _empty(*shape: int) -> Tensor:
    """Return memory for float32, channels last."""
    return torch.empty(shape, dtype=torch.float32, memory_format=torch.channels_last)
