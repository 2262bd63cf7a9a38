"""The networks on real faces."""

from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest

from refrestore.errors import ModelError
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.faces.analyser import load_face_models
from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.pose import head_pose, mesh_keypoints
from refrestore.faces.quality import MOST_RESOLVED, exposure, quality, resolved_size, sharpness

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def pack(shared):
    models = shared / "models"
    return SimpleNamespace(
        detector=models / "scrfd_2.5g_kps.onnx",
        landmarks=models / "face_landmark_468.onnx",
        recogniser=models / "edgeface_xs.fp32.onnx",
    )


@pytest.fixture(scope="module")
def models(pack):
    return load_face_models(pack, "cpu", threads=2)


@pytest.fixture(scope="module")
def group():
    """Six people, as insightface ships them."""
    from insightface.data import get_image

    return np.ascontiguousarray(get_image("t1")[..., ::-1])


@pytest.fixture(scope="module")
def portraits(shared):
    folder = shared / "data/faces512/generated_portraits"
    files = sorted(folder.iterdir())[:6]
    return np.stack([cv2.imread(str(file))[..., ::-1] for file in files])


def test_detector_batches_any_size_like_single_pictures(models, group):
    part = group[:500, :900]
    mirrored = np.ascontiguousarray(part[:, ::-1])
    together = models.detector.detect([part, mirrored], [0, 1], 416)
    alone = models.detector.detect([mirrored], [1], 416)
    np.testing.assert_allclose(together[together.frame == 1].box, alone.box, atol=0.05)
    assert models.detector.detect([], []).frame.shape == (0,)


def test_detector_whose_outputs_have_no_axis_of_pictures(pack, models, group, tmp_path):
    # As the official SCRFD-10G is exported: (candidates, values), one picture a call.
    graph = onnx.load(str(pack.detector))
    for output in graph.graph.output:
        names = [output.name], [f"{output.name}_flat"]
        flat = onnx.helper.make_node("Squeeze", *names, axes=[0])
        graph.graph.node.append(flat)
        output.name = f"{output.name}_flat"
        del output.type.tensor_type.shape.dim[0]
    onnx.save(graph, str(tmp_path / "flat.onnx"))
    flat = Detector(tmp_path / "flat.onnx", "cpu", 2)
    pictures = [group, np.ascontiguousarray(group[:, ::-1])]
    expected = models.detector.detect(pictures, [0, 1], 640)
    found = flat.detect(pictures, [0, 1], 640)
    np.testing.assert_array_equal(found.frame, expected.frame)
    np.testing.assert_allclose(found.box, expected.box, atol=0.05)


def test_detector_finds_a_face_that_fills_the_picture(models, portraits):
    found = models.detector.detect(list(portraits), list(range(len(portraits))), 640)
    assert found.frame.tolist() == list(range(len(portraits)))
    radius = np.linalg.norm(found.keypoints - FFHQ_TEMPLATE, axis=-1).mean(1)
    assert radius.max() < 20


def test_mesh_agrees_with_the_detector_and_the_template(models, portraits):
    landmarks, presence = models.landmarker.dense(portraits)
    assert landmarks.shape == (len(portraits), 468, 2)
    assert (presence > 0.99).all()
    distance = np.linalg.norm(mesh_keypoints(landmarks) - FFHQ_TEMPLATE, axis=-1).mean()
    assert distance < 0.1 * np.linalg.norm(FFHQ_TEMPLATE[1] - FFHQ_TEMPLATE[0])


def test_mesh_mirrors_and_scales(models, portraits):
    landmarks, _ = models.landmarker.dense(portraits)
    mirrored, _ = models.landmarker.dense(np.ascontiguousarray(portraits[:, :, ::-1]))
    middle = (landmarks[:, [4, 152, 10], 0] + mirrored[:, [4, 152, 10], 0]).mean()
    assert middle == pytest.approx(511, abs=1.5)
    small = np.stack(
        [cv2.resize(row, (192, 192), interpolation=cv2.INTER_AREA) for row in portraits]
    )
    half, _ = models.landmarker.dense(small)
    np.testing.assert_allclose((half + 0.5) * 512 / 192 - 0.5, landmarks, atol=1e-2)
    yaw, other = head_pose(landmarks)[:, 0], head_pose(mirrored)[:, 0]
    np.testing.assert_allclose(yaw, -other, atol=6)


def test_mesh_finds_no_face_in_noise(models):
    noise = np.random.default_rng(0).integers(0, 256, (1, 192, 192, 3), np.uint8)
    _, presence = models.landmarker.dense(noise)
    assert presence[0] < 0.1


def test_embeddings_tell_people_apart(models, group):
    faces = models.detector.detect([group], [0], 640)
    first = models.recogniser.embed_faces(group, faces.keypoints)
    darker = (group * 0.7).astype(np.uint8)
    second = models.recogniser.embed_faces(darker, faces.keypoints + 0.5)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    similarity_table = first @ second.T
    assert np.diag(similarity_table).min() > 0.8
    assert similarity_table[~np.eye(6, dtype=bool)].max() < 0.35
    assert models.recogniser.embed(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, 512)


def test_describe_fills_all_columns(models, group):
    faces = models.describe(group, models.detector.detect([group], [0], 640))
    assert faces.quality.min() > 0.1
    assert faces.quality.max() <= 1
    matrices = similarity(mesh_keypoints(faces.landmarks), FFHQ_TEMPLATE)
    again, presence = models.landmarker.dense(crops(group, matrices))
    assert (presence > 0.9).all()
    offset = np.linalg.norm(again - transform(matrices, faces.landmarks), axis=-1).mean()
    assert offset < 12
    assert len(models.describe(group, faces[:0])) == 0


@pytest.mark.parametrize("side", [96, 192, 384])
def test_sharpness_compares_sizes_and_falls_with_blur_not_with_noise(models, portraits, side):
    landmarks, _ = models.landmarker.dense(portraits)
    points = (landmarks + 0.5) * side / 512 - 0.5
    rng = np.random.default_rng(3)

    def mean_of(change):
        values = []
        for image, row in zip(portraits, points, strict=True):
            small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            values.append(sharpness(change(small), row[None])[0])
        return np.mean(values)

    def noisy(image, sigma):
        return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)

    def blurred(image, sigma):
        return cv2.GaussianBlur(image, (0, 0), sigma)

    def jpeg(image):
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)

    clean = mean_of(lambda image: image)
    slightly, badly = (mean_of(lambda image, s=s: blurred(image, s)) for s in (1, 3))
    assert clean > 0.75
    assert clean > slightly + 0.15 > badly + 0.3
    assert mean_of(lambda image: noisy(blurred(image, 3), 8)) < 0.35
    assert mean_of(lambda image: jpeg(blurred(image, 3))) < 0.35
    assert mean_of(lambda image: noisy(image, 8)) < clean + 0.05


@pytest.mark.parametrize(
    ("factor", "low", "high"), [(1, 0.9, 1.0), (2, 0.35, 0.7), (3, 0.22, 0.45), (5, 0.1, 0.25)]
)
def test_what_faces_resolve_is_told_by_their_sharpness(models, portraits, factor, low, high):
    side = 180
    landmarks, _ = models.landmarker.dense(portraits)
    shares = []
    for image, row in zip(portraits, (landmarks + 0.5) * side / 512 - 0.5, strict=True):
        small = cv2.resize(image, (side // factor,) * 2, interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
        shares.append(resolved_size(np.ones(1), sharpness(large, row[None]))[0])
    assert low <= np.mean(shares) <= high


def test_what_a_face_resolves_rises_with_size_and_sharpness_up_to_what_a_crop_holds():
    shares = resolved_size(np.full(50, 100.0), np.linspace(0, 1, 50))
    assert np.all(np.diff(shares) >= 0)
    assert shares[-1] == 100
    assert resolved_size(np.array([50.0, 900.0]), np.ones(2)).tolist() == [50, MOST_RESOLVED]


def test_exposure_falls_in_the_dark_and_in_glare(models, portraits):
    landmarks, _ = models.landmarker.dense(portraits[:1])
    lit, dark, glaring = (
        exposure(np.clip(portraits[0] * gain, 0, 255).astype(np.uint8), landmarks)[0]
        for gain in (1.0, 0.1, 6.0)
    )
    assert lit > 0.8
    assert dark < 0.3
    assert glaring < 0.3


def test_quality_is_a_product_of_terms():
    one = np.ones(1, np.float32)
    best = {
        "size": 300 * one,
        "sharpness": one,
        "pose": np.zeros((1, 3), np.float32),
        "exposure": one,
        "visibility": one,
    }
    assert quality(**best)[0] == pytest.approx(1)
    for name, worse in {
        "size": 40 * one,
        "sharpness": 0.4 * one,
        "pose": np.array([[60, 0, 0]], np.float32),
        "exposure": 0.5 * one,
        "visibility": 0.5 * one,
    }.items():
        assert quality(**{**best, name: worse})[0] < 0.7


def test_wrong_files_are_refused(pack, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="not a readable ONNX"):
        Landmarker(broken)
    with pytest.raises(ModelError, match="no SCRFD"):
        Detector(pack.landmarks)
    with pytest.raises(ModelError, match="no face mesh"):
        Landmarker(pack.detector)
    with pytest.raises(ModelError, match="no recogniser"):
        load_face_models(SimpleNamespace(**{**vars(pack), "recogniser": pack.landmarks}), "cpu")
