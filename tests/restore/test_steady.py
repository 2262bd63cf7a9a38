"""Steadiness: what moves with the face is averaged, what does not is left to its frame."""

from __future__ import annotations

import torch

from refrestore.restore.steady import Moment, steadied


def picture(shift: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    small = torch.rand((1, 3, 32, 32), generator=generator)
    smooth = torch.nn.functional.interpolate(small, size=512, mode="bicubic")[0].clamp(0, 1)
    return torch.roll(smooth, shift, 2)


def moment(frame: int, shift: int = 0, noise: float = 0.0, light: float = 0.0) -> Moment:
    generator = torch.Generator().manual_seed(frame)
    image = picture(shift) + light + noise * torch.randn((3, 512, 512), generator=generator)
    return Moment(frame, image, torch.ones(512, 512))


INSIDE = (slice(None), slice(200, 340), slice(200, 310))


def test_noise_falls_and_a_moving_face_stays_sharp() -> None:
    face = moment(10, 0, noise=0.05)
    near = [moment(frame, (frame - 10) * 8, noise=0.05) for frame in (8, 9, 11, 12)]
    image, mask = steadied(face, near)
    before = (face.restored - picture())[INSIDE].std()
    after = (image - picture())[INSIDE].std()
    assert after < 0.7 * before
    torch.testing.assert_close(mask, torch.ones(512, 512))


def test_a_neighbour_that_looks_otherwise_is_not_used() -> None:
    face = moment(10, noise=0.05)
    image, _ = steadied(face, [moment(9, noise=0.05, light=0.4)])
    torch.testing.assert_close(image, face.restored, atol=2e-3, rtol=0)


def test_what_changed_only_in_part_keeps_that_part() -> None:
    """A blink: the lid of this frame is not mixed with the open eyes beside it."""
    face = moment(10)
    other = picture()
    lid = (slice(None), slice(240, 272), slice(200, 264))
    other[lid] = 1 - other[lid]
    image, _ = steadied(face, [Moment(9, other, torch.ones(512, 512))])
    middle = (slice(None), slice(250, 262), slice(215, 250))
    torch.testing.assert_close(image[middle], face.restored[middle], atol=0.02, rtol=0)


def test_alone_a_face_is_returned_as_it_is() -> None:
    face = moment(10)
    assert steadied(face, [])[0] is face.restored


def test_masks_fade_with_the_face() -> None:
    face = moment(10)
    gone = Moment(11, moment(11).restored, torch.zeros(512, 512))
    _, mask = steadied(face, [gone])
    middle = float(mask[250, 250])
    assert 0.5 < middle < 0.7


def test_only_what_is_pasted_is_worked_on_and_it_comes_out_the_same() -> None:
    mask = torch.zeros(512, 512)
    mask[150:380, 170:330] = 1
    whole = [moment(frame, (frame - 10) * 4, noise=0.05) for frame in (10, 9, 11)]
    part = [Moment(one.frame, one.restored, mask) for one in whole]
    expected, _ = steadied(whole[0], whole[1:])
    image, faded = steadied(part[0], part[1:])
    torch.testing.assert_close(image[:, mask > 0], expected[:, mask > 0], atol=0.02, rtol=0)
    assert (image - part[0].restored)[:, mask > 0].abs().mean() > 0.005
    far = (slice(None), slice(0, 100), slice(0, 512))
    assert torch.equal(image[far], part[0].restored[far])
    assert float(faded[0, 0]) == 0


def test_a_mask_that_fails_for_a_frame_comes_from_its_neighbours() -> None:
    gone = Moment(10, moment(10).restored, torch.zeros(512, 512))
    _, mask = steadied(gone, [moment(9), moment(11)])
    assert float(mask[250, 250]) > 0.5
