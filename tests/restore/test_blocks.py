"""What the fusion network is built of."""

from __future__ import annotations

import torch

from refrestore.restore.blocks import CELL, cell_pattern


def test_what_repeats_from_cell_to_cell_is_found_and_a_face_is_not() -> None:
    random = torch.Generator().manual_seed(3)
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    octave = 0.1 * torch.sin(columns / 1.1 + rows / 1.7) * torch.sin(rows / 17)
    octave = octave.expand(1, 3, 96, 96)
    grid = torch.rand(1, 3, CELL, CELL, generator=random).repeat(1, 1, 24, 24)
    grid = 0.05 * (grid - grid.mean((2, 3), keepdim=True))
    assert (cell_pattern(octave + grid, CELL) - grid).square().mean() < 0.1 * grid.square().mean()
    assert cell_pattern(octave, CELL).abs().mean() < 0.1 * octave.abs().mean()
