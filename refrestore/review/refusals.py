"""Errors as answers: one sentence each."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from refrestore.errors import ApartError, DiskError, RefrestoreError

FORCE = "force"
OVERWRITE = "overwrite"

_log = logging.getLogger(__name__)


class NotFoundError(Exception):
    """What was asked for is not there."""


class StaleError(Exception):
    """The project has changed since the page last read it.

    Parameters
    ----------
    version
        As it is now.
    """

    def __init__(self, version: str) -> None:
        super().__init__("The project was changed meanwhile: look at it as it is now, and again.")
        self.version = version


class ConflictError(Exception):
    """What cannot be done now, or only if the user insists.

    Parameters
    ----------
    sentence
        Why.
    confirm
        Which field, set to true, would do it all the same; None if nothing would.
    """

    def __init__(self, sentence: str, confirm: str | None = None) -> None:
        super().__init__(sentence)
        self.confirm = confirm


def explain(app: FastAPI) -> None:
    """Make the application answer errors as JSON with one sentence."""
    app.add_exception_handler(NotFoundError, _not_found)
    app.add_exception_handler(StaleError, _stale)
    app.add_exception_handler(ConflictError, _conflict)
    app.add_exception_handler(RefrestoreError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _bug)


def _answer(status: int, sentence: str, **more: Any) -> JSONResponse:
    return JSONResponse({"error": sentence, **more}, status)


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    return _answer(404, str(error))


async def _stale(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StaleError)
    return _answer(409, str(error), version=error.version)


async def _conflict(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ConflictError)
    more = {} if error.confirm is None else {"confirm": error.confirm}
    return _answer(409, str(error), **more)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, ApartError):
        return _answer(409, str(error), confirm=FORCE)
    return _answer(503 if isinstance(error, DiskError) else 400, str(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "The request"
    return _answer(400, f"{place} is not as it must be: {first['msg']}.")


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = _answer(error.status_code, f"{str(error.detail).rstrip('.')}.")
    answer.headers.update(error.headers or {})
    return answer


async def _left(request: Request, error: Exception) -> JSONResponse:
    return _answer(400, "The rest of this never came.")  # nobody is there to read it


async def _bug(request: Request, error: Exception) -> JSONResponse:
    _log.error("An answer failed.", exc_info=error)
    return _answer(500, "Something went wrong in refrestore; its terminal says what.")
