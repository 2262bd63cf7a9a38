"""Where workers of a cluster are started, and which machines are used no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from refrestore.config import EngineSettings, RuntimeSettings
from refrestore.engine.cluster import CPUS_PER_WORKER, Cluster, Node
from refrestore.engine.task import Member
from refrestore.engine.worker import Worker
from refrestore.errors import ClusterError, RefrestoreError

MOST_STARTS = 3
"""Workers that may die on a machine before one of them has said a word."""


class Recruits:
    """Starts workers where there is room for them: one a GPU, or one for so many CPU cores.

    Parameters
    ----------
    cluster
        Where they are.
    settings
        How many.
    runtime
        With which networks, and where they compute.
    """

    def __init__(
        self, cluster: Cluster, settings: EngineSettings, runtime: RuntimeSettings
    ) -> None:
        self._cluster = cluster
        self._limit = settings.workers
        self._runtime = absolute(runtime)
        self._gpu = _on_gpu(runtime)
        self._numbers: Counter[str] = Counter()
        self.stillborn: Counter[str] = Counter()
        self.refused: dict[str, RefrestoreError] = {}

    def vacancies(self, nodes: Sequence[Node], members: Sequence[Member]) -> list[Node]:
        """Return where workers are to be started: one on each machine, then another on each.

        Raises
        ------
        RefrestoreError
            No machine of the cluster can be used.
        """
        if not any(self._room(node) for node in nodes):
            self._tell_none(nodes)
        has = Counter(member.node.key for member in members)
        places = [
            (place, node) for node in nodes for place in range(has[node.key], self._room(node))
        ]
        left = None if self._limit is None else max(0, self._limit - len(members))
        return [node for _, node in sorted(places)[:left]]

    def _room(self, node: Node) -> int:
        """Return how many workers a machine has room for."""
        if node.key in self.refused:
            return 0
        if self._gpu:
            return node.gpus
        return max(1, node.cpus // self._cpus(node)) if node.cpus else 0

    def _cpus(self, node: Node) -> int:
        wanted = self._runtime.threads or CPUS_PER_WORKER
        if self._gpu and self._runtime.threads is None:
            wanted = max(1, node.cpus // max(1, node.gpus))
        return min(wanted, max(1, node.cpus))

    def _tell_none(self, nodes: Sequence[Node]) -> None:
        refused = [self.refused[node.key] for node in nodes if node.key in self.refused]
        if refused:
            raise refused[-1]
        if nodes:
            lack = "GPU" if self._gpu else "CPU"
            raise ClusterError(
                f"The cluster at {self._cluster.where} lends no {lack}: add a machine that has "
                "one, or choose another --device."
            )

    def start(self, node: Node) -> Member:
        """Start a worker on a machine."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        cpus = self._cpus(node)
        self._numbers[node.name] += 1
        runtime = self._runtime.model_copy(
            update={"threads": cpus, "device": "cuda" if self._gpu else "cpu"}
        )
        actor = (
            self._cluster.ray.remote(Worker)
            .options(
                num_cpus=cpus,
                num_gpus=int(self._gpu),
                max_restarts=0,
                max_concurrency=2,  # a task, and news of it
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.key, soft=False),
            )
            .remote(runtime)
        )
        return Member(actor, node, f"{node.name}/{self._numbers[node.name]}")


def _on_gpu(runtime: RuntimeSettings) -> bool:
    from refrestore.models.runtime import torch_device

    return torch_device(runtime.device).type == "cuda"


def absolute(runtime: RuntimeSettings) -> RuntimeSettings:
    """Return settings whose folders have the same meaning in any folder."""
    folder = runtime.models_dir
    return (
        runtime if folder is None else runtime.model_copy(update={"models_dir": folder.absolute()})
    )
