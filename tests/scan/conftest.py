"""Projects and profiles as a scan and a user would have left them."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.profiles import ProfileStore
from refrestore.project import Project, VideoSource
from refrestore.types import Faces, Geometry, Track


@pytest.fixture
def store(tmp_path):
    return ProfileStore(tmp_path / "profiles")


@pytest.fixture
def people_of():
    return _people_of


@contextmanager
def _people_of(folder, embeddings, recogniser="net", digest="", references=()):
    """A project of one person a track, one after the other, close-ups of the first."""
    with Project.create(folder, VideoSource(folder / "f", "f", Geometry(64, 48), 0, 25)) as project:
        with project.begin_scan(
            ScanSettings(), recogniser=recogniser, recogniser_digest=digest
        ) as writer:
            for number, embedding in enumerate(embeddings, start=1):
                table = Faces(
                    frame=np.arange(100 * number, 100 * number + 10),
                    box=np.tile([0.0, 0, 8, 8], (10, 1)),
                    keypoints=np.zeros((10, 5, 2)),
                    score=np.ones(10),
                )
                span = (100 * number, 100 * number + 10)
                track = Track(number, 0, *span, embedding, 1.0, 0.5, 8.0, weak=False)
                writer.add_track(track, table)
            for one in references:
                writer.add_reference(1, one)
            writer.set_identities([[number] for number in range(1, len(embeddings) + 1)])
        yield project
