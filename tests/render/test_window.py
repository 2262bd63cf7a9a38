"""Windows of a film: the same bytes however they are reached, and reached without its beginning."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time as clock
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.local import Local
from refrestore.errors import MediaError
from refrestore.media.entries import Entries
from refrestore.media.planes import plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.treatment import UNTREATED, Treatment
from refrestore.moment import FrameNumber
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.render.frames import READ_ON, FrameWindow, passes_of
from refrestore.render.output_film import Notes, film_of
from refrestore.render.preview import Previewer
from refrestore.render.recipe import FilmRecipe, prepare
from refrestore.render.segment_folder import SegmentFolder
from refrestore.render.toolbox import (
    CPU_BATCH,
    FACE_BYTES,
    LEAST_BATCH,
    MOST_BATCH,
    Toolbox,
    faces_that_fit,
    open_toolbox,
)
from refrestore.render.window import WindowDone, _encoding, render_segment, render_window
from refrestore.scan.scan import video_source
from refrestore.types import Shot

from .conftest import LOSSLESS, SETTINGS

RATE, FRAMES = Fraction(25), 400
IN_SEGMENTS = RenderSettings(segment_seconds=2)
LOSSY = EncoderSettings(codec="libx264")


@dataclass(frozen=True)
class Kind:
    codec: str
    options: dict[str, str]
    steps: tuple[int, ...] = (1,)
    enters: bool = True
    treatment: Treatment = UNTREATED


FILMS = {
    "long.mp4": Kind("libx264", {"g": "250", "bf": "3", "sc_threshold": "0"}),
    "long.ts": Kind("libx264", {"g": "250", "bf": "3", "sc_threshold": "0"}),
    "open.mkv": Kind("libx264", {"bf": "3", "x264-params": "open-gop=1:keyint=48:scenecut=0"}),
    "uneven.mp4": Kind("libx264", {"g": "100", "bf": "2"}, steps=(1, 2, 1, 5, 3)),
    "mpeg2.ts": Kind("mpeg2video", {"g": "15", "bf": "2"}),
    "mjpeg.avi": Kind("mjpeg", {}),
    "tape.ts": Kind(
        "mpeg2video", {"g": "15", "bf": "2"},
        treatment=Treatment(deinterlace="frame", top_first=True, denoise="light"),
    ),
    "untimed.h264": Kind("libx264", {"g": "50"}, enters=False),
}  # fmt: skip


def write_film(path: Path, kind: Kind, frames: int = FRAMES) -> Path:
    """Write a film without cuts, every frame of which differs from every other."""
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    with av.open(str(path), "w") as output:
        film = output.add_stream(kind.codec, rate=RATE, options=kind.options)
        film.width, film.height = 64, 48
        film.pix_fmt = "yuvj420p" if kind.codec == "mjpeg" else "yuv420p"
        tick = 0
        for number in range(frames):
            moved = np.roll(noise, (number, 3 * number), (0, 1)) // 2 + number % 97
            picture = av.VideoFrame.from_ndarray(moved.astype(np.uint8))
            picture.pts, picture.time_base = tick, 1 / RATE
            tick += kind.steps[number % len(kind.steps)]
            output.mux(film.encode(picture))
        output.mux(film.encode(None))
    return path


def note(film: Path, folder: Path, treatment: Treatment = UNTREATED) -> Project:
    """Make a project that knows a film's frames, as a scan does, and nobody in it."""
    info = probe(film)
    with VideoReader(film, info=info) as reader:
        times = [frame.time for frame in reader]
    project = Project.create(folder, video_source(info))
    with project.begin_scan(ScanSettings(), treatment=treatment) as writer:
        writer.add_shot(Shot(0, 0, len(times), times[0]))
        ticks = [int(time / info.time_base) for time in times]
        writer.set_times(np.array(ticks, np.int64), info.time_base)
        writer.set_frames(len(times))
    return project


def without_times(project: Project) -> None:
    """Make a project like those of older versions."""
    for path in project.folder.glob("scans/*/times"):
        path.unlink()


@pytest.fixture(scope="module")
def toolbox() -> Toolbox:
    return open_toolbox(RuntimeSettings())


@pytest.fixture(scope="module", params=list(FILMS))
def noted(request, tmp_path_factory) -> Iterator[tuple[Kind, Project]]:
    folder = tmp_path_factory.mktemp("noted")
    kind = FILMS[request.param]
    film = write_film(folder / request.param, kind)
    with note(film, folder / "project", kind.treatment) as project:
        yield kind, project


def recipe_for(
    project: Project, toolbox: Toolbox, folder: Path, settings=IN_SEGMENTS, encoder=LOSSY
) -> FilmRecipe:
    work = folder / "work"
    work.mkdir(parents=True)
    return prepare(
        project,
        folder / "out.mkv",
        work,
        lambda: toolbox,
        settings=settings,
        encoder=encoder,
    )


def render_all(recipe: FilmRecipe, toolbox: Toolbox, folder: SegmentFolder, segments=None, **told):
    chosen = recipe.segments if segments is None else segments
    records = list(Local(toolbox, folder, **told)(recipe, chosen))
    assert [record.frames for record in records] == [len(segment) for segment in chosen]
    return {segment.index: folder.video(segment).read_bytes() for segment in chosen}


def test_segments_are_the_same_however_the_work_is_cut(noted, toolbox, tmp_path) -> None:
    kind, project = noted
    recipe = recipe_for(project, toolbox, tmp_path / "whole")
    assert [one.index for one in recipe.segments] == list(range(len(recipe.segments)))
    assert len(recipe.segments) >= 8
    said: list[str] = []
    folder = SegmentFolder(tmp_path / "whole" / "work", recipe.key)
    whole = render_all(recipe, toolbox, folder, announce=said.append)
    assert not said, "a render in sequence enters nowhere"

    (tmp_path / "alone").mkdir()
    alone = SegmentFolder(tmp_path / "alone", recipe.key)
    for segment in recipe.segments[::-3]:
        render_segment(recipe, toolbox, segment, alone)
        assert alone.video(segment).read_bytes() == whole[segment.index]

    for gone in recipe.segments[2:3] + recipe.segments[-2:]:  # as if it had been stopped
        folder.video(gone).unlink()
    assert render_all(recipe, toolbox, folder, announce=Notes(said.append).announce) == whole
    assert len(said) == (0 if kind.enters else 1), said

    begins = recipe.segments[-2]
    part = IN_SEGMENTS.model_copy(update={"start": FrameNumber(begins.first)})
    late = recipe_for(project, toolbox, tmp_path / "late", part)
    assert late.segments == recipe.segments[-2:]
    made = render_all(late, toolbox, SegmentFolder(tmp_path / "late" / "work", late.key))
    assert made == {index: whole[index] for index in made}


def test_a_late_frame_costs_what_is_near_it(noted) -> None:
    kind, project = noted
    info, entries = project_film(project), project.entries()
    assert entries.complete
    over: list[int] = []
    said: list[str] = []
    with FrameWindow(info, entries, announce=said.append, passed=over.append) as window:
        late = [frame.index for frame in window.between(380, 390)]
        early = [frame.index for frame in window.between(30, 40)]
        near = [frame.index for frame in window.between(60, 70)]
    assert (late, early, near) == ([*range(380, 390)], [*range(30, 40)], [*range(60, 70)])
    if kind.enters:
        assert over == [*range(40, 60)]
        assert not said
    else:
        assert over == [*range(380), *range(30), *range(40, 60)]
        assert len(said) == 1
        assert "cannot be entered" in said[0]


def test_neighbours_are_read_in_one_go(tmp_path, monkeypatch) -> None:
    film = write_film(tmp_path / "film.mp4", FILMS["long.mp4"])
    with note(film, tmp_path / "project") as project:
        info, entries = probe(film), project.entries()
    opened = []
    enter = VideoReader._entered
    monkeypatch.setattr(VideoReader, "_entered", lambda self: opened.append(1) or enter(self))
    with FrameWindow(info, entries, overlap=18) as window:
        for first in range(0, 200, 20):
            frames = window.between(first - 9, first + 29)
            assert [f.index for f in frames] == [*range(max(0, first - 9), first + 29)]
        assert len(opened) == 1
        jump = 208 + round(READ_ON * RATE)
        assert next(window.between(jump, jump + 1)).index == jump  # read on to
        assert len(opened) == 1
        assert next(window.between(10, 11)).index == 10
        assert len(opened) == 2


def test_a_project_without_times_enters_at_cuts(tmp_path, toolbox) -> None:
    film = write_film(tmp_path / "film.mp4", FILMS["uneven.mp4"])
    with note(film, tmp_path / "project") as project:
        whole = recipe_for(project, toolbox, tmp_path / "new")
        times = [whole.entries.before(index) for index in range(FRAMES)]
        without_times(project)
        assert not project.entries().complete
        settings = IN_SEGMENTS.model_copy(
            update={"start": FrameNumber(170), "end": times[321][1] - times[0][1]}
        )
        part = recipe_for(project, toolbox, tmp_path / "old", settings)
        assert (part.first, part.stop) == (170, 321)
        over: list[int] = []
        known = np.array([0, 200], np.int64)
        cuts = Entries(known, whole.entries.ticks[known], whole.entries.unit)
        with FrameWindow(probe(film), cuts, passed=over.append) as window:
            assert [frame.index for frame in window.between(210, 212)] == [210, 211]
            assert over == [*range(200, 210)]
            assert window.first_at(times[222][1]) == 222
            assert window.first_at(times[-1][1] + 1) is None


def test_an_empty_part_is_refused(tmp_path, toolbox) -> None:
    film = write_film(tmp_path / "film.mp4", FILMS["uneven.mp4"], 20)
    with note(film, tmp_path / "project") as project:
        last = project.entries().until(Fraction(99))[1]
        settings = RenderSettings(start=last + Fraction(1, 100))
        with pytest.raises(MediaError, match="no frame between --start and --end"):
            recipe_for(project, toolbox, tmp_path / "out", settings)


def test_a_film_that_has_become_shorter_than_its_scan_ends_there(tmp_path, toolbox) -> None:
    film = write_film(tmp_path / "film.mp4", FILMS["long.mp4"], 60)
    with note(film, tmp_path / "project") as project:
        recipe = recipe_for(project, toolbox, tmp_path / "out")
    recipe = replace(recipe, stop=160, shots=[replace(recipe.shots[0], stop=160)])
    folder = SegmentFolder(tmp_path / "out" / "work", "k")
    records = list(Local(toolbox, folder)(recipe, recipe.segments))
    assert [record.frames for record in records] == [40, 20, 0, 0]
    film_of(recipe, records, folder, Notes(None))
    with VideoReader(recipe.output) as reader:
        assert len(list(reader)) == 60


def planes_of(video: Path) -> list[list[np.ndarray]]:
    with VideoReader(video) as reader:
        return [[view.copy() for view in plane_views(frame.picture)] for frame in reader]


def test_faces_are_the_same_in_any_order_from_a_pickled_recipe(
    scanned, rendered, toolbox, tmp_path
) -> None:
    with Project.open(scanned.project) as project:
        recipe = recipe_for(project, toolbox, tmp_path / "out", SETTINGS, LOSSLESS)
    recipe = pickle.loads(pickle.dumps(recipe))
    folder = SegmentFolder(tmp_path / "out" / "work", recipe.key)
    whole = planes_of(rendered.output)
    for segment in reversed(recipe.segments[-2:]):
        assert render_segment(recipe, toolbox, segment, folder).faces
        made = planes_of(folder.video(segment))
        for one, other in zip(whole[segment.first : segment.stop], made, strict=True):
            for left, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(left, right)


def test_a_preview_shows_the_frames_of_its_stretch(scanned, toolbox) -> None:
    settings = RenderSettings()
    with Project.open(scanned.project) as project:
        previewer = Previewer(project, toolbox=toolbox)
        shown = list(previewer.stretch(Fraction(4, 10), Fraction(2, 25), settings))
        first = project.entries().count_before(project.video.start + Fraction(4, 10))
    assert [one.time * 25 for one in shown] == [first, first + 1]
    assert all(one.faces for one in shown)
    assert [len(one.shown) for one in shown] == [one.faces for one in shown]


def test_done_tells_of_the_window(scanned, toolbox, tmp_path) -> None:
    looked: list[int] = []
    with Project.open(scanned.project) as project:
        recipe = recipe_for(project, toolbox, tmp_path / "out", SETTINGS, LOSSLESS)
    done = WindowDone()
    begins = recipe.shots[1].first
    with passes_of(recipe.info, recipe.entries, 1) as frames:
        window = render_window(
            recipe, toolbox, frames, begins, begins + 1, done=done, looked=looked.append
        )
        assert [one.frame.index for one in window] == [begins]
    assert done.refined is not None
    assert done.account.faces > 0
    assert looked == list(range(begins, begins + 10)), "nothing of the shot before is looked at"


def test_a_batch_is_as_large_as_the_memory_allows(toolbox) -> None:
    assert RenderSettings().batch == "auto"
    assert toolbox.batch("auto", 512) == CPU_BATCH
    assert toolbox.batch(3, 512) == 3
    assert toolbox.restorer.device == torch.device("cpu")
    assert faces_that_fit(0, 512) == LEAST_BATCH
    assert faces_that_fit(1 << 50, 128) == MOST_BATCH
    assert faces_that_fit(100 * FACE_BYTES, 512) == 96
    assert faces_that_fit(20 * FACE_BYTES, 256) == 80
    with pytest.raises(ValueError, match="batch"):
        RenderSettings(batch=0)


def test_a_batch_is_as_large_in_the_second_segment_as_in_the_first(toolbox, monkeypatch) -> None:
    on_a_gpu = replace(toolbox, restorer=copy(toolbox.restorer))
    on_a_gpu.restorer.device = torch.device("cuda")
    memory = {"free": 300 * FACE_BYTES, "reserved": 0, "allocated": 0}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (memory["free"], 0))
    for name in ("reserved", "allocated"):
        monkeypatch.setattr(torch.cuda, f"memory_{name}", lambda device, name=name: memory[name])
    assert on_a_gpu.batch("auto", 512) == 96
    memory |= {"free": 200 * FACE_BYTES, "reserved": 110 * FACE_BYTES, "allocated": 10 * FACE_BYTES}
    assert on_a_gpu.batch("auto", 512) == 96


def test_a_stop_waits_for_the_picture_that_is_being_encoded() -> None:
    class Slow:
        busy = False

        def write(self, picture: object, time: object) -> None:
            self.busy = True
            clock.sleep(0.4)
            self.busy = False

    def encode(writer: Slow, stop: threading.Timer) -> None:
        with _encoding(writer, 2) as put:
            put(Fraction(0), None)
            stop.start()  # comes while the thread's end is waited for

    writer, before = Slow(), signal.signal(signal.SIGINT, signal.default_int_handler)
    stop = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            encode(writer, stop)
        assert not writer.busy
    finally:
        stop.join()
        signal.signal(signal.SIGINT, before)
