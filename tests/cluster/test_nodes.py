"""Three machines' worth of Ray on one: workers and whole nodes are killed in the middle.

    make test-cluster

Not part of `make test`: it takes minutes. REFRESTORE_KILLS is how many kills there are.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from refrestore.config import EngineSettings, RuntimeSettings, ScanSettings
from refrestore.engine import crew as crews
from refrestore.engine.cluster import joined
from refrestore.engine.crew import crew_of
from refrestore.engine.local import render
from refrestore.engine.whole_scan import scan
from refrestore.evaluate.degrade import Degradation
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
from refrestore.project import Project
from refrestore.render import recipe
from tests.patience import patient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("REFRESTORE_KILLS", "20"))
NODES, STORE_BYTES = 3, 200_000_000
RUNTIME = RuntimeSettings(device="cpu", threads=1)
SEED = 17

LONGEST = 5
"""Frames of a segment; the command line has no option for it."""

SHORT_SEGMENTS = f"""
from refrestore.render import recipe, segment_folder
recipe.split = lambda shots, *, longest, first, stop: segment_folder.split(
    shots, longest={LONGEST}, first=first, stop=stop
)
"""

COMMAND = (
    SHORT_SEGMENTS
    + """
import refrestore.cli
refrestore.cli.main()
"""
)


class Machines:
    """A cluster of nodes that can be taken away."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.others = [self._added() for _ in range(NODES - 1)]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def replace(self, chance: random.Random) -> None:
        """Kill a node that is not the head, and add another."""
        node = self.others.pop(chance.randrange(len(self.others)))
        self.cluster.remove_node(node, allow_graceful=False)
        self.others.append(self._added())

    def _added(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "split", recipe.split)  # put back afterwards
        exec(SHORT_SEGMENTS, {})
        yield


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("RAY_AUTH_MODE", "disabled"),
            ("RAY_USAGE_STATS_ENABLED", "0"),
            ("RAY_worker_niceness", "0"),
        ):
            patch.setenv(name, value)
        patient(patch)
        made = Machines()
        yield made
        made.cluster.shutdown()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    moves = (
        CameraMove(CameraView(0.11, 0.37, 1), CameraView(0.13, 0.38, 1), 0.8),
        CameraMove(CameraView(0.11, 0.36, 0.5), CameraView(0.12, 0.36, 0.5), 1.2, far=True),
    )
    make_demo_film(path, moves=moves, far=Degradation(blur=1, shrink=2), size=(250, 186))
    return path


@pytest.fixture(scope="module")
def project(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("local") / "project"
    scan(film, folder, settings=ScanSettings(), runtime=RUNTIME)
    with Project.open(folder) as opened:
        yield opened


def packets_of(path: Path) -> list[tuple[Any, ...]]:
    with av.open(str(path)) as made:
        packets = made.demux(made.streams.video[0])
        return [(each.pts, each.dts, bytes(each)) for each in packets if each.size]


@pytest.fixture(scope="module")
def packets(project: Project, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    output = tmp_path_factory.mktemp("here") / "out.mp4"
    render(project, output, runtime=RUNTIME)
    return packets_of(output)


def test_random_kills_change_nothing(machines, project, packets, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(crews, "MOST_LOSSES", KILLS)
    chance, killed = random.Random(SEED), 0

    def kill(*said: Any) -> None:
        nonlocal killed
        if killed >= KILLS or chance.random() < 0.7:
            return
        killed += 1
        if chance.random() < 0.5:
            machines.replace(chance)
            return
        member = chance.choice([one for one in crew.members if one.ready])
        pid = crew.cluster.ray.get(member.actor.__ray_call__.remote(lambda self: os.getpid()))
        os.kill(pid, signal.SIGKILL)

    with (
        joined(machines.address),
        crew_of(EngineSettings(name="ray", workers=NODES), RUNTIME) as crew,
    ):
        assert crew is not None
        monkeypatch.setattr(crew, "_heard", kill)
        for attempt in range(KILLS):
            output, before = tmp_path / f"out{attempt}.mp4", killed
            render(project, output, runtime=RUNTIME, engine=crew)
            assert packets_of(output) == packets
            assert killed > before
            if killed == KILLS:
                break
    assert killed == KILLS


def test_a_command_goes_on_after_a_kill_and_after_a_stop(
    machines, project, packets, tmp_path
) -> None:
    output = tmp_path / "out.mp4"
    words = [
        "render", "-p", project.folder, "-o", output, "--threads", 1, "--device", "cpu",
        "--engine", "ray", "--ray-address", machines.address, "--progress", "jsonl",
    ]  # fmt: skip
    work = tmp_path / ".out.mp4.refrestore"

    def started(finished: int, number: int) -> tuple[int, str]:
        """Start the command, and send it a signal when so many segments are finished."""
        shown = tmp_path / f"{finished}.err"
        with shown.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *map(str, words)], stderr=stderr, stdout=stderr
            )
            while len(list(work.glob("segment-*.mkv"))) < finished:
                assert process.poll() is None, shown.read_text()
                time.sleep(0.05)
            process.send_signal(number)
            return process.wait(), shown.read_text()

    code, _ = started(1, signal.SIGKILL)
    assert code == -signal.SIGKILL
    code, said = started(3, signal.SIGINT)
    assert code == 128 + signal.SIGINT
    assert "segments" in said
    assert "go on with: " in said
    assert '"worker": "' in said
    assert "(raylet)" not in said
    assert len(list(work.glob("segment-*.mkv"))) >= 3
    engine = EngineSettings(name="ray", address=machines.address)
    render(project, output, runtime=RUNTIME, engine=engine)
    assert packets_of(output) == packets
