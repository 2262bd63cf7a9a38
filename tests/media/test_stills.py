from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from refrestore.errors import DiskError, MediaError, UsageError
from refrestore.media import read_picture, stills, write_picture


def gradient(height=20, width=30):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 8, columns * 8, rows + columns], -1).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    write_picture(path, gradient())
    back = read_picture(path)
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - gradient()).max() <= (0 if suffix == ".png" else 16)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(turned(gradient()))).save(path, exif=exif)
    assert np.array_equal(read_picture(path), gradient())


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_modes_become_rgb(tmp_path, mode):
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    if mode == "I;16":
        Image.fromarray(np.full((5, 7), 65535, np.uint16)).save(path)
        assert np.all(read_picture(path) == 255)
    else:
        Image.fromarray(gradient()).convert(mode).save(path)
    assert read_picture(path).shape[2] == 3


def test_what_is_no_picture(tmp_path, monkeypatch):
    good, text, short = tmp_path / "good.png", tmp_path / "text.png", tmp_path / "short.png"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    write_picture(good, noise)
    text.write_text("no picture")
    short.write_bytes(good.read_bytes()[:5000])
    for path, words in [
        (tmp_path / "none.png", "no picture"),
        (tmp_path, "it is a folder"),
        (text, "not a picture"),
        (short, "damaged"),
    ]:
        with pytest.raises(MediaError, match=words) as error:
            read_picture(path)
        assert "\n" not in str(error.value)
    monkeypatch.setattr(stills, "MAX_PIXELS", 1000)
    with pytest.raises(MediaError, match="megapixels"):
        read_picture(good)


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(UsageError, match="ends in"):
        write_picture(tmp_path / "picture.bmp", gradient())
    with pytest.raises(DiskError, match="cannot be written"):
        write_picture(tmp_path / "none" / "picture.png", gradient())
    with pytest.raises(ValueError, match="uint8"):
        write_picture(tmp_path / "picture.png", gradient().astype(np.float32))
    assert list(tmp_path.iterdir()) == []
