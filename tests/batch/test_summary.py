"""The archive's summary: who is in which film, what was done, what failed."""

from __future__ import annotations

import json

from refrestore.batch.summary import people_across, write_summary
from tests.batch.tiny import PERSON


def person(number: int, seconds: float, profile: str | None = None, **more: object) -> dict:
    return {**PERSON, "id": number, "name": f"person {number}", "profile": profile,
            "seconds": seconds, **more}  # fmt: skip


def test_people_are_one_by_their_profile(filled, tmp_path) -> None:
    queue = filled(4)
    with queue.runner() as number:
        films = [queue.claim(number, ("scan",)) for _ in range(4)]
        queue.advance(films[0], "review", people=[person(1, 2, "Anna"), person(2, 9)])
        result = {"frames": 50, "faces": 40, "unreferenced": 4, "notes": ["Sound <is> cut."],
                  "report": str(films[1].output.with_suffix(".report.json")),
                  "page": str(films[1].output.with_suffix(".report.html"))}  # fmt: skip
        queue.advance(
            films[1], "done", people=[person(7, 3, "Anna", restored_faces=36)], result=result
        )
        queue.fail(films[2], "<b>0002.mp4</b> is no video.")
    people = people_across(queue.films())
    assert [(one["name"], len(one["films"]), one["seconds"]) for one in people] == [
        ("Anna", 2, 5), ("person 2", 1, 9)
    ]  # fmt: skip
    assert people[0]["films"][1] == {
        "film": 2, "identity": 7, "seconds": 3, "restored_faces": 36
    }  # fmt: skip
    json_path, page = write_summary(queue)
    said = json.loads(json_path.read_text())
    assert said["counts"] == {"waiting": 1, "review": 1, "done": 1, "failed": 1}
    assert said["films"][2]["sentence"] == "<b>0002.mp4</b> is no video."
    assert said["people"] == people
    text = page.read_text()
    assert (json_path.name, page.name) == ("films.summary.json", "films.summary.html")
    assert "&lt;b&gt;0002.mp4&lt;/b&gt; is no video." in text
    assert '<a href="out/0001.report.html">' in text
    assert "36 faces restored from close-ups in 50 frames" in text
    assert "Anna" in text
    for outside in ("http", "<script", "<img", "<link"):
        assert outside not in text


def test_an_empty_queue_has_a_summary(filled) -> None:
    assert "Films" in write_summary(filled(0))[1].read_text()
