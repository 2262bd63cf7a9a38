"""What the page is told, against the project."""

from __future__ import annotations

import io
import threading
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.project import Project
from refrestore.review.cards import joined, readiness


def test_people_come_by_screen_time(page):
    found = page.get("identities")
    cards = found["identities"]
    assert [card["id"] for card in cards] == [1, 2, 3, 4]
    assert [card["seconds"] for card in cards] == [2.4] * 4
    page.edit({"do": "move", "tracks": [4], "to": 2})
    cards = page.get("identities")["identities"]
    assert [card["seconds"] for card in cards] == sorted(
        (card["seconds"] for card in cards), reverse=True
    )
    assert cards[0]["id"] == 2


def test_who_is_only_seen_blurred_comes_last(make, serve, tmp_path):
    page = serve(make(tmp_path / "tape" / "project", people=3, tracks=7, blurred=(0,)))
    cards = page.get("identities")["identities"]
    assert [(one["id"], one["provisional"]) for one in cards] == [(2, False), (3, False), (1, True)]
    assert cards[-1]["seconds"] > cards[0]["seconds"]


def test_a_card_says_what_the_project_knows(page):
    page.edit(
        {"do": "rename", "identity": 1, "name": "Anna"},
        {"do": "strength", "identity": 1, "strength": 0.4},
        {"do": "drop", "close_ups": [1]},
    )
    card = page.card(1)
    assert card["name"] == "Anna"
    assert card["named"]
    assert card["strength"] == 0.4
    assert card["faces"] == 60
    assert card["tracks"] == 3
    assert card["close_ups"] == {"used": 2, "total": 3, "largest_px": 200}
    assert card["appearances"] == [[0.0, 0.8], [3.2, 4.0], [6.4, 7.2]]
    assert card["profile"] is card["likely_profile"] is None
    assert card["readiness"] in ("some", "good")
    assert all("Anna" in sentence for sentence in card["gaps"])
    assert not page.card(2)["named"]


def test_gaps_are_those_that_the_command_names(page, folder):
    from refrestore.project.gaps import gaps

    page.edit({"do": "drop", "close_ups": [1, 5]})
    with Project.open(folder) as project:
        wanted = gaps(project, 1).sentences()
    assert wanted
    assert page.card(1)["gaps"] == wanted


@pytest.mark.parametrize(
    ("used", "lacking", "word"),
    [(0, [], "none"), (1, [], "some"), (3, [], "good"), (9, ["x"], "some")],
)
def test_readiness(used, lacking, word):
    assert readiness(used, lacking) == word


def test_appearances_that_meet_are_one():
    assert joined([(3, 4), (0, 1), (1.1, 2), (1.5, 1.6)]) == [[0, 2], [3, 4]]


def test_one_person_with_tracks_and_close_ups(page):
    page.edit({"do": "move", "tracks": [2], "to": 1})
    said = page.get("identities/1")
    tracks = {track["id"]: track for track in said["tracks"]}
    assert set(tracks) == {1, 2, 5, 9}
    assert min(tracks, key=lambda number: tracks[number]["similarity"]) == 2
    assert [number for number in tracks if tracks[number]["settled"]] == [2]
    assert tracks[5] == {
        **tracks[5],
        "start": 3.2,
        "end": 4.0,
        "seconds": 0.8,
        "faces": 20,
        "thumb": "api/pictures/1/tracks/5.jpg",
    }
    assert {one["track"] for one in said["references"]} == {1, 2, 5, 9}
    assert said["references"][0]["at"] is not None
    assert said["log"] == ["Move 1 track to person 1"]
    assert page.http.get("/api/identities/99").status_code == 404


def test_a_person_of_one_track_is_compared_with_nobody(page):
    page.edit({"do": "split", "identity": 1, "tracks": [1]})
    assert page.get("identities/5")["tracks"][0]["similarity"] is None


def test_the_first_faces_are_made_before_somebody_asks(page):
    cover = page.card(1)["cover"]
    place = page.page_state
    place.warm()
    for thread in threading.enumerate():
        if thread.name == "first faces":
            thread.join()
    found = place.reader.view().scanned
    for one in found.close_up_files.values():
        (found.folder / one.file).unlink()
    assert page.http.get(cover).headers["content-type"] == "image/jpeg"
    other = page.http.get(cover.replace("size=256", "size=512"))
    assert "is missing" in other.json()["error"]


def test_suggestions_are_answered(page):
    page.edit({"do": "split", "identity": 1, "tracks": [1, 5]})
    found = page.get("suggestions")["merges"]
    pairs = [{one["one"], one["other"]} for one in found]
    if {1, 5} in pairs:
        page.edit({"do": "distinct", "identities": [1, 5]})
        found = page.get("suggestions")["merges"]
        assert {1, 5} not in [{one["one"], one["other"]} for one in found]
    page.edit({"do": "move", "tracks": [3], "to": 2})
    page.get("suggestions")


def test_the_project_says_that_its_video_has_gone(page):
    said = page.get("project")
    assert not said["video"]["found"]
    assert "film.mp4" in said["video"]["sentence"]
    assert (said["identities"], said["tracks"], said["faces"]) == (4, 12, 240)
    assert said["range"] == [0.0, 9.6]
    assert said["output_name"] == "film restored.mp4"


@pytest.mark.parametrize("size", [112, 256, 512])
def test_pictures_are_what_was_kept(page, size):
    answer = page.http.get(f"/api/pictures/1/close-ups/1.jpg?size={size}")
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert Image.open(io.BytesIO(answer.content)).size == (size, size)
    answer = page.http.get("/api/pictures/1/tracks/1.jpg")
    folder = page.page_state.project.folder
    assert answer.content == (folder / "scans/0001/thumbnails/000001.jpg").read_bytes()
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "path",
    ["2/tracks/1", "1/tracks/99", "1/close-ups/99", "1/close-ups/1.jpg?size=113"],
)
def test_pictures_that_are_not_there(page, path):
    path = path if "?" in path else f"{path}.jpg"
    assert page.http.get(f"/api/pictures/{path}").status_code == 404


def test_a_new_scan_is_seen_and_its_pictures_have_new_addresses(page, folder, make, tmp_path):
    import shutil

    before = page.get("identities")
    other = make(tmp_path / "other" / "project", people=2, tracks=4)
    with (
        Project.open(folder) as project,
        Project.open(other) as source,
        project.begin_scan(source.scan_info().settings) as writer,
    ):
        for shot in source.shots():
            writer.add_shot(shot)
        for track in source.tracks():
            writer.add_track(track, source.faces([track.id]))
        writer.set_identities([[1, 3], [2, 4]])
    shutil.rmtree(other)
    after = page.get("identities")
    assert before["version"] == "1.0"
    assert after["version"] == "2.0"
    assert len(after["identities"]) == 2
    assert page.http.get("/api/pictures/1/tracks/1.jpg").status_code == 404
    page.edit({"do": "rename", "identity": 1, "name": "x"}, version=before["version"], expect=409)


def test_a_moment_is_the_film_as_it_is(real):
    """Whoever waits for a preview looks at this meanwhile."""
    project = real.page_state.project
    wanted = Fraction(7, 10)  # in the second shot
    answer = real.http.get(f"/api/pictures/1/moment.jpg?at={float(wanted)}")
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    shown = np.asarray(Image.open(io.BytesIO(answer.content)), np.float64)
    with VideoReader(project.video.path) as reader:
        frame = next(one for one in reader if one.time >= wanted)
    assert np.abs(shown - display_rgb(frame)).mean() < 4  # JPEG
    assert real.http.get("/api/pictures/1/moment.jpg?at=900").status_code == 404
    for at in ("nan", "inf", "x", ""):
        assert real.http.get(f"/api/pictures/1/moment.jpg?at={at}").status_code == 400
