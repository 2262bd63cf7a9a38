"""The application: routes, the page's files, the guard around all of it."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp

from .failures import explain
from .files import PageFiles
from .place import Place
from .routes_drawing import drawing_routes
from .routes_editing import editing_routes
from .routes_jobs import job_routes
from .routes_pictures import picture_routes
from .routes_profiles import profile_routes
from .routes_reading import reading_routes
from .security import Guard
from .session import Session

STATIC = Path(__file__).parent / "static"

COOKIE_SECONDS = 30 * 24 * 3600
"""As long as a browser keeps it; the server that knows it ends before."""

USED = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>refrestore</title>"
    "<link rel=icon href=/icon.svg>"
    "<p>This address was used before or is not right: each works once. Press Enter where "
    "<code>refrestore review</code> runs, or start it again, and open the address it prints."
)


def create_app(place: Place, session: Session, host: str, port: int) -> ASGIApp:
    """Return the application that serves one project.

    Parameters
    ----------
    place
        The project.
    session
        Who may use it.
    host, port
        Where it listens.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    explain(app)
    files = PageFiles(STATIC)
    for routes in (
        reading_routes,
        editing_routes,
        drawing_routes,
        picture_routes,
        profile_routes,
        job_routes,
    ):
        app.include_router(routes(place))

    @app.get("/")
    def index(request: Request, token: str | None = None) -> Response:
        if token is None:
            return files.answer(request.scope, "index.html")
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

    app.mount("/", files)
    return Guard(app, session, host, port)
