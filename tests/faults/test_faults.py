"""A reduced round of the fault campaign; `make faults` runs the full one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(900)

CLASSES = {
    "kills", "media", "formats", "disk", "databases", "archives", "weights", "signals",
    "page-connections", "page-requests", "page-load",
}  # fmt: skip


def test_a_reduced_round_finds_no_broken_promise(tmp_path: Path) -> None:
    """One test, as the round is made once and uses both cores itself."""
    command = [sys.executable, "-m", "tests.faults", "--reduced"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path), "--json", str(tmp_path / "report.json")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert {row["name"] for row in report["rows"] if row["trials"]} == CLASSES
    inside = [row for row in report["rows"] if "inside render with restoration" in row["counts"]]
    assert inside, "no kill fell inside a restoration"
