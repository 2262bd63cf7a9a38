"""How the tests are handed to pytest-xdist's workers."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

ONE_UNIT = ("tests/browser", "tests/render")
"""Folders in which one Chromium, one scanned and one rendered film serve all files."""

LONGEST = (
    "tests/faults/",
    "tests/evaluate/test_evaluation.py",
    "tests/browser/",
    "tests/render/",
    "tests/engine/test_ray.py",
    "tests/scan/",
    "tests/review/",
    "tests/cli/",
    "tests/adapt/test_tune.py",
)
"""Begun first, so that no worker is left with one of them at the end."""


def place(nodeid: str) -> int:
    """Return what tests are sorted by, which keeps the order of all but the longest."""
    return next((n for n, start in enumerate(LONGEST) if nodeid.startswith(start)), len(LONGEST))


class WholeFiles(LoadFileScheduling):
    """A file's tests in one worker, so that what they share is made once; in the given order."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in ONE_UNIT if file.startswith(f"{folder}/")), file)

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False  # by number of tests, which says nothing
        super().schedule()
