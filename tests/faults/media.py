"""Damaged videos: read, scanned and rendered, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

from .campaign import FaultClass, Trial, complaint, first, leftovers
from .mutations import mutated
from .samples import ALL, write_samples

SOURCES = (
    "plain", "b_frames", "priming", "gap", "chapters_mp4", "rotated_270", "ten_bit_hevc",
    "mjpeg", "prores_422_ten", "everything", "variable_rate", "ten_bit_hdr", "odd", "interlaced",
    "subtitles", "attachment", "vp9", "transport_stream", "avi", "program_stream",
    "windows_media", "flash", "h264_ts", "subtitles_b_frames",
)  # fmt: skip

READ, SCAN, RENDER = "probe and read", "scan", "scan and render"
TURNS = 20
SCANS, RENDERS = 5, 1
"""Of twenty trials; the others only read, which is where nearly everything happens."""


class Media(FaultClass):
    """Damage to every container and codec that is tried."""

    name = "media"
    promise = (
        "A damaged video is read as far as it goes or refused in one sentence: no traceback, no "
        "crash, no command over 60 s or over 3 GB, nothing half-written."
    )
    full, reduced = 2000, 40

    def row(self, number: int) -> str:
        """Return what is done with the video."""
        turn = number % TURNS
        return RENDER if turn < RENDERS else SCAN if turn < RENDERS + SCANS else READ

    def prepare(self, trial: Trial) -> None:
        """Write the undamaged videos."""
        ended = trial.start(write_samples, str(trial.folder), list(SOURCES)).wait(300)
        if ended.status:
            raise RuntimeError(f"the videos could not be written: {ended.err}")
        self._sources = trial.folder

    def run(self, trial: Trial) -> str | None:
        """Damage a video and give it to a command."""
        name = trial.random.choice(SOURCES)
        suffix = ALL[name].suffix
        content = (self._sources / f"{name}{suffix}").read_bytes()
        film = trial.folder / f"{name}{suffix}"
        film.write_bytes(mutated(content, trial.random))
        row = self.row(trial.number)
        if row == READ:
            wrong = complaint(trial.told(read_film, str(film)).wait())
        elif row == SCAN:
            wrong = _scan(trial, film)
        else:
            wrong = _scan(trial, film) or _render(trial)
        return f"{name}{suffix}: {wrong}" if wrong else None


def _scan(trial: Trial, film: Path) -> str | None:
    ended = trial.command("scan", film, "-p", "project", "--threads", "1").wait()
    trial.count("refused" if ended.status else "accepted")
    return first(wrong for wrong in (complaint(ended), _half_written(trial)))


def _render(trial: Trial) -> str | None:
    if not (trial.folder / "project").exists():
        return None
    name, *options = trial.random.choice((("out.mkv", "--codec", "ffv1"), ("out.mp4",)))
    ended = trial.command("render", "-p", "project", "-o", name, *options, "--threads", "1").wait()
    output = trial.folder / name
    if ended.status and output.exists():
        return f"{name} exists although the render failed: {ended.err.strip()}"
    if not ended.status:
        wrong = complaint(trial.told(read_film, str(output)).wait(), must=True, what="its result")
        if wrong:
            return wrong
    return first(wrong for wrong in (complaint(ended), _half_written(trial)))


def _half_written(trial: Trial) -> str | None:
    left = leftovers(trial.folder, trial.temporary)
    left += [
        path.name
        for path in trial.folder.glob(".out.*")
        if not path.name.endswith((".refrestore", ".lock"))
    ]
    return f"half-written: {', '.join(left)}" if left else None


def read_film(path: str) -> None:
    """Read a film as scan and render do: what it holds, then every picture of it."""
    from refrestore.media.pixels import display_rgb
    from refrestore.media.probe import probe
    from refrestore.media.reader import VideoReader

    info = probe(Path(path))
    with VideoReader(Path(path), info=info) as reader:
        for frame in reader:
            display_rgb(frame)
