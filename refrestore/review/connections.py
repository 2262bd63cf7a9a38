"""How many connections may be open, and how long one may wait before it says who it is.

Any program on the machine can open connections to the page, and each costs a descriptor. Those
that have shown the cookie are the owner's; all others live for seconds, and go first when there are
too many.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .session import Session

MOST = 256
"""Connections at a time; a browser opens six."""

SHARE = 4
"""One in so many descriptors may be a connection that is known, and as many accepted at a time."""

ENOUGH_DESCRIPTORS = 4096

QUEUE = 4096
"""Connections that the system holds until they are accepted; one too many tries again after 1 s."""

STRANGER_SECONDS = 10
"""How long a connection may be open without having shown the cookie."""

HEAD_SECONDS = 10
"""How long the owner's browser may take for the head of its next request, once it has begun."""

KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 3
"""How long answers under way may take when the server is stopped."""

SAID_EVERY = 60.0
"""Seconds between two lines of one kind."""

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Sparing(logging.Filter):
    """Lets a sentence through once a minute, and then says how often it was kept back."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is shown; a bug always is."""
        if record.exc_info:
            return True
        last, kept = self._said.get(record.msg, (-SAID_EVERY, 0))
        now = time.monotonic()
        if now - last < SAID_EVERY:
            self._said[record.msg] = last, kept + 1
            return False
        self._said[record.msg] = now, 0
        if kept:
            record.msg = f"{record.msg} So {kept} times more since this was last said."
        return True


class Door:
    """The connections that are open.

    Parameters
    ----------
    session
        Knows whose they are.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        limit = _descriptors()
        self.most = max(SHARE, min(MOST, limit // SHARE))
        # Some turns of the event loop lie between accepting one and counting it.
        self.at_once = max(1, self.most // SHARE)
        self.logger = logging.Logger("refrestore.review.connections", logging.WARNING)
        self.logger.parent = logging.getLogger("refrestore.review")
        self.logger.addFilter(Sparing())
        self._open: dict[Connection, None] = {}

    def enter(self, connection: Connection) -> None:
        """Take one more, if need be in the place of the stranger that has waited longest."""
        self._open[connection] = None
        if len(self._open) > self.most:
            self.logger.warning(
                "More programs than a browser connect to the page: who has waited longest "
                "without its cookie is sent away."
            )
            self._longest_waiting(connection).drop()

    def leave(self, connection: Connection) -> None:
        """Forget one that was closed."""
        self._open.pop(connection, None)

    def trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Do what the event loop's own handler does, but for a want of descriptors."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _OUT_OF_DESCRIPTORS:
            loop.default_exception_handler(context)
            return
        self.logger.warning("The page could not take a connection: too many files are open.")
        for one in [one for one in self._open if not one.known]:
            one.drop()

    def _longest_waiting(self, newest: Connection) -> Connection:
        """Return who can go: a stranger, else who sends nothing, else the newest itself."""
        others = [one for one in self._open if one is not newest]
        idle = (one for one in others if one.waits)
        return next((one for one in others if not one.known), next(idle, newest))


class Connection(H11Protocol):
    """One connection, which must show the cookie in time.

    Parameters
    ----------
    door
        Where it is counted.
    """

    def __init__(self, door: Door, **made: Any) -> None:
        super().__init__(**made)
        self.known = False
        self._door, self._seen = door, self.scope
        self._waiting: asyncio.TimerHandle | None = None
        self.logger = door.logger

    @property
    def waits(self) -> bool:
        """Whether it is the other side's turn: with a request, or with the rest of one."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for who it is."""
        super().connection_made(transport)
        self._wait(STRANGER_SECONDS)
        self._door.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what was sent."""
        if self._waiting is None and self.conn.their_state is h11.IDLE:
            self._wait(HEAD_SECONDS)
        super().data_received(data)

    def handle_events(self) -> None:
        """Answer what is complete."""
        super().handle_events()
        if self.scope is self._seen:
            return
        self._seen = self.scope
        self.known = self.known or self._door.session.lets_in(
            self.scope["headers"], self.scope["query_string"]
        )
        if self.known:
            self._stop_waiting()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; what is answered to its beginning is for nobody."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # the answer had begun
            self.drop()

    def drop(self) -> None:
        """Close it without a word: nobody may be there to take one."""
        self._door.leave(self)
        self.transport.abort()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: such a request is answered as any other."""

    def _wait(self, seconds: float) -> None:
        self._waiting = self.loop.call_later(seconds, self.drop)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class BoundedServer(uvicorn.Server):
    """A server whose connections are bounded in number and in time.

    Parameters
    ----------
    app
        What answers.
    session
        Whose connections go last.

    Attributes
    ----------
    when_answering
        Is called once it answers, and a signal ends it in order.
    """

    when_answering: Callable[[], None] | None = None

    def __init__(self, app: Callable[..., Any], session: Session) -> None:
        self._door = Door(session)
        config = uvicorn.Config(
            app,
            http=partial(Connection, self._door),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=self._door.at_once,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        asyncio.get_running_loop().set_exception_handler(self._door.trouble)
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(QUEUE)  # asyncio has set it to what is accepted at a time
        if self.when_answering is not None and not self.should_exit:
            self.when_answering()


def _descriptors() -> int:
    """Raise this process's limit of open files where it may be; return it."""
    if sys.platform == "win32":  # there sockets are no descriptors
        return ENOUGH_DESCRIPTORS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    wanted = ENOUGH_DESCRIPTORS if hard == endless else min(hard, ENOUGH_DESCRIPTORS)
    if soft == endless or soft >= wanted:
        return ENOUGH_DESCRIPTORS if soft == endless else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted
