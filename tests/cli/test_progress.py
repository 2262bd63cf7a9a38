"""Lines for programs."""

from __future__ import annotations

import io
import json

from refrestore.cli.progress import progress_reporter


def test_lines_name_the_worker() -> None:
    stream = io.StringIO()
    with progress_reporter("jsonl", stream) as report:
        report("render", 0, 500)
        report.worker("node/1", "segment 1", 10, 250)
        report.worker("node/2", "segment 2", 20, 250)
        report.worker("node/1", "segment 1", 11, 250)  # too soon after the last
        report.worker("node/1", "segment 1", 250, 250)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines[0]["stage"] == "render"
    assert lines[1:] == [
        {"worker": "node/1", "task": "segment 1", "done": 10, "total": 250},
        {"worker": "node/2", "task": "segment 2", "done": 20, "total": 250},
        {"worker": "node/1", "task": "segment 1", "done": 250, "total": 250},
    ]


def test_nobody_else_is_told_of_workers() -> None:
    stream = io.StringIO()
    with progress_reporter("none", stream) as report:
        report.worker("node/1", "segment 1", 10, 250)
    assert stream.getvalue() == ""
