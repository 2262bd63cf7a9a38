"""Where a scan's pictures lie in the project's folder, and what other scans left there."""

from __future__ import annotations

import shutil
from pathlib import Path

from .database import SCANNED_TABLES, Database
from .folder import SCANS, SPOOL

CROPS, THUMBNAILS = "references", "thumbnails"
"""Folders in that of a scan."""


def sweep(database: Database, folder: Path) -> None:
    """Remove what belongs to no current scan; the caller holds the scan lock."""
    current = database.current_scan()
    if database.rows("SELECT 1 FROM scans WHERE id <> ? LIMIT 1", (current,)):
        with database.transaction(write=True):
            for table in SCANNED_TABLES:
                key = "id" if table == "scans" else "scan"
                database.execute(f"DELETE FROM {table} WHERE {key} <> ?", (current,))
        database.shrink()
    for leftover in leftovers(folder, current):
        shutil.rmtree(leftover, ignore_errors=True)


def leftovers(folder: Path, current: int) -> list[Path]:
    """Return folders of scans other than the current one, and those of candidates (0.1.0)."""
    scans = folder / SCANS
    kept = scan_folder(folder, current)
    others = [entry for entry in scans.iterdir() if entry != kept] if scans.is_dir() else []
    return [*others, *folder.glob(f"{SPOOL}*")]


def scan_folder(folder: Path, scan: int) -> Path:
    """Return the folder with a scan's pictures."""
    return folder / SCANS / f"{scan:04d}"


def thumbnail_path(scan: Path, track: int) -> Path:
    """Return the file of a track's thumbnail."""
    return scan / THUMBNAILS / f"{track:06d}.jpg"
