"""Steadiness: what moves with the face is averaged, what does not is left to its frame."""

from __future__ import annotations

import numpy as np
import torch

from refrestore.restore.steady import Moment, cells_of, steadied


def grid(shift: float = 0.0) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(150, 360, 26), np.linspace(140, 400, 18))
    return np.stack([x.ravel() + shift, y.ravel()], 1).astype(np.float32)


def picture(shift: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    small = torch.rand((1, 3, 64, 64), generator=generator)
    smooth = torch.nn.functional.interpolate(small, size=512, mode="bicubic")[0].clamp(0, 1)
    return torch.roll(smooth, shift, 2)


def moment(frame: int, shift: int = 0, noise: float = 0.0, light: float = 0.0) -> Moment:
    generator = torch.Generator().manual_seed(frame)
    image = picture(shift) + noise * torch.randn((3, 512, 512), generator=generator)
    cells = cells_of(picture(shift)[None] + light)[0]
    return Moment(frame, image, torch.ones(512, 512), cells, grid(shift))


INSIDE = (slice(None), slice(200, 340), slice(200, 310))


def test_noise_falls_and_a_moving_face_stays_sharp() -> None:
    face = moment(10, 0, noise=0.1)
    near = [moment(frame, (frame - 10) * 8, noise=0.1) for frame in (8, 9, 11, 12)]
    image, mask = steadied(face, near)
    before = (face.restored - picture())[INSIDE].std()
    after = (image - picture())[INSIDE].std()
    assert after < 0.7 * before
    torch.testing.assert_close(mask, torch.ones(512, 512))


def test_a_neighbour_that_looks_otherwise_is_not_used() -> None:
    face = moment(10, noise=0.1)
    image, _ = steadied(face, [moment(9, noise=0.1, light=0.4)])
    torch.testing.assert_close(image, face.restored, atol=2e-3, rtol=0)


def test_alone_a_face_is_returned_as_it_is() -> None:
    face = moment(10)
    assert steadied(face, [])[0] is face.restored


def test_masks_fade_with_the_face() -> None:
    face = moment(10)
    gone = moment(11)
    gone = Moment(11, gone.restored, torch.zeros(512, 512), gone.cells, gone.landmarks)
    _, mask = steadied(face, [gone])
    middle = float(mask[250, 250])
    assert 0.5 < middle < 0.7
