"""Pass 1: read the whole video once and write who is in it into the project."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import Kept, kept_if_broken_off
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader, queue_size
from refrestore.media.source import damage_notes, open_source, source_notes
from refrestore.media.unchanged import Unchanged
from refrestore.models.pack import load_face_pack
from refrestore.project.pooling import pool_tracks
from refrestore.project.project import Project
from refrestore.project.scanning import ScanWriter
from refrestore.project.video import VideoSource
from refrestore.scan.alongside import FollowedAlongside
from refrestore.scan.blurred import TrackMoment, embeddings, known_better, moments
from refrestore.scan.clustering import Constraints, cluster_tracks, cooccurring
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.picking import pick
from refrestore.scan.polish import CloseUpToFuse, first_frame, frames_of, jobs, polish
from refrestore.scan.references import Spool, Spooled, to_reference
from refrestore.scan.shots import SEEN_SIDE, CutDetector
from refrestore.scan.spans import FollowedHere, Following, Followings
from refrestore.scan.tracks import ShotTrack, finish_shot
from refrestore.scan.view import ViewOf, load_view
from refrestore.types import EMBEDDING_SIZE, Announce, Frame, Shot, Track

Progress = Callable[[str, int, int | None], None]
"""Called with the stage, what is done of it and, if known, how much there is."""

FollowOf = Callable[[VideoInfo, ScanSettings, Progress], Following]
"""Returns what follows the faces of a film, and tells of it while it is waited for."""

_REPORT_EVERY = 10

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
    follow: FollowOf | None = None,
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
    follow
        Who follows the faces; by default this process.

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
    models = load_face_models(
        pack, runtime.device, threads=runtime.threads, min_score=settings.min_score
    )
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
                writer.folder,
                models,
                settings,
                view=view,
                progress=progress,
                follow=follow,
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
        rate=info.average_rate,
        frames=info.frames,
        duration=info.duration,
        stream=info.chosen,
    )


def scan_into(
    writer: ScanWriter,
    info: VideoInfo,
    folder: Path,
    models: FaceModels,
    settings: ScanSettings,
    *,
    view: ViewOf | None = None,
    progress: Progress | None = None,
    follow: FollowOf | None = None,
) -> ScanSummary:
    """Scan a video into a begun scan; `folder`, the scan's, takes crops that wait for a name.

    `view` tells how much of a close-up's face is seen; without it, all of each. `follow` says who
    follows the faces; by default this process.
    """
    source, progress = Unchanged(info), progress or _silent
    with (
        Spool(folder) as spool,
        VideoReader(info.path, info=info) as reader,
        _followed_by(follow, info, models, settings, progress) as following,
    ):
        run = _Scan(
            writer,
            info,
            models,
            settings,
            spool,
            following=following,
            view=view,
            progress=progress,
        )
        run.read(reader)
        run.look_again()
        identities, references = run.name_people()
        source.check()
        writer.set_frames(run.frames)
        writer.set_times(np.array(run.ticks, np.int64), info.time_base)
        return ScanSummary(
            frames=run.frames,
            shots=run.shots,
            tracks=len(run.tracks),
            identities=identities,
            references=references,
            detections=run.detections,
            decode_failures=reader.decode_failures,
        )


def _followed_by(
    follow: FollowOf | None,
    info: VideoInfo,
    models: FaceModels,
    settings: ScanSettings,
    progress: Progress,
) -> AbstractContextManager[Following]:
    """Return who follows: by default a thread of this process."""
    if follow is not None:
        return nullcontext(follow(info, settings, progress))
    here = FollowedHere(info, models, settings)
    return FollowedAlongside(here, queue_size(info.geometry, info.bit_depth))


class _Scan:
    """The state of one scan: which shots are followed, and of those before what naming needs."""

    def __init__(
        self,
        writer: ScanWriter,
        info: VideoInfo,
        models: FaceModels,
        settings: ScanSettings,
        spool: Spool,
        *,
        following: Following,
        view: ViewOf | None,
        progress: Progress,
    ) -> None:
        self._writer, self._info, self._models = writer, info, models
        self._settings, self._spool, self._progress = settings, spool, progress
        self._following, self._view = following, view
        self.ticks = array("q")
        self._entries: dict[int, Fraction] = {}
        self._begins = 0
        self._ended: deque[Shot] = deque()
        self._candidates: list[Spooled] = []
        self._moments: list[TrackMoment] = []
        self.tracks: list[Track] = []
        self.frames = self.shots = self.detections = 0

    def read(self, frames: Iterable[Frame]) -> None:
        """Go through the video once: cut it into shots and follow the faces of each."""
        cuts = CutDetector(self._info.average_rate)
        waiting: deque[FrameForms] = deque()
        for frame in frames:
            picture = FrameForms(frame)
            waiting.append(picture)
            begins = cuts.push(picture.shrunk(SEEN_SIDE))
            if len(waiting) > cuts.delay:
                self._take(waiting.popleft(), begins)
            self.frames = frame.index + 1
            if self.frames % _REPORT_EVERY == 0:
                self._progress("frames", self._following.frames, self._info.frames)
        for begins in [cuts.flush() for _ in range(cuts.delay)][-len(waiting) :]:
            self._take(waiting.popleft(), begins)
        self._end_shot()
        while self._ended:
            self._finish(self._following.finished(wait=True))
        self._progress("frames", self.frames, self.frames)

    def look_again(self) -> None:
        """Read the video again where a face is blurred, and know its track better."""
        if not self._moments:
            return
        frames = frames_of(self._moments, self._open_at)
        better = embeddings(self._moments, frames, self._models.recogniser)
        for place, track in enumerate(self.tracks):
            if track.id in better:
                known = known_better(track, better[track.id])
                self.tracks[place] = replace(track, embedding=known)
                self._writer.set_embedding(track.id, known)
        self._moments.clear()

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

    def _take(self, picture: FrameForms, begins_shot: bool) -> None:
        if begins_shot:
            self._end_shot()
        self.ticks.append(int(picture.time / self._info.time_base))
        self._following.push(picture)

    def _end_shot(self) -> None:
        first, stop = self._begins, len(self.ticks)
        if first == stop:
            return
        self._following.end_shot()
        self._ended.append(Shot(self.shots + len(self._ended), first, stop, self._time_of(first)))
        self._begins = stop
        self._finish(self._following.finished())

    def _finish(self, shots: Iterable[Followings]) -> None:
        """Make tracks of what was followed in the shots that ended first."""
        for followed in shots:
            shot = self._ended.popleft()
            self._writer.add_shot(shot)
            finished = finish_shot(
                followed.tracks,
                shot=shot.index,
                first_id=len(self.tracks) + 1,
                rate=self._info.average_rate,
            )
            for part in finished:
                self._keep(part)
            self.detections += followed.detections
            self.shots += 1

    def _keep(self, part: ShotTrack) -> None:
        self._writer.add_track(part.track, part.faces)
        if part.thumbnail is not None:
            self._writer.add_thumbnail(part.track.id, part.thumbnail)
        for face in part.candidates:
            time = self._time_of(face.frame) - self._info.start
            self._candidates.append(self._spool.put(part.track.id, time, face))
            entry = first_frame(face, part.track)
            self._entries[entry] = self._time_of(entry)
        for moment in moments(part):
            self._moments.append(moment)
            self._entries[moment.first] = self._time_of(moment.first)
        self.tracks.append(part.track)

    def _time_of(self, frame: int) -> Fraction:
        return self.ticks[frame] * self._info.time_base

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
        kept = []
        for row, mine in enumerate(own):
            self._progress("references", row, len(groups))
            chosen = pick(
                mine,
                centroids[row],
                self._settings.max_references,
                others=np.delete(centroids, row, 0),
                dropped=dropped,
                view=self._view,
            )
            kept.append(chosen)
        self._polish(kept, jobs(kept, centroids, tracks))
        for spooled in chain.from_iterable(kept):
            reference = to_reference(spooled, self._info.path.name)
            self._writer.add_reference(spooled.track, reference)
        self._progress("references", len(groups), len(groups))
        return sum(map(len, kept))

    def _polish(self, kept: Sequence[list[Spooled]], todo: Sequence[CloseUpToFuse]) -> None:
        """Put cleaner close-ups in the place of noisy ones; there the video is read again."""
        if not todo:
            return

        frames = frames_of(todo, self._open_at)
        for (person, place), better in polish(todo, frames, self._models, self._spool).items():
            kept[person][place] = better

    def _open_at(self, frame: int) -> VideoReader:
        enter = (frame, self._entries[frame])
        return VideoReader(self._info.path, info=self._info, enter=enter)


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress for nobody."""


__all__ = ["FollowOf", "Progress", "ScanSummary", "scan", "scan_into", "video_source"]
