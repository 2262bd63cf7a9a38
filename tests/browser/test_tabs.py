"""Two tabs of one project, a server that goes away and comes back, and what no tab may do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from refrestore.profiles import ProfileStore
from refrestore.project import Project

from .conftest import Review, window


def named(page, identity):
    return page.locator(f'[data-testid="card"][data-identity="{identity}"] [data-testid="name"]')


def rename(page, identity, name):
    named(page, identity).click()
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def test_an_edit_in_one_tab_appears_in_the_other(review):
    other = review.tab()
    rename(review.page, 1, "Anna")
    review.done("Anna")
    expect(named(other, 1)).to_have_text("Anna")
    other.get_by_test_id("undo").click()
    expect(named(review.page, 1)).to_have_text("person 1")
    assert review.people()[1].name == "person 1"
    with Project.open(review.folder) as project:  # as the command line would
        project.rename(2, "Bo")
    for page in (review.page, other):
        expect(named(page, 2)).to_have_text("Bo")


def test_an_edit_on_what_is_out_of_date_is_refused_and_says_so(review):
    review.watched.allow("409")
    slow = review.tab()
    held = []

    def hold(route):
        held.append(route)

    slow.route("**/api/version", hold)
    with slow.expect_request("**/api/version"):
        pass
    rename(review.page, 1, "Anna")
    review.done("Anna")
    expect(named(slow, 1)).to_have_text("person 1")
    rename(slow, 1, "Agnes")
    expect(slow.get_by_test_id("error")).to_contain_text("Changed in another window")
    expect(named(slow, 1)).to_have_text("Anna")
    assert review.people()[1].name == "Anna"
    rename(slow, 1, "Agnes")
    expect(named(slow, 1)).to_have_text("Agnes")
    expect(named(review.page, 1)).to_have_text("Agnes")
    assert review.people()[1].name == "Agnes"
    assert held
    slow.unroute("**/api/version", hold)


def start(project, home, port):
    """Start the command; return the process and the address it prints."""
    options = ["--no-browser", "--device", "cpu", "--port", str(port)]
    options += ["--profiles-dir", str(home / "profiles")]
    process = subprocess.Popen(
        [sys.executable, "-m", "refrestore", "review", str(project), *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


@pytest.mark.skipif(os.name != "posix", reason="kill")
def test_the_page_goes_on_after_the_server_was_killed_and_started_again(chromium, demo, tmp_path):
    project = demo.copied(tmp_path / "demo").project
    server, url = start(project, tmp_path, 0)
    base = url.split("/?")[0]
    try:
        with window(chromium, base) as watched:
            watched.allow("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
            watched.allow("401")
            review = Review(watched, url, project, ProfileStore(tmp_path / "profiles"))
            rename(review.page, 1, "Anna")
            review.done("Anna")
            server.send_signal(signal.SIGKILL)
            server.wait()
            expect(review.page.get_by_test_id("gone")).to_be_visible()
            with Project.open(project) as opened:
                opened.rename(2, "Bo")
            server, again = start(project, tmp_path, base.rsplit(":", 1)[1])
            assert again.startswith(base)
            assert again != url
            review.page.get_by_role("button", name="Try now").click()
            locked = review.page.get_by_test_id("locked")
            expect(locked).to_contain_text("refrestore was started again")
            review.tab(again).close()
            review.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            expect(locked).to_have_count(0)
            expect(named(review.page, 2)).to_have_text("Bo")
            rename(review.page, 3, "Carla")
            review.done("Carla")
            assert [review.people()[i].name for i in (1, 2, 3)] == ["Anna", "Bo", "Carla"]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def test_the_page_may_run_no_foreign_script_and_ask_nobody_else(review):
    """Also the proof that what all tests here watch for is seen."""
    page, watched = review.page, review.watched
    page.evaluate("() => fetch('http://127.0.0.2:9/').catch(() => null)")
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.foreign = true";
            document.body.append(script);
            const picture = new Image();
            picture.src = "http://127.0.0.2:9/picture.png";
        }"""
    )
    wanted = ("policy: connect-src", "policy: script-src", "policy: img-src", "request: http://127")
    for _ in range(400):
        if all(any(words in one for one in watched.wrong) for words in wanted):
            break
        page.wait_for_timeout(50)
    else:
        pytest.fail(f"{wanted} were not all seen in {watched.wrong}")
    assert page.evaluate("() => window.foreign") is None
    watched.wrong.clear()
