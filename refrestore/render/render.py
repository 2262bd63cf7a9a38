"""Pass 2 from end to end: check everything, plan, render the segments, join, report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refrestore import __version__
from refrestore.config import EncoderSettings, ExportSettings, RenderSettings, RuntimeSettings
from refrestore.errors import kept_if_broken_off
from refrestore.media.encoder import Encoder, resolve_encoder
from refrestore.media.moments import resolve_part
from refrestore.media.probe import VideoInfo, probe
from refrestore.project import Profile, Project
from refrestore.project.workplace import OutputPlace, place_of
from refrestore.render.background import Background, open_background
from refrestore.render.export import FaceExport, check_export_folder, plans_within
from refrestore.render.exported import publish_faces
from refrestore.render.film import Notes, make_film
from refrestore.render.loop import Job, Watch
from refrestore.render.people import People, gather_people
from refrestore.render.plan import TrackPlan, plan_tracks
from refrestore.render.refine import Tools
from refrestore.render.report import SegmentRecord, summarise, write_report
from refrestore.render.segments import SegmentFolder, digest
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.bank import ReferenceBank
from refrestore.types import Announce, ProgressCallback


@dataclass(frozen=True)
class RenderResult:
    """What a render made.

    Parameters
    ----------
    output, report, page
        The video, the report as JSON and as HTML.
    summary
        The report's content without pictures.
    exported
        Folder of the exported faces, if they were asked for.
    """

    output: Path
    report: Path
    page: Path
    summary: dict[str, Any]
    exported: Path | None = None


def render(
    project: Project,
    output: Path,
    *,
    settings: RenderSettings | None = None,
    encoder: EncoderSettings | None = None,
    runtime: RuntimeSettings | None = None,
    profiles: Iterable[Profile] = (),
    lent: Mapping[int, Profile] | None = None,
    video: Path | None = None,
    toolbox: Toolbox | None = None,
    background: Background | None = None,
    export: ExportSettings | None = None,
    progress: ProgressCallback | None = None,
    watch: Watch | None = None,
    place: OutputPlace | None = None,
    announce: Announce | None = None,
) -> RenderResult:
    """Restore a project's video.

    Everything that can fail early does: source, encoder, container, disk and models are tried
    before the first frame. A render that was stopped goes on from its finished segments. Where no
    face is restored and nothing else was asked for, the film is copied instead of encoded again.

    Parameters
    ----------
    project
        A scanned project.
    output
        The video to write; its suffix chooses the container. The report is written beside it.
    profiles
        Profiles whose references may be used, for the identities that are linked to them.
    lent
        Profiles per identity id for this render only (see `gather_people`).
    video
        Where the source is, if it is not where the project saw it.
    toolbox
        Networks already opened, to use them for several videos.
    background
        The same for the network that the settings name for the rest of the frame.
    export
        Where and which faces are written as pictures.
    progress
        Told about the stage "render", in frames. What it raises stops the render; what is finished
        is kept.
    watch
        Is shown every frame as it is finished.
    place
        The output's, where the caller has entered it already.
    announce
        Is told what the output loses or changes of the source, a sentence each, before the first
        frame is rendered. The report's notes have it too.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence. Like any other exception that ends a render, it
        carries what is kept as a note (`kept_notes`).
    """
    with place_of(output, place) as held:
        return _render(
            project,
            output,
            held.folder,
            settings=settings,
            encoder=encoder,
            runtime=runtime,
            profiles=profiles,
            lent=lent,
            video=video,
            toolbox=toolbox,
            background=background,
            export=export,
            progress=progress,
            watch=watch,
            announce=announce,
        )


def _render(
    project: Project,
    output: Path,
    work: Path,
    *,
    settings: RenderSettings | None,
    encoder: EncoderSettings | None,
    runtime: RuntimeSettings | None,
    profiles: Iterable[Profile],
    lent: Mapping[int, Profile] | None,
    video: Path | None,
    toolbox: Toolbox | None,
    background: Background | None,
    export: ExportSettings | None,
    progress: ProgressCallback | None,
    watch: Watch | None,
    announce: Announce | None,
) -> RenderResult:
    settings = settings or RenderSettings()
    runtime = runtime or RuntimeSettings()
    began = time.monotonic()
    info = probe(video or project.video.path)
    project.check_video(info.fingerprint, info.path)
    shots = project.shots()
    part = resolve_part(settings.start, settings.end, info, shots)
    if export is not None:
        check_export_folder(export.folder)
    encoder = encoder or EncoderSettings()
    resolved = resolve_encoder(encoder, info, scale=settings.scale, output=output, work=work)
    background = background or open_background(settings, runtime)
    if background is not None:
        background.check(info)
    toolbox = toolbox or open_toolbox(runtime)
    people = gather_people(project, list(profiles), lent, eyes=toolbox.eyes, fusion=toolbox.fusion)
    plans = plan_tracks(
        project.tracks(),
        lambda track: project.faces([track]),
        people.identities,
        settings,
        references=people.resolved,
        generator=toolbox.restorer.gfpgan is not None,
    )
    tools = Tools(
        toolbox.models,
        toolbox.restorer,
        people.banks,
        settings.references,
        settings.batch,
        people.rivals,
        toolbox.switches,
    )
    frames = shots[-1].stop if shots else project.video.frames or info.frames or 1
    timeline = project.timeline()
    shown = plans_within(plans, part, info.start, timeline.seconds)
    faces = None if export is None else FaceExport(shown, export.every, zero=info.start)
    job = Job(info, shots, frames, plans, tools, settings, resolved, part, background, faces, watch)
    folder = SegmentFolder(work, _key(job, toolbox))
    report_progress = progress or (lambda stage, done, total: None)
    said = Notes(announce)
    film = make_film(job, folder, output, asked=encoder, said=said, progress=report_progress)
    records = film.records
    report_progress("render", sum(record.frames for record in records), None)
    report = {
        **_facts(info, output, film.encoder, toolbox, settings),
        "background": None if background is None else background.description(),
        "frames": sum(record.frames for record in records),
        "faces": sum(record.faces for record in records),
        "unreferenced": sum(record.faces_without_references for record in records),
        "wall_seconds": round(time.monotonic() - began, 2),
        "notes": [
            *said.notes,
            *_notes(plans, records, toolbox, people, background, copied=film.copied),
        ],
        "identities": summarise(
            people.identities, plans, people.references, records, timeline.seconds
        ),
    }
    json_path = output.with_name(f"{output.stem}.report.json")
    page = output.with_name(f"{output.stem}.report.html")
    write_report(report, json_path, page)
    if export is not None and faces is not None:
        with kept_if_broken_off(lambda: folder.kept(film.segments)):
            publish_faces(
                export.folder,
                [folder.faces(segment) for segment in film.segments],
                faces,
                source=info.path.name,
                people=people,
                plans=shown,
                seconds=timeline.seconds,
            )
    folder.remove()
    return RenderResult(output, json_path, page, report, export.folder if export else None)


def _key(job: Job, toolbox: Toolbox) -> str:
    """Return the digest of everything the frames depend on."""
    content = hashlib.sha256()
    for plan in job.plans:
        content.update(np.array([plan.track, plan.identity], np.int64).tobytes())
        content.update(plan.faces.frame.tobytes())
        content.update(plan.faces.keypoints.tobytes())
        content.update(plan.strength.tobytes())
    for identity in sorted(job.tools.banks):
        bank: ReferenceBank = job.tools.banks[identity]
        content.update(np.array([identity], np.int64).tobytes())
        content.update(bank.images.numpy().tobytes())
        content.update(bank.landmarks.tobytes())
        content.update(b"" if bank.adapter is None else bank.adapter.content)
        content.update(job.tools.rivals.of(identity).tobytes())
    return digest(
        [
            __version__,
            job.info.fingerprint,
            [(shot.first, shot.stop) for shot in job.shots],
            job.settings.model_dump(mode="json"),
            repr(job.encoder),
            toolbox.description(),
            job.background and job.background.description(),
            content.hexdigest(),
        ]
    )


def _facts(
    info: VideoInfo, output: Path, encoder: Encoder, toolbox: Toolbox, settings: RenderSettings
) -> dict[str, Any]:
    width, height = info.geometry.scaled(settings.scale).display_size
    described = toolbox.description()
    return {
        "version": __version__,
        "source": {"name": info.path.name, "fingerprint": info.fingerprint},
        "output": {"name": output.name, "width": width, "height": height, "codec": encoder.codec},
        "settings": settings.model_dump(mode="json"),
        "pack": described["pack"],
        "models": described["files"],
        "device": described["device"],
        "precision": described["precision"],
        "stages": described["stages"],
    }


def _notes(
    plans: Sequence[TrackPlan],
    records: Sequence[SegmentRecord],
    toolbox: Toolbox,
    people: People,
    background: Background | None,
    *,
    copied: bool,
) -> list[str]:
    """Return what the reader should know first, in sentences."""
    notes = list(people.notes)
    if not plans:
        notes.append("No faces were found.")
    elif not copied and not any(record.faces for record in records):
        notes.append("No face needed or allowed restoration.")
    if background is not None:
        notes.append(
            f"The whole frame was repainted by {background.name} ({background.architecture}), as "
            "--background asked: outside the restored faces the pixels are that network's, not "
            "the source's."
        )
    if toolbox.restorer.gfpgan is None:
        notes.append(
            f"The pack {toolbox.pack.name} has no GFPGAN: faces are restored from their "
            "references alone, and what no reference shows stays as soft as it was."
        )
    return notes
