"""Previews and renders of a film of real faces, by the real restorer."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from fractions import Fraction

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings
from refrestore.engine.local import render
from refrestore.errors import MediaError
from refrestore.media.reader import VideoReader
from refrestore.project import Project
from refrestore.render.preview import preview
from refrestore.review.jobs import CancelledError, Jobs
from refrestore.review.refusals import ConflictError

FAR = 0.8
"""A moment of the far shot, seconds."""


def array(page, url):
    answer = page.http.get(url)
    assert answer.status_code == 200
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def done(page, path, body):
    said = page.finished(page.post(path, body)["job"])
    assert said["state"] == "done", said
    return said


def test_a_preview_is_the_command_s(real):
    found = done(real, "previews", {"at": FAR})["result"]
    with Project.open(real.page_state.project.folder) as project:
        wanted = preview(project, Fraction(8, 10), runtime=RuntimeSettings(device="cpu"))
    assert found["faces"] == wanted.faces > 0
    assert np.array_equal(array(real, found["before"]), wanted.before)
    assert np.array_equal(array(real, found["after"]), wanted.after)
    changed = np.any(wanted.before != wanted.after, axis=2)
    for shown in found["boxes"]:
        assert (shown["reason"] is None) == (shown["strength"] > 0)
        left, top, right, bottom = (round(edge) for edge in shown["box"])
        assert changed[max(0, top) : bottom, max(0, left) : right].any() == (shown["strength"] > 0)
    assert {one["identity"] for one in found["boxes"]} <= {
        card["id"] for card in real.get("identities")["identities"]
    }


def test_strengths_show_in_previews_before_and_after_they_are_kept(real):
    full = done(real, "previews", {"at": FAR})["result"]
    ids = [one["identity"] for one in full["boxes"]]
    nothing = done(real, "previews", {"at": FAR, "strength": {str(i): 0 for i in ids}})["result"]
    assert nothing["faces"] == 0
    assert {one["reason"] for one in nothing["boxes"]} == {"ignored"}
    assert np.array_equal(array(real, nothing["before"]), array(real, nothing["after"]))
    real.edit(*({"do": "strength", "identity": i, "strength": 0.5} for i in ids))
    half = done(real, "previews", {"at": FAR})["result"]
    before = array(real, full["before"]).astype(float)
    most = np.abs(array(real, full["after"]) - before).sum()
    some = np.abs(array(real, half["after"]) - before).sum()
    assert 0.4 * most < some < 0.6 * most


def test_a_loop_is_two_short_films_a_browser_plays(real):
    found = done(real, "previews", {"at": 0.6, "seconds": 0.2})["result"]
    films = []
    for side in ("before", "after"):
        answer = real.http.get(found[side])
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.content.find(b"moov") < answer.content.find(b"mdat")
        with av.open(io.BytesIO(answer.content)) as film:
            stream = film.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            films.append([f.to_ndarray(format="rgb24") for f in film.decode(stream)])
        part = real.http.get(found[side], headers={"Range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, answer.content[:10])
    assert len(films[0]) == len(films[1]) == 5
    assert (found["start"], found["end"]) == (0.6, 0.8)
    assert np.abs(films[0][3].astype(int) - films[1][3]).max() > 20


def test_a_loop_of_one_person_leaves_the_others_as_they_were(real):
    boxes = done(real, "previews", {"at": FAR})["result"]["boxes"]
    one = max(boxes, key=lambda shown: shown["strength"])["identity"]
    body = {"at": FAR, "seconds": 0.1, "identity": one}
    made = done(real, "previews", body)
    assert made["kind"] == "loop"


@pytest.mark.parametrize("at", [99, -1e8, 1e9])
def test_a_moment_that_is_not_there_fails_in_a_sentence(real, at):
    job = real.post("previews", {"at": at})["job"]
    said = real.finished(job)
    assert said["state"] == "failed"
    assert "film.mp4 has nothing at" in said["sentence"]


def test_a_new_preview_takes_the_place_of_the_one_before(real):
    first = real.post("previews", {"at": 0.1, "seconds": 1})["job"]
    second = real.post("previews", {"at": FAR})["job"]
    assert real.finished(second)["state"] == "done"
    assert real.get(f"jobs/{first}")["state"] == "cancelled"


def pictures(path):
    with VideoReader(path) as reader:
        return [(f.time, f.picture.to_ndarray(format="rgb24")) for f in reader]


def test_a_render_with_progress_a_frame_and_its_report(real, tmp_path):
    assert not real.get("renders/estimate")["measured"]
    job = real.post("renders", {"name": "out.mp4", "start": 0.56, "end": 0.72})["job"]
    answer = real.http.post("/api/previews", json={"at": FAR})
    assert answer.status_code == 409
    assert "A render is running" in answer.json()["error"]
    said = real.finished(job)
    assert said["state"] == "done", said
    assert (said["done"], said["total"]) == (4, 4)
    shown = array(real, f"/api/jobs/{job}/frame.jpg?n={said['frames_shown']}")
    assert shown.shape == (186, 250, 3)
    result = said["result"]
    assert result["output"] == "out.mp4"
    with Project.open(real.page_state.project.folder) as project:
        render(
            project,
            tmp_path / "own.mp4",
            settings=RenderSettings(start=Fraction("0.56"), end=Fraction("0.72")),
            runtime=RuntimeSettings(device="cpu"),
        )
    ours, theirs = pictures(tmp_path / "out.mp4"), pictures(tmp_path / "own.mp4")
    assert [time for time, _ in ours] == [time for time, _ in theirs]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True))
    report = real.http.get(result["page"])
    assert "sandbox" in report.headers["content-security-policy"]
    assert "script-src" not in report.headers["content-security-policy"]
    assert "unsafe-inline" not in report.headers["content-security-policy"].split("img-src")[1]
    assert real.http.get(result["report"]).json()["frames"] == 4
    estimate = real.get("renders/estimate")
    assert estimate["measured"]
    assert estimate["frames"] == 28
    assert estimate["faces"] > 0
    again = real.http.post("/api/renders", json={"name": "out.mp4"})
    assert (again.status_code, again.json()["confirm"]) == (409, "overwrite")


def test_strengths_count_in_a_render_and_are_in_its_report(real, tmp_path):
    ids = [card["id"] for card in real.get("identities")["identities"]]
    real.edit(*({"do": "strength", "identity": i, "strength": 0} for i in ids[1:]))
    body = {"name": "out.mp4", "start": 0.72, "end": 0.84}
    said = done(real, "renders", body)
    people = {
        one["id"]: one for one in real.http.get(said["result"]["report"]).json()["identities"]
    }
    assert all(people[i]["strength"] == 0 == people[i]["restored_faces"] for i in ids[1:])
    assert people[ids[0]]["strength"] == 1


def segments(folder):
    return sorted(path.name for path in folder.glob(".out.mp4.refrestore/segment-*.mkv"))


def test_a_cancelled_render_goes_on_where_it_was(real, tmp_path, monkeypatch):
    short = RenderSettings.model_fields["segment_seconds"]
    monkeypatch.setattr(short, "default", 0.2)
    RenderSettings.model_rebuild(force=True)
    try:
        body = {"name": "out.mp4", "end": 0.64}
        job = real.post("renders", body)["job"]
        while len(segments(tmp_path)) < 2:
            assert real.get(f"jobs/{job}")["state"] == "running"
            time.sleep(0.05)
        real.post(f"jobs/{job}/cancel", {})
        assert real.finished(job)["state"] == "cancelled"
        kept = stamps(tmp_path)
        assert len(kept) >= 2
        assert not (tmp_path / "out.mp4").exists()
        again = real.post("renders", body)["job"]
        while real.get(f"jobs/{again}")["state"] == "running":
            now = stamps(tmp_path)  # the last of it are taken away as the film is joined
            assert all(now[name] == kept[name] for name in kept if name in now)
            time.sleep(0.1)
        assert real.finished(again)["state"] == "done"
        assert not segments(tmp_path)
        assert len(pictures(tmp_path / "out.mp4")) == 16
    finally:
        monkeypatch.undo()
        RenderSettings.model_rebuild(force=True)


def stamps(folder):
    found = {}
    for name in segments(folder):
        with suppress(FileNotFoundError):
            found[name] = (folder / ".out.mp4.refrestore" / name).stat().st_mtime_ns
    return found


@pytest.mark.skipif(os.name != "posix", reason="kill")
def test_a_kill_in_the_middle_of_a_render_leaves_everything_whole(scanned, tmp_path):
    shutil.copy(scanned.film, tmp_path / "film.mp4")
    shutil.copytree(scanned.project, tmp_path / "project")
    arguments = ["review", tmp_path / "project", "--port", "0", "--no-browser"]
    arguments += ["--profiles-dir", tmp_path / "profiles", "--device", "cpu"]
    source = (tmp_path / "film.mp4").read_bytes()

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "refrestore", *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
        )

    with start() as process:
        url = process.stdout.readline().strip()
        base, token = url.split("/?token=")
        with httpx.Client(base_url=base, headers={"X-Refrestore": "1"}, timeout=60) as http:
            assert http.get(f"/?token={token}").status_code == 303
            job = http.post("/api/renders", json={"name": "out.mp4"}).json()["job"]
            version = http.get("/api/version").json()["version"]
            edit = {"do": "rename", "identity": 1, "name": "Anna"}
            answer = http.post("/api/edits", json={"version": version, "edits": [edit]})
            assert answer.status_code == 200
            while http.get(f"/api/jobs/{job}").json()["done"] < 3:
                time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "out.mp4").exists()
    assert (tmp_path / "film.mp4").read_bytes() == source
    arguments[arguments.index("--port") + 1] = base.rsplit(":", 1)[1]
    with start() as process:
        try:
            url = process.stdout.readline().strip()
            with httpx.Client(base_url=base, headers={"X-Refrestore": "1"}, timeout=240) as http:
                assert http.get(url).status_code == 303
                cards = http.get("/api/identities").json()["identities"]
                assert "Anna" in [card["name"] for card in cards]
                body = {"name": "out.mp4", "end": 0.64}
                job = http.post("/api/renders", json=body).json()["job"]
                while (said := http.get(f"/api/jobs/{job}").json())["state"] == "running":
                    time.sleep(0.1)
                assert said["state"] == "done", said
        finally:
            process.send_signal(signal.SIGINT)
    assert len(pictures(tmp_path / "out.mp4")) == 16
    assert not list(tmp_path.glob(".*"))


def test_what_cannot_be_rendered_fails_in_a_sentence(real):
    said = real.finished(real.post("renders", {"name": "film.xyz"})["job"])
    assert said["state"] == "failed"
    assert said["sentence"]
    said = real.finished(real.post("renders", {"name": "film.mp4", "overwrite": True})["job"])
    assert said["state"] == "failed"
    real.post("renders", {"name": "a.mp4", "start": 2, "end": 1}, expect=400)
    real.post("renders", {"name": "a.mp4", "scale": 3}, expect=400)
    real.post("renders", {"name": "a.mp4", "codec": "x; rm"}, expect=400)


def test_one_job_at_a_time_and_none_is_lost():
    jobs = Jobs()
    order = []

    def work(number):
        def run(job):
            order.append(number)
            for _ in range(20):
                job.progress("work", 0, None)
                time.sleep(0.005)
            return {"number": number}

        return run

    started = [jobs.start("preview", work(number)) for number in range(5)]
    while any(job.state == "running" for job in started):
        time.sleep(0.01)
    assert [job.state for job in started[:-1]] == ["cancelled"] * 4
    assert started[-1].result == {"number": 4}
    assert order == sorted(order)
    jobs.stop()
    assert not started[0].folder.exists()


def test_an_error_ends_a_job_and_not_the_next(caplog):
    jobs = Jobs()

    def fails(error):
        def run(job):
            raise error

        return run

    for error, state, words in (
        (MediaError("No film."), "failed", "No film."),
        (CancelledError(), "cancelled", None),
        (RuntimeError("inside"), "failed", "Something went wrong in refrestore; its terminal says"),
    ):
        job = jobs.start("render", fails(error))
        while job.state == "running":
            time.sleep(0.01)
        assert job.state == state
        assert (job.sentence or "").startswith(words or "")
        assert "inside" not in (job.sentence or "")
    jobs.stop()


def test_while_a_render_runs_nothing_else_starts():
    jobs = Jobs()

    def run(job):
        while True:
            job.check()
            time.sleep(0.01)

    job = jobs.start("render", run)
    for kind in ("preview", "loop", "render"):
        with pytest.raises(ConflictError, match="A render is running"):
            jobs.start(kind, run)
    jobs.stop()
    assert job.state == "cancelled"


def test_encoder_settings_are_taken(real, tmp_path):
    body = {"name": "out.mkv", "crf": 30, "codec": "libx265", "start": 0, "end": 0.08}
    done(real, "renders", body)
    with av.open(str(tmp_path / "out.mkv")) as film:
        assert film.streams.video[0].codec_context.name == "hevc"
    assert EncoderSettings().codec == "libx264"
