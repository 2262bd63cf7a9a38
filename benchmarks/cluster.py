"""What a cluster of workers is worth, and where more of them are worth nothing.

    python benchmarks/cluster.py measure FILM --first CLIP --json benchmarks/cluster.json
    python benchmarks/cluster.py scans FILM --first CLIP --json benchmarks/cluster.json
    python benchmarks/cluster.py model benchmarks/cluster.json --plot docs/cluster.png

`measure` scans and renders a film here, then on one and on two workers of one thread each, in one
run: what counts are the ratios. Starting a cluster is measured apart, and opening the workers'
networks is not: they do CLIP first, a few seconds with a face (without --first, FILM). A worker of
one thread has one core: its decoder and encoder, too, are kept on it, and so is the run here.
It also takes the processor time of each stage that is the driver's alone; with --local nothing else
is measured, which other work on the machine does not spoil. `scans` measures scans alone, by turns,
in one crew of which one worker rests for every other scan, the least of several, and puts them in
the place of those that are in the file.

`model` simulates from these times how many frames a second 1 to 1,000 workers make of a long film:
they take tasks from one driver, which numbers frames (a scan), cuts pieces (where workers do not
see the film), takes in results and joins or names them, one thing at a time, and whose network
carries what is sent.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

from refrestore.config import (
    EncoderSettings,
    EngineSettings,
    RenderSettings,
    RuntimeSettings,
    ScanSettings,
)

RUNTIME = RuntimeSettings(device="cpu", threads=1)
WORKERS = (1, 2)

SEGMENTS = 3
"""Whose encoding and joining is measured."""

FILM_SECONDS = 2 * 3600
NETWORK_BYTES = 1.25e9
"""Ten gigabits a second."""


def measure(
    film: Path, first: Path, segment_seconds: float, counts: Sequence[int]
) -> dict[str, Any]:
    from refrestore.engine.crew import crew_of

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with one_core():
            figures: dict[str, Any] = {"local": both(film, work / "local", segment_seconds)}
        for count in counts:
            began = time.perf_counter()
            with crew_of(EngineSettings(name="ray", workers=count), RUNTIME) as crew:
                assert crew is not None
                while sum(member.ready for member in crew.members) < count:
                    crew.step()
                started = time.perf_counter() - began
                keep_on_one_core(crew)
                # A piece for each worker, or one of them would open its networks later.
                both(first, work / f"first{count}", 0.5, crew)
                found = both(film, work / f"ray{count}", segment_seconds, crew)
            figures[f"ray{count}"] = {**found, "start_seconds": started}
        figures["same"] = same(work)
        figures["stages"] = stages(film, work, segment_seconds)
    for stage in ("scan", "render") if counts else ():
        one, two = (figures[f"ray{count}"][f"{stage}_seconds"] for count in WORKERS)
        figures[f"{stage}_speed_up"] = one / two
        figures[f"{stage}_overhead"] = one / figures["local"][f"{stage}_seconds"] - 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**figures, "driver_peak_mib": round(peak / 1024)}


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, with all its threads, on one core for a while."""
    before = os.sched_getaffinity(0)
    keep_threads_on({min(before)})
    try:
        yield
    finally:
        keep_threads_on(before)


def keep_threads_on(cores: Set[int]) -> None:
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), cores)


def keep_on_one_core(crew: Any) -> None:
    """Give each worker a core of its own, with all its threads."""

    def keep_on(worker: Any, core: int) -> None:
        for thread in os.listdir("/proc/self/task"):  # where this module is not
            os.sched_setaffinity(int(thread), {core})

    cores = sorted(os.sched_getaffinity(0))
    crew.cluster.ray.get(
        [
            member.actor.__ray_call__.remote(keep_on, cores[place % len(cores)])
            for place, member in enumerate(crew.members)
        ]
    )


def both(film: Path, work: Path, segment_seconds: float, engine: Any = None) -> dict[str, float]:
    """Scan and render."""
    from refrestore.engine.local import render
    from refrestore.project import Project

    scans = scanned(film, work, engine)
    settings = RenderSettings(segment_seconds=segment_seconds)
    began, used = time.perf_counter(), time.process_time()
    with Project.open(work / "project") as project:
        output = work / "out.mp4"
        made = render(project, output, settings=settings, runtime=RUNTIME, engine=engine)
    return {
        **scans,
        "render_seconds": time.perf_counter() - began,
        "render_cpu_seconds": time.process_time() - used,
        "frames": made.summary["frames"],
        "faces": made.summary["faces"],
    }


def scanned(film: Path, work: Path, engine: Any = None) -> dict[str, float]:
    """Scan; the time of its end, from which on people are named, is given apart."""
    from refrestore.engine.whole_scan import scan

    work.mkdir()
    named: list[float] = []

    def told(stage: str, done: int, total: int | None) -> None:
        if stage == "identities" and not done:
            named.append(time.process_time())

    began, used = time.perf_counter(), time.process_time()
    asked = {"settings": ScanSettings(), "runtime": RUNTIME, "engine": engine, "progress": told}
    scan(film, work / "project", **asked)
    ended = time.process_time()
    return {
        "scan_seconds": time.perf_counter() - began,
        "scan_cpu_seconds": ended - used,
        "name_cpu_seconds": ended - named[0],
    }


def measure_scans(film: Path, first: Path, rounds: int) -> dict[str, Any]:
    """Return the quickest of several scans here, by one worker and by two, by turns."""
    from refrestore.engine.crew import crew_of

    found: dict[str, list[dict[str, float]]] = {}
    two = EngineSettings(name="ray", workers=max(WORKERS))
    with tempfile.TemporaryDirectory() as folder, crew_of(two, RUNTIME) as crew:
        assert crew is not None
        while sum(member.ready for member in crew.members) < max(WORKERS):
            crew.step()
        keep_on_one_core(crew)
        # A short scan is one task, and the other worker would open its networks later.
        both(first, Path(folder) / "first", 0.5, crew)
        scanned(film, Path(folder) / "again", crew)
        for number in range(rounds):
            work = Path(folder) / str(number)
            work.mkdir()
            with one_core():
                found.setdefault("local", []).append(scanned(film, work / "local"))
            for count in WORKERS:
                before = workers_seconds(crew)
                with resting(crew, count):
                    made = scanned(film, work / f"ray{count}", crew)
                after = workers_seconds(crew)
                if after.keys() == before.keys():  # none was replaced
                    made["workers_cpu_seconds"] = sum(after.values()) - sum(before.values())
                found.setdefault(f"ray{count}", []).append(made)
    return {
        name: {
            **min(each, key=lambda one: one["scan_seconds"]),
            "every_scan_seconds": [round(one["scan_seconds"], 2) for one in each],
        }
        for name, each in found.items()
    }


@contextmanager
def resting(crew: Any, count: int) -> Iterator[None]:
    """Let all workers of a crew but so many do nothing for a while."""
    idle = crew.members[count:]
    for member in idle:
        member.ready = False
    try:
        yield
    finally:
        for member in idle:
            member.ready = True


def workers_seconds(crew: Any) -> dict[str, float]:
    """Return the processor time that each worker of a crew has taken."""
    members = {
        each.name: each.actor.__ray_call__.remote(lambda worker: time.process_time())
        for each in crew.members
    }
    return dict(zip(members, crew.cluster.ray.get(list(members.values())), strict=True))


def same(work: Path) -> bool:
    """Say whether all workers' renders have the same packets.

    The one here has others: an encoder on one core works with other threads (tests/engine hold it
    to the workers' on all cores).
    """
    import av

    found = []
    for path in sorted(work.glob("ray*/out.mp4")):
        with av.open(str(path)) as made:
            packets = made.demux(made.streams.video[0])
            found.append([(each.pts, bytes(each)) for each in packets if each.size])
    return all(each == found[0] for each in found)


def stages(film: Path, work: Path, segment_seconds: float) -> dict[str, float]:
    """Return the driver's processor times: seconds a frame or a segment, and bytes."""
    from refrestore.engine.ray import keep
    from refrestore.engine.worker import Rendered
    from refrestore.media.encoder_choice import resolve_encoder
    from refrestore.media.join import join
    from refrestore.media.piece import cut_piece
    from refrestore.media.probe import probe
    from refrestore.media.reader import VideoReader
    from refrestore.media.segments import SegmentWriter
    from refrestore.project import Project
    from refrestore.render.report import SegmentRecord
    from refrestore.render.segment_folder import Segment, SegmentFolder

    info = probe(film)
    encoder = resolve_encoder(EncoderSettings(), info, scale=1, output=work / "stage.mkv")
    (work / "stages").mkdir()
    folder = SegmentFolder(work / "stages", "stages")
    length = max(1, round(Fraction(segment_seconds) * info.average_rate))
    encode, segments, writer = 0.0, [], None
    with VideoReader(film, info=info) as reader:
        for frame in reader:
            number, rest = divmod(frame.index, length)
            if number >= SEGMENTS:
                break
            encoding = time.process_time()
            if not rest:
                if writer is not None:
                    writer.close()
                segments.append(Segment(number, frame.index, frame.index + length))
                writer = SegmentWriter(folder.video(segments[-1]), encoder)
            assert writer is not None
            writer.write(frame.picture, frame.time)
            encode += time.process_time() - encoding
    if writer is not None and writer.frames:
        writer.close()
    paths = [folder.video(segment) for segment in segments]
    packets = paths[0].read_bytes()
    SegmentRecord(length).write(folder.record(segments[0]))
    record = folder.record(segments[0]).read_bytes()
    kept = timed(lambda: keep(folder, segments[0], Rendered(record, packets, None)))
    with Project.open(work / "local" / "project") as project:
        entries = project.entries()
    cut = timed(lambda: cut_piece(info, entries, 0, length))
    joins = [
        timed(lambda some=some: join(some, encoder, info, work / "joined.mkv", work=work))
        for some in (paths[:1], paths)
    ]
    return {
        "number_seconds_a_frame": number_seconds(info),
        "encode_seconds_a_frame": encode / min(frame.index + 1, SEGMENTS * length),
        "keep_seconds_a_segment": kept,
        "cut_seconds_a_segment": cut,
        "join_seconds_a_segment": (joins[1] - joins[0]) / max(1, len(paths) - 1),
        "segment_frames": length,
        "segment_bytes": len(packets),
        "piece_bytes": len(cut_piece(info, entries, 0, length)),
    }


def number_seconds(info: Any) -> float:
    """Return what numbering a frame by its packets takes."""
    from refrestore.media.packet_times import PacketTimes

    every: list[Any] = []

    def number() -> None:
        every.append(PacketTimes(info))
        list(every[-1].passages(lambda first: 1, len(every[-1].ticks) + 10**9, 1))

    return timed(number) / len(every[-1].ticks)


def timed(work: Callable[[], Any], times: int = 3) -> float:
    """Return the best processor time of a call."""
    found = []
    for _ in range(times):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


@dataclass(frozen=True)
class Job:
    """A long film's tasks.

    Parameters
    ----------
    tasks, frames
        How many, and how many frames each has.
    work
        A worker's seconds for one.
    before, after
        The driver's seconds before it can be handed out, and when it is back.
    sent
        Bytes of it that the driver's network carries.
    last
        The driver's seconds at the end, for all of them.
    """

    tasks: int
    frames: float
    work: float
    before: float
    after: float
    sent: float
    last: float


def simulate(job: Job, workers: int) -> float:
    """Return frames a second: tasks in order to whoever is free, the driver one thing at a time.

    As a crew does, it hands out first and takes results in while nobody is free.
    """
    free = [0.0] * min(workers, job.tasks)
    back: list[float] = []
    driver, carried = 0.0, job.sent / NETWORK_BYTES
    for _ in range(job.tasks):
        worker = heapq.heappop(free)
        while back and max(driver, back[0]) + job.after <= worker:
            driver = max(driver, heapq.heappop(back)) + job.after
        driver = max(driver + job.before, worker) + carried
        heapq.heappush(free, driver + job.work)
        heapq.heappush(back, driver + job.work)
    while back:
        driver = max(driver, heapq.heappop(back)) + job.after
    return job.tasks * job.frames / (driver + job.last)


def jobs(figures: dict[str, Any]) -> dict[str, Job]:
    """Return what is simulated, from measured times."""
    one, stage = figures["local"], figures["stages"]
    frames = stage["segment_frames"]
    rate = frames / figures["segment_seconds"]
    tasks = round(FILM_SECONDS * rate / frames)
    ways = {}
    render = one["render_cpu_seconds"] / one["frames"] * frames
    driver = figures.get("ray1", {})
    names = driver.get("name_cpu_seconds", one["name_cpu_seconds"]) / one["frames"]
    alone = one["scan_cpu_seconds"] - one["name_cpu_seconds"]
    scan = driver.get("workers_cpu_seconds", alone) / one["frames"] * frames
    number = stage["number_seconds_a_frame"] * frames
    taken = driver.get("scan_cpu_seconds", 0) - driver.get("name_cpu_seconds", 0)
    take = taken / one["frames"] * frames - number if taken else 0.001
    joined, kept = tasks * stage["join_seconds_a_segment"], stage["keep_seconds_a_segment"]
    back, piece = stage["segment_bytes"], stage["piece_bytes"]
    cut, named = stage["cut_seconds_a_segment"], names * tasks * frames
    ways["render, film seen by all"] = Job(tasks, frames, render, 0, kept, back, joined)
    ways["render, pieces sent"] = Job(tasks, frames, render, cut, kept, back + piece, joined)
    ways["scan, film seen by all"] = Job(tasks, frames, scan, number, take, 5e5, named)
    # A GPU restores some twenty times as fast; the encoder on its machine's CPUs does not.
    fast = render / 20 + stage["encode_seconds_a_frame"] * frames
    ways["render, on GPUs"] = Job(tasks, frames, fast, 0, kept, back, joined)
    return ways


COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


def model(figures: dict[str, Any], plot: Path | None) -> dict[str, list[float]]:
    found = {
        name: [round(simulate(job, count), 2) for count in COUNTS]
        for name, job in jobs(figures).items()
    }
    if plot is not None:
        draw(found, plot)
    return found


def draw(found: dict[str, list[float]], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, values in found.items():
        axes.loglog(COUNTS, values, marker="o", markersize=3, label=name)
    axes.set_xlabel("workers")
    axes.set_ylabel("frames a second")
    axes.grid(visible=True, which="both", linewidth=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def circumstances(film: Path) -> dict[str, Any]:
    return {
        "film": film.name,
        "date": str(date.today()),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "load": os.getloadavg(),
        "versions": {name: version(name) for name in ("ray", "torch", "av")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measured = commands.add_parser("measure")
    measured.add_argument("film", type=Path)
    measured.add_argument("--first", type=Path)
    measured.add_argument("--segment-seconds", type=float, default=5.0)
    measured.add_argument("--local", action="store_true")
    measured.add_argument("--json", type=Path, required=True)
    scans = commands.add_parser("scans")
    scans.add_argument("film", type=Path)
    scans.add_argument("--first", type=Path)
    scans.add_argument("--rounds", type=int, default=3)
    scans.add_argument("--json", type=Path, required=True)
    modelled = commands.add_parser("model")
    modelled.add_argument("json", type=Path)
    modelled.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    if asked.command == "measure":
        counts = () if asked.local else WORKERS
        figures = measure(asked.film, asked.first or asked.film, asked.segment_seconds, counts)
        figures |= {"segment_seconds": asked.segment_seconds, **circumstances(asked.film)}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps(figures, indent=1))
    elif asked.command == "scans":
        from refrestore.media.probe import probe

        figures = json.loads(asked.json.read_text())
        made = measure_scans(asked.film, asked.first or asked.film, asked.rounds)
        for name, each in made.items():
            figures[name].update(each)
        figures["stages"]["number_seconds_a_frame"] = number_seconds(probe(asked.film))
        figures["scan_speed_up"] = made["ray1"]["scan_seconds"] / made["ray2"]["scan_seconds"]
        figures["scan_overhead"] = made["ray1"]["scan_seconds"] / made["local"]["scan_seconds"] - 1
        figures["scans"] = circumstances(asked.film)
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps({**made, "scan_speed_up": figures["scan_speed_up"]}, indent=1))
    else:
        figures = json.loads(asked.json.read_text())
        figures["model"] = {"workers": COUNTS, **model(figures, asked.plot)}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
        for name, values in figures["model"].items():
            print(f"{name:28}", *(f"{value:9,.1f}" for value in values))


if __name__ == "__main__":
    main()
