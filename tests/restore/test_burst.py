"""Bursts: a blurred face is drawn from its frames together, a sharp one stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from refrestore.restore import burst
from refrestore.restore.burst import (
    OWN_ERROR,
    PHOTOS_ERROR,
    agreeing,
    measured,
    share,
    sharpened,
    spectra,
    together,
)

SIDE = 256


def face(seed: int = 0) -> Tensor:
    """Return a picture that has the power of a sharp face, (3, S, S)."""
    size = 2 * burst.SPECTRUM_SIDE
    steps = np.fft.fftfreq(size) * size
    across, along = (one**2 for one in np.meshgrid(steps, steps, indexing="ij"))
    power = np.exp(burst.face_power(np.maximum(along, 1), np.maximum(across, 1)))
    noise = np.random.default_rng(seed).standard_normal((size, size))
    grey = np.fft.ifft2(np.fft.fft2(noise) * np.sqrt(power)).real
    grey = 0.5 + 0.15 * (grey - grey.mean()) / grey.std()
    return torch.from_numpy(grey.astype(np.float32).clip(0, 1)).expand(3, -1, -1).contiguous()


def filmed(picture: Tensor, along: float, across: float, noise: float, frame: int) -> Tensor:
    """Return a picture blurred by sigmas in pixels, with a frame's own noise."""
    soft = picture[None]
    for sigma, shape in ((along, (1, 1, 1, -1)), (across, (1, 1, -1, 1))):
        if sigma:
            at = torch.arange(-24, 25)
            kernel = torch.exp(-0.5 * (at / sigma) ** 2)
            kernel = (kernel / kernel.sum()).view(shape).expand(3, -1, -1, -1)
            pad = (24, 24, 0, 0) if shape[-1] == -1 else (0, 0, 24, 24)
            soft = F.conv2d(F.pad(soft, pad, mode="reflect"), kernel, groups=3)
    generator = torch.Generator().manual_seed(frame)
    return (soft[0] + noise * torch.randn(picture.shape, generator=generator)).clamp(0, 1)


def error(one: Tensor, other: Tensor) -> float:
    inside = (slice(None), slice(64, 192), slice(64, 192))
    return float((one[inside] - other[inside]).square().mean().sqrt())


def seen(frames: list[Tensor]) -> tuple[Tensor, Tensor, np.ndarray]:
    made = measured(frames[0][None], [frames[1:]])
    return frames[0][None], made.images, made.blur()


def test_a_blurred_noisy_face_comes_nearer_to_the_sharp_one() -> None:
    truth = face()
    frames = [filmed(truth, 4.0, 4.0, 0.03, number) for number in range(9)]
    given, images, blur = seen(frames)
    made = sharpened(given, images, blur)[0]
    assert share(blur)[0] == 1
    alone, averaged, drawn = (error(one, truth) for one in (frames[0], images[0], made))
    assert averaged < 0.95 * alone
    assert drawn < 0.8 * averaged


def test_a_sharp_face_stays_as_it_is() -> None:
    given, images, blur = seen([filmed(face(), 0.0, 0.0, 0.02, number) for number in range(9)])
    assert share(blur)[0] == 0
    assert torch.equal(sharpened(given, images, blur), given)


@pytest.mark.parametrize(("along", "across"), [(3.0, 3.0), (4.5, 3.0), (3.0, 4.5), (6.0, 6.0)])
def test_how_blurred_it_is_comes_out_along_the_lines_and_across(
    along: float, across: float
) -> None:
    _, _, blur = seen([filmed(face(), along, across, 0.01, number) for number in range(9)])
    # A Gaussian of sigma pixels leaves exp(-(2 pi sigma / side)^2 f^2 / 2).
    sigmas = np.sqrt(blur[0, :2]) * SIDE / (2 * np.pi)
    np.testing.assert_allclose(sigmas, [along, across], rtol=0.2)


def test_what_a_reference_made_wrong_is_put_right_by_the_frames() -> None:
    """A dark bar, as of glasses that only a reference has, fades; fine detail stays."""
    truth = face()
    given, images, blur = seen([filmed(truth, 4.0, 4.0, 0.02, number) for number in range(9)])
    blur[:, 5] = burst.ANALOGUE
    wrong = truth.clone()
    wrong[:, 120:136, 80:176] -= 0.2
    made = agreeing(wrong[None], images, blur, np.full(1, PHOTOS_ERROR))[0]
    assert error(made, truth) < 0.5 * error(wrong, truth)
    alone = agreeing(wrong[None], images, blur, np.full(1, OWN_ERROR))[0]
    assert error(made, truth) < error(alone, truth) < error(wrong, truth)
    right = agreeing(truth[None], images, blur, np.full(1, PHOTOS_ERROR))[0]
    assert error(right, truth) < 0.3 * error(given[0], truth)
    coded = blur.copy()
    coded[:, 5] = 0.5
    kept = agreeing(wrong[None], images, coded, np.full(1, PHOTOS_ERROR))[0]
    assert torch.allclose(kept, wrong, atol=1e-6)
    eyes = torch.zeros(1, *wrong.shape[1:])
    eyes[:, :, :128] = 1
    half = agreeing(wrong[None], images, coded, np.zeros(1), eyes)[0]
    assert torch.allclose(half[:, :, :128], alone[:, :, :128], atol=0.01)  # whatever the noise
    assert torch.allclose(half[:, :, 128:], wrong[:, :, 128:], atol=1e-6)
    sharp = agreeing(wrong[None], images, np.zeros_like(blur), np.ones(1))
    believed = agreeing(wrong[None], images, blur, np.zeros(1))
    assert torch.allclose(believed[0], wrong, atol=1e-6)
    assert torch.equal(sharp[0], wrong)


def test_what_moves_is_followed() -> None:
    truth = face()
    moved = [torch.roll(truth, shift, 2) for shift in (0, 3, -3, 6, -6)]
    frames = [filmed(one, 3.0, 3.0, 0.04, number) for number, one in enumerate(moved)]
    soft = filmed(truth, 3.0, 3.0, 0.0, 0)
    averaged = together(frames[0][None], [frames[1:]])[0]
    assert error(averaged, soft) < 0.6 * error(frames[0], soft)
    assert error(torch.stack(frames).mean(0), soft) > error(averaged, soft)


def test_another_face_adds_nothing() -> None:
    frame = filmed(face(), 3.0, 3.0, 0.0, 0)
    made = together(frame[None], [[filmed(face(5), 3.0, 3.0, 0.0, 1)] * 4])[0]
    assert error(made, frame) < 0.3 * error(filmed(face(5), 3.0, 3.0, 0.0, 1), frame)


def test_neighbours_may_be_of_other_sides_and_fewer() -> None:
    frames = [filmed(face(), 4.0, 4.0, 0.03, number) for number in range(5)]
    small = F.interpolate(frames[1][None], size=192, mode="bilinear", antialias=True)[0]
    both = measured(torch.stack(frames[:2]), [[small, *frames[2:]], frames[2:3]])
    alone = measured(frames[1][None], [frames[2:3]])
    np.testing.assert_allclose(both.images[1], alone.images[0], atol=1e-5)
    np.testing.assert_allclose(both.noise[1], alone.noise[0], rtol=1e-3)


def test_without_neighbours_it_is_itself() -> None:
    frame = face()[None]
    made = measured(frame, [[]])
    assert torch.equal(made.images, frame)
    assert float(made.noise.abs().max()) == 0


def test_power_does_not_depend_on_the_side() -> None:
    large = F.interpolate(face()[None], size=512, mode="bicubic")
    small = F.interpolate(large, size=256, mode="area")
    np.testing.assert_allclose(spectra(large), spectra(small), rtol=0.1)


def test_a_gpu_is_not_waited_for(fake_cuda: Any) -> None:
    faces = torch.zeros((2, 3, 256, 256), device="cuda")
    near = [[torch.zeros((3, 256, 256), device="cuda")] * 3, []]
    made = measured(faces, near)
    blur = np.full((2, burst.TERMS), 0.01, np.float32)
    drawn = agreeing(sharpened(faces, made.images, blur), made.images, blur, np.ones(2))
    assert drawn.device.type == made.power.device.type == made.noise.device.type == "cuda"
    assert fake_cuda.fetched == []


def test_of_a_face_that_is_all_noise_nothing_is_said() -> None:
    frames = [filmed(torch.full((3, SIDE, SIDE), 0.5), 0.0, 0.0, 0.2, seed) for seed in range(9)]
    given, images, blur = seen(frames)
    assert share(blur)[0] == 0
    assert torch.equal(sharpened(given, images, blur), given)
