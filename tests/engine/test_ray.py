"""Renders and scans on a small Ray cluster of this machine: what is made here is made there."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refrestore.config import (
    EncoderSettings,
    EngineSettings,
    ExportSettings,
    RenderSettings,
    RuntimeSettings,
    ScanSettings,
)
from refrestore.engine import cluster as clusters
from refrestore.engine import crew as crews
from refrestore.engine import local
from refrestore.engine.cluster import Cluster, joined
from refrestore.engine.crew import Crew, crew_of
from refrestore.engine.local import render
from refrestore.engine.whole_scan import scan
from refrestore.errors import ClusterError, MediaError, ModelError, kept_notes
from refrestore.evaluate.degrade import Degradation
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.project import Project
from refrestore.render.recipe import FilmRecipe
from refrestore.render.toolbox import Toolbox
from refrestore.scan import spans
from tests.patience import patient

pytestmark = pytest.mark.timeout(900)

RUNTIME = RuntimeSettings(device="cpu", threads=1)
TWO = EngineSettings(name="ray", workers=2)
IN_SEGMENTS = RenderSettings(
    segment_seconds=0.24, start=Fraction(2, 5), end=Fraction(6, 5), references=2
)
"""Ten frames of each shot, two segments each; more of all this is as much work again."""
LOSSY = EncoderSettings(codec="libx264")
STORE_BYTES = 200_000_000

SEGMENTS = ".out.mp4.refrestore"
"""Where `out.mp4`'s are."""


def copied(film: Path, path: Path, grain: float = 0, stop: int | None = None) -> Path:
    """Encode a film once more, with a key frame in eight, and grain of so many grey levels."""
    random = np.random.default_rng(0)
    with VideoReader(film) as reader:
        clean = [display_rgb(frame) for frame in islice(reader, stop)]
    pictures = [np.clip(one + random.normal(0, grain, one.shape), 0, 255) for one in clean]
    options = {"crf": "16", "preset": "veryfast", "g": "8", "sc_threshold": "0"}
    write_pictures(
        path, [one.astype(np.uint8) for one in pictures], rate=Fraction(25), options=options
    )
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    near, far = CameraView(0.11, 0.37, 1), CameraView(0.11, 0.36, 0.5)
    moves = (
        CameraMove(near, CameraView(0.13, 0.38, 1), 0.8),
        CameraMove(far, CameraView(0.12, 0.36, 0.5), 0.8, far=True),
    )
    made = path.with_name("made.mp4")
    make_demo_film(made, moves=moves, far=Degradation(blur=1, shrink=2), size=(250, 186))
    return copied(made, path)


@pytest.fixture(scope="module", autouse=True)
def short_spans() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "SPAN_SECONDS", Fraction(8, 25))
        patch.setattr(spans, "OVERLAP_SECONDS", Fraction(4, 25))
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "OBJECT_STORE_BYTES", STORE_BYTES)
        patch.setattr(clusters, "available_cpus", lambda: 3)
        patient(patch)
        with joined("local") as made:
            yield made


@pytest.fixture(scope="module")
def crew(cluster: Cluster) -> Iterator[Crew]:
    """Return two workers, who stay for all tests; whoever ends one lets others begin."""
    with crew_of(TWO, RUNTIME) as made:
        assert made is not None
        while sum(one.ready for one in made.members) < 2:  # or who is first does all
            made.step()
        yield made


@pytest.fixture
def heard(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    return lambda tell: monkeypatch.setattr(crew, "_heard", tell)


@pytest.fixture(scope="module")
def project(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("local") / "project"
    scan(film, folder, settings=ScanSettings(), runtime=RUNTIME)
    with Project.open(folder) as opened:
        yield opened


def rendered(project: Project, output: Path, **asked: Any) -> list[tuple[Any, ...]]:
    """Render, and return the film's packets."""
    render(project, output, settings=IN_SEGMENTS, encoder=LOSSY, runtime=RUNTIME, **asked)
    with av.open(str(output)) as made:
        packets = made.demux(made.streams.video[0])
        return [(each.pts, each.dts, bytes(each)) for each in packets if each.size]


@dataclass(frozen=True)
class Here:
    """What this process made of the project.

    Parameters
    ----------
    packets, faces
        Of the film; exported pictures by name.
    recipe
        What was rendered.
    segments
        The folder of finished segments, as it was when none was left to render.
    """

    packets: list[tuple[Any, ...]]
    faces: dict[Path, bytes]
    recipe: FilmRecipe
    segments: Path


@pytest.fixture(scope="module")
def here(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Here:
    folder = tmp_path_factory.mktemp("here")
    output, segments = folder / "out.mp4", folder / "segments"
    recipes: list[FilmRecipe] = []
    film_of = local.film_of

    def film_of_all(recipe: FilmRecipe, *rest: Any) -> Any:
        recipes.append(recipe)
        shutil.copytree(folder / SEGMENTS, segments)
        return film_of(recipe, *rest)

    export = ExportSettings(folder=folder / "faces", every=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "film_of", film_of_all)
        packets = rendered(project, output, export=export)
    return Here(packets, pictures(export.folder), recipes[0], segments)


@pytest.fixture(scope="module")
def packets(here: Here) -> list[tuple[Any, ...]]:
    return here.packets


@dataclass(frozen=True)
class There:
    """What the cluster made of it: also who worked, what was begun when, and what was told."""

    packets: list[tuple[Any, ...]]
    faces: dict[Path, bytes]
    workers: set[str]
    begun: list[str]
    told: list[int]
    left: list[Path]


@pytest.fixture(scope="module")
def there(project: Project, crew: Crew, tmp_path_factory: pytest.TempPathFactory) -> There:
    folder = tmp_path_factory.mktemp("there")
    workers: set[str] = set()
    begun: list[str] = []
    told: list[int] = []
    give = crew.give
    export = ExportSettings(folder=folder / "faces", every=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "_heard", lambda worker, *task: workers.add(worker))
        patch.setattr(crew, "give", lambda task: (begun.append(task.name), give(task)))
        packets = rendered(
            project,
            folder / "out.mp4",
            engine=crew,
            export=export,
            progress=lambda stage, done, total: told.append(done),
        )
    left = list(folder.glob(".out*"))
    return There(packets, pictures(export.folder), workers, begun, told, left)


def pictures(folder: Path) -> dict[Path, bytes]:
    """Return all pictures in a folder by name."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}


def seen_in(project: Project) -> list[Any]:
    """Return everything a scan found, in a form that can be compared."""
    tracks = project.tracks()
    faces = [project.faces([track.id]) for track in tracks]
    columns = ("frame", "box", "keypoints", "score", "quality", "sharpness", "pose")
    references = [project.references(one.id) for one in project.identities()]
    return [
        project.shots(),
        [(one.id, one.shot, one.first, one.stop, one.quality, one.weak) for one in tracks],
        [None if one.embedding is None else one.embedding.tobytes() for one in tracks],
        [np.asarray(getattr(table, name)).tobytes() for table in faces for name in columns],
        [one.tracks for one in project.identities()],
        [
            (one.frame, one.image.tobytes(), one.landmarks.tobytes(), one.embedding.tobytes())
            for own in references
            for one in own
        ],
        project.entries().ticks.tolist(),
    ]


@pytest.fixture
def only_here(film: Path) -> Iterator[Path]:
    """Return a film's name that no other process knows it by."""
    with film.open("rb") as file:
        descriptor = fcntl.fcntl(file, fcntl.F_DUPFD, 900)  # so many no worker has open
        yield Path(f"/proc/self/fd/{descriptor}")
        os.close(descriptor)


def test_a_render_without_a_segment_left_needs_no_cluster(project, here, tmp_path) -> None:
    shutil.copytree(here.segments, tmp_path / SEGMENTS)
    nobody = EngineSettings(name="ray", address="127.0.0.1:1")
    assert rendered(project, tmp_path / "out.mp4", engine=nobody) == here.packets


def test_the_segments_with_most_faces_are_handed_out_first(here, there) -> None:
    faces: dict[str, int] = dict.fromkeys(there.begun, 0)
    recipe = here.recipe
    for plan in recipe.plans:
        for frame in plan.faces.frame[plan.strength > 0]:
            if recipe.first <= frame < recipe.stop:
                (own,) = [one for one in recipe.segments if one.first <= frame < one.stop]
                faces[f"segment {own.index + 1}"] += 1
    assert len(there.begun) == len(recipe.segments)
    counts = [faces[name] for name in there.begun]
    assert max(counts) > min(counts)
    assert counts == sorted(counts, reverse=True)


def processes(crew: Crew) -> list[int]:
    """Return the workers' process ids."""
    ask = [one.actor.__ray_call__.remote(lambda self: os.getpid()) for one in crew.members]
    return crew.cluster.ray.get(ask)


def test_a_scan_is_the_same(film, project, crew, tmp_path, heard) -> None:
    workers, told = set(), []
    heard(lambda worker, *task: workers.add(worker))
    summary = scan(
        film,
        tmp_path / "project",
        settings=ScanSettings(),
        runtime=RUNTIME,
        engine=crew,
        progress=lambda *said: told.append(said),
    )
    with Project.open(tmp_path / "project") as there:
        assert seen_in(there) == seen_in(project)
        assert there.scan_info().frames == project.scan_info().frames
    assert len(workers) == 2
    frames = [done for stage, done, _ in told if stage == "frames"]
    assert frames == sorted(frames)
    assert frames[-1] == summary.frames
    assert summary.references > 0


def scanned_alike(film: Path, work: Path, crew: Crew, **asked: Any) -> Project:
    """Scan a film here and there, and return the project if both are the same."""
    made = [
        scan(film, work / name, settings=ScanSettings(), runtime=RUNTIME, **more)
        for name, more in (("here", {}), ("there", {"engine": crew, **asked}))
    ]
    assert made[0] == made[1]
    with Project.open(work / "here") as here, Project.open(work / "there") as there:
        assert seen_in(there) == seen_in(here)
        return there


def test_workers_read_the_film_and_draw_blurred_tracks(
    film, project, crew, tmp_path, monkeypatch
) -> None:
    given: list[str] = []
    give = crew.give
    monkeypatch.setattr(crew, "give", lambda task: (given.append(task.name), give(task)))
    monkeypatch.setattr("refrestore.engine.read_there.VideoReader", lambda *asked, **more: 1 / 0)
    scan(film, tmp_path / "project", settings=ScanSettings(), runtime=RUNTIME, engine=crew)
    with Project.open(tmp_path / "project") as there:
        assert seen_in(there) == seen_in(project)
    passages = [f"frames {first} to {first + 7}" for first in (0, 8, 16, 24, 32)]
    assert [name for name in given if name in passages] == passages
    assert any(name.startswith("blurred faces ") for name in given)
    # Two spans were followed by who saw the passage; of the others none saw the cut at 20.
    spans_given = {"frames 20 to 31", "frames 28 to 39"}
    assert {name for name in given if name.startswith("frames ")} == {*passages, *spans_given}


def test_a_worker_is_killed_in_a_scan(film, project, crew, tmp_path, heard) -> None:
    pids = dict(zip([one.name for one in crew.members], processes(crew), strict=True))
    killed: list[str] = []

    def kill(worker: str, task: str, done: int, total: int) -> None:
        kind = task.split(maxsplit=1)[0]
        if kind not in killed and worker in pids:
            killed.append(kind)
            os.kill(pids.pop(worker), signal.SIGKILL)

    heard(kill)
    scan(film, tmp_path / "project", settings=ScanSettings(), runtime=RUNTIME, engine=crew)
    with Project.open(tmp_path / "project") as there:
        assert seen_in(there) == seen_in(project)
    assert killed


def test_noisy_close_ups_are_fused_there(film, crew, tmp_path) -> None:
    grainy = copied(film, tmp_path / "grainy.mp4", grain=20, stop=20)  # the near shot
    with scanned_alike(grainy, tmp_path, crew), Project.open(tmp_path / "there") as there:
        own = [each for one in there.identities() for each in there.references(one.id)]
        assert any("fused from" in one.source for one in own)


@pytest.mark.parametrize("damaged", [2, 39])  # those that read far ahead see only the first
def test_a_damaged_film_is_read_by_one_machine(film, crew, tmp_path, damaged) -> None:
    with av.open(str(film)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    content = film.read_bytes()
    where = content.index(packets[damaged]) + 8
    length = len(packets[damaged]) - 8
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[:where] + b"\xff" * length + content[where + length :])
    said: list[str] = []
    scanned_alike(broken, tmp_path, crew, announce=said.append)
    (note,) = [one for one in said if "one machine reads it for all" in one]
    assert note.startswith("broken.mp4 is damaged")
    assert ("from frame 0 on" in note) == (damaged == 2)


def test_a_render_is_the_same(packets, there) -> None:
    assert there.packets == packets
    assert len(there.workers) == 2
    assert there.told[-1] == len(packets)
    assert max(there.told) == len(packets)
    assert not there.left


def test_a_film_that_is_not_seen_there_is_sent(only_here, project, packets, crew, tmp_path) -> None:
    scan(
        only_here,
        tmp_path / "project",
        settings=ScanSettings(),
        runtime=RUNTIME,
        engine=crew,
    )
    with Project.open(tmp_path / "project") as there:
        found, here = seen_in(there), seen_in(project)
        assert found == here
    assert rendered(project, tmp_path / "out.mp4", engine=crew, video=only_here) == packets
    assert crew._blind


def test_exported_faces_come_too(here, there) -> None:
    assert here.faces
    assert here.faces == there.faces


def test_a_killed_worker_is_replaced(project, packets, crew, tmp_path, heard) -> None:
    pids = processes(crew)
    killed: list[str] = []

    def kill(worker: str, *task: Any) -> None:
        if not killed:
            killed.append(worker)
            member = next(one for one in crew.members if one.name == worker)
            os.kill(pids[crew.members.index(member)], signal.SIGKILL)

    heard(kill)
    assert rendered(project, tmp_path / "out.mp4", engine=crew) == packets
    assert killed[0] not in [member.name for member in crew.members]


def test_a_straggler_is_started_twice(project, packets, crew, tmp_path, heard, monkeypatch) -> None:
    monkeypatch.setattr(crews, "LEAST_STRAGGLING", 1.0)
    monkeypatch.setattr(crews, "ENOUGH_TIMES", 1)
    scanned = {worker.name for worker in crew.members}
    stopped: list[int] = []

    def stop(worker: str, task: str, done: int, total: int) -> None:
        if not stopped and worker in scanned and done < total:
            member = next(one for one in crew.members if one.name == worker)
            stopped.append(processes(crew)[crew.members.index(member)])
            os.kill(stopped[0], signal.SIGSTOP)

    heard(stop)
    try:
        assert rendered(project, tmp_path / "out.mp4", engine=crew) == packets
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
    assert stopped


def test_a_film_that_goes_is_named(film, project, crew, tmp_path, heard) -> None:
    away = film.with_name("away.mp4")

    def take_away(*said: Any) -> None:
        if film.exists():
            film.rename(away)

    heard(take_away)
    try:
        with pytest.raises(MediaError, match=r"film\.mp4 cannot be read any more") as caught:
            rendered(project, tmp_path / "out.mp4", engine=crew)
    finally:
        away.rename(film)
    assert kept_notes(caught.value)
    assert not (tmp_path / "out.mp4").exists()


def test_other_libraries_are_refused(project, cluster, tmp_path, monkeypatch) -> None:
    asked = {**crews.libraries(), "torch": "0.1"}
    monkeypatch.setattr(crews, "libraries", lambda: asked)
    said: list[str] = []
    with pytest.raises(ClusterError, match=r"torch .* instead of 0\.1.* \(on .*\)\."):
        rendered(
            project,
            tmp_path / "out.mp4",
            engine=EngineSettings(name="ray", workers=1),
            announce=said.append,
        )
    assert any("is not used: " in note for note in said)


def test_other_networks_are_refused(project, crew, tmp_path, monkeypatch) -> None:
    right = Toolbox.description
    monkeypatch.setattr(Toolbox, "description", lambda self: {**right(self), "precision": "float8"})
    with pytest.raises(ModelError, match=r"precision \w+ instead of float8.* \(on .*\)\."):
        rendered(project, tmp_path / "out.mp4", engine=crew)
    crew.recruits.refused.clear()
