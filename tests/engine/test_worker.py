"""What a worker answers, without a cluster around it."""

from __future__ import annotations

import errno
import os
import pickle
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from refrestore.config import EncoderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.ray import keep
from refrestore.engine.worker import (
    Failed,
    Rendered,
    ScanTask,
    Unseen,
    Worker,
    differences,
    face_networks,
    libraries,
)
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.probe import probe
from refrestore.media.segments import SegmentWriter
from refrestore.models.pack import load_face_pack
from refrestore.render.report import SegmentRecord
from refrestore.render.segment_folder import Segment, SegmentFolder
from refrestore.scan.spans import Followings, SpanToFollow

RUNTIME = RuntimeSettings(device="cpu", threads=1)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "grey.mp4"
    picture = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, number, 0))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


SPAN = SpanToFollow(0, 10, Fraction(0))


def task(work=SPAN, **changed) -> ScanTask:
    networks = face_networks(load_face_pack(RUNTIME), RUNTIME)
    return replace(ScanTask(ScanSettings(), networks, work), **changed)


def test_it_follows_a_span_and_says_how_far_it_is(film) -> None:
    worker = Worker(RUNTIME)
    assert worker.check(libraries()) is None
    answer = worker.scan(probe(film), task(), None)
    assert isinstance(answer, bytes)
    found = pickle.loads(answer)
    assert isinstance(found, Followings)
    assert found.detections
    assert worker.news(0) == 10


def test_a_film_that_is_not_there_is_asked_for(film) -> None:
    info = probe(film)
    gone = replace(info, path=film.with_name("gone.mp4"))
    other = replace(info, fingerprint="1-other")
    for each in (gone, other):
        assert Worker(RUNTIME).scan(each, task(), None) == Unseen()


def test_a_piece_that_cannot_be_entered_is_refused(film) -> None:
    answer = Worker(RUNTIME).scan(
        probe(film), task(SpanToFollow(5, 10, Fraction(77))), film.read_bytes()
    )
    assert answer == Failed("MediaError", "grey.mp4 cannot be entered in its middle.")


def test_other_networks_are_refused(film) -> None:
    networks = {**task().networks, "detector": "0" * 64}
    answer = Worker(RUNTIME).scan(probe(film), task(networks=networks), None)
    assert isinstance(answer, Failed)
    assert answer.refused
    assert answer.kind == "ModelError"
    assert "detector" in answer.sentence
    assert "instead of 000000000000" in answer.sentence


def test_models_that_are_missing_are_refused(film, tmp_path) -> None:
    bare = RuntimeSettings(device="cpu", pack="teachers", models_dir=tmp_path)
    answer = Worker(bare).scan(probe(film), task(), None)
    assert isinstance(answer, Failed)
    assert (answer.kind, answer.refused) == ("ModelError", True)


def test_a_full_disk_is_refused(film, monkeypatch) -> None:
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    answer = Worker(RUNTIME).scan(probe(film), task(), b"piece")
    assert isinstance(answer, Failed)
    assert (answer.kind, answer.refused) == ("DiskError", True)


def test_other_libraries_are_refused() -> None:
    answer = Worker(RUNTIME).check({**libraries(), "torch": "0.1", "scipy": "0.2"})
    assert answer is not None
    assert answer.refused
    assert "instead of 0.1, " not in differences(libraries(), libraries())
    assert answer.sentence.count("instead of") == 2


def test_differences_are_named_to_their_leaves() -> None:
    one = {"files": {"mask": "a" * 64}, "device": "cpu"}
    two = {"files": {"mask": "b" * 64}, "device": "cuda"}
    assert differences(one, two) == (
        "device cpu instead of cuda, mask aaaaaaaaaaaa instead of bbbbbbbbbbbb"
    )
    assert differences(one, dict(one)) == ""


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_bytes_do_not_depend_on_the_cpus_of_the_machine(film, tmp_path, codec) -> None:
    info = probe(film)
    encoder = resolve_encoder(
        EncoderSettings(codec=codec), info, scale=1, output=tmp_path / "out.mkv"
    )
    every = os.sched_getaffinity(0)
    if len(every) < 2:
        pytest.skip("one CPU only")

    def encoded(used, name: str) -> bytes:
        path = tmp_path / name
        with av.open(str(film)) as source, SegmentWriter(path, used) as writer:
            for picture in source.decode(video=0):
                writer.write(picture, picture.pts * picture.time_base)
        return path.read_bytes()

    here = encoded(encoder, "here.mkv")
    os.sched_setaffinity(0, {min(every)})
    try:
        there = encoded(encoder.in_threads(len(every), 1), "there.mkv")
    finally:
        os.sched_setaffinity(0, every)
    assert there == here
    assert encoder.in_threads(2, 2) is encoder


def test_what_was_made_is_kept_the_packets_last(tmp_path) -> None:
    folder, segment = SegmentFolder(tmp_path, "key"), Segment(3, 30, 40)
    assert keep(folder, segment, Rendered(b"", b"", None)) == SegmentRecord(0)
    assert not folder.finished(segment)
    SegmentRecord(10).write(folder.record(segment))
    record = folder.record(segment).read_bytes()
    faces = {"faces.json": b"{}", "restored/a.png": b"png"}
    assert keep(folder, segment, Rendered(record, b"packets", faces)).frames == 10
    assert folder.finished(segment)
    assert folder.video(segment).read_bytes() == b"packets"
    assert (folder.faces(segment) / "restored" / "a.png").read_bytes() == b"png"
    assert SegmentFolder(tmp_path, "key").finished(segment)
