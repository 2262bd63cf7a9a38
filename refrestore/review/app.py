"""The application: routes, the page's files, the guard around all of it."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from refrestore.errors import RefrestoreError

from .desk import Desk
from .page_files import PageFiles
from .page_state import PageState
from .refusals import explain
from .routes_drawing import drawing_routes
from .routes_editing import editing_routes
from .routes_jobs import job_routes
from .routes_pictures import picture_routes
from .routes_profiles import profile_routes
from .routes_queue import queue_routes, queued_routes
from .routes_reading import reading_routes
from .security import Guard
from .session import Session

STATIC = Path(__file__).parent / "static"

_FILM = re.compile(r"/films/(\d{1,15})(/.*)?", re.DOTALL)

COOKIE_SECONDS = 30 * 24 * 3600
"""As long as a browser keeps it; the server that knows it ends before."""

USED = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>refrestore</title>"
    "<link rel=icon href=/icon.svg>"
    "<p>This address was used before or is not right: each works once. Press Enter where "
    "<code>refrestore review</code> runs, or start it again, and open the address it prints."
)


def create_app(page_state: PageState, session: Session, host: str, port: int) -> ASGIApp:
    """Return the application that serves one project.

    Parameters
    ----------
    page_state
        The project.
    session
        Who may use it.
    host, port
        Where it listens.
    """
    app, files = _of_place(page_state), PageFiles(STATIC)
    _entrance(app, session, files, "index.html")
    app.mount("/", files)
    return Guard(app, session, host, port)


def create_queue_app(desk: Desk, session: Session, host: str, port: int) -> ASGIApp:
    """Return the application that serves a queue, and below `films/` the project of each film.

    Parameters
    ----------
    desk
        The queue.
    session, host, port
        As of `create_app`.
    """
    app, files = _application(), PageFiles(STATIC)
    app.include_router(queue_routes(desk))
    _entrance(app, session, files, "queue.html")
    app.mount("/", files)
    return Guard(QueuePages(desk, files, app), session, host, port)


class QueuePages:
    """ASGI application that gives each film of a queue the page of its project.

    Parameters
    ----------
    desk
        The queue.
    files
        The page's.
    rest
        Answers what is asked of no film.
    """

    def __init__(self, desk: Desk, files: PageFiles, rest: ASGIApp) -> None:
        self._desk, self._files, self._rest = desk, files, rest
        self._apps: dict[int, tuple[PageState, ASGIApp]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the film's own application answer, to which it is all there is."""
        found = _FILM.fullmatch(scope.get("path", ""))
        if found is None:
            await self._rest(scope, receive, send)
            return
        number, rest = int(found[1]), found[2]
        if not rest:
            await RedirectResponse(f"/films/{number}/", 307)(scope, receive, send)
            return
        try:
            page_state = await run_in_threadpool(self._desk.page_state, number)
        except RefrestoreError as error:
            await _no_film(rest, str(error))(scope, receive, send)
            return
        inner = {**scope, "path": rest, "raw_path": rest.encode(), "root_path": ""}
        await self._app(number, page_state)(inner, receive, send)

    def _app(self, number: int, page_state: PageState) -> ASGIApp:
        known = self._apps.get(number)
        if known is None or known[0] is not page_state:
            app = _of_place(page_state)
            app.include_router(queued_routes(page_state))

            @app.get("/")
            def index(request: Request) -> Response:
                return self._files.answer(request.scope, "index.html")

            app.mount("/", self._files)
            known = self._apps[number] = (page_state, app)
        return known[1]


def _no_film(path: str, sentence: str) -> Response:
    if path.startswith("/api/"):
        return JSONResponse({"error": sentence}, 404)
    return PlainTextResponse(sentence, 404)


def _application() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    explain(app)
    return app


def _of_place(page_state: PageState) -> FastAPI:
    app = _application()
    for routes in (
        reading_routes,
        editing_routes,
        drawing_routes,
        picture_routes,
        profile_routes,
        job_routes,
    ):
        app.include_router(routes(page_state))
    return app


def _entrance(app: FastAPI, session: Session, files: PageFiles, page: str) -> None:
    """Serve the first page, and let in who comes by an address that was not used yet."""

    @app.get("/")
    def index(request: Request, token: str | None = None) -> Response:
        if token is None:
            return files.answer(request.scope, page)
        known = session.knows(request.headers.get("cookie", ""))
        if not session.redeem(token) and not known:
            return HTMLResponse(USED, 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            session.cookie_name,
            session.cookie,
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
        )
        return answer
