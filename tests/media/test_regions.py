"""Face regions in the spellings of the programs that write them."""

from __future__ import annotations

import pillow_heif
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from refrestore.errors import MediaError
from refrestore.media import regions
from refrestore.media.regions import face_regions
from refrestore.media.stills import read_tags

from .xmp import ENTITY, digikam, lightroom, packet, people_tags, picasa

WIDTH, HEIGHT = 80, 60
ANNA, BO = ("Anna Ö", 0.25, 0.5, 0.2, 0.4), ("Bo", 0.75, 0.5, 0.1, 0.2)
"""Name, centre, width and height, as shares of the picture."""


def photo(path, xmp=None, orientation=1, size=(WIDTH, HEIGHT)):
    """Write a photo of any kind with XMP inside."""
    image, exif = Image.new("RGB", size, "grey"), Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    packet_ = b"" if xmp is None else xmp.encode()
    kind = path.suffix
    if kind == ".jpg":
        image.save(path, exif=exif, **({"xmp": packet_} if xmp else {}))
    elif kind == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp or "")
        image.save(path, pnginfo=info, exif=exif)
    elif kind == ".tif":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[700], tags.tagtype[700] = packet_, 1
        image.save(path, tiffinfo=tags)
    elif kind == ".heic":
        pillow_heif.register_heif_opener()
        image.save(path, "HEIF", exif=exif, xmp=packet_)
    return path


def near(found, *wanted):
    assert [one.name for one in found] == [name for name, *_ in wanted]
    for one, (_, x, y, w, h) in zip(found, wanted, strict=True):
        box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        assert one.boxes[0] == pytest.approx(box, abs=1e-5)


@pytest.mark.parametrize("write", [digikam, picasa, lightroom, people_tags])
@pytest.mark.parametrize("kind", [".jpg", ".png", ".tif", ".heic"])
def test_every_spelling_in_every_kind_of_file(tmp_path, write, kind):
    xmp = write([ANNA, BO], (WIDTH, HEIGHT))
    found = face_regions(photo(tmp_path / f"a{kind}", xmp))
    near(found, ANNA, BO)
    assert all(len(one.boxes) == 1 for one in found)


def test_a_photo_without_regions_names_nobody(tmp_path):
    assert face_regions(photo(tmp_path / "a.jpg")) == ()
    assert face_regions(photo(tmp_path / "b.jpg", packet(""))) == ()
    unnamed = digikam([("", 0.5, 0.5, 0.2, 0.2)], (WIDTH, HEIGHT))
    assert face_regions(photo(tmp_path / "c.jpg", unnamed)) == ()
    pet = digikam([BO], (WIDTH, HEIGHT)).replace('"Face"', '"Pet"')
    assert face_regions(photo(tmp_path / "d.jpg", pet)) == ()
    nowhere = digikam([("Bo", "nan", 0.5, 0.1, 0.1), ("Bo", 3, 3, 0.1, 0.1)], (WIDTH, HEIGHT))
    assert face_regions(photo(tmp_path / "e.jpg", nowhere)) == ()


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp", "a.XMP"])
def test_what_lies_beside_a_photo_goes_before_what_is_inside(tmp_path, name):
    path = photo(tmp_path / "a.jpg", digikam([BO], (WIDTH, HEIGHT)))
    (tmp_path / name).write_text(packet(""))
    near(face_regions(path), BO)  # it says nothing of faces
    (tmp_path / name).write_text(lightroom([ANNA], (WIDTH, HEIGHT)))
    near(face_regions(path), ANNA)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_drawn_on_the_stored_picture_are_turned_upright(tmp_path, orientation):
    """Against Pillow, which turns a picture in which the region is painted."""
    path = tmp_path / "a.jpg"
    image = Image.new("L", (WIDTH, HEIGHT))
    x, y, w, h = 10, 20, 16, 8
    image.paste(255, (x, y, x + w, y + h))
    exif = Image.Exif()
    exif[0x0112] = orientation
    region = "Bo", (x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT
    image.save(path, exif=exif, xmp=digikam([region], (WIDTH, HEIGHT)).encode(), quality=100)
    upright = regions_upright(path)
    (found,) = face_regions(path)
    size = upright.size * 2
    painted = upright.point(lambda value: 255 * (value > 128)).getbbox()
    assert [edge * by for edge, by in zip(found.boxes[0], size, strict=True)] == pytest.approx(
        painted, abs=0.01
    )
    assert len(found.boxes) == (1 if orientation in (1, 5, 6, 7, 8) else 2)


def regions_upright(path):
    from PIL import ImageOps

    return ImageOps.exif_transpose(Image.open(path))


def test_regions_drawn_on_the_picture_as_it_is_shown_stay(tmp_path):
    near(face_regions(photo(tmp_path / "a.jpg", digikam([BO], (HEIGHT, WIDTH)), 6)), BO)
    # Of HEIF the size is that of the picture as it is shown: its decoder has turned it.
    near(face_regions(photo(tmp_path / "b.heic", digikam([BO], (WIDTH, HEIGHT)), 6)), BO)


def test_where_the_file_does_not_tell_both_are_possible(tmp_path):
    (found,) = face_regions(photo(tmp_path / "a.jpg", people_tags([BO], None), 6))
    assert found.boxes[0] == pytest.approx((0.4, 0.7, 0.6, 0.8))
    assert found.boxes[1] == pytest.approx((0.7, 0.4, 0.8, 0.6))
    tags = read_tags(tmp_path / "a.jpg")
    assert (tags.stored, tags.shown) == ((WIDTH, HEIGHT), (HEIGHT, WIDTH))


def test_a_reduced_photo_keeps_its_regions_and_a_cropped_one_does_not(tmp_path):
    near(face_regions(photo(tmp_path / "a.jpg", digikam([BO], (4000, 3000)))), BO)
    with pytest.raises(MediaError, match=r"another shape than its 80x60: it was cropped since"):
        face_regions(photo(tmp_path / "b.jpg", digikam([BO], (4000, 2000))))


def test_pixels_are_shares_too(tmp_path):
    drawn = digikam([("Bo", 60, 30, 8, 12)], (WIDTH, HEIGHT)).replace("normalized", "pixel")
    near(face_regions(photo(tmp_path / "a.jpg", drawn)), BO)


@pytest.mark.parametrize(
    ("xmp", "words"),
    [
        (ENTITY, "it has a document type"),
        ("<x" * 10, "cannot be read"),
        ("<a>" * 60 + "</a>" * 60, "more than 50 elements"),
        ("<?xml version='1.0' encoding='utf-99'?><a/>", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_xml_of_strangers(tmp_path, xmp, words):
    path = photo(tmp_path / "a.jpg")
    (tmp_path / "a.xmp").write_text(xmp)
    with pytest.raises(MediaError, match=words) as raised:
        face_regions(path)
    assert str(raised.value).count(". ") == 0


def test_too_much_xmp(tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "MOST_XMP", 100)
    path = photo(tmp_path / "a.jpg")
    (tmp_path / "a.xmp").write_text(digikam([BO], (WIDTH, HEIGHT)))
    with pytest.raises(MediaError, match="more than 0 MB of XMP"):
        face_regions(path)
