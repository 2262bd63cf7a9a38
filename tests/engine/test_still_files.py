"""Pictures of every kind in one album: one that cannot be read stops no other."""

from __future__ import annotations

import os
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from refrestore.config import RuntimeSettings
from refrestore.engine.still_files import restore_pictures
from refrestore.errors import MediaError, UsageError
from refrestore.faces.analyser import load_face_models
from refrestore.media.stills import pictures_in
from refrestore.models.pack import load_face_pack
from refrestore.scan.photos import faces_of_pictures

GOOD = ("cmyk.jpg", "moving.gif", "moving.webp", "palette.png", "sixteen.png", "turned.jpg")


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    grey = Image.new("RGB", (96, 64), (90, 90, 90))
    grey.convert("CMYK").save(folder / "cmyk.jpg")
    for name in ("moving.gif", "moving.webp"):
        grey.save(folder / name, save_all=True, append_images=[Image.new("RGB", (96, 64))])
    grey.convert("P").save(folder / "palette.png")
    Image.fromarray(np.full((64, 96), 23130, np.uint16)).save(folder / "sixteen.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    grey.save(folder / "turned.jpg", exif=exif)
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "folder.png").mkdir()
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    if sys.platform != "win32":
        os.mkfifo(folder / "pipe.png")
    return folder


def test_each_bad_picture_of_an_album_is_named_with_its_reason(album):
    pictures = pictures_in([album])
    pack = load_face_pack(RuntimeSettings())
    found = faces_of_pictures(pictures, load_face_models(pack, "cpu", threads=1))
    reasons = {os.path.basename(one.source): one.reason for one in found.rejected}
    assert set(reasons) == {picture.name for picture in pictures}
    for name, reason in reasons.items():
        assert ("no face was found" in reason) == (name in GOOD), reason
    assert "it is a folder" in reasons["folder.png"]
    assert "a link to a file that is not there" in reasons["gone.jpg"]


def test_a_bad_picture_does_not_stop_the_others(album, tmp_path, caplog):
    bad = [album / name for name in ("text.png", "gone.jpg", "empty.jpg")]
    pictures = [bad[0], album / "palette.png", *bad[1:], album / "turned.jpg"]
    with pytest.raises(MediaError, match="3 of 5 pictures could not be read; the others are in"):
        restore_pictures(pictures, tmp_path / "out")
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["palette.png", "turned.jpg"]
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == list(
        map(str, bad)
    )


def test_a_folder_of_photos_becomes_a_folder(album, tmp_path, caplog):
    (album / "folder.png").rmdir()
    (album / "pipe.png").unlink(missing_ok=True)
    pillow_heif.register_heif_opener()
    Image.new("RGB", (96, 64), (90, 90, 90)).save(album / "phone.heic", "HEIF")
    (album / "notes.txt").write_text("of a day at the sea")
    with pytest.raises(MediaError, match="3 of 10 pictures could not be read"):
        restore_pictures([album], tmp_path / "out")
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == sorted(
        ["phone.jpg", *(name for name in GOOD if name != "moving.gif"), "moving.png"]
    )
    assert {record.getMessage().split(" is ")[0] for record in caplog.records} == {
        str(album / name) for name in ("text.png", "gone.jpg", "empty.jpg")
    }


def test_two_photos_that_would_become_one_are_named(tmp_path):
    for name in ("a.heic", "a.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"a\.heic and .*a\.jpg would both become .*out/a\.jpg"):
        restore_pictures([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
