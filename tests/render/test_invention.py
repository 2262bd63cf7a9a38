"""How much of a second stage is shown: never more than keeps a face like itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings
from refrestore.engine.local import render
from refrestore.errors import ModelError, UsageError
from refrestore.evaluate.demo import portrait_photo
from refrestore.evaluate.rows import film_pictures
from refrestore.media.stills import write_picture
from refrestore.project import Project
from refrestore.render import invention
from refrestore.render.crops import from_uint8
from refrestore.render.invention import AMOUNTS, ideals, likeness, most, tried
from refrestore.render.second import Second
from refrestore.render.still import restore_picture
from refrestore.render.toolbox import open_toolbox
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.hull_mask import eye_masks
from refrestore.restore.light import luma_of
from refrestore.restore.restorer import Restored
from refrestore.restore.second.stage import Descriptor, PlainStage
from refrestore.scan.photos import faces_of_pictures

from .conftest import FAR_PART

STANDIN = Path(__file__).resolve().parents[2] / "models/standin/gfpgan_standin.safetensors"


@pytest.fixture(scope="module")
def toolbox():
    return open_toolbox(RuntimeSettings(device="cpu", threads=1))


def behind(toolbox, network, name="odd"):
    about = Descriptor(name, name.capitalize(), 256, "none")
    dtype = torch.float32
    return toolbox.followed_by(Second(PlainStage(about, network, dtype), f"{name}.pth", "0" * 64))


def shuffled(faces):
    """Draw what is nobody: strong detail in the wrong places."""
    return torch.sign(faces.flip(-2) + faces.roll(37, -1)) * 0.9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=9))
def test_the_most_that_does_not_lower_the_likeness(values):
    found = np.array(values, np.float32)
    chosen = most(found)
    for row, index in enumerate(chosen):
        assert found[row, index] >= found[row, 0]
        assert all(found[row, more] < found[row, 0] for more in range(index + 1, len(AMOUNTS)))


def test_a_face_that_cannot_be_embedded_shows_nothing_of_it():
    assert most(np.full((1, 3), np.nan, np.float32)).tolist() == [0]


def test_a_face_is_to_stay_like_its_close_ups_or_its_track():
    inputs = np.eye(4, dtype=np.float32)[:3]
    inputs[2] = np.nan
    tracks, centroid = np.array([1, 2, 2]), np.eye(4, dtype=np.float32)[3]
    found = ideals([centroid, None, None], inputs, tracks, {})
    assert found[0].tolist() == centroid.tolist()
    assert found[1].tolist() == found[2].tolist() == inputs[1].tolist()
    known = ideals([None, None, None], inputs, tracks, {2: centroid})
    assert known[1].tolist() == known[2].tolist() == centroid.tolist()


def test_all_amounts_are_tried_where_there_is_a_second_stage():
    fused, images = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
    made = Restored(images, images[:, 0], images[:, 0], [[], []], fused)
    seen = tried(made, lambda one: one.images.mean((1, 2, 3)).numpy()[:, None])
    assert seen[..., 0].tolist() == [list(AMOUNTS)] * 2
    assert likeness(seen, np.ones((2, 1), np.float32)).tolist() == [list(AMOUNTS)] * 2
    calls = []
    plain = replace(made, fused=None)
    invention.tried(plain, lambda one: calls.append(one) or np.ones((2, 1), np.float32))
    assert calls == [plain]


@pytest.mark.shared
def test_a_picture_never_loses_likeness_to_a_second_stage(toolbox, shared):
    """A network that draws nobody shows in no face; one that changes nothing may show in all."""
    from refrestore.media.stills import read_picture

    folder = next(one for one in sorted((shared / "data/identities").iterdir()) if one.is_dir())
    photo = next(one for one in sorted(folder.rglob("*")) if one.suffix in (".jpg", ".png"))
    picture = read_picture(photo)[::4, ::4].copy()
    alone = restore_picture(picture, toolbox)
    assert len(alone.faces) == 1
    ruined = restore_picture(picture, behind(toolbox, shuffled))
    assert ruined.summary()[0]["invented"] == 0
    assert np.array_equal(ruined.image, alone.image)
    same = restore_picture(picture, behind(toolbox, lambda faces: faces))
    assert np.abs(same.image.astype(int) - alone.image).max() <= 3


def painted(faces):
    """Draw black and white, red on the left and green on the right."""
    strong = torch.sign(faces.mean(1, keepdim=True) - faces.roll(5, -1).mean(1, keepdim=True))
    left = torch.arange(faces.shape[-1]) < faces.shape[-1] // 2
    return torch.where(left, strong * torch.tensor([1, -1, -1])[:, None, None], strong * 0.9)


def test_eyes_keep_the_close_ups_colour_whatever_is_drawn(toolbox, tmp_path):
    write_picture(tmp_path / "photo.png", portrait_photo())
    (reference,) = faces_of_pictures([tmp_path / "photo.png"], toolbox.models).references
    crop = cv2.resize(cv2.resize(reference.image, (48, 48)), (512, 512))
    given, places = from_uint8(crop[None]), reference.landmarks[None].astype(np.float32)
    eyes = eye_masks(torch.from_numpy(places), 512) >= 1

    def colour(images):
        return images - luma_of(images)[:, None]

    for bank in (ReferenceBank.from_references([reference]), None):
        made = behind(toolbox, painted).restorer.restore(given, places, [bank])
        moved = (colour(made.images) - colour(made.fused)).abs().amax(1)
        assert float(moved[eyes].max()) < 1e-4
        assert float((made.images - made.fused).abs().amax(1)[eyes].max()) > 0.05
        assert float(moved[~eyes].max()) > 0.1  # it would have painted them
        close = colour(from_uint8(reference.image[None]))
        before, after = (
            float((colour(one) - close).abs().amax(1)[eyes].mean())
            for one in (made.fused, made.images)
        )
        assert after < before + 1e-4


def test_a_render_says_what_was_invented_and_by_whom(scanned, tmp_path, toolbox):
    runtime = RuntimeSettings(device="cpu", threads=1)
    made = {}
    for name, tools, asked in (
        ("none", toolbox, RenderSettings(**FAR_PART)),
        ("odd", behind(toolbox, shuffled), RenderSettings(**FAR_PART)),
        ("standin", toolbox, RenderSettings(**FAR_PART, second_stage=STANDIN)),
        ("off", behind(toolbox, shuffled), RenderSettings(**FAR_PART, second_stage="none")),
    ):
        with Project.open(scanned.project) as opened:
            made[name] = render(
                opened,
                tmp_path / f"{name}.mkv",
                settings=asked,
                encoder=EncoderSettings(codec="ffv1"),
                runtime=runtime,
                toolbox=tools,
            )
    frames = {name: np.stack(list(film_pictures(one.output))) for name, one in made.items()}
    assert np.array_equal(frames["odd"], frames["none"])  # it would have made them less like
    assert np.array_equal(frames["off"], frames["none"])
    assert made["none"].summary["second"] is None
    assert made["odd"].summary["second"]["title"] == "Odd"
    people = made["standin"].summary["identities"]
    drawn = [sum(person["invented_faces"].values()) for person in people]
    assert (sum(drawn) > 0) == (not np.array_equal(frames["standin"], frames["none"]))
    assert any("drawn by GFPGAN" in note for note in made["standin"].summary["notes"])
    page = made["standin"].page.read_text()
    assert ("Detail invented by GFPGAN" in page) == (sum(drawn) > 0)
    assert all(person["drawn_by"] is None for person in made["none"].summary["identities"])


def test_two_second_stages_share_no_segments(scanned, tmp_path, toolbox):
    """What another one rendered is of another recipe, down to the fidelity and the file."""
    from refrestore.project.opened_film import project_film
    from refrestore.render.people import gather_people
    from refrestore.render.recipe import read_recipe

    def key(settings, tools):
        with Project.open(scanned.project) as project:
            people = gather_people(project, [], None, eyes=tools.eyes, fusion=tools.fusion)
            recipe = read_recipe(project, project_film(project, None), tools, people, settings)
        return str((recipe.networks, recipe.settings.model_dump(mode="json")))

    plain = RenderSettings()
    keys = {
        key(plain, toolbox),
        key(plain, behind(toolbox, shuffled, "one")),
        key(plain, behind(toolbox, shuffled, "two")),
        key(plain.model_copy(update={"fidelity": 0.5}), behind(toolbox, shuffled, "one")),
        key(plain.model_copy(update={"second_stage": "none"}), toolbox),
    }
    assert len(keys) == 5


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"second_stage": "gpfgan"}, UsageError, "no second stage 'gpfgan'; there are codeformer"),
        ({"second_stage": "codeformer"}, ModelError, "models fetch codeformer, or name a file"),
        ({"second_stage": "GFPGANv1.3.pth"}, ModelError, "models fetch GFPGANv1.3.pth"),
        ({"second_stage": "none.pth"}, ModelError, "There is no file of weights none.pth"),
        ({"fidelity": 0.5}, UsageError, "name one with --second-stage"),
        ({"second_stage": STANDIN, "fidelity": 1}, UsageError, "GFPGAN cannot be told how near"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(toolbox, asked, error, message, tmp_path):
    runtime = RuntimeSettings(models_dir=tmp_path)
    with pytest.raises(error, match=message) as raised:
        toolbox.equipped(RenderSettings.model_validate(asked), runtime)
    assert "\n" not in str(raised.value)


def test_a_second_stage_is_opened_once(toolbox):
    settings, runtime = RenderSettings(second_stage=STANDIN), RuntimeSettings()
    first, second = toolbox.equipped(settings, runtime), toolbox.equipped(settings, runtime)
    assert first.second is second.second
    assert toolbox.second is None
    assert first.equipped(RenderSettings(second_stage="none"), runtime).second is None
