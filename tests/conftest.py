"""Fixtures for every room. Real footage and weights lie in ../shared, where there is one."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
REQUIRE_SHARED = os.environ.get("REFRESTORE_REQUIRE_SHARED") == "1"

# Tests share the cores, two at a time: OpenMP's barriers on busy cores cost many times what a
# second thread gives. Before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Nobody's own settings (`refrestore.toml`) count here.
os.environ["XDG_CONFIG_HOME"] = str(ROOT / "build" / "no-settings")

# What tests write lies in memory where there is room for it: SQLite alone waits for a disk tens of
# thousands of times. What a kill leaves is the same.
MEMORY, ROOM = Path("/dev/shm"), 6 << 30
if (
    MEMORY.is_dir()
    and shutil.disk_usage(MEMORY).free > ROOM
    and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # some tests write programs
):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Dozens of processes are started here. Where none may keep what it compiles, each compiles torch
# anew, which takes longer than most tests; it is kept apart from the sources.
if sys.dont_write_bytecode:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / "build" / "bytecode")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files, the longest first (`--dist loadfile`)."""
    from tests.workers import WholeFiles

    return WholeFiles(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests marked `shared` where there is none, unless the run demands them."""
    if hasattr(config, "workerinput"):
        from tests.workers import place

        items.sort(key=lambda item: place(item.nodeid))
    if SHARED.is_dir() or REQUIRE_SHARED:
        return
    reason = pytest.mark.skip(reason="needs real footage and weights beside the project")
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(reason)


def pytest_collection_finish() -> None:
    """Look for garbage in what tests make only, and not in all that was imported."""
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real footage and weights."""
    if not SHARED.is_dir():
        pytest.fail("REFRESTORE_REQUIRE_SHARED=1, but there is no ../shared beside the project")
    return SHARED


@pytest.fixture
def fake_cuda() -> Iterator[Any]:
    """Let tensors made with `device="cuda"` be fake ones; what it gives lists what is fetched."""
    from tests.cuda import pretended  # torch, which most tests do without

    with pretended() as transfers:
        yield transfers
