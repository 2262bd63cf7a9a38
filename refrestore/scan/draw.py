"""Draw a face: a box on one frame becomes a track of the project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings
from refrestore.errors import ApartError, UsageError
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.faces.network_id import NetworkId
from refrestore.media.moments import frame_at as first_frame_at
from refrestore.media.moments import no_such_moment, resolve_moment, spoken
from refrestore.media.probe import VideoInfo
from refrestore.models.pack import load_face_pack
from refrestore.moment import Moment
from refrestore.project import Project
from refrestore.project.decisions import checked_name
from refrestore.project.drawn import DrawnTrack, add_drawn
from refrestore.project.opened_film import project_film
from refrestore.project.pooling import pool_tracks
from refrestore.scan.follow_drawn import MIN_SCORE, BoxFollower
from refrestore.scan.networks import pack_network
from refrestore.scan.picking import pick
from refrestore.scan.references import Spool, to_reference
from refrestore.scan.scan import Progress
from refrestore.scan.stretch import Stretch
from refrestore.scan.tracks import ShotTrack, finish_drawn
from refrestore.scan.view import ViewOf, load_view
from refrestore.storage.workplace import temporary_folder
from refrestore.types import Identity, Reference, Shot

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in display pixels."""

NEAR_FRAMES = 13
"""Frames from where a drawn track ends in which the same face may be found again: half a second."""


@dataclass(frozen=True)
class DrawnFace:
    """A face that was drawn.

    Parameters
    ----------
    identity, track
        Whose it is, and its track.
    first, stop
        Frame indices, half open.
    start, end
        Seconds of these from the film's first frame.
    references
        How many close-ups it gave.
    met
        Others' tracks that begin where it ends, or end where it begins: perhaps the same person.
    """

    identity: int
    track: int
    first: int
    stop: int
    start: float
    end: float
    references: int
    met: tuple[int, ...]


@dataclass(frozen=True)
class Pencil:
    """The networks that drawing needs; open once, use from one thread."""

    models: FaceModels
    network: NetworkId
    view: ViewOf | None

    @classmethod
    def open(cls, runtime: RuntimeSettings) -> Pencil:
        """Open the networks of a pack.

        Raises
        ------
        ModelError
            If one is missing or damaged.
        """
        pack = load_face_pack(runtime)
        models = load_face_models(
            pack, runtime.device, threads=runtime.threads, min_score=MIN_SCORE
        )
        return cls(models, pack_network(pack), load_view(runtime))


def draw_face(
    project: Project,
    at: Moment,
    box: Box,
    *,
    pencil: Pencil,
    identity: int | None = None,
    name: str | None = None,
    video: Path | None = None,
    progress: Progress | None = None,
) -> DrawnFace:
    """Follow a face that the scan missed from a box on one frame, both ways, and store its track.

    Parameters
    ----------
    project
        A scanned project; one edit is made, which can be undone.
    at
        Which frame: the one shown at that moment.
    box
        Where the face is in it; drawn around a whole head it serves too.
    pencil
        Networks of the pack that the project was scanned with.
    identity
        Whose face it is, None for somebody new.
    name
        What somebody new is called.
    video
        The film, if it was moved.
    progress
        Told about stage "follow": how many frames were read.

    Raises
    ------
    UsageError
        The moment is not in the film, the box not in the picture, there is no face in it, or one
        that is known already; somebody has the name; or the networks are not the scan's.
    ApartError
        The identity is on screen elsewhere in that frame.
    MediaError, ProjectError
        The film cannot be read; there is no such identity.
    """
    scan = project.scan_info()
    if scan is None:
        raise UsageError(f"{project.folder} has no scan yet: run `refrestore scan` first.")
    if scan.network.contradicts(pencil.network):
        raise UsageError(
            f"The project was scanned with {scan.network}, and this pack has {pencil.network}: "
            "choose the same --pack, or scan again."
        )
    info, shots, entries = project_film(project, video), project.shots(), project.entries()
    frame = first_frame_at(resolve_moment(at, info, shots, entries), info, entries)
    shot = next((one for one in shots if frame is not None and one.first <= frame < one.stop), None)
    if frame is None or shot is None:
        raise no_such_moment(at, info, shots)
    _check_box(box, info, scan.settings.min_face)
    people = {one.id: one for one in project.identities()}
    _check_name(name, people.values())
    report, read = progress or _silent, 0

    def looked(index: int) -> None:
        nonlocal read
        read += 1
        report("follow", read, None)

    known = project.faces(project.identity_of_track(), shot.first, shot.stop)
    if identity is not None:
        shot = _without(project, shot, project.identity(identity), frame)
    stretch = Stretch(info, entries, shot, known, looked)
    drawn = np.array(box, np.float32)
    _check_free(people, stretch.whose(frame, drawn), at)
    followed = BoxFollower(pencil.models, stretch, info.average_rate).follow(frame, drawn)
    if followed is None:
        _check_free(people, stretch.whose(frame, drawn, 0.0), at)
        raise UsageError(
            f"No face was found in the box at {spoken(at)}, nor just before and after: draw it "
            "closely around a face, at a moment where it can be seen better."
        )
    found = finish_drawn(followed, frame, shot=shot.index, rate=info.average_rate)
    references = _close_ups(found, stretch, project, pencil.view, identity)
    holder, track = add_drawn(
        project,
        scan.id,
        DrawnTrack(found.track, found.faces, references, found.thumbnail),
        identity=identity,
        name=name,
    )
    timeline, first, stop = project.timeline(), found.track.first, found.track.stop
    return DrawnFace(
        identity=holder,
        track=track,
        first=first,
        stop=stop,
        start=timeline.seconds(first),
        end=timeline.seconds(stop),
        references=len(references),
        met=_met(stretch, found, project, holder),
    )


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress for nobody."""


def _check_box(box: Box, info: VideoInfo, least: float) -> None:
    left, top, right, bottom = box
    width, height = info.geometry.display_size
    said = f"The box {left:g},{top:g},{right - left:g},{bottom - top:g}"
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UsageError(f"{said} is not inside the picture, which is {width}x{height}.")
    if max(right - left, bottom - top) < least:
        raise UsageError(f"{said} is smaller than {least:g} pixels: so small a face is left alone.")


def _check_name(name: str | None, people: Iterable[Identity]) -> None:
    wanted = None if name is None else checked_name(name)
    for one in people:
        if one.name == wanted:
            raise UsageError(
                f"There is somebody called {wanted} already, identity {one.id}: say that it is "
                "them, or choose another name."
            )


def _check_free(people: Mapping[int, Identity], track: int | None, at: Moment) -> None:
    """Refuse a box on somebody's face.

    Raises
    ------
    UsageError
        When there is a track whose face is there.
    """
    if track is not None:
        holder = next(one for one in people.values() if track in one.tracks)
        raise UsageError(
            f"The face in the box at {spoken(at)} is known already: it is {holder.name} "
            f"({holder.id}), track {track}."
        )


def _without(project: Project, shot: Shot, identity: Identity, frame: int) -> Shot:
    """Return the part of a shot around a frame in which somebody is not on screen already.

    Raises
    ------
    ApartError
        When they are in that frame.
    """
    first, stop = shot.first, shot.stop
    for track in project.tracks(identity.tracks):
        if track.first <= frame < track.stop:
            raise ApartError(
                f"{identity.name} ({identity.id}) is on screen at that moment already, in track "
                f"{track.id}, so this is somebody else."
            )
        if track.first > frame:
            stop = min(stop, track.first)
        else:
            first = max(first, track.stop)
    return replace(shot, first=first, stop=stop)


def _close_ups(
    found: ShotTrack,
    stretch: Stretch,
    project: Project,
    view: ViewOf | None,
    identity: int | None,
) -> list[Reference]:
    """Choose references among the close-ups of a track, as a scan does."""
    scan = project.scan_info()
    assert scan is not None
    # What the scan's own detector would not have called a face is not one to restore others from.
    clear = set(found.faces.frame[found.faces.score >= scan.settings.min_score].tolist())
    candidates = [one for one in found.candidates if one.frame in clear]
    if not candidates:
        return []
    tracks = {track.id: track for track in project.tracks()}
    people = {one.id: [tracks[t] for t in one.tracks] for one in project.identities()}
    own = pool_tracks([found.track, *people.pop(identity or 0, [])])
    others = [pool_tracks(theirs) for theirs in people.values()]
    with temporary_folder("refrestore-draw-") as folder, Spool(folder) as spool:
        spooled = [spool.put(0, stretch.time_of(one.frame), one) for one in candidates]
        chosen = pick(
            spooled,
            own,
            scan.settings.max_references,
            others=np.stack(others) if others else None,
            dropped=project.dropped_faces(),
            view=view,
        )
        return [to_reference(one, Spool.get(one), project.video.path.name) for one in chosen]


def _met(stretch: Stretch, found: ShotTrack, project: Project, holder: int) -> tuple[int, ...]:
    """Return others' tracks that go on where a drawn one ends, and are not seen beside it."""
    track, boxes = found.track, found.faces.box
    ends = [(track.first, boxes[0], -1), (track.stop - 1, boxes[-1], 1)]
    near = [
        stretch.whose(frame + way * step, box)
        for frame, box, way in ends
        for step in range(1, NEAR_FRAMES)
    ]
    own = project.identity(holder).tracks
    there = project.tracks(one for one in near if one is not None and one not in own)
    return tuple(one.id for one in there if one.first >= track.stop or one.stop <= track.first)
