"""Detector and recogniser against insightface's own classes, on the same pictures."""

from __future__ import annotations

import shutil
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from refrestore.config import tree_directory
from refrestore.evaluate.demo import group_photo
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.analyser import load_face_models
from refrestore.faces.normalisation import (
    ARCFACE,
    NONE,
    SCRFD,
    arcface_normalisation,
    zoo_normalisation,
)
from refrestore.faces.recogniser import Recogniser
from refrestore.faces.scrfd import Scrfd, suppress
from refrestore.models.runtime import onnx_session

zoo = pytest.importorskip("insightface.model_zoo")

LITE = tree_directory("models") / "lite"
SIDE = 640


def collage(seed):
    """Return the group photo's people at random places and sizes, some over each other."""
    random = np.random.default_rng(seed)
    photo = cv2.resize(group_photo(), (640, 443), interpolation=cv2.INTER_AREA)
    canvas = random.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 9)
    for _ in range(5):
        left, top = random.integers(0, (640 - 160, 443 - 160))
        side = int(random.integers(60, 320))
        x, y = random.integers(0, SIDE - side, 2)
        canvas[y : y + side, x : x + side] = cv2.resize(
            photo[top : top + 160, left : left + 160], (side, side)
        )
    return canvas


@pytest.fixture(scope="module")
def pictures(shared):
    """Pictures of several shapes, RGB: a photo, collages, frames of a film, noise."""
    random = np.random.default_rng(0)
    film = cv2.VideoCapture(str(shared / "data/film/tears_of_steel_360p.mp4"))
    film.set(cv2.CAP_PROP_POS_FRAMES, 420)
    frames = [film.read()[1][..., ::-1] for _ in range(2)]
    noise = random.integers(0, 255, (300, 500, 3), np.uint8)
    return [group_photo(), collage(1), collage(2), *frames, noise]


def letterboxed(picture):
    """Shrink and pad a picture as insightface does; return it and its scale."""
    scale = SIDE / max(picture.shape[:2])
    height, width = (int(round(side * scale, 6)) for side in picture.shape[:2])
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    canvas[:height, :width] = cv2.resize(np.ascontiguousarray(picture), (width, height))
    return canvas, height / picture.shape[0]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["scrfd_2.5g_kps.onnx", "scrfd_500m_kps.onnx", "lite"])
def test_boxes_keypoints_and_scores_are_insightfaces(shared, pictures, name):
    path = LITE / "detector.onnx" if name == "lite" else shared / "models" / name
    oracle = zoo.get_model(str(path), providers=["CPUExecutionProvider"])
    oracle.prepare(-1, det_thresh=0.4)
    ours = Scrfd(path, "cpu", 1)
    faces = 0
    for picture in pictures:
        canvas, scale = letterboxed(picture)
        boxes, keypoints = oracle.detect(
            np.ascontiguousarray(picture[..., ::-1]), input_size=(SIDE, SIDE)
        )
        (found,) = ours.candidates(canvas[None], 0.4)
        keep = suppress(found.box / np.float32(scale), found.score)
        np.testing.assert_allclose(found.score[keep], boxes[:, 4], atol=1e-4)
        np.testing.assert_allclose(found.box[keep] / scale, boxes[:, :4], atol=1e-3)
        np.testing.assert_allclose(found.keypoints[keep] / scale, keypoints, atol=1e-3)
        faces += len(boxes)
    assert faces > 12


def test_suppression_is_insightfaces():
    from insightface.model_zoo.scrfd import SCRFD

    oracle = SCRFD.__new__(SCRFD)
    oracle.nms_thresh = 0.4
    random = np.random.default_rng(0)
    for count in (0, 1, 2, 50, 400):
        low = random.uniform(0, 100, (count, 2))
        box = np.hstack([low, low + random.uniform(1, 60, (count, 2))]).astype(np.float32)
        score = random.integers(1, 20, count).astype(np.float32) / 20  # with ties
        expected = oracle.nms(np.column_stack([box, score]))
        assert suppress(box, score).tolist() == list(expected)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["edgeface_xs.fp32.onnx", "lite"])
def test_embeddings_are_insightfaces(shared, name):
    path = LITE / "recogniser.onnx" if name == "lite" else shared / "models" / name
    oracle = zoo.get_model(str(path), providers=["CPUExecutionProvider"])
    photo = group_photo()
    keypoints = (
        Scrfd(LITE / "detector.onnx", "cpu", 1)
        .candidates(letterboxed(photo)[0][None], 0.5)[0]
        .keypoints[:11]
        / letterboxed(photo)[1]
    )
    aligned = crops(photo, similarity(keypoints.astype(np.float32), ARCFACE_TEMPLATE), 112)
    expected = oracle.get_feat([np.ascontiguousarray(face[..., ::-1]) for face in aligned])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(Recogniser(path, "cpu", 1).embed(aligned), expected, atol=1e-4)
    assert len(aligned) == 11  # more than a batch


def renamed(path, tmp_path, *names):
    """Return a recogniser whose first nodes have names of an MXNet export."""
    model = onnx.load(str(path))
    for node, name in zip(model.graph.node[1:], names, strict=False):
        node.name = name
    onnx.save(model, str(tmp_path / "renamed.onnx"))
    return tmp_path / "renamed.onnx"


@pytest.mark.parametrize(
    ("names", "expected"),
    [((), ARCFACE), (("_minus0", "_mul0"), NONE), (("Sub_1", "Mul_2"), NONE), (("Sub",), ARCFACE)],
)
def test_networks_that_normalise_by_themselves_are_told_as_insightface_tells_them(
    tmp_path, names, expected
):
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX

    path = renamed(LITE / "recogniser.onnx", tmp_path, *names)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    oracle = ArcFaceONNX(str(path), session)
    assert arcface_normalisation(onnx.load(str(path))) == expected
    assert (oracle.input_mean, oracle.input_std) == expected


@pytest.mark.shared
def test_full_pack_is_the_same_without_insightface(shared, tmp_path, monkeypatch):
    pack = SimpleNamespace(
        detector=tmp_path / "det_10g.onnx",  # names by which the zoo is asked
        recogniser=tmp_path / "w600k_r50.onnx",
        landmarks=LITE / "landmarks.onnx",
    )
    shutil.copy(shared / "models/scrfd_500m_kps.onnx", pack.detector)
    shutil.copy(shared / "models/edgeface_xs.fp32.onnx", pack.recogniser)
    photo = group_photo()

    def compute():
        models = load_face_models(pack, "cpu", threads=1)
        faces = models.detector.detect([photo], [0], SIDE)
        return faces.box, faces.keypoints, models.recogniser.embed_faces(photo, faces.keypoints)

    with_zoo = compute()
    monkeypatch.setitem(sys.modules, "insightface", None)
    without = compute()
    for one, other in zip(with_zoo, without, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(with_zoo[0]) == 6


@pytest.mark.shared
def test_the_zoo_is_asked_of_its_own_files(shared, tmp_path, monkeypatch):
    path = tmp_path / "det_10g.onnx"
    shutil.copy(shared / "models/scrfd_500m_kps.onnx", path)
    session = onnx_session(path, "cpu", 1)
    assert zoo_normalisation(path, session, detector=True) == SCRFD
    assert zoo_normalisation(LITE / "detector.onnx", session, detector=True) is None
    monkeypatch.setitem(sys.modules, "insightface.model_zoo.scrfd", None)  # does not import
    assert zoo_normalisation(path, session, detector=True) is None
    monkeypatch.setitem(sys.modules, "insightface", None)
    assert zoo_normalisation(path, session, detector=True) is None
