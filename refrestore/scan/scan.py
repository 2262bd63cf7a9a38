"""Pass 1: read the whole video once and write who is in it into the project."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import Kept, kept_if_broken_off
from refrestore.faces.analyser import load_face_models
from refrestore.media.probe import VideoInfo
from refrestore.media.source import damage_notes, open_source, source_notes
from refrestore.media.unchanged import Unchanged
from refrestore.models.pack import FacePack, load_face_pack
from refrestore.models.runtime import available_cpus
from refrestore.project.pooling import pool_tracks
from refrestore.project.project import Project
from refrestore.project.scanning import ScanWriter
from refrestore.project.video import VideoSource
from refrestore.scan.blurred import known_better, moments
from refrestore.scan.clustering import Constraints, cluster_tracks, cooccurring
from refrestore.scan.in_order import in_order
from refrestore.scan.picking import pick
from refrestore.scan.polish import CloseUpsToFuse, CloseUpToFuse, jobs
from refrestore.scan.read_again import batches
from refrestore.scan.read_film import ReadHere, Reading
from refrestore.scan.references import Spool, Spooled, to_reference
from refrestore.scan.tracks import ShotTrack, finish_shot
from refrestore.scan.view import ViewOf, load_view
from refrestore.types import EMBEDDING_SIZE, Announce, Reference, Shot, Track

Progress = Callable[[str, int, int | None], None]
"""Called with the stage, what is done of it and, if known, how much there is."""

ReadingOf = Callable[[VideoInfo, ScanSettings, Progress], Reading[Any]]
"""Returns what reads a film, and tells how far it is."""

NOTHING_KEPT = Kept("a scan is not kept half-way, and has changed nothing", goes_on=False)


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What a scan found.

    Parameters
    ----------
    frames
        Frames the video has.
    shots, tracks, identities, references
        How many were found.
    detections
        Frames the detector looked at.
    decode_failures
        Packets that could not be decoded.
    """

    frames: int
    shots: int
    tracks: int
    identities: int
    references: int
    detections: int
    decode_failures: int


def scan(
    video: Path,
    project_folder: Path,
    *,
    settings: ScanSettings,
    runtime: RuntimeSettings,
    progress: Progress | None = None,
    announce: Announce | None = None,
    info: VideoInfo | None = None,
    reading_of: ReadingOf | None = None,
) -> ScanSummary:
    """Find shots, faces, tracks, identities and references of a video.

    Parameters
    ----------
    video
        The video.
    project_folder
        Its project; made if there is none. In an existing one of the same video the new scan
        replaces the old one when it is complete, and the user's decisions are kept.
    settings, runtime
        How to scan and where to compute.
    progress
        Told about stages "frames", "identities" and "references".
    announce
        Is told, a sentence each, what was measured of the film and is done to its pictures, and
        that it is damaged.
    info
        What `open_source` said, if it was asked already and the user has heard of it.
    reading_of
        Who reads the film and follows the faces; by default this process.

    Raises
    ------
    MediaError
        If the video cannot be read.
    ModelError
        If a model is missing or damaged.
    ProjectError
        If the folder holds a project of another video.
    """
    announce = announce or (lambda note: None)
    if info is None:
        info = open_source(video, settings)
        for note in source_notes(info, settings.deinterlace):
            announce(note)
    pack = load_face_pack(runtime)
    # Who has others read has all cores when people are named: nobody reads then.
    threads = None if reading_of else runtime.threads
    reading_of = reading_of or _reading_here(pack, runtime, settings)
    with (
        Project.open_or_create(project_folder, video_source(info)) as project,
        project.begin_scan(
            settings,
            recogniser=pack.recogniser.stem,
            recogniser_digest=pack.recogniser_digest,
            treatment=info.treatment,
        ) as writer,
    ):
        view = load_view(runtime)
        with kept_if_broken_off(lambda: NOTHING_KEPT):
            summary = scan_into(
                writer,
                info,
                settings,
                reading_of,
                view=view,
                progress=progress,
                threads=threads or available_cpus(),
            )
    for note in damage_notes(info, summary.decode_failures):
        announce(note)
    return summary


def video_source(info: VideoInfo) -> VideoSource:
    """Return what a project remembers of a probed video."""
    return VideoSource(
        path=info.path,
        fingerprint=info.fingerprint,
        geometry=info.geometry,
        start=info.start,
        rate=info.file_rate,
        frames=info.frames and info.frames // info.treatment.frames,
        duration=info.duration,
        stream=info.chosen,
    )


def _reading_here(pack: FacePack, runtime: RuntimeSettings, settings: ScanSettings) -> ReadingOf:
    models = load_face_models(
        pack, runtime.device, threads=runtime.threads, min_score=settings.min_score
    )
    return lambda info, settings, progress: ReadHere(
        info, models, settings, lambda frames: progress("frames", frames, info.frames)
    )


def scan_into(
    writer: ScanWriter,
    info: VideoInfo,
    settings: ScanSettings,
    reading_of: ReadingOf,
    *,
    view: ViewOf | None = None,
    progress: Progress | None = None,
    threads: int = 1,
) -> ScanSummary:
    """Scan a video into a begun scan, whose folder takes crops that wait for a name.

    `view` tells how much of a close-up's face is seen; without it, all of each. So many `threads`
    choose close-ups, each of a person.
    """
    source, progress = Unchanged(info), progress or _silent
    with Spool(writer.folder) as spool, reading_of(info, settings, progress) as reading:
        run = _Scan(writer, settings, reading, spool, view=view, progress=progress, threads=threads)
        run.read()
        run.look_again()
        identities, references = run.name_people()
        source.check()
        frames = len(reading.ticks)
        writer.set_frames(frames)
        writer.set_times(np.array(reading.ticks, np.int64), info.time_base)
        return ScanSummary(
            frames=frames,
            shots=run.shots,
            tracks=len(run.tracks),
            identities=identities,
            references=references,
            detections=run.detections,
            decode_failures=reading.decode_failures,
        )


class _Scan:
    """The state of one scan: of the shots before, what naming needs."""

    def __init__(
        self,
        writer: ScanWriter,
        settings: ScanSettings,
        reading: Reading[Any],
        spool: Spool,
        *,
        view: ViewOf | None,
        progress: Progress,
        threads: int,
    ) -> None:
        self._writer, self._settings, self._reading = writer, settings, reading
        self._spool, self._view, self._progress = spool, view, progress
        self._threads = threads
        self._candidates: list[Spooled] = []
        self.tracks: list[Track] = []
        self.shots = self.detections = 0

    def read(self) -> None:
        """Go through the video once: make tracks of what was followed in each shot."""
        for frames, followed in self._reading.shots():
            start = self._reading.time_of(frames.start)
            self._writer.add_shot(Shot(self.shots, frames.start, frames.stop, start))
            finished = finish_shot(
                followed.tracks,
                shot=self.shots,
                first_id=len(self.tracks) + 1,
                rate=self._reading.info.average_rate,
            )
            self._reading.draw([moment for part in finished for moment in moments(part)])
            for part in finished:
                self._keep(part)
            self.detections += followed.detections
            self.shots += 1
        frames_read = len(self._reading.ticks)
        self._progress("frames", frames_read, frames_read)

    def look_again(self) -> None:
        """Know a track better whose face is blurred: the film is read again there."""
        better = self._reading.drawn()
        for place, track in enumerate(self.tracks):
            if track.id in better:
                known = known_better(track, better[track.id])
                self.tracks[place] = replace(track, embedding=known)
                self._writer.set_embedding(track.id, known)

    def name_people(self) -> tuple[int, int]:
        """Cluster all tracks into identities and harvest references; return how many of each."""
        self._progress("identities", 0, len(self.tracks))
        constraints = Constraints(cannot=cooccurring(self.tracks))
        groups = cluster_tracks(
            self.tracks, constraints, threshold=self._settings.identity_threshold
        )
        self._writer.set_identities(groups)
        self._progress("identities", len(self.tracks), len(self.tracks))
        return len(groups), self._harvest(groups)

    def _keep(self, part: ShotTrack) -> None:
        self._writer.add_track(part.track, part.faces)
        if part.thumbnail is not None:
            self._writer.add_thumbnail(part.track.id, part.thumbnail)
        for face in part.candidates:
            time = self._reading.time_of(face.frame) - self._reading.info.start
            self._candidates.append(self._spool.put(part.track.id, time, face))
        self.tracks.append(part.track)

    def _harvest(self, groups: Sequence[tuple[int, ...]]) -> int:
        tracks = {track.id: track for track in self.tracks}
        owner = {track: row for row, group in enumerate(groups) for track in group}
        own: list[list[Spooled]] = [[] for _ in groups]
        for spooled in self._candidates:
            if spooled.track in owner:
                own[owner[spooled.track]].append(spooled)
        centroids = np.stack(
            [pool_tracks([tracks[one] for one in group]) for group in groups]
            or [np.zeros(EMBEDDING_SIZE, np.float32)]
        )
        dropped = self._writer.dropped_faces()

        def chosen(row: int) -> list[Spooled]:
            return pick(
                own[row],
                centroids[row],
                self._settings.max_references,
                others=np.delete(centroids, row, 0),
                dropped=dropped,
                view=self._view,
            )

        def read(spooled: Spooled) -> tuple[int, Reference, bytes]:
            crop = Spool.get(spooled)
            reference = to_reference(spooled, crop, self._reading.info.path.name)
            return spooled.track, reference, crop.png

        kept: list[list[Spooled]] = []
        for close_ups in in_order(chosen, range(len(own)), self._threads):
            self._progress("references", len(kept), len(groups))
            kept.append(close_ups)
        self._polish(kept, jobs(kept, centroids, tracks))
        for found in in_order(read, chain.from_iterable(kept), self._threads):
            self._writer.add_reference(*found)
        self._progress("references", len(groups), len(groups))
        return sum(map(len, kept))

    def _polish(self, kept: Sequence[list[Spooled]], todo: Sequence[CloseUpToFuse]) -> None:
        """Put cleaner close-ups in the place of noisy ones; there the video is read again."""

        def with_crops() -> Iterator[CloseUpsToFuse]:
            for batch in batches(todo):
                jobs = [
                    replace(job, candidate=self._spool.candidate(kept[job.at.person][job.at.place]))
                    for job in batch
                ]
                yield CloseUpsToFuse(jobs, self._reading.times_of(jobs))

        for found in self._reading.fused(with_crops()):
            for (person, place), better in found.items():
                old = kept[person][place]
                kept[person][place] = self._spool.put(old.track, old.time, better)


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress for nobody."""


__all__ = ["Progress", "ReadingOf", "ScanSummary", "scan", "scan_into", "video_source"]
