"""A real face under grain and H.264: fused from neighbours it is nearer to the clean one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice

import av
import cv2
import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.degrade import through_codec
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.faces.analyser import load_face_models
from refrestore.faces.hull import hull_polygon
from refrestore.media.simple import write_pictures
from refrestore.models.pack import load_face_pack
from refrestore.project import Project
from refrestore.scan.fuse import REACH, fuse, noisy, packed
from refrestore.scan.samples import Candidate, CloseUpCrop
from refrestore.scan.scan import scan

pytestmark = pytest.mark.shared

CLIP = "data/clips/LatentSync__assets_demo1_video.mp4"
FRAME, FRAMES, FACE = 12, 25, 100.0


@pytest.fixture(scope="module")
def runtime(shared):
    return RuntimeSettings(device="cpu", models_dir=shared / "models", threads=2)


@pytest.fixture(scope="module")
def models(runtime):
    return load_face_models(load_face_pack(runtime), "cpu", threads=2)


@pytest.fixture(scope="module")
def clean(shared, models):
    """The clip made small, so that its face has about 100 pixels."""
    with av.open(str(shared / CLIP)) as film:
        whole = [f.to_ndarray(format="rgb24") for f in islice(film.decode(video=0), FRAMES)]
    size = float(models.detector.detect([whole[0]], [0], 640).size.max())
    height, width = (2 * round(side * FACE / size / 2) for side in whole[0].shape[:2])
    return [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in whole]


def grained(pictures, sigma, crf):
    random = np.random.default_rng(0)
    noisy = [np.clip(np.rint(p + random.normal(0, sigma, p.shape)), 0, 255) for p in pictures]
    return list(through_codec((p.astype(np.uint8) for p in noisy), rate=Fraction(25), crf=crf))


def taken(pictures, models):
    """The close-up of the middle frame, and what the person is like in frames far from it."""
    found = {}
    for number in (FRAME, 0, FRAMES - 1):
        image = pictures[number]
        face = models.describe(image, models.detector.detect([image], [number], 640)[[0]])
        found[number] = face
    face = found[FRAME]
    matrix = similarity(face.keypoints, FFHQ_TEMPLATE)
    close_up = CloseUpCrop(
        crops(pictures[FRAME], matrix)[0],
        transform(matrix, face.landmarks)[0].astype(np.float32),
    )
    candidate = Candidate(
        frame=FRAME,
        close_up=None,
        embedding=face.embedding[0],
        pose=face.pose[0],
        traits=np.zeros(4, np.float32),
        sharpness=float(face.sharpness[0]),
        quality=float(face.quality[0]),
        native_size=float(face.size[0]),
        box=face.box[0],
        matrix=matrix[0],
    )
    person = sum(found[number].embedding[0] for number in (0, FRAMES - 1))
    return candidate, close_up, person / np.linalg.norm(person)


def window(pictures, reach=REACH):
    return {n: pictures[n] for n in range(FRAME - reach, FRAME + reach + 1)}


def fidelity(picture, truth, close_up):
    inside = hull_polygon(close_up.landmarks[None], 512)[0] > 0
    error = np.square(picture.astype(float) - truth.astype(float))[inside].mean()
    return 10 * np.log10(255**2 / error)


def test_grain_goes_and_the_face_stays(clean, models):
    pictures = grained(clean, 20, 26)
    candidate, close_up, person = taken(pictures, models)
    assert noisy(packed(replace(candidate, close_up=close_up)))
    fused = fuse(candidate, close_up, window(pictures), models, person)
    assert fused is not None
    assert fused.frames == 1 + 2 * REACH
    assert fused.frame == FRAME
    truth = crops(clean[FRAME], candidate.matrix[None])[0]
    plain, better = (fidelity(p, truth, close_up) for p in (close_up.image, fused.close_up.image))
    assert better > plain + 1.5
    real = models.describe(clean[FRAME], models.detector.detect([clean[FRAME]], [0], 640)[[0]])
    alike = [float(one @ real.embedding[0]) for one in (candidate.embedding, fused.embedding)]
    assert alike[1] > alike[0]


def test_clean_and_compressed_footage_is_left_alone(clean, models):
    for pictures in (clean, grained(clean, 6, 32)):
        candidate, close_up, _ = taken(pictures, models)
        assert not noisy(packed(replace(candidate, close_up=close_up)))


def test_what_is_not_better_is_not_taken(clean, models):
    pictures = grained(clean, 20, 26)
    candidate, close_up, person = taken(pictures, models)
    assert fuse(candidate, close_up, {FRAME: pictures[FRAME]}, models, person) is None
    # Neighbours that show something else: the face is not found there, or does not fit.
    others = {n: p if n == FRAME else p[:, ::-1] // 4 for n, p in window(pictures).items()}
    assert fuse(candidate, close_up, others, models, person) is None
    # Fused it would be less like the person than it is.
    assert fuse(candidate, close_up, window(pictures), models, candidate.embedding) is None


def test_a_scan_of_grainy_footage_says_what_is_fused(clean, runtime, tmp_path):
    film = tmp_path / "grain.mp4"
    random = np.random.default_rng(0)
    grain = [np.clip(p + random.normal(0, 20, p.shape), 0, 255).astype(np.uint8) for p in clean]
    write_pictures(film, grain, rate=Fraction(25), options={"crf": "24", "preset": "veryfast"})
    scan(film, tmp_path / "project", settings=ScanSettings(), runtime=runtime)
    with Project.open(tmp_path / "project") as project:
        (person,) = project.identities()
        references = project.references(person.id)
        sources = [one.source for one in references]
        fused = [one for one in references if "fused from" in one.source]
        assert fused, sources
        for one in fused:
            assert one.frame is not None
            assert one.source.startswith("grain.mp4 at ")
            assert one.image.shape == (512, 512, 3)
    again = scan(film, tmp_path / "project", settings=ScanSettings(), runtime=runtime)
    with Project.open(tmp_path / "project") as project:
        assert [one.source for one in project.references(person.id)] == sources
    assert again.references == len(sources)
