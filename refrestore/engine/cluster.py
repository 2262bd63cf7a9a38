"""A Ray cluster: joined, or started on this machine for as long as it is needed."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from refrestore.errors import ClusterError, UsageError
from refrestore.models.runtime import available_cpus
from refrestore.storage.workplace import temporary_folder

EXTRA = "pip install 'refrestore[ray]'"

CPUS_PER_WORKER = 2

OBJECT_STORE_BYTES = 1 << 30
"""Memory that a cluster started here may take for what is on its way between processes; it is
taken as it is used. A segment of ten seconds is 10 to 100 MB."""

REACH_SECONDS = 5.0
"""How long an address may take to answer."""

SESSION = "refrestore-ray-"
"""Prefix of the folder for logs and sockets of a cluster started here; gone with it."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # says so at every start, unless set
    "RAY_DEDUP_LOGS": "0",
}

NICENESS = "RAY_worker_niceness"
"""Ray adds 15, for machines that do other work."""

AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
"""A cluster started here takes whoever has its token; from here it is not written to the user's
home. Ray sets the mode by itself, for the whole process."""

NAMESPACE = "refrestore"

LOOPBACK = "127.0.0.1"
"""A cluster started here listens to nobody else."""


class Node(NamedTuple):
    """A machine of the cluster.

    Parameters
    ----------
    key
        Ray's id.
    name
        For people.
    cpus, gpus
        Resources it lends.
    """

    key: str
    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Cluster:
    """A cluster that was joined.

    Parameters
    ----------
    ray
        The module.
    where
        Its address, for people.
    """

    ray: Any
    where: str

    def nodes(self) -> list[Node]:
        """Return the machines that are there now.

        Raises
        ------
        ClusterError
            The cluster does not answer any more.
        """
        try:
            every = self.ray.nodes()
        except Exception as error:
            raise ClusterError(
                f"The cluster at {self.where} does not answer any more: start it again, and the "
                "same command goes on from what is finished."
            ) from error
        nodes = []
        for one in every:
            if one["Alive"]:
                lent: Mapping[str, float] = one["Resources"]
                cpus, gpus = int(lent.get("CPU", 0)), int(lent.get("GPU", 0))
                nodes.append(Node(one["NodeID"], one["NodeManagerHostname"], cpus, gpus))
        return sorted(nodes, key=lambda node: (node.name, node.key))


@contextmanager
def joined(address: str | None) -> Iterator[Cluster]:
    """Join a cluster, or start one on this machine without an address.

    One that this process has joined already is taken as it is, and stays.

    Raises
    ------
    UsageError
        Ray is not installed.
    ClusterError
        No cluster is at the address, or one of another Ray or Python.
    """
    if find_spec("ray") is None:
        raise UsageError(f"--engine ray needs Ray, which is not installed here; run: {EXTRA}")
    address = address or os.environ.get("RAY_ADDRESS") or None
    with _environment(QUIET), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import ray

        logging.getLogger("ray").setLevel(logging.CRITICAL)
        if ray.is_initialized():
            yield Cluster(ray, "this process")
        elif address is None or address == "local":
            with _started(ray) as cluster:
                yield cluster
        else:
            with _reached(ray, address) as cluster:
                yield cluster


@contextmanager
def _started(ray: Any) -> Iterator[Cluster]:
    own = {NICENESS: "0", AUTH_TOKEN: _token()}
    with temporary_folder(SESSION) as folder, _environment(own, AUTH_MODE):
        _init(
            ray,
            "this machine",
            address="local",
            num_cpus=available_cpus(),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
            _temp_dir=str(folder),
        )
        try:
            yield Cluster(ray, "this machine")
        finally:
            ray.shutdown()


@cache
def _token() -> str:
    """Return this process's token: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _reached(ray: Any, address: str) -> Iterator[Cluster]:
    if "://" in address:
        raise UsageError(
            f"--ray-address takes HOST:PORT or auto, not {address}: run the command on a machine "
            "of the cluster."
        )
    host, _, port = address.rpartition(":")
    if address != "auto":
        try:
            socket.create_connection((host, int(port)), REACH_SECONDS).close()
        except (OSError, ValueError) as error:
            raise _none_there(address) from error
    _init(ray, address, address=address)
    try:
        yield Cluster(ray, address)
    finally:
        ray.shutdown()


def _init(ray: Any, where: str, **options: Any) -> None:
    """Call `ray.init`; signals stay with who has them."""
    try:
        with _signals_kept():
            ray.init(
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                configure_logging=False,
                **options,
            )
    except Exception as error:  # of many kinds, RuntimeError and ConnectionError among them
        ray.shutdown()
        if "ersion mismatch" in str(error):
            raise ClusterError(
                f"The cluster at {where} runs another Ray or Python than this machine "
                f"({_words(error)}): install the same on all of them."
            ) from error
        if isinstance(error, ConnectionError):
            raise _none_there(where) from error
        raise ClusterError(f"Ray cannot be used at {where}: {_words(error)}.") from error


def _none_there(address: str) -> ClusterError:
    return ClusterError(
        f"No Ray cluster answers at {address}: start one there (ray start --head), or leave out "
        "--ray-address."
    )


def _words(error: Exception) -> str:
    """Return an error's text as a clause."""
    return " ".join(str(error).split()).rstrip(".")


@contextmanager
def _environment(values: Mapping[str, str], *changed: str) -> Iterator[None]:
    """Set variables that are not set; afterwards they, and others, are as they were."""
    had = {name: os.environ.get(name) for name in (*values, *changed)}
    os.environ.update({name: value for name, value in values.items() if had[name] is None})
    try:
        yield
    finally:
        for name, value in had.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Give signals back to the handlers they had: Ray takes SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    had = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in had.items():
            with suppress(TypeError, ValueError):
                signal.signal(number, handler)
