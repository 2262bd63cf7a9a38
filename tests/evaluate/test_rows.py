"""Rows: what a picture and a film look like after each."""

from __future__ import annotations

import importlib.util
import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from refrestore.config import RuntimeSettings
from refrestore.evaluate.metrics import psnr
from refrestore.evaluate.package import Alone, as_the_package, package_network, pasted
from refrestore.evaluate.rows import FilmCase, PixelRow, film_pictures, plain_rows, sharpened
from refrestore.evaluate.split import frequency_split
from refrestore.faces.analyser import load_face_models
from refrestore.media.simple import write_pictures
from refrestore.models import load_face_pack
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.second.gfpgan import GFPGAN, GFPGANConfig
from refrestore.types import Reference


def test_pixel_rows_change_only_the_frames_that_count(tmp_path: Path) -> None:
    frames = [np.full((32, 32, 3), value, np.uint8) for value in (20, 60, 100, 140)]
    film = tmp_path / "film.mkv"
    write_pictures(film, frames, rate=Fraction(25), codec="ffv1", pixel_format="yuv444p")
    case = FilmCase(film, tmp_path, None, {1: "moderate", 2: "severe"}, tmp_path)
    row = PixelRow("dark", "dark", "black", np.zeros_like)
    before = list(film_pictures(film))
    after = list(row.film(case))
    assert len(after) == 4
    for index in (0, 3):
        np.testing.assert_array_equal(after[index], before[index])
    for index in (1, 2):
        assert not after[index].any()


def test_the_input_row_changes_nothing_and_sharpening_sharpens() -> None:
    rows = {row.key: row for row in plain_rows()}
    image = astronaut()
    assert rows["input"].change(image) is image
    soft = np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), np.uint8)
    assert psnr(sharpened(soft), image) > psnr(soft, image)


def reference(image: np.ndarray, mesh: np.ndarray) -> Reference:
    return Reference(
        image=image,
        landmarks=mesh,
        embedding=np.eye(512, dtype=np.float32)[0],
        pose=np.zeros(3, np.float32),
        sharpness=1,
        quality=1,
        native_size=300,
        source="a photo",
    )


def test_the_split_takes_detail_from_references_and_light_from_the_face() -> None:
    random = np.random.default_rng(0)
    mesh = random.uniform(130, 380, (468, 2)).astype(np.float32)
    picture = np.ascontiguousarray(astronaut())
    bank = ReferenceBank.from_references([reference(picture, mesh)])
    dark = np.asarray(cv2.GaussianBlur(picture, (0, 0), 6) * 0.5, np.uint8)
    made = frequency_split(dark[None], mesh[None], [bank], sigma=12)[0]
    middle = (slice(150, 360), slice(150, 360))
    wanted = cv2.GaussianBlur(dark, (0, 0), 12).astype(float) + (
        picture - cv2.GaussianBlur(picture, (0, 0), 12).astype(float)
    )
    assert np.abs(made[middle] - np.clip(wanted[middle], 0, 255)).mean() < 1
    empty = ReferenceBank.from_references([])
    np.testing.assert_array_equal(
        frequency_split(dark[None], mesh[None], [empty], sigma=12)[0], dark
    )


def test_the_paste_is_soft_and_inside_its_square() -> None:
    image = np.full((200, 300, 3), 50, np.uint8)
    face = np.full((512, 512, 3), 200, np.uint8)
    matrix = np.array([[0.2, 0, 100], [0, 0.2, 60]])  # a face of 102 px
    result = pasted(image, face[None], [matrix])
    np.testing.assert_array_equal(result[:58], image[:58])
    np.testing.assert_array_equal(result[:, :98], image[:, :98])
    assert result[111, 151].tolist() == [200, 200, 200]
    border = result[111, 100:112, 0].astype(int)
    assert (np.diff(border) >= 0).all()
    assert np.diff(border).max() < 60


def test_the_package_restores_every_face_with_new_noise_each_time(tmp_path) -> None:
    if importlib.util.find_spec("gfpgan") is None:
        if os.environ.get("REFRESTORE_REQUIRE_SHARED") == "1":
            pytest.fail("the gfpgan package is not installed (requirements/gfpgan.txt)")
        pytest.skip("the gfpgan package is not installed (requirements/gfpgan.txt)")
    torch.manual_seed(0)
    ours = GFPGAN(GFPGANConfig(out_size=64, narrow=0.125, style_size=32))
    with torch.no_grad():  # a trained network's noise is not switched off
        for parameter in ours.parameters():
            if parameter.numel() == 1:
                parameter.fill_(0.5)
    torch.save(ours.state_dict(), tmp_path / "small.pth")
    network, side = package_network(tmp_path / "small.pth")
    assert side == 64
    models = load_face_models(load_face_pack(RuntimeSettings()), "cpu", threads=1)
    restorer = Alone(as_the_package(network, side), models)
    image = astronaut()
    first, second = restorer(image), restorer(image)
    assert first.shape == image.shape
    changed = np.abs(first.astype(int) - image).sum(2) > 0
    assert 0.02 < changed.mean() < 0.6  # the face, and not the picture
    assert (first != second).any()
    blank = np.zeros((64, 64, 3), np.uint8)
    np.testing.assert_array_equal(restorer(blank), blank)
