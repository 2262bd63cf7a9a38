"""Where films come from, and when one that is being written counts."""

from __future__ import annotations

import os

import pytest

from refrestore.batch.order import Order
from refrestore.batch.queue import Queue
from refrestore.batch.sources import Newcomers, entries_of, new_films
from refrestore.errors import BatchError, MediaError, UsageError


@pytest.fixture
def tapes(tmp_path):
    """Return a folder with films and other things."""
    tapes = tmp_path / "tapes"
    for name in ("b.mp4", "a.avi", "1990/a.mkv", "notes.doc", ".hidden.mp4", ".cache/x.mp4",
                 "old.mp4.refrestore/x.mp4", "restored/a.mkv"):  # fmt: skip
        (tapes / name).parent.mkdir(parents=True, exist_ok=True)
        (tapes / name).write_bytes(b"film")
    return tapes


def test_a_folder_is_gone_through_and_its_folders_kept(tapes, tmp_path) -> None:
    order = Order(tapes / "restored", {"container": "mkv"})
    found = entries_of([str(tapes)], order)
    names = [(one.video.relative_to(tapes).as_posix(), one.output.relative_to(tapes).as_posix())
             for one in found]  # fmt: skip
    assert names == [
        ("a.avi", "restored/a.mkv"),
        ("b.mp4", "restored/b.mkv"),
        ("1990/a.mkv", "restored/1990/a.mkv"),
    ]
    assert found[0].project.name == "a.mkv.refrestore"


def test_patterns_lists_and_files(tapes, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    order = Order(tmp_path / "out", {})
    (tapes / "all.txt").write_text("# tapes\n\nb.mp4\n1990/a.mkv\n")
    assert [one.video.name for one in entries_of(["tapes/*.mp4"], order)] == ["b.mp4"]
    listed = entries_of(["tapes/all.txt", "tapes/b.mp4", str(tapes / "notes.doc")], order)
    assert [one.video.name for one in listed] == ["b.mp4", "a.mkv", "notes.doc"]
    assert listed[2].output.name == "notes.mkv"
    (tapes / "b[1].mp4").write_bytes(b"film")
    assert len(entries_of(["tapes/b[1].mp4"], order)) == 1


def test_what_has_no_film_is_said(tapes, tmp_path) -> None:
    order = Order(tmp_path / "out", {})
    (tmp_path / "empty").mkdir()
    (tmp_path / "nobody.txt").write_text("# nothing\n")
    (tmp_path / "gone.txt").write_text("gone.mp4\n")
    (tmp_path / "odd.txt").write_bytes(b"\xff\xfe\xff")
    for source, kind, words in (
        ("empty", BatchError, "There is no film in the folder"),
        ("*.ogv", BatchError, "No file fits"),
        ("nobody.txt", BatchError, "names no film"),
        ("odd.txt", BatchError, "is not text"),
        ("gone.txt", MediaError, r"There is no file .*gone\.mp4"),
        ("no.mp4", MediaError, r"There is no file .*no\.mp4"),
    ):
        with pytest.raises(kind, match=words):
            entries_of([str(tmp_path / source)], order)


def test_outputs_that_cannot_be(tapes, tmp_path) -> None:
    with pytest.raises(UsageError, match="would be written among themselves"):
        entries_of([str(tapes)], Order(tapes, {}))
    with pytest.raises(UsageError, match="would be written over itself"):
        entries_of([str(tapes / "b.mp4")], Order(tapes, {}))
    with pytest.raises(UsageError, match="is a file: name a folder"):
        entries_of([str(tapes)], Order(tapes / "b.mp4", {}))
    with pytest.raises(BatchError, match=r"a\.mkv and .*a\.avi would both be written to"):
        entries_of([str(tapes / "a.avi"), str(tapes / "1990" / "a.mkv")], Order(tmp_path, {}))


def test_a_film_counts_once_its_size_stands_still(tmp_path) -> None:
    tapes = tmp_path / "tapes"
    tapes.mkdir()
    newcomers = Newcomers()
    with Queue(tmp_path / "films.queue", make=True) as queue:
        queue.watch(tapes, Order(tmp_path / "out", {"scale": 2}, 4))

        def look() -> list[str]:
            found = list(new_films(queue, newcomers))
            return [one if isinstance(one, str) else one.name for one in found]

        assert look() == []
        film = tapes / "a.mp4"
        film.write_bytes(b"")
        assert look() == look() == []  # nothing is in it yet
        film.write_bytes(b"1")
        assert look() == []
        film.write_bytes(b"12")
        assert look() == []
        assert look() == ["a.mp4"]
        assert look() == []
        assert (queue.film(1).priority, queue.film(1).values) == (4, {"scale": 2})
        (tapes / "a.avi").write_bytes(b"12")
        look()
        assert "would both be written" in look()[0]
        os.remove(tapes / "a.avi")
        assert look() == []


def test_numbered_pictures_are_one_film(tmp_path):
    for number in range(3, 6):
        (tmp_path / f"{number:04d}.png").write_bytes(b"picture")
    order = Order((tmp_path / "out").absolute(), {"fps": 24}, 0)
    (entry,) = entries_of([str(tmp_path / "%04d.png")], order)
    assert entry.video == tmp_path / "%04d.png"
    assert entry.output == tmp_path / "out" / f"{tmp_path.name}.mkv"
    with pytest.raises(MediaError, match="There are no pictures"):
        entries_of([str(tmp_path / "x%04d.png")], order)
