"""Runs the page until it is stopped."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from refrestore.batch.queue import Queue
from refrestore.errors import UsageError
from refrestore.project import Project

from .app import create_app, create_queue_app
from .connections import QUEUE, BoundedServer
from .desk import Desk
from .page_state import PageState
from .review_settings import ReviewSettings
from .session import Session

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Running:
    """A page that listens and waits for `server.run(sockets=[listener])`.

    Parameters
    ----------
    base
        Where the page is.
    server, listener
        Who answers, and where.
    page_state, session
        What is served, and to whom.
    """

    base: str
    server: BoundedServer
    listener: socket.socket
    page_state: PageState | Desk
    session: Session

    def new_address(self) -> str:
        """Return an address that lets one browser in, once; the one before does not any more."""
        return f"{self.base}/?token={self.session.new_token()}"

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Answer in a thread of its own until the block ends."""
        thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self.server.should_exit = True
            thread.join()


@contextmanager
def prepared(settings: ReviewSettings) -> Iterator[Running]:
    """Open a project or a queue and a port for its page; both are closed at the end.

    Parameters
    ----------
    settings
        What and where.

    Raises
    ------
    ProjectError, BatchError
        When there is no project, or the file is no queue.
    UsageError
        When the port is taken or the address is not this machine's.
    """
    with _behind(settings) as page_state, _listening(settings) as listener:
        port = listener.getsockname()[1]
        session = Session(port)
        if isinstance(page_state, Desk):
            app = create_queue_app(page_state, session, settings.host, port)
        else:
            app = create_app(page_state, session, settings.host, port)
        server = BoundedServer(app, session)
        # The address has the token in it, and another library may give this logger a handler.
        logging.getLogger("uvicorn.access").disabled = True
        base = f"http://{_shown(settings.host)}:{port}"
        try:
            yield Running(base, server, listener, page_state, session)
        finally:
            page_state.close()


@contextmanager
def _behind(settings: ReviewSettings) -> Iterator[PageState | Desk]:
    """Open what is shown: a project, or a queue of films."""
    if settings.is_queue:
        with Queue(settings.project) as queue:
            yield Desk(settings, queue)
    else:
        with Project.open(settings.project) as project:
            yield PageState.of(settings, project)


def serve(
    settings: ReviewSettings,
    tell: Callable[[str], None],
    warn: Callable[[str], None] = lambda sentence: None,
    wishes: Iterable[object] | None = None,
) -> None:
    """Serve the page of a project until interrupted.

    Parameters
    ----------
    settings
        What and where.
    tell
        Is told the address once the page can be opened, and another at each wish.
    warn
        Is told what the user should know.
    wishes
        Comes by whenever the user wants another address; waits meanwhile, in a thread of its own.

    Raises
    ------
    ProjectError, UsageError
        As `prepared`.
    """
    with prepared(settings) as running:
        if not settings.loopback:
            warn(
                f"Anybody who can reach {settings.host} and has the address below can see and "
                "change this project, and what is sent is not encrypted."
            )
        running.page_state.warm()

        def answering() -> None:
            url = running.new_address()
            tell(url)
            if wishes is None:
                warn("This address works once, in one browser; start this again for another.")
            else:
                warn("This address works once, in one browser; press Enter for another.")
                threading.Thread(target=_tell, args=(running, tell, wishes), daemon=True).start()
            if settings.open_browser:
                threading.Thread(target=_open, args=(url,), daemon=True).start()

        running.server.when_answering = answering
        running.server.run(sockets=[running.listener])


def _tell(running: Running, tell: Callable[[str], None], wishes: Iterable[object]) -> None:
    for _ in wishes:
        tell(running.new_address())


def _listening(settings: ReviewSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Without the protocol asyncio leaves Nagle on, and every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let two programs share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(QUEUE)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"Cannot listen on {settings.host}, port {settings.port} "
            f"({error.strerror or error}): choose another with --port, or stop what uses it."
        ) from error
    return listener


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"
    return f"[{host}]" if ":" in host else host


def _open(url: str) -> None:
    try:
        webbrowser.open(url)
    except (webbrowser.Error, OSError):
        _log.info("No browser could be opened.")
