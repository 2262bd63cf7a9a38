"""A reduced round of the fault campaign; `make faults` runs the full one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

# One process of pytest runs them all: the round is made once, and uses both cores itself.
pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(900)]

CLASSES = (
    "kills", "media", "formats", "disk", "databases", "archives", "weights", "signals",
    "page-connections", "page-requests", "page-load",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what a reduced round found."""
    folder = tmp_path_factory.mktemp("faults")
    command = [sys.executable, "-m", "tests.faults", "--reduced"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--folder", str(folder), "--json", str(folder / "report.json")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (folder / "report.json").exists(), done.stdout + done.stderr
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_promised_is_broken(report: Any, name: str) -> None:
    rows = [row for row in report["rows"] if row["name"] == name]
    failures = [one for one in report["failures"] if one["row"].partition(":")[0] == name]
    assert sum(row["trials"] for row in rows) > 0
    assert not failures, "\n".join(
        f"{one['row']}, trial {one['number']}: {one['sentence']}" for one in failures
    )


def test_kills_fall_inside_restoration(report: Any) -> None:
    rows = [row for row in report["rows"] if row["row"] == "render with restoration"]
    assert sum(row["counts"].get("inside render with restoration", 0) for row in rows) > 0
