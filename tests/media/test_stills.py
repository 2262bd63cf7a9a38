from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from refrestore.errors import DiskError, MediaError, UsageError
from refrestore.media import stills
from refrestore.media.stills import pictures_in, read_picture, write_picture


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
        (tmp_path / "none.png", "no file"),
        (tmp_path, "not a file"),
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


LARGEST = 7740, 5160
"""Just below what is decoded whole where only faces are looked for."""

HUGE = 12_000, 8_300

DECODE = """
import sys
from pathlib import Path
from refrestore.media.stills import decode_picture

def now(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000

content = Path(sys.argv[1]).read_bytes()
before = now("VmRSS")
picture = decode_picture(content, formats=("JPEG", "PNG", "WEBP"))
shape = picture.shape
del picture
print(*shape[:2], now("VmHWM") - before, now("VmRSS") - before)
"""


def turned(path, kind, size, mode="RGB", **options):
    """Write a picture that is to be shown turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    colour = (90, 100, 110, 128)[: len(mode)]
    Image.new(mode, size, colour).save(path, kind, exif=exif, **options)
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "size", "most"),
    [
        ("JPEG", "RGB", HUGE, 400),
        ("PNG", "RGBA", LARGEST, 500),
        ("WEBP", "RGB", LARGEST, 850),
    ],
)
def test_the_largest_pictures_take_a_bounded_memory_and_give_it_back(
    tmp_path, kind, mode, size, most
):
    quick = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}}.get(kind, {})
    path = turned(tmp_path / "picture", kind, size, mode, **quick)
    command = [sys.executable, "-c", DECODE, str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    height, width, peak, kept = map(float, said)
    assert height > width
    assert height * width > stills.FACE_PIXELS / 4
    assert height * width <= stills.FACE_PIXELS
    assert peak < most
    assert kept < 100


def test_a_picture_too_large_is_refused_by_its_header(tmp_path, monkeypatch):
    monkeypatch.setattr(stills, "FACE_PIXELS", 1000)
    formats = "JPEG", "PNG", "WEBP"
    for kind, options in (("PNG", {}), ("WEBP", {}), ("JPEG", {"progressive": True})):
        path = turned(tmp_path / kind, kind, (300, 200), **options)
        content = path.read_bytes()
        with pytest.raises(MediaError, match="300x200, and only a JPEG") as error:
            stills.decode_picture(content, formats=formats)
        assert str(error.value).endswith("make it smaller first.")
        with pytest.raises(MediaError, match="300x200"):
            read_picture(path, reduced=True)
        assert read_picture(path).shape == (300, 200, 3)
    path = turned(tmp_path / "plain", "JPEG", (300, 200))
    assert read_picture(path, reduced=True).shape == (150, 100, 3)
    assert read_picture(path).shape == (300, 200, 3)


def test_pictures_in_folders(tmp_path):
    plainly = ["notes.txt", "film.MOV", ".hidden.jpg", "a.xmp", "Thumbs.db", "README", "b.json"]
    for name in ("b.JPG", "a.png", "c.HEIC", "d.cr2", "e.gif", *plainly):
        (tmp_path / name).touch()
    found = [path.name for path in pictures_in([tmp_path])]
    assert found == ["a.png", "b.JPG", "c.HEIC", "d.cr2", "e.gif"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture in"):
        pictures_in([tmp_path / "empty"])
    with pytest.raises(MediaError, match="There is no file"):
        pictures_in([tmp_path / "none"])


def test_what_phones_write_is_read_upright(tmp_path):
    upright = np.repeat(np.repeat(gradient(), 8, 0), 8, 1)
    turned_back = Image.fromarray(np.rot90(upright))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    pillow_heif.register_heif_opener()
    for name in ("photo.heic", "photo.HEIF"):
        turned_back.save(tmp_path / name, "HEIF", quality=95, exif=exif.tobytes())
        back = read_picture(tmp_path / name)
        assert back.shape == upright.shape
        assert np.abs(back.astype(int) - upright).mean() < 3
    content = (tmp_path / "photo.heic").read_bytes()
    assert stills.decode_picture(content, formats=("HEIF",)).shape == upright.shape
    with pytest.raises(MediaError, match="no picture that can be read; JPEG can"):
        stills.decode_picture(content, formats=("JPEG",))
    (tmp_path / "short.heic").write_bytes(content[: len(content) // 2])
    with pytest.raises(MediaError, match=r"short\.heic is (damaged|not a picture)"):
        read_picture(tmp_path / "short.heic")
