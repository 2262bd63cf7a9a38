"""Albums that are none: a clear sentence each, and no profile."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import chelsea

from refrestore.config import RuntimeSettings
from refrestore.errors import ProfileError
from refrestore.evaluate.demo import group_photo, portrait_photo
from refrestore.scan.build import build_profile, update_profile

RUNTIME = RuntimeSettings(device="cpu", threads=1)


def drawing():
    """Return a face as children draw it."""
    page = np.full((600, 600, 3), 255, np.uint8)
    cv2.ellipse(page, (300, 300), (180, 230), 0, 0, 360, (0, 0, 0), 4)
    for x in (230, 370):
        cv2.ellipse(page, (x, 250), (35, 18), 0, 0, 360, (0, 0, 0), 3)
        cv2.circle(page, (x, 250), 10, (0, 0, 0), -1)
        cv2.line(page, (x - 40, 215), (x + 40, 210), (0, 0, 0), 5)
    cv2.line(page, (300, 260), (285, 340), (0, 0, 0), 3)
    cv2.ellipse(page, (300, 420), (70, 25), 0, 0, 180, (0, 0, 0), 4)
    return page


def sketch(picture):
    """Return a portrait as if drawn with a pencil."""
    large = cv2.resize(picture[:300, 80:380], (900, 900), interpolation=cv2.INTER_CUBIC)
    grey, _ = cv2.pencilSketch(
        np.ascontiguousarray(large[..., ::-1]), sigma_s=60, sigma_r=0.07, shade_factor=0.05
    )
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def member(left):
    """Return one person of the group photo."""
    group = group_photo()
    height, width = group.shape[:2]
    return group[
        int(0.2 * height) : int(0.6 * height), int(left * width) : int((left + 0.22) * width)
    ]


@pytest.fixture
def album(tmp_path):
    def make(**pictures):
        folder = tmp_path / "album"
        folder.mkdir()
        for name, picture in pictures.items():
            Image.fromarray(picture).save(folder / f"{name}.png")
        return folder

    return make


def test_a_folder_without_one_usable_photo(album, store):
    folder = album(cat=chelsea(), cat2=chelsea()[:, ::-1], crowd=group_photo(), drawn=drawing())
    with pytest.raises(ProfileError) as raised:
        build_profile("Anna", photos=[folder], store=store, runtime=RUNTIME)
    said = str(raised.value)
    assert said.startswith(f"No photo in {folder} can be used, give sharp photos in which one")
    assert f"; {folder / 'cat.png'}: no face was" in said
    assert "crowd.png: it shows 6 faces, and none is clearly the largest; and 2 more." in said
    assert said.count(". ") == 0
    assert store.list() == []


def test_a_pencil_sketch_among_photos_is_somebody_else(album, store):
    portrait = portrait_photo()
    folder = album(a=portrait, b=portrait[:, ::-1], c=portrait // 2 + 60, drawn=sketch(portrait))
    built = build_profile("Eileen", photos=[folder], store=store, runtime=RUNTIME)
    (refused,) = built.rejected
    assert refused.source.endswith("drawn.png")
    assert "somebody else than the others" in refused.reason


def test_photos_of_two_people_make_and_teach_no_profile(album, store, tmp_path):
    portrait, other = portrait_photo(), member(0.35)
    folder = album(a=portrait, b=portrait[:, ::-1], c=other, d=other[:, ::-1])
    with pytest.raises(ProfileError, match="shows different people, none of them in most pictures"):
        build_profile("Eileen", photos=[folder], store=store, runtime=RUNTIME)
    assert store.list() == []
    build_profile("Eileen", photos=[folder / "a.png"], store=store, runtime=RUNTIME)
    before = store.load("Eileen").embeddings
    with pytest.raises(ProfileError, match=r"somebody else than Eileen.*nothing was taken from it"):
        update_profile("Eileen", photos=[folder / "c.png"], store=store, runtime=RUNTIME)
    assert np.array_equal(store.load("Eileen").embeddings, before)
