"""The render form's second stages: what is installed, what its licence asks, what is refused."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.models import Catalogue, ModelStore
from refrestore.review import routes_jobs
from refrestore.review.routes_jobs import _second_stage
from refrestore.review.schemas import RenderRequest

STANDIN = Path(__file__).resolve().parents[2] / "models/standin/gfpgan_standin.safetensors"


@pytest.fixture
def both(monkeypatch):
    """Pretend that two files of the catalogue are here: they cannot be had in a test."""
    catalogue = Catalogue.load()
    files = [catalogue["GFPGANv1.4.pth"], catalogue["codeformer.pth"]]
    monkeypatch.setattr(routes_jobs, "installed", lambda runtime: files)


def test_nothing_is_offered_where_nothing_is_installed(serve, scanned):
    page = serve(scanned.project)
    assert page.get("renders/stages") == {"stages": [], "given": None}
    answer = page.http.post("/api/renders", json={"name": "a.mp4", "second_stage": "gfpgan.pth"})
    assert answer.status_code == 404
    assert "no second stage gfpgan.pth on this machine" in answer.json()["error"]
    answer = page.http.post("/api/renders", json={"name": "a.mp4", "second_stage": "../a.pth"})
    assert answer.status_code in (400, 422)


def test_what_is_installed_is_offered_with_its_licence(serve, scanned, both):
    render = RenderSettings(second_stage=STANDIN)
    page = serve(scanned.project, render=render)
    said = page.get("renders/stages")
    assert said["given"] == STANDIN.name
    assert [(one["name"], one["restricted"], one["fidelity"]) for one in said["stages"]] == [
        ("GFPGANv1.4.pth", False, False),
        ("codeformer.pth", True, True),
    ]
    assert "no commercial use" in said["stages"][1]["licence"]


def test_a_file_that_the_user_vouched_for_is_offered(serve, scanned, tmp_path, monkeypatch):
    (tmp_path / "RestoreFormer++.ckpt").write_bytes(b"weights")
    monkeypatch.setenv("REFRESTORE_MODELS", str(tmp_path))
    page = serve(scanned.project)
    assert page.get("renders/stages")["stages"] == []
    digest = hashlib.sha256(b"weights").hexdigest()
    ModelStore(RuntimeSettings()).fetch(["RestoreFormer++.ckpt"], sha256=digest)
    (stage,) = page.get("renders/stages")["stages"]
    assert (stage["name"], stage["licence"]) == ("RestoreFormer++.ckpt", "Apache-2.0")


def test_what_was_chosen_becomes_settings(serve, scanned, both):
    page_state = serve(scanned.project, render=RenderSettings(second_stage=STANDIN)).page_state

    def chosen(**asked):
        return _second_stage(page_state, RenderRequest(name="a.mp4", **asked))

    assert chosen()["second_stage"] == STANDIN
    assert chosen(second_stage="none")["second_stage"] == "none"
    asked = chosen(second_stage="codeformer.pth", fidelity=0.7, licence_accepted=True)
    assert asked == {
        "second_stage": Path("codeformer.pth"),
        "fidelity": 0.7,
        "accept_licence": "codeformer",
    }
    assert chosen(second_stage="codeformer.pth")["accept_licence"] is None


def test_a_render_uses_what_the_review_was_started_with(serve, scanned, tmp_path):
    shutil.copy(scanned.film, tmp_path / "film.mp4")
    shutil.copytree(scanned.project, tmp_path / "project")
    page = serve(tmp_path / "project", render=RenderSettings(second_stage=STANDIN))
    for name, asked, stages in (
        ("a.mkv", {}, ["reference fusion", "GFPGAN"]),
        ("b.mkv", {"second_stage": "none"}, ["reference fusion"]),
    ):
        job = page.post("renders", {"name": name, "start": 0.56, "end": 0.64, **asked})["job"]
        said = page.finished(job)
        assert said["state"] == "done", said
        assert page.http.get(said["result"]["report"]).json()["stages"] == stages
