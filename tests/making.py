"""Builders of what a scan would find, for the tests of projects and profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from refrestore.config import ScanSettings
from refrestore.project import Project, VideoSource
from refrestore.types import Faces, Geometry, Reference, Shot, Track

settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")

RATE = Fraction(25)

Spans = dict[int, tuple[int, int, float]]
"""First, stop and left edge by track id."""


class Make:
    """Builders of what a scan would find."""

    @staticmethod
    def video(folder: Path, fingerprint: str = "f" * 16) -> VideoSource:
        return VideoSource(
            path=folder / "film.mp4",
            fingerprint=fingerprint,
            geometry=Geometry(640, 360, Fraction(27, 20)),
            start=Fraction(2),
            rate=RATE,
            frames=1000,
            duration=Fraction(40),
        )

    @staticmethod
    def faces(
        first: int, stop: int, left: float = 100, *, full: bool = False, seed: int = 0
    ) -> Faces:
        """Return a face of 40 px that stays at `left`, one row a frame."""
        rng = np.random.default_rng(seed)
        count = stop - first
        box = np.tile(np.array([left, 50, left + 40, 90], np.float32), (count, 1))
        box += rng.uniform(-1, 1, box.shape).astype(np.float32)
        table = Faces(
            frame=np.arange(first, stop),
            box=box,
            keypoints=rng.uniform(50, 90, (count, 5, 2)),
            score=rng.uniform(0, 1, count),
        )
        if not full:
            return table
        embedding = rng.normal(size=(count, 512))
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        embedding[::2] = np.nan
        return table.with_columns(
            landmarks=rng.uniform(40, 160, (count, 468, 2)),
            embedding=embedding,
            quality=rng.uniform(0, 1, count),
            sharpness=rng.uniform(0, 1, count),
            pose=np.where(rng.uniform(size=(count, 1)) < 0.3, np.nan, rng.normal(size=(count, 3))),
        )

    @staticmethod
    def track(number: int, first: int, stop: int) -> Track:
        embedding = np.random.default_rng(number).normal(size=512).astype(np.float32)
        embedding /= np.linalg.norm(embedding)
        return Track(number, 0, first, stop, embedding, 0.8, 0.7, 40.0, weak=False)

    @staticmethod
    def reference(seed: int, quality: float = 0.5, frame: int | None = None) -> Reference:
        rng = np.random.default_rng(seed)
        embedding = rng.normal(size=512).astype(np.float32)
        return Reference(
            image=np.full((512, 512, 3), rng.integers(0, 255, 3), np.uint8),
            landmarks=rng.uniform(0, 512, (468, 2)).astype(np.float32),
            embedding=embedding / np.linalg.norm(embedding),
            pose=rng.normal(size=3).astype(np.float32),
            sharpness=0.5,
            quality=quality,
            native_size=200.0,
            source=f"film.mp4 at {seed}.000 s",
            frame=frame,
        )

    @classmethod
    def scan(cls, project: Project, spans: Spans, groups: Sequence[Sequence[int]]) -> None:
        with project.begin_scan(ScanSettings()) as writer:
            writer.add_shot(Shot(0, 0, 1000, Fraction(2)))
            for number, (first, stop, left) in spans.items():
                found = cls.faces(first, stop, left, seed=number)
                writer.add_track(cls.track(number, first, stop), found)
            writer.set_identities(groups)


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project", Make.video(tmp_path)) as made:
        yield made
