"""Every attack that the page is guarded against, tried."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import logging
import re
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from refrestore.review.security import AGAIN, FIRST, POLICY, Guard
from refrestore.review.session import Session


@pytest.fixture(scope="module")
def page(shared):
    """Return a page that no attack changes."""
    return shared


@pytest.fixture
def fresh(serve, folder):
    return serve(folder)


WRITES = ["edits", "undo", "redo", "previews", "renders", "profiles", "jobs/1/cancel"]
READS = [
    "version",
    "project",
    "identities",
    "identities/1",
    "suggestions",
    "log",
    "profiles",
    "jobs",
    "jobs/1",
    "jobs/1/frame.jpg",
    "jobs/1/files/report.html",
    "renders/estimate",
    "pictures/1/tracks/1.jpg",
    "pictures/1/close-ups/1.jpg",
    "pictures/profiles/Anna/1/cover.jpg",
]


def raw(page, method="GET", path="/api/version", body=b"", *, host=None, cookie=True, **headers):
    """Send exactly this; return status, headers (lower case) and body."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if host != "":
        connection.putheader("Host", host or f"127.0.0.1:{page.port}")
    if cookie:
        connection.putheader("Cookie", page.cookie)
    if body and "Transfer_Encoding" not in headers:
        headers.setdefault("Content_Length", str(len(body)))
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body or None)
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return found


def own(page):
    return {"X_Refrestore": "1", "Content_Type": "application/json"}


def rename(page, name="Eve"):
    version = page.get("version")["version"]
    edit = {"do": "rename", "identity": 1, "name": name}
    return json.dumps({"version": version, "edits": [edit]}).encode()


def names(page):
    return [one["name"] for one in page.get("identities")["identities"]]


@pytest.mark.parametrize("path", READS)
def test_nothing_is_told_without_the_cookie(page, path):
    status, _, body = raw(page, path=f"/api/{path}", cookie=False)
    assert status == 401
    assert json.loads(body) == {"error": FIRST}


@pytest.mark.parametrize("path", WRITES)
def test_nothing_is_changed_without_the_cookie(page, path):
    status, *_ = raw(page, "POST", f"/api/{path}", rename(page), cookie=False, **own(page))
    assert status == 401
    assert "Eve" not in names(page)


@pytest.mark.parametrize("value", ["", "x", "0" * 64, "{cookie}0", "\u00e9"])
def test_a_wrong_cookie_is_none(page, value):
    name, right = page.cookie.split("=")
    wrong = f"{name}={value.replace('{cookie}', right)}".encode().decode("latin-1")
    assert raw(page, cookie=False, Cookie=wrong)[0] == 401
    assert raw(page, cookie=False, Cookie=f"other={right}")[0] == 401
    assert raw(page, cookie=False, Cookie=f"a=b; {page.cookie}; c")[0] == 200


def token_of(page):
    return page.running.new_address().split("token=")[1]


def test_the_token_is_taken_once_and_gives_a_cookie_that_scripts_cannot_read(fresh):
    token = token_of(fresh)
    for wrong in ("", "x", token[:-1], token + "x", "%00", "%F0%9F%98%80"):
        status, headers, _ = raw(fresh, path=f"/?token={wrong}", cookie=False)
        assert (status, "set-cookie" in headers) == (403, False)
    status, headers, _ = raw(fresh, path=f"/?token={token}", cookie=False)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert re.match(rf"refrestore-{fresh.port}=[0-9a-f]{{64}}; ", cookie)
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Path=/" in cookie
    assert raw(fresh, cookie=False, Cookie=cookie.split(";")[0])[0] == 200
    status, headers, body = raw(fresh, path=f"/?token={token}", cookie=False)
    assert (status, "set-cookie" in headers) == (403, False)
    assert b"used before" in body


def test_a_used_address_opens_the_page_for_who_has_the_cookie(fresh):
    token = token_of(fresh)
    raw(fresh, path=f"/?token={token}", cookie=False)
    assert raw(fresh, path=f"/?token={token}")[0] == 303


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example",
     "127.0.0.1:{port}.evil.example", "0.0.0.0:{port}", "192.168.1.5:{port}", ""],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/version", "/?token={token}", "/js/app.js"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(page, host, path):
    path = path.replace("{token}", token_of(page))
    status, headers, _ = raw(page, path=path, host=host.replace("{port}", str(page.port)))
    assert status in ((400, 421) if host == "" else (421,))
    assert "set-cookie" not in headers


def test_two_hosts_are_refused(page):
    assert raw(page, Host="evil.example")[0] in (400, 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_its_own_names_are_known(page, host):
    assert raw(page, host=f"{host}:{page.port}")[0] == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1",
     "http://localhost:{port}", "http://127.0.0.1:{port}.evil.example", ""],
)  # fmt: skip
@pytest.mark.parametrize("path", WRITES)
def test_another_page_cannot_change_anything(page, origin, path):
    origin = origin.replace("{port}", str(page.port))
    status, *_ = raw(page, "POST", f"/api/{path}", rename(page), Origin=origin, **own(page))
    assert status == 403
    assert "Eve" not in names(page)


@pytest.mark.parametrize("path", WRITES)
def test_a_form_cannot_change_anything(page, path):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
        status, *_ = raw(page, "POST", f"/api/{path}", rename(page), Content_Type=kind)
        assert status == 403
    for value in ("0", "", "11"):
        headers = {"X_Refrestore": value, "Content_Type": "application/json"}
        assert raw(page, "POST", f"/api/{path}", rename(page), **headers)[0] == 403
    assert "Eve" not in names(page)


def test_the_page_itself_can(fresh):
    origin = f"http://127.0.0.1:{fresh.port}"
    headers = {**own(fresh), "Origin": origin, "Sec_Fetch_Site": "same-origin"}
    assert raw(fresh, "POST", "/api/edits", rename(fresh), **headers)[0] == 200
    assert "Eve" in names(fresh)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_on_another_port_cannot_read(page, site):
    assert raw(page, Sec_Fetch_Site=site)[0] == 403
    assert raw(page, path="/api/pictures/1/tracks/1.jpg", Sec_Fetch_Site=site)[0] == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X"])
def test_other_methods_do_nothing(page, method):
    status, headers, _ = raw(page, method, "/api/edits", **own(page))
    assert status in (400, 403, 404, 405)
    assert not any(name.startswith("access-control") for name in headers)


ESCAPES = ["..", "../..", "..%2f..", "%2e%2e", "%2e%2e%2f%2e%2e", "..%5c..", "..\\..", "%00",
           "1%00.jpg", "%2fetc%2fpasswd", "/etc/passwd", "....//", "%252e%252e", "-1", "1e3",
           "99999999999999999999", "%F0%9F%98%80", "C:%5Cwindows", "~", "con", "0x1"]  # fmt: skip
PLACES = [
    "/{}",
    "/js/{}",
    "/{}/project.sqlite",
    "/js/{}/{}/server.py",
    "/api/{}",
    "/api/identities/{}",
    "/api/jobs/{}",
    "/api/jobs/{}/frame.jpg",
    "/api/jobs/1/files/{}",
    "/api/jobs/{}/files/report.html",
    "/api/pictures/{}/tracks/1.jpg",
    "/api/pictures/1/tracks/{}.jpg",
    "/api/pictures/1/tracks/{}",
    "/api/pictures/1/close-ups/{}.jpg",
    "/api/pictures/1/close-ups/1.jpg?size={}",
    "/api/pictures/profiles/{}/1/cover.jpg",
    "/api/pictures/profiles/x/{}/cover.jpg",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_path_leads_out(page, place):
    (page.page_state.project.folder.parent / "secret.jpg").write_bytes(b"SECRET")
    for escape in ESCAPES:
        status, _, body = raw(page, path=place.replace("{}", escape))
        assert status in (307, 400, 404), (place, escape)
        assert b"SECRET" not in body
        assert b"SQLite" not in body
        assert b"root:" not in body
        assert b"import" not in body


@pytest.mark.parametrize("escape", [e for e in ESCAPES if e not in ("-1", "1e3")])
def test_a_photo_goes_to_no_other_folder(page, escape):
    home = page.page_state.project.folder.parent.parent
    before = sorted(home.rglob("*"))
    headers = {"X_Refrestore": "1", "Content_Type": "image/png"}
    path = f"/api/profiles/{escape}/photos"
    assert raw(page, "POST", path, picture(), **headers)[0] in (307, 400, 404, 405)
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    "name",
    ["../film.mp4", "/tmp/film.mp4", "..", ".", "a/b.mp4", "a\\b.mp4", ".hidden.mp4", "x",
     "\x00.mp4", "a\nb.mp4", "C:\\film.mp4", "film.mp4:x", "", "a" * 300 + ".mp4"],
)  # fmt: skip
def test_a_render_is_written_nowhere_else(page, name):
    folder = page.page_state.project.folder
    before = sorted(folder.parent.rglob("*"))
    page.post("renders", {"name": name}, expect=400)
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("name", ["../Eve", "/tmp/Eve", "..", ".hidden", "a/b", "a\\b", "\x00", ""])
def test_a_profile_is_made_nowhere_else(page, name):
    home = page.page_state.project.folder.parent.parent
    before = sorted(home.rglob("*"))
    page.post("profiles", {"name": name, "identity": 1}, expect=400)
    assert sorted(home.rglob("*")) == before


def picture(size=(64, 64), kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def bomb(width, height):
    """Return a PNG whose header promises more than it holds."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000_000, 9)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture(scope="module")
def anna(page):
    """Make a profile of person 1."""
    page.post("profiles", {"name": "Anna", "identity": 1})
    return page.page_state.profile_index.store.path("Anna")


def drop(page, body, kind="image/png", **headers):
    headers = {"X_Refrestore": "1", "Content_Type": kind, **headers}
    status, _, answer = raw(page, "POST", "/api/profiles/Anna/photos", body, **headers)
    return status, json.loads(answer)


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_picture_that_promises_too_much_is_not_decoded(page, anna):
    before = snapshot(anna)
    status, answer = drop(page, bomb(60_000, 60_000))
    assert status == 400
    assert "160 megapixels" in answer["error"]
    assert snapshot(anna) == before


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"no picture at all", "image/png", 400),
        (b"\x89PNG\r\n\x1a\n", "image/png", 400),
        (picture()[:-30], "image/png", 400),
        (picture(), "image/jpeg", 400),
        (SVG, "image/png", 400),
        (SVG, "image/svg+xml", 415),
        (picture(kind="TIFF"), "image/png", 400),
        (picture(kind="GIF"), "image/gif", 415),
        (picture(), "text/html", 415),
        (picture(), "multipart/form-data; boundary=x", 415),
        (picture(), "", 415),
        (picture((8, 8)), "image/png", 400),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/png", 400),
    ],
)
def test_what_is_no_photo_is_refused(page, anna, body, kind, status):
    before = snapshot(anna)
    found, answer = drop(page, body, kind)
    assert (found, set(answer)) == (status, {"error"})
    assert snapshot(anna) == before


def test_too_large_a_photo_is_refused_before_it_is_sent(page, anna):
    status, answer = drop(page, b"", Content_Length="30000001")
    assert (status, "30 MB" in answer["error"]) == (413, True)


@pytest.mark.parametrize(
    ("path", "most"), [("profiles/Anna/photos", 30_000_000), ("edits", 1_000_000)]
)
def test_a_body_without_a_length_is_cut_off(page, anna, path, most):
    sent = 0
    with socket.create_connection(("127.0.0.1", page.port), timeout=60) as connection:
        head = (
            f"POST /api/{path} HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nCookie: {page.cookie}\r\n"
            "X-Refrestore: 1\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode())
        block = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        try:
            while sent < 4 * most:
                connection.sendall(block)
                sent += 0x10000
        except OSError:
            pass
        try:
            answer = connection.recv(65536)
        except OSError:
            answer = b""
    assert answer.startswith(b"HTTP/1.1 413") or (answer == b"" and sent < 4 * most)


def test_a_length_that_lies_gains_nothing(page):
    body = rename(page)
    smuggled = b"GET /api/version HTTP/1.1\r\nHost: evil\r\n\r\n"
    status, *_ = raw(page, "POST", "/api/edits", body + smuggled, **own(page))
    assert status == 400
    headers = {**own(page), "Content_Length": "5"}
    assert raw(page, "POST", "/api/edits", body, **headers)[0] == 400
    assert raw(page, "POST", "/api/edits", b"", **own(page), Content_Length="-1")[0] == 400
    assert raw(page, "POST", "/api/edits", b"", **own(page), Content_Length="1e9")[0] == 400
    assert "Eve" not in names(page)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'"x"', b'{"version": 1}', b'{"version": "1.0", "edits": []}',
     b'{"version": "1.0", "edits": [{"do": "format"}]}', b"[" * 100_000,
     b'{"version": "1.0", "edits": [{"do": "rename", "identity": 1e400, "name": "x"}]}',
     b'{"version": "1.0", "edits": [{"do": "rename", "identity": "1", "name": "x"}]}',
     b'{"version": "1.0", "edits": [{"do": "rename", "identity": 1, "name": "x", "more": 1}]}',
     b'{"version": "1.0", "edits": [{"do": "strength", "identity": 1, "strength": NaN}]}',
     b'{"version": "1.0", "edits": [{"do": "rename", "identity": 1, "name": "\\ud800"}]}',
     b"\xff\xfe"],
)  # fmt: skip
def test_nonsense_is_refused_in_a_sentence(page, body):
    before = page.get("log")
    status, _, answer = raw(page, "POST", "/api/edits", body, **own(page))
    assert status == 400
    assert json.loads(answer)["error"]
    assert page.get("log") == before


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/nothing", "/nothing", "/js/nothing"])
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_carries_the_policy(page, path, known):
    for host in (None, "evil.example"):
        for method in ("GET", "POST"):
            _, headers, _ = raw(page, method, path, host=host, cookie=known)
            assert headers["content-security-policy"] == POLICY
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["cache-control"] in ("no-store", "no-cache")
            assert "server" not in headers


def test_the_policy_runs_nothing_but_the_page_s_own_files():
    said = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert said["default-src"] == "'none'"
    assert said["script-src"] == said["style-src"] == said["connect-src"] == "'self'"
    assert "unsafe" not in POLICY


def test_an_answer_that_breaks_says_nothing_of_the_inside(fresh, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(fresh.page_state.reader, "version", broken)
    status, headers, body = raw(fresh)
    assert status == 500
    assert b"secret" not in body
    assert headers["content-security-policy"] == POLICY


def test_the_token_is_in_no_log(fresh, caplog):
    caplog.set_level(logging.DEBUG)
    token = token_of(fresh)
    raw(fresh, path=f"/?token={token}", cookie=False)
    raw(fresh, path=f"/?token={token}x", cookie=False)
    raw(fresh, path=f"/?token={token}", host="evil.example", cookie=False)
    assert token not in caplog.text
    assert fresh.running.session.cookie not in caplog.text


def test_a_cookie_ends_with_its_server(serve, folder):
    first = serve(folder)
    again = serve(folder)  # as one that was started again on the same port
    value = first.cookie.split("=")[1]
    old = f"{again.running.session.cookie_name}={value}"
    assert first.http.get("/api/version").status_code == 200
    status, _, body = raw(again, cookie=False, Cookie=old)
    assert (status, json.loads(body)["error"]) == (401, AGAIN)
    assert raw(again, "POST", "/api/edits", b"{}", cookie=False, Cookie=old, **own(again))[0] == 401


def test_a_new_address_lets_one_more_browser_in_and_ends_the_one_before(fresh):
    first, second = token_of(fresh), token_of(fresh)
    assert raw(fresh, path=f"/?token={first}", cookie=False)[0] == 403
    assert raw(fresh, path=f"/?token={second}", cookie=False)[0] == 303
    assert raw(fresh, path=f"/?token={second}", cookie=False)[0] == 403
    assert raw(fresh, path=f"/?token={token_of(fresh)}", cookie=False)[0] == 303


@pytest.mark.parametrize(
    "path",
    ["/", "/js/main.js", "/nothing", "/api/version", "/api/nothing",
     "/api/pictures/1/tracks/1.jpg", "/api/pictures/1/close-ups/1.jpg"],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_head_answers_as_get_without_a_body(page, path, known):
    def said(method):
        status, headers, body = raw(page, method, path, cookie=known)
        return (status, {k: v for k, v in headers.items() if k != "date"}), body

    (get, body), (head, nothing) = said("GET"), said("HEAD")
    assert head == get
    assert body
    assert nothing == b""


def test_who_only_looks_at_an_address_does_not_use_it_up(fresh):
    token = token_of(fresh)
    status, headers, _ = raw(fresh, "HEAD", f"/?token={token}", cookie=False)
    assert (status, "set-cookie" in headers) == (200, False)
    assert raw(fresh, path=f"/?token={token}", cookie=False)[0] == 303


def test_on_all_addresses_names_are_refused_and_addresses_need_the_token_too(serve, folder):
    page = serve(folder, host="0.0.0.0")
    assert raw(page, host=f"evil.example:{page.port}")[0] == 421
    assert raw(page, host=f"192.168.1.5:{page.port}")[0] == 200
    assert raw(page, host=f"192.168.1.5:{page.port}", cookie=False)[0] == 401
    assert raw(page, host=f"{socket.gethostname()}:{page.port}")[0] == 200


def test_a_websocket_is_closed():
    async def never(*_):
        raise AssertionError

    sent = []

    async def send(message):
        sent.append(message)

    guard = Guard(never, Session(1), "127.0.0.1", 1)
    asyncio.run(guard({"type": "websocket", "path": "/"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_only_the_page_s_own_files_are_served(page):
    script = page.http.get("/js/main.js")
    assert script.status_code == 200
    assert script.headers["content-type"].startswith("text/javascript")
    again = page.http.get("/js/main.js", headers={"If-None-Match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert page.http.get("/icon.svg").headers["content-type"] == "image/svg+xml"
    for path in ("/tsconfig.json", "/vendor/README.md", "/js/", "/nothing.js"):
        assert page.http.get(path).status_code == 404, path
