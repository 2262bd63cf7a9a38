"""A worker of a cluster: opens its networks once, and works off one task after another.

Nothing here knows what calls it, or from where. What a worker is busy with lies in a temporary
folder, which is gone when the task is done.
"""

from __future__ import annotations

import os
import pickle
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from refrestore import __version__
from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import DiskError, MediaError, ModelError, RefrestoreError
from refrestore.media.files import disk_error
from refrestore.media.probe import VideoInfo, fingerprint
from refrestore.models.runtime import available_cpus
from refrestore.storage.workplace import temporary_folder

if TYPE_CHECKING:
    from refrestore.scan.work import Work

LIBRARIES = ("torch", "numpy", "scipy", "opencv-python", "av", "onnxruntime", "onnxruntime-gpu")
"""What computes, decodes and encodes."""

SCRATCH = "refrestore-worker-"
"""Prefix of the folder for what a task works on."""

NEWS_SECONDS, QUIET_SECONDS = 0.5, 5.0
"""How often a worker tells how far it is at most, and at least."""


class Fetching(Protocol):
    """Fetches a value that many tasks share (`task.Fetch`)."""

    @property
    def key(self) -> str:
        """Tells values apart."""

    def __call__(self) -> Any:
        """Return the value."""


class Failed(NamedTuple):
    """A task that cannot be done.

    Parameters
    ----------
    kind
        Name of the error's class in `errors`.
    sentence
        What happened.
    refused
        Whether it is this machine that cannot, and another may.
    """

    kind: str
    sentence: str
    refused: bool = False


class Unseen(NamedTuple):
    """The answer to a task of whose film nothing is seen here, and no piece was sent."""


class Rendered(NamedTuple):
    """A segment: its record and its packets as files have them, and its exported faces by name.

    One without a frame has no packets.
    """

    record: bytes
    video: bytes
    faces: dict[str, bytes] | None


@dataclass(frozen=True, eq=False)
class SegmentTask:
    """A segment to render.

    Parameters
    ----------
    index, first, stop
        Its number and its frames.
    cpus
        Those of the machine that asks: the encoder must cut its pictures into as many slices.
    """

    index: int
    first: int
    stop: int
    cpus: int


@dataclass(frozen=True, eq=False)
class ScanTask:
    """A part of a scan.

    Parameters
    ----------
    settings
        The scan's.
    networks
        Digests of the networks that are to look.
    work
        What to do.
    """

    settings: ScanSettings
    networks: Mapping[str, str]
    work: Work


def libraries() -> dict[str, str]:
    """Return the versions of what decides the numbers that come out."""
    every = {one.name.lower(): one.version for one in metadata.distributions() if one.name}
    found = {name: every[name] for name in LIBRARIES if name in every}
    return {"refrestore": __version__, "Python": platform.python_version(), **found}


def differences(mine: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Say how two descriptions differ, "" if they do not."""
    words = []
    for name in sorted({*mine, *asked}):
        here, there = mine.get(name), asked.get(name)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            words.append(differences(here, there))
        elif here != there:
            words.append(f"{name} {_short(here)} instead of {_short(there)}")
    return ", ".join(filter(None, words))


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    digest = len(text) == 64 and not set(text) - set("0123456789abcdef")
    return text[:12] if digest else text


Answer = TypeVar("Answer")


class Worker:
    """What works on a machine of a cluster.

    Parameters
    ----------
    runtime
        Where the networks are and where to compute.
    """

    def __init__(self, runtime: RuntimeSettings) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"  # docs/decisions/005; before torch is imported
        self._runtime = runtime
        self._news = threading.Condition()
        self._frames = 0
        self._recipe: tuple[str, Any] | None = None
        self._toolbox: Any = None
        self._models: tuple[float, Any] | None = None

    def check(self, asked: Mapping[str, str]) -> Failed | None:
        """Say why this worker cannot be used, if it has other libraries than asked for."""
        import cv2

        cv2.setNumThreads(self._runtime.threads or available_cpus())
        found = differences(libraries(), asked)
        if not found:
            return None
        return Failed("ClusterError", f"It has {found}; install the same there.", refused=True)

    def news(self, known: int) -> int:
        """Return how many frames of the present task are done, when that has changed."""
        time.sleep(NEWS_SECONDS)
        with self._news:
            self._news.wait_for(lambda: self._frames != known, QUIET_SECONDS)
            return self._frames

    def render(
        self, fetch: Fetching, task: SegmentTask, piece: bytes | None
    ) -> Rendered | Failed | Unseen:
        """Render a segment.

        Parameters
        ----------
        fetch
            Returns the recipe.
        piece
            The segment's stretch of the film, where the film is not seen here.
        """
        return self._answer(lambda: self._render(fetch, task, piece))

    def scan(self, info: VideoInfo, task: ScanTask, piece: bytes | None) -> bytes | Failed | Unseen:
        """Do a part of a scan: what comes out of it, pickled.

        As bytes it is no burden on the cluster's memory any more when it is fetched.
        Parameters as for `render`.
        """
        return self._answer(lambda: self._scan(info, task, piece))

    def _answer(self, work: Callable[[], Answer | Unseen]) -> Answer | Failed | Unseen:
        self._tell(0)
        try:
            return work()
        except (ModelError, DiskError) as error:
            return Failed(type(error).__name__, str(error), refused=True)
        except RefrestoreError as error:
            return Failed(type(error).__name__, str(error))
        except OSError as error:
            failure = disk_error(Path(error.filename or "temporary files"), error)
            return Failed("DiskError", str(failure), refused=True)

    def _tell(self, frames: int) -> None:
        with self._news:
            self._frames = frames
            self._news.notify_all()

    def _render(self, fetch: Fetching, task: SegmentTask, piece: bytes | None) -> Rendered | Unseen:
        from refrestore.media.unchanged import Unchanged
        from refrestore.render.frames import passes_of
        from refrestore.render.segment_folder import Segment, SegmentFolder
        from refrestore.render.window import render_segment

        if self._recipe is None or self._recipe[0] != fetch.key:
            self._recipe = None  # the old one goes before the new one comes
            self._recipe = (fetch.key, fetch())
        recipe = self._recipe[1]
        if piece is None and not sees(recipe.info):
            return Unseen()
        toolbox = self._opened(recipe)
        segment = Segment(task.index, task.first, task.stop)
        count = 0

        def told(finished: Any) -> None:
            nonlocal count
            count += 1
            self._tell(count)

        with film_here(recipe.info, piece) as (info, folder):
            recipe = replace(
                recipe, info=info, encoder=recipe.encoder.in_threads(task.cpus, available_cpus())
            )
            own = folder / "made"  # beside the piece: what is in it first is emptied
            own.mkdir()
            made = SegmentFolder(own, fetch.key)
            with passes_of(
                info, recipe.entries, len(segment), announce=None if piece is None else _refuse
            ) as frames:
                record = render_segment(
                    recipe,
                    toolbox,
                    segment,
                    made,
                    frames=frames,
                    source=Unchanged(info),
                    tell=told,
                )
            if not record.frames:
                return Rendered(b"", b"", None)
            faces = made.faces(segment) if recipe.export else None
            return Rendered(
                made.record(segment).read_bytes(),
                made.video(segment).read_bytes(),
                None if faces is None else _contents(faces),
            )

    def _opened(self, recipe: Any) -> Any:
        """Return the networks of a recipe, opened once.

        Raises
        ------
        ModelError
            They are not here, or others are.
        """
        from refrestore.render.toolbox import open_toolbox

        if self._toolbox is None:
            self._toolbox = open_toolbox(self._runtime)
        toolbox = self._toolbox.equipped(recipe.settings, self._runtime)
        off = recipe.networks.get("without", ())
        toolbox = toolbox.without(*off) if off else toolbox
        _check_networks(toolbox.description(), recipe.networks)
        return toolbox

    def _scan(self, info: VideoInfo, task: ScanTask, piece: bytes | None) -> bytes | Unseen:
        from refrestore.faces.analyser import load_face_models
        from refrestore.media.unchanged import Unchanged
        from refrestore.models.pack import load_face_pack
        from refrestore.scan.work import Here

        if piece is None and not sees(info):
            return Unseen()
        score = task.settings.min_score
        if self._models is None or self._models[0] != score:
            pack = load_face_pack(self._runtime)
            _check_networks(face_networks(pack, self._runtime), task.networks)
            device, threads = self._runtime.device, self._runtime.threads
            self._models = score, load_face_models(pack, device, threads=threads, min_score=score)
        models = self._models[1]
        with film_here(info, piece) as (here, _):
            found = task.work(Here(here, models, task.settings, self._tell, piece is None))
            Unchanged(info if piece is None else here)
        return pickle.dumps(found, pickle.HIGHEST_PROTOCOL)


def face_networks(pack: Any, runtime: RuntimeSettings) -> dict[str, str]:
    """Return what decides the numbers of a scan: files by digest, and the device."""
    from refrestore.models.catalogue import file_digest
    from refrestore.models.runtime import torch_device

    roles = ("detector", "recogniser", "landmarks")
    files = {role: file_digest(getattr(pack, role)) for role in roles}
    return {**files, "device": torch_device(runtime.device).type}


def _check_networks(mine: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    if found := differences(mine, asked):
        raise ModelError(
            f"Its networks are others ({found}): put the same models there, and compute on the "
            "same kind of device."
        )


def sees(info: VideoInfo) -> bool:
    """Say whether a film lies here under its path, and is the same."""
    try:
        return fingerprint(info.path) == info.fingerprint
    except (OSError, MediaError):
        return False


@contextmanager
def film_here(info: VideoInfo, piece: bytes | None) -> Iterator[tuple[VideoInfo, Path]]:
    """Give a film to be read, or what was sent of it, and a folder to work in."""
    from refrestore.media.piece import open_piece

    with temporary_folder(SCRATCH) as folder:
        if piece is None:
            yield info, folder
            return
        path = folder / (info.path.name if info.fps is None else "piece")
        try:
            path.write_bytes(piece)
        except OSError as error:
            raise disk_error(path, error) from error
        yield open_piece(info, path), folder


def _refuse(note: str) -> None:
    raise MediaError(
        f"{note.partition(':')[0]}, and only a piece of it was sent: put it where every worker "
        "sees it."
    )


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
