"""Clusters that cannot be joined, and workers on machines: what is said, and where they begin."""

from __future__ import annotations

import pytest

from refrestore.config import EngineSettings, RuntimeSettings
from refrestore.engine import cluster as clusters
from refrestore.engine.cluster import Cluster, Node, joined
from refrestore.engine.recruits import Recruits
from refrestore.errors import ClusterError, UsageError

RUNTIME = RuntimeSettings(device="cpu")


def recruits(workers: int | None = None, threads: int | None = None) -> Recruits:
    settings = EngineSettings(name="ray", workers=workers)
    runtime = RUNTIME.model_copy(update={"threads": threads})
    return Recruits(Cluster(None, "nowhere"), settings, runtime)


NODES = [Node("a", "one", 8, 0), Node("b", "two", 3, 0), Node("c", "head", 0, 0)]


@pytest.mark.parametrize(
    ("workers", "threads", "expected"),
    [
        (None, None, "abaaa"),
        (3, None, "aba"),
        (None, 1, "abababaaaaa"),
        (None, 16, "ab"),
    ],
)
def test_workers_begin_on_every_machine_in_turn(workers, threads, expected) -> None:
    assert "".join(node.key for node in recruits(workers, threads).vacancies(NODES, [])) == expected


def test_a_cluster_that_lends_nothing() -> None:
    with pytest.raises(ClusterError, match="lends no CPU"):
        recruits().vacancies(NODES[2:], [])


def test_nobody_answers() -> None:
    with pytest.raises(ClusterError, match=r"^No Ray cluster answers at 127\.0\.0\.1:1: "):
        joined("127.0.0.1:1").__enter__()


def test_an_address_of_another_kind() -> None:
    with pytest.raises(UsageError, match=r"HOST:PORT"):
        joined("ray://there:10001").__enter__()


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'refrestore\[ray\]'"):
        joined(None).__enter__()


def test_options_of_another_engine() -> None:
    with pytest.raises(UsageError, match="--engine ray"):
        EngineSettings(workers=2)
