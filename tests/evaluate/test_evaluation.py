"""The whole evaluation on few people, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from refrestore.config import MODELS_VARIABLE, RuntimeSettings
from refrestore.errors import ModelError, UsageError
from refrestore.evaluate import tape_trials
from refrestore.evaluate.cast import find_clips, find_people, read_photos, spread
from refrestore.evaluate.demo import group_photo
from refrestore.evaluate.evaluation import Evaluation, evaluate
from refrestore.evaluate.scorer import SCORER_FILE
from refrestore.evaluate.settings import EvaluationSettings
from refrestore.faces.analyser import load_face_models
from refrestore.media.stills import write_picture
from refrestore.models import load_face_pack

WOMAN = (slice(190, 460), slice(20, 250))
MAN = (slice(220, 450), slice(1090, 1270))
"""Rows and columns of two faces of insightface's photo."""

STANDIN = Path(__file__).resolve().parents[2] / "models" / "standin" / "gfpgan_standin.safetensors"

CLIPS = ("LivePortrait__assets_examples_source_s20", "LivePortrait__assets_examples_driving_d12")


def variants(part: tuple[slice, slice], folder: Path, count: int, light: float = 0.0) -> None:
    """Write photos of one person that differ: mirrored, turned, and as wished brighter."""
    folder.mkdir(parents=True)
    face = np.ascontiguousarray(group_photo()[part])
    height, width = face.shape[:2]
    for number in range(count):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 6 * number - 6, 1)
        image = cv2.warpAffine(face, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
        image = image[:, ::-1] if number % 2 else image
        image = np.clip(image * (1 + light * (number - count / 2)), 0, 255).astype(np.uint8)
        write_picture(folder / f"{number}.png", np.ascontiguousarray(image))


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    variants(WOMAN, folder / "anna", 3)
    variants(MAN, folder / "ben", 3)
    return folder


@pytest.fixture(scope="module")
def runtime(shared) -> Iterator[RuntimeSettings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(MODELS_VARIABLE, raising=False)
        yield RuntimeSettings(models_dir=shared / "models", threads=1)


@pytest.fixture(scope="module")
def stills(album, runtime, tmp_path_factory) -> Evaluation:
    """Return an evaluation on one photo of each of two people."""
    settings = EvaluationSettings(stills=(album,), photos=1, degradations=("64px",))
    return evaluate(tmp_path_factory.mktemp("stills") / "out", settings, runtime=runtime)


@pytest.mark.shared
def test_stills(album, stills) -> None:
    result = stills
    table, condition = result.table, "stills, 64px"
    assert table.conditions == [condition]
    assert table.count(condition) == 2
    keys = [row.key for row in table.rows_of(condition)]
    ours = ["ours-none", "ours-wrong", "ours-right"]
    assert keys == ["input", "sharpened", "split", *ours, "another", "truth"]
    assert 0 < table.mean("another", condition, "identity") < 1
    assert table.mean("another", condition, "psnr") is None
    own, given = (table.mean(key, condition, "identity") for key in ("ours-right", "input"))
    assert own is not None
    assert given is not None
    assert own > given + 0.1
    assert sum(table.done("ours-right", condition).values()) == 2
    written = json.loads(result.json.read_text())
    assert written["means"][condition]["ours-right"]["identity"] == pytest.approx(own, abs=1e-4)
    assert written["facts"]["command"].startswith("refrestore evaluate --stills")
    assert str(album) not in result.json.read_text()  # no folder of this machine
    assert "### stills, 64px (2 faces)" in result.markdown.read_text()
    page = result.page.read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * 7
    assert "http://" not in page
    assert "https://" not in page
    assert result.comparison is None


@pytest.mark.shared
def test_tapes(runtime, tmp_path, monkeypatch) -> None:
    """People who are nowhere sharp are restored from their album and from nobody else's."""
    monkeypatch.setattr(tape_trials, "TAPES", {"worn tape": tape_trials.TAPES["worn tape"]})
    for name, part in (("anna", WOMAN), ("ben", MAN)):
        variants(part, tmp_path / "people" / name, 4, light=0.1)
    settings = EvaluationSettings(stills=(tmp_path / "people",), tapes=True, far_seconds=0.5)
    result = evaluate(tmp_path / "out", settings, runtime=runtime)
    table = result.table
    condition = "tapes, worn tape"
    assert table.conditions == [condition]
    shots = table.count(condition)
    assert shots >= 2
    assert table.done("ours-right", condition) == {tape_trials.OWN: shots}
    assert table.done("ours-wrong", condition) == {tape_trials.NOBODYS: shots}
    own, given, wrong = (
        table.mean(key, condition, "identity") for key in ("ours-right", "input", "ours-wrong")
    )
    assert own > given + 0.1
    assert wrong > given - 0.02
    assert table.mean("ours-right", condition, "second") is not None
    assert "--tapes" in json.loads(result.json.read_text())["facts"]["command"]
    assert result.comparison is None
    assert sorted(file.suffix for file in (tmp_path / "out").iterdir()) == [".html", ".json", ".md"]


@pytest.mark.shared
def test_tapes_need_people_with_photos_left(album, runtime, tmp_path) -> None:
    settings = EvaluationSettings(stills=(album,), tapes=True)
    with pytest.raises(UsageError, match="two people with photos that are not on it"):
        evaluate(tmp_path / "out", settings, runtime=runtime)


@pytest.mark.shared
def test_switches(album, stills, runtime, tmp_path) -> None:
    settings = EvaluationSettings(
        stills=(album,), photos=1, degradations=("64px",), switches=True, second_stages=(STANDIN,)
    )
    result = evaluate(tmp_path / "out", settings, runtime=runtime)
    table = result.table
    once, again = stills.table.plain(), table.plain()
    rows = [row["key"] for row in once["rows"]]
    for part in ("rows", "entries"):  # the more rows have changed nothing in the others
        shared_rows = [one for one in again[part] if one.get("key", one.get("row")) in rows]
        assert shared_rows == once[part]
    assert STANDIN.name in result.markdown.read_text()
    assert str(STANDIN) not in result.json.read_text()
    (condition,) = table.conditions
    keys = {row.key for row in table.rows_of(condition)}
    alone, given = (table.mean(key, condition, "psnr") for key in ("gfpgan", "input"))
    assert alone != given
    # Behind ours it is shown where that makes nobody less like themselves: perhaps nowhere.
    behind, fused = (table.mean(key, condition, "identity") for key in ("ours-gfpgan", "ours-none"))
    assert behind >= fused - 0.002
    assert {"gfpgan", "ours-right-gfpgan"} <= keys
    assert {"references-1", "references-8", "no-mask", "no-guard", "no-energy", "no-mouth"} <= keys
    assert "wrong-no-guard" in keys
    assert not {"no-steadied", "no-burst", "no-as_filmed"} & keys  # of no account in a still
    unguarded = table.done("wrong-no-guard", condition)
    assert unguarded == {"restored from references": 2}
    assert table.done("ours-wrong", condition) != unguarded
    one, right = (table.mean(key, condition, "psnr") for key in ("references-1", "ours-right"))
    assert one != right
    assert one != table.mean("no-mask", condition, "psnr")


@pytest.mark.shared
@pytest.mark.timeout(900)  # three renders; a minute where nothing else runs
def test_films(shared, runtime, tmp_path) -> None:
    settings = EvaluationSettings(
        clips=(shared / "data/clips",), people=CLIPS, near_seconds=0.24, far_seconds=0.12
    )
    result = evaluate(tmp_path / "out", settings, runtime=runtime)
    table = result.table
    assert table.conditions == ["film, moderate", "film, severe"]
    for condition in table.conditions:
        assert table.count(condition) == 4  # two alone, and both together
        keys = {row.key for row in table.rows_of(condition)}
        assert {"input", "split", "ours-none", "ours-wrong", "ours-right", "truth"} <= keys
        assert table.mean("input", condition, "flicker") == 0
        for metric in ("identity", "psnr", "landmarks", "jitter", "motion", "warping", "flicker"):
            assert table.mean("ours-right", condition, metric) is not None
        lids = table.mean("ours-right", condition, "lids")
        assert lids is not None
        assert 0.5 < lids <= 1
        right, given = (table.mean(key, condition, "identity") for key in ("ours-right", "input"))
        assert right is not None
        assert given is not None
        assert right > given
    assert result.comparison is not None
    with av.open(str(result.comparison)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 2 * 3 * 3
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "comparison.mp4",
        "evaluation.html",
        "evaluation.json",
        "evaluation.md",
    ]


def test_people_are_folders_with_two_photos(album, tmp_path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(album / "anna/0.png", tmp_path / "alone/one.png")
    with pytest.raises(UsageError, match=r"Nobody in .* has two photos"):
        find_people([tmp_path], (), None, 24)
    with pytest.raises(UsageError, match="among the people named"):
        find_people([album], ("carl",), None, 24)
    with pytest.raises(UsageError, match="There is no folder"):
        find_people([tmp_path / "nowhere"], (), None, 24)
    found = find_people([album, tmp_path], (), None, 2)
    assert [(one.name, len(one.photos)) for one in found] == [("anna", 2), ("ben", 2)]
    assert [one.name for one in find_people([album], ("ben",), None, 24)] == ["ben"]


def test_clips_are_found_by_stem(tmp_path) -> None:
    for name in ("b.mp4", "a.mkv", "notes.txt"):
        (tmp_path / name).touch()
    assert [clip.name for clip in find_clips([tmp_path], (), None)] == ["a.mkv", "b.mp4"]
    assert [clip.name for clip in find_clips([tmp_path], ("b",), None)] == ["b.mp4"]
    with pytest.raises(UsageError, match="There is no clip in"):
        find_clips([tmp_path], ("c",), None)
    with pytest.raises(UsageError, match="There is no clip and no folder"):
        find_clips([tmp_path / "c.mp4"], (), None)


def test_a_copy_of_a_photo_is_not_its_own_reference(album, tmp_path) -> None:
    shutil.copytree(album / "anna", tmp_path / "anna")
    copied = cv2.imread(str(tmp_path / "anna/0.png"))
    cv2.imwrite(str(tmp_path / "anna/0-copy.jpg"), copied, [cv2.IMWRITE_JPEG_QUALITY, 80])
    [person] = find_people([tmp_path], (), None, 24)
    assert len(person.photos) == 4
    models = load_face_models(load_face_pack(RuntimeSettings()), "cpu", threads=1)
    assert len(read_photos(person, models)) == 3


def test_spread_takes_the_ends() -> None:
    assert spread(range(10), 3) == [0, 4, 9]
    assert spread([1, 2], 5) == [1, 2]
    assert spread([1, 2], None) == [1, 2]


def test_without_the_scorer_nothing_is_said(album, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    runtime = RuntimeSettings(models_dir=tmp_path / "empty")
    with pytest.raises(ModelError, match=f"takes no part in the work.*{SCORER_FILE}"):
        evaluate(tmp_path / "out", EvaluationSettings(stills=(album,)), runtime=runtime)
    assert not (tmp_path / "out").exists()


@pytest.mark.shared
def test_what_is_missing_is_named(album, shared, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(shared / "models" / SCORER_FILE, models)
    settings = EvaluationSettings(stills=(album,), photos=1, degradations=("64px",))
    result = evaluate(tmp_path / "out", settings, runtime=RuntimeSettings(models_dir=models))
    said = " ".join(result.notes)
    for name in ("NIQE", "No perceptual distance", "gfpgan", "landmarks are found by the mesh"):
        assert name in said
    keys = {metric.key for metric in result.table.metrics_of("stills, 64px")}
    assert {"niqe", "perceptual", "ring"}.isdisjoint(keys)


@pytest.mark.shared
def test_photos_that_cannot_be_used(runtime, tmp_path) -> None:
    (tmp_path / "people/blur").mkdir(parents=True)
    for number in range(2):
        gray = np.full((128, 128, 3), 60 * number, np.uint8)
        write_picture(tmp_path / f"people/blur/{number}.png", gray)
    with pytest.raises(UsageError, match="None of the 1 people has two photos with one clear"):
        evaluate(
            tmp_path / "out", EvaluationSettings(stills=(tmp_path / "people",)), runtime=runtime
        )


@pytest.mark.shared
def test_short_clips(shared, runtime, tmp_path) -> None:
    settings = EvaluationSettings(clips=(shared / "data/clips",), people=CLIPS, near_seconds=900)
    with pytest.raises(UsageError, match="No clip is 901"):
        evaluate(tmp_path / "out", settings, runtime=runtime)


def test_nothing_to_evaluate_on(tmp_path) -> None:
    with pytest.raises(UsageError, match="nothing to evaluate on"):
        evaluate(tmp_path / "out", EvaluationSettings())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        evaluate(tmp_path / "file", EvaluationSettings(stills=(tmp_path,)))


def test_a_name_that_nobody_has(album, tmp_path) -> None:
    settings = EvaluationSettings(stills=(album,), people=("anna", "zoe"))
    with pytest.raises(UsageError, match="zoe is neither"):
        evaluate(tmp_path / "out", settings)
