"""A profile's adapter is used where it belongs, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.demo import portrait_photo
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.profiles import Profile
from refrestore.project import Project, VideoSource
from refrestore.render.people import gather_people
from refrestore.render.still import restore_picture
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.adapter import Tuning
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import FusionConfig
from refrestore.types import Faces, Geometry, Reference, Track

DIGEST = "f" * 64


def learnt(network: FusionNetwork, fusion: str) -> bytes:
    """Return an adapter that changes the network visibly."""
    tuning = Tuning(network, fusion)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in tuning.parameters():
            value.add_(0.02 * torch.randn(value.shape, generator=generator))
    return tuning.adapter().content


def reference(seed: int) -> Reference:
    return Reference(
        image=np.full((512, 512, 3), seed, np.uint8),
        landmarks=np.zeros((468, 2), np.float32),
        embedding=np.eye(512, dtype=np.float32)[0],
        pose=np.zeros(3, np.float32),
        sharpness=0.5,
        quality=0.5,
        native_size=200.0,
        source=f"{seed}",
    )


@pytest.fixture
def film(tmp_path: Path) -> Project:
    """Return a project of one person, seen clearly."""
    video = VideoSource(tmp_path / "film.mp4", "f", Geometry(640, 360), Fraction(0), Fraction(25))
    project = Project.create(tmp_path / "film", video)
    with project.begin_scan(ScanSettings(), recogniser="net") as writer:
        faces = Faces(
            frame=np.arange(50),
            box=np.tile([0, 0, 40, 40], (50, 1)),
            keypoints=np.zeros((50, 5, 2)),
            score=np.ones(50),
        )
        embedding = reference(1).embedding
        track = Track(1, 0, 0, 50, embedding, 1.0, 0.5, 40.0, weak=False)
        writer.add_track(track, faces)
        writer.set_identities([[1]])
    return project


def test_people_bring_the_adapter_of_their_profile(film: Project) -> None:
    network = FusionNetwork(FusionConfig(channels=16, width=16, trunk_blocks=1))
    plain = Profile("Anna", (reference(1), reference(2)))
    tuned = replace(plain, adapter=learnt(network, DIGEST))
    with film:
        (person,) = film.identities()
        for profile, fusion, used, told in (
            (plain, DIGEST, False, False),
            (tuned, DIGEST, True, False),
            (tuned, "e" * 64, False, True),
        ):
            people = gather_people(film, [], {person.id: profile}, fusion=fusion)
            assert (people.banks[person.id].adapter is not None) is used
            assert ("was tuned for other fusion weights" in " ".join(people.notes)) is told


@pytest.fixture(scope="module")
def toolbox() -> Toolbox:
    return open_toolbox(RuntimeSettings(device="cpu", threads=1))


def test_a_picture_is_restored_with_it(toolbox: Toolbox) -> None:
    photo = portrait_photo()
    models = toolbox.models
    found = models.detector.detect([photo], [0], 512)
    faces = models.describe(photo, found[[int(np.argmax(found.size))]])
    matrix = similarity(faces.keypoints, FFHQ_TEMPLATE)
    assert faces.landmarks is not None
    assert faces.embedding is not None
    close_up = Reference(
        image=crops(photo, matrix)[0],
        landmarks=transform(matrix, faces.landmarks)[0].astype(np.float32),
        embedding=faces.embedding[0],
        pose=np.zeros(3, np.float32),
        sharpness=1.0,
        quality=1.0,
        native_size=float(faces.size[0]),
        source="portrait",
    )
    plain = Profile("Eileen", (close_up,))
    content = learnt(toolbox.restorer.fusion, toolbox.fusion)
    height, width = photo.shape[:2]
    small = cv2.resize(photo, (width // 6, height // 6), interpolation=cv2.INTER_AREA)
    blurred = np.asarray(cv2.resize(small, (width, height)), np.uint8)
    untuned, tuned, foreign = (
        restore_picture(blurred, toolbox, profile=profile).image.astype(int)
        for profile in (
            plain,
            replace(plain, adapter=content),
            replace(plain, adapter=content.replace(toolbox.fusion.encode(), DIGEST.encode())),
        )
    )
    assert np.abs(untuned - blurred).max() > 20
    assert np.abs(tuned - untuned).max() > 5
    assert np.array_equal(foreign, untuned)
