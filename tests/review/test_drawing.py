"""A face is drawn on the page: what the server says of it."""

from __future__ import annotations

import numpy as np
import pytest

from refrestore.project import Project
from refrestore.project.anchors import overlaps

AT = 0.8
"""A moment of the far shot, seconds."""


@pytest.fixture
def forgotten(real):
    """Return whom the far shot shows, and the box there of the one whom the scan now lacks."""
    project = real.page_state.project
    with Project.open(project.folder) as other:
        faces = other.faces(first=20, stop=21)
        row = int(faces.size.argmax())
        track = int(faces.track[row])
        whole = other.faces([track])
        holder = other.identity_of_track()[track]
        for table, key in (("tracks", "id"), ("chunks", "track"), ("reference_crops", "track")):
            other.database.execute(f"DELETE FROM {table} WHERE {key} = ?", (track,))
    return [float(edge) for edge in faces.box[row].round(1)], whole, holder


def test_who_is_known_at_a_moment(real):
    said = real.get(f"moment?at={AT}")
    assert said["frame"] == 20
    with Project.open(real.page_state.project.folder) as project:
        holders, faces = project.identity_of_track(), project.faces(first=20, stop=21)
        names = {one.id: one.name for one in project.identities()}
    assert {one["track"]: one["identity"] for one in said["faces"]} == {
        track: holders[track] for track in faces.track.tolist() if track in holders
    }
    for one in said["faces"]:
        assert one["name"] == names[one["identity"]]
        (row,) = (faces.track == one["track"]).nonzero()[0]
        assert one["box"] == pytest.approx(faces.box[row], abs=0.06)


@pytest.mark.parametrize("at", ["99", "-1", "nan", "x"])
def test_a_moment_that_is_not_there(real, at):
    answer = real.http.get(f"/api/moment?at={at}")
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]


def test_a_face_is_drawn_and_undone(real, forgotten):
    box, whole, _ = forgotten
    before = real.get("identities")["identities"]
    job = real.post("drawings", {"at": AT, "box": box, "name": "Zoe"})["job"]
    said = real.finished(job)
    assert (said["kind"], said["state"]) == ("draw", "done"), said
    drawn = said["result"]
    card = real.card(drawn["identity"])
    assert (card["name"], card["tracks"]) == ("Zoe", 1)
    assert card["faces"] == drawn["stop"] - drawn["first"] == len(whole)
    assert len(real.get("identities")["identities"]) == len(before) + 1
    (track,) = real.get(f"identities/{card['id']}")["tracks"]
    assert real.http.get(track["thumb"]).status_code == 200
    (here,) = [one for one in real.get(f"moment?at={AT}")["faces"] if one["name"] == "Zoe"]
    assert here["track"] == drawn["track"]
    assert overlaps(whole.box[whole.frame == 20], np.array(here["box"], np.float32))[0] > 0.6
    assert "Draw a face of Zoe" in real.get("project")["can_undo"]
    real.undo()
    assert real.get("identities")["identities"] == before
    assert all(one["name"] != "Zoe" for one in real.get(f"moment?at={AT}")["faces"])


def test_a_face_of_somebody_who_is_there_is_restored(real, forgotten):
    box, _, holder = forgotten
    people = {one["id"] for one in real.get("identities")["identities"]}
    if holder not in people:
        pytest.skip("whom the scan lacks has no other appearance")
    job = real.post("drawings", {"at": AT, "box": box, "identity": holder})["job"]
    said = real.finished(job)
    assert said["state"] == "done", said
    assert said["result"]["identity"] == holder
    shown = real.finished(real.post("previews", {"at": AT})["job"])["result"]["boxes"]
    assert holder in [one["identity"] for one in shown if one["strength"] > 0]


def test_what_cannot_be_drawn_is_said(real):
    before = real.get("version")["version"]
    job = real.post("drawings", {"at": AT, "box": [10, 10, 900, 90]})["job"]
    said = real.finished(job)
    assert (said["state"], said["result"]) == ("failed", None)
    assert "is not inside the picture" in said["sentence"]
    for wrong in ({"box": [1, 2, 3]}, {"box": [1, 2, 3, "4"]}, {}, {"box": [1, 2, 3, 4], "who": 1}):
        real.post("drawings", {"at": AT, **wrong}, 400)
    assert real.get("version")["version"] == before


def test_one_that_is_stopped_changes_nothing(real, forgotten):
    box, _, _ = forgotten
    before = real.get("version")["version"]
    job = real.post("drawings", {"at": AT, "box": box})["job"]
    for path, body in (("previews", {"at": AT}), ("drawings", {"at": AT, "box": box})):
        assert "A face is being followed" in real.post(path, body, 409)["error"]
    real.post(f"jobs/{job}/cancel", {})
    assert real.finished(job)["state"] == "cancelled"
    assert real.get("version")["version"] == before
