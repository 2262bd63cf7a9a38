"""What the page does becomes the project's log: the same as the commands make."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from refrestore.project import Project


def cli(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "refrestore", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def held(page):
    return {
        card["id"]: [track["id"] for track in page.get(f"identities/{card['id']}")["tracks"]]
        for card in page.get("identities")["identities"]
    }


def test_every_edit_and_the_way_back(page, folder):
    before = page.get("identities")["identities"]
    edits = [
        {"do": "merge", "identities": [1, 2]},
        {"do": "split", "identity": 1, "tracks": [2, 6]},
        {"do": "move", "tracks": [3], "to": 4},
        {"do": "move", "tracks": [7, 8], "to": "new"},
        {"do": "not_a_face", "tracks": [11]},
        {"do": "not_a_face", "identities": [4]},
        {"do": "rename", "identity": 1, "name": "  Anna   Lind "},
        {"do": "state", "identities": [1, 5], "state": "ignore"},
        {"do": "distinct", "identities": [1, 5]},
        {"do": "keep", "tracks": [1]},
        {"do": "drop", "close_ups": [1, 2]},
        {"do": "use", "close_ups": [2]},
        {"do": "strength", "identity": 1, "strength": 0.25},
    ]
    made = [page.edit(edit) for edit in edits]
    assert [one["created"] for one in made[:5]] == [[], [5], [], [6], []]
    assert made[0]["said"] == ["Merge person 1 and person 2"]
    assert made[6]["said"] == ["Name person 1 Anna Lind"]
    assert held(page) == {1: [1, 5, 9, 10], 3: [11], 4: [3, 4, 12], 5: [2, 6], 6: [7, 8]}
    with Project.open(folder) as project:
        people = {one.id: one for one in project.identities()}
    assert people[1].name == "Anna Lind"
    assert people[1].strength == 0.25
    assert {number: one.state for number, one in people.items()} == {
        1: "ignore",
        3: "not_a_face",
        4: "not_a_face",
        5: "ignore",
        6: "restore",
    }
    for _ in edits:
        assert page.undo()["said"]
    assert page.undo()["said"] == []
    assert page.get("identities")["identities"] == before
    assert page.get("project")["can_undo"] is None
    for _ in edits:
        assert page.post("redo", {"version": page.get("version")["version"]})["said"]
    assert page.card(1)["name"] == "Anna Lind"
    assert page.get("project")["can_redo"] is None


def test_several_edits_are_one(page):
    before = held(page)
    page.edit(
        {"do": "merge", "identities": [1, 2]},
        {"do": "merge", "identities": [3, 4]},
        {"do": "rename", "identity": 3, "name": "Bo"},
    )
    assert page.get("project")["can_undo"] == "Name person 3 Bo, and 2 more"
    assert len(page.undo()["said"]) == 3
    assert held(page) == before


def test_one_that_is_not_possible_makes_none(page):
    before = page.get("log"), held(page)
    answer = page.edit(
        {"do": "merge", "identities": [1, 2]},
        {"do": "rename", "identity": 77, "name": "Bo"},
        expect=400,
    )
    assert "no identity 77" in answer["error"]
    assert (page.get("log"), held(page)) == before
    page.edit({"do": "rename", "identity": 1, "name": "Anna"})
    assert page.card(1)["name"] == "Anna"


@pytest.mark.parametrize(
    "edit",
    [
        {"do": "merge", "identities": [1]},
        {"do": "merge", "identities": [1, 1]},
        {"do": "split", "identity": 1, "tracks": [2]},
        {"do": "split", "identity": 1, "tracks": [1, 5, 9]},
        {"do": "move", "tracks": [99], "to": 1},
        {"do": "move", "tracks": [1], "to": "elsewhere"},
        {"do": "not_a_face"},
        {"do": "not_a_face", "tracks": [1], "identities": [1]},
        {"do": "rename", "identity": 1, "name": "x" * 200},
        {"do": "rename", "identity": 1, "name": "\u202e\u0007"},
        {"do": "state", "identities": [1], "state": "delete"},
        {"do": "link", "identity": 1, "profile": "Nobody"},
        {"do": "link", "identity": 1, "profile": "../../x"},
        {"do": "use", "close_ups": [1]},
        {"do": "drop", "close_ups": [99]},
        {"do": "strength", "identity": 1, "strength": 1.5},
        {"do": "strength", "identity": 1, "strength": -0.1},
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(shared, edit):
    before = shared.get("log")
    answer = shared.edit(edit, expect=400)
    assert answer["error"].endswith(".")
    assert shared.get("log") == before


def test_people_told_apart_are_joined_only_if_one_insists(page):
    page.edit({"do": "distinct", "identities": [1, 2]})
    answer = page.edit({"do": "merge", "identities": [1, 2]}, expect=409)
    assert answer["confirm"] == "force"
    page.edit({"do": "merge", "identities": [1, 2], "force": True})
    assert 2 not in held(page)


def test_who_saw_an_older_project_changes_nothing(page, folder):
    version = page.get("version")["version"]
    cli("identities", "rename", 2, "Bo", "-p", folder)
    now = page.get("version")["version"]
    assert now != version
    for path in ("undo", "redo"):
        assert page.post(path, {"version": version}, expect=409)["version"] == now
    answer = page.edit({"do": "merge", "identities": [1, 2]}, version=version, expect=409)
    assert answer["version"] == now
    assert page.card(2)["name"] == "Bo"
    assert page.get("project")["can_undo"] == "Name person 2 Bo"
    assert page.undo()["said"] == ["Name person 2 Bo"]


def test_of_two_tabs_at_once_one_is_told_to_look_again(page):
    version = page.get("version")["version"]
    together = threading.Barrier(8)

    def rename(number):
        with page.client() as http:
            edit = {"do": "rename", "identity": 1, "name": f"tab {number}"}
            together.wait()
            answer = http.post("/api/edits", json={"version": version, "edits": [edit]})
            return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(rename, range(8)))
    assert codes == [200] + [409] * 7
    assert len(page.get("log")["edits"]) == 1


def test_many_at_once_leave_a_whole_log(page, folder):
    """Each tries until it is not stale; reads go on meanwhile, and a process edits too."""
    failures = []

    def edit(number):
        with page.client() as http:
            for turn in range(6):
                edits = [
                    {"do": "rename", "identity": 1 + number % 4, "name": f"{number} {turn}"},
                    {"do": "strength", "identity": 1 + number % 4, "strength": turn / 10},
                ]
                while True:
                    version = http.get("/api/version").json()["version"]
                    body = {"version": version, "edits": edits}
                    answer = http.post("/api/edits", json=body)
                    if answer.status_code == 200:
                        break
                    if answer.status_code != 409:
                        failures.append(answer.text)
                        return
                reads = [http.get(f"/api/{path}") for path in ("identities", "log")]
                failures.extend(one.text for one in reads if one.status_code != 200)

    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(edit, number) for number in range(6)]
        cli("identities", "rename", 3, "by command", "-p", folder)
        for one in waiting:
            one.result()
    assert not failures
    with Project.open(folder) as project:
        edits = project.edits()
    assert len(edits) == 6 * 6 * 2 + 1
    groups = [one.group for one in edits if one.group is not None]
    assert all(groups.count(group) == 2 for group in groups)
    for _ in range(37):
        page.undo()
    assert page.get("project")["can_undo"] is None
    assert [card["name"] for card in page.get("identities")["identities"]] == [
        f"person {number}" for number in (1, 2, 3, 4)
    ]


KILLED = """
import sys
from pathlib import Path
from refrestore.project import Project
with Project.open(Path(sys.argv[1])) as project:
    print("ready", flush=True)
    for turn in range(100_000):
        with project.together():
            project.rename(1, f"turn {turn}")
            project.set_strength(1, turn % 10 / 10)
            project.move_tracks([2], 3 - project.identity_of_track()[2])
        if turn % 5 == 4:
            project.undo()
"""


@pytest.mark.parametrize("after", [0.05, 0.21, 0.4])
def test_a_kill_in_the_middle_of_a_write_leaves_whole_edits(folder, serve, after):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        time.sleep(after)
        process.kill()
    page = serve(folder)
    page.edit({"do": "state", "identities": [3], "state": "ignore"})
    with Project.open(folder) as project:
        ((whole,),) = project.database.rows("PRAGMA integrity_check")
        edits = project.edits()
    assert whole == "ok"
    groups = {}
    for one in edits:
        if one.group is not None:
            groups.setdefault(one.group, []).append(one.action)
    assert list(groups.values())[:-1] == [["rename", "strength", "move"]] * (len(groups) - 1)
    assert page.card(1)["name"].startswith(("turn", "person 1"))


def test_a_project_that_cannot_be_written_to_is_shown(page, serve, folder, tmp_path):
    page.edit({"do": "rename", "identity": 1, "name": "Anna"})
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = copy / "project.sqlite"
    with Project.open(copy):
        pass
    file.chmod(0o444)
    copy.chmod(0o555)
    try:
        if writable(copy):
            pytest.skip("this user may write everywhere")
        other = serve(copy)
        assert not other.get("project")["writable"]
        other.edit({"do": "rename", "identity": 1, "name": "Eve"}, expect=503)
        assert other.card(1)["name"] == "Anna"
    finally:
        copy.chmod(0o755)


def writable(folder):
    try:
        (folder / "probe").touch()
    except OSError:
        return False
    return True


def test_a_refusal_speaks_of_nothing_that_only_the_command_line_has(page):
    """Who is on screen with whom can be insisted on by a button."""
    page.edit({"do": "distinct", "identities": [1, 2]})
    answer = page.edit({"do": "merge", "identities": [1, 2]}, expect=409)
    assert answer["confirm"] == "force"
    assert "force" not in answer["error"]
    assert "--" not in answer["error"]
