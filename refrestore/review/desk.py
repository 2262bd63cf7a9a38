"""A queue of films behind the page: each film's project is opened when somebody looks at it."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from contextlib import ExitStack

from refrestore.batch.queue import Queue
from refrestore.batch.queued_film import QueuedFilm, State
from refrestore.errors import BatchError
from refrestore.project import Project

from .page_state import FilmInQueue, PageState
from .review_settings import ReviewSettings

MOST_SHOWN = 500
"""Films that the page lists."""

MOST_OPEN = 4
"""Films that are open at a time, with the pictures and networks of each."""


class Desk:
    """The films of a queue, and those that are open.

    Parameters
    ----------
    settings
        What `refrestore review` was asked for.
    queue
        The films.
    """

    def __init__(self, settings: ReviewSettings, queue: Queue) -> None:
        self.queue = queue
        self._settings = settings
        self._open: OrderedDict[int, tuple[PageState, ExitStack]] = OrderedDict()
        self._mutex = threading.Lock()

    def films(self, state: State | None) -> tuple[list[QueuedFilm], Counter[State]]:
        """Return films as they are now, and how many there are of each state."""
        self.queue.free_lost()
        return self.queue.wanting(MOST_SHOWN, state), self.queue.counts()

    def page_state(self, number: int) -> PageState:
        """Return the state of the page of a film's project.

        Raises
        ------
        BatchError
            When there is no such film, or it was not scanned yet.
        ProjectError
            When its project cannot be opened.
        """
        film = self.queue.film(number)
        if film.step == "scan":
            raise BatchError(f"{film.name} was not scanned yet: look at it when that is done.")
        with self._mutex:
            if number not in self._open:
                self._open[number] = self._opened(film)
                self._make_room(number)
            self._open.move_to_end(number)
            return self._open[number][0]

    def warm(self) -> None:
        """Have nothing to prepare: which film is looked at first is not known."""

    def close(self) -> None:
        """Close all projects, and end what is under way in them."""
        for _, stack in self._open.values():
            stack.close()
        self._open.clear()

    def _opened(self, film: QueuedFilm) -> tuple[PageState, ExitStack]:
        settings = self._settings.model_copy(
            update={"project": film.project, "output": film.output, "video": film.video}
        )
        with ExitStack() as stack:
            project = stack.enter_context(Project.open(film.project))
            page_state = PageState.of(settings, project, FilmInQueue(self.queue, film.id))
            stack.callback(page_state.close)
            return page_state, stack.pop_all()

    def _make_room(self, newest: int) -> None:
        """Close films nobody has looked at for longest, but none that is at work."""
        for number, (page_state, stack) in list(self._open.items()):
            if len(self._open) <= MOST_OPEN:
                return
            if number != newest and not page_state.jobs.busy:
                del self._open[number]
                stack.close()
