"""The whole job: scan, recognise people across videos and profiles, render."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from refrestore.config import (
    Container,
    EncoderSettings,
    EngineSettings,
    ExportSettings,
    RenderSettings,
    RuntimeSettings,
    ScanSettings,
)
from refrestore.engine.crew import Crew, crew_of
from refrestore.engine.destinations import Plan, plan_outputs
from refrestore.engine.local import render
from refrestore.engine.task import Heard
from refrestore.engine.whole_scan import scan
from refrestore.errors import Kept, kept_if_broken_off
from refrestore.faces.network_id import NetworkId
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.frame_files import output_of
from refrestore.media.moments import resolve_part
from refrestore.media.probe import VideoInfo
from refrestore.media.source import open_source, source_notes
from refrestore.profiles import Profile, match
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.render.background import Background
from refrestore.render.face_export import check_export_folder
from refrestore.render.people import clear_centroid
from refrestore.render.render import RenderResult
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.scan.recognise import recognised
from refrestore.storage.workplace import OutputPlace, make_folder
from refrestore.types import Announce, FloatArray, Identity, ProgressCallback, Reference, Shot


def run(
    videos: Sequence[Path],
    output: Path,
    *,
    profiles: Sequence[Profile] = (),
    project: Path | None = None,
    container: Container | None = None,
    scan_settings: ScanSettings | None = None,
    render_settings: RenderSettings | None = None,
    encoder: EncoderSettings | None = None,
    runtime: RuntimeSettings | None = None,
    export: ExportSettings | None = None,
    progress: ProgressCallback | None = None,
    announce: Announce | None = None,
    engine: EngineSettings | Crew | None = None,
    heard: Heard | None = None,
) -> list[RenderResult]:
    """Restore videos from end to end.

    Every video is scanned first; then people are recognised across them and against the profiles,
    so that a face seen only far away in one video is restored from its close-ups in another. A
    project that is there already is used as it is, with the user's edits.

    Parameters
    ----------
    container
        Suffix of the outputs in a folder; by default each video's own.
    export
        Faces to write as pictures; of several videos each gets a folder of its output's name.
    announce
        Is told what each output loses or changes, before its first frame is rendered.
    engine
        Who scans and renders: by default this process. A crew is used and stays.
    heard
        Is told how far each worker of a cluster is.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence; what was finished stays.
    """
    scan_settings = scan_settings or ScanSettings()
    render_settings = render_settings or RenderSettings()
    encoder = encoder or EncoderSettings()
    runtime = runtime or RuntimeSettings()
    plans = plan_outputs(videos, output, project, container)
    output, encoder = output_of(output, encoder)
    if export is not None:
        check_export_folder(export.folder)
    if plans[0].output.parent != output.parent:
        make_folder(output)
    toolbox = open_toolbox(runtime).equipped(render_settings, runtime)
    with ExitStack() as stack:
        places = [stack.enter_context(OutputPlace(plan.output)) for plan in plans]
        films = [film_to_read(plan, scan_settings, announce) for plan in plans]
        for plan, place, info in zip(plans, places, films, strict=True):
            check_wishes(
                plan,
                place,
                info,
                settings=render_settings,
                encoder=encoder,
                background=toolbox.background,
            )
        crew = stack.enter_context(crew_of(engine, runtime, announce=announce, heard=heard))
        return _run(
            plans,
            places,
            films,
            profiles=profiles,
            scan_settings=scan_settings,
            render_settings=render_settings,
            encoder=encoder,
            runtime=runtime,
            toolbox=toolbox,
            export=export,
            progress=progress,
            announce=announce,
            crew=crew,
        )


def _run(
    plans: Sequence[Plan],
    places: Sequence[OutputPlace],
    films: Sequence[VideoInfo],
    *,
    profiles: Sequence[Profile],
    scan_settings: ScanSettings,
    render_settings: RenderSettings,
    encoder: EncoderSettings,
    runtime: RuntimeSettings,
    toolbox: Toolbox,
    export: ExportSettings | None,
    progress: ProgressCallback | None,
    announce: Announce | None,
    crew: Crew | None,
) -> list[RenderResult]:
    """Scan all, recognise across all, render all."""
    network = toolbox.eyes.network
    scanned: list[Plan] = []
    with kept_if_broken_off(lambda: _kept_scans(scanned, plans)):
        for plan, film in zip(plans, films, strict=True):
            scan_once(
                plan,
                scan_settings,
                runtime,
                network,
                progress,
                film=film,
                announce=announce,
                crew=crew,
            )
            scanned.append(plan)
        profiles = [toolbox.fitted(profile) for profile in profiles]
        album = KnownPeople(profiles, network)
        for plan in plans:
            album.meet(plan)
        results = []
        for plan, place in zip(plans, places, strict=True):
            lent = album.lend(plan)
            with Project.open(plan.project) as opened:
                results.append(
                    render(
                        opened,
                        plan.output,
                        settings=render_settings,
                        encoder=encoder,
                        profiles=profiles,
                        lent=lent,
                        video=plan.video,
                        toolbox=toolbox,
                        export=_own_folder(export, plan, len(plans)),
                        progress=progress,
                        place=place,
                        announce=_named(announce, plan, len(plans)),
                        engine=crew,
                    )
                )
    return results


def check_wishes(
    plan: Plan,
    place: OutputPlace,
    info: VideoInfo,
    *,
    settings: RenderSettings,
    encoder: EncoderSettings,
    background: Background | None,
) -> None:
    """Refuse what cannot be rendered before the film is scanned for it.

    Raises
    ------
    RefrestoreError
        One of its kinds.
    """
    _check_part(plan, info, settings)
    resolve_encoder(
        encoder,
        info,
        scale=settings.scale,
        output=plan.output,
        work=place.folder,
        layer=settings.layer,
    )
    if background is not None:
        background.check(info)


def _check_part(plan: Plan, info: VideoInfo, settings: RenderSettings) -> None:
    """Refuse a part that the film does not have before the film is scanned for it."""
    shots: Sequence[Shot] = ()
    if Project.exists(plan.project):
        with Project.open(plan.project) as project:
            shots = project.shots() if project.scan_info() is not None else ()
    resolve_part(settings.start, settings.end, info, shots)


def _kept_scans(scanned: Sequence[Plan], plans: Sequence[Plan]) -> Kept | None:
    if not scanned:
        return None
    if len(plans) == 1:
        return Kept(f"the scan is kept in {scanned[0].project}", goes_on=True)
    return Kept(f"{len(scanned)} of {len(plans)} scans are kept", goes_on=True)


def _named(announce: Announce | None, plan: Plan, videos: int) -> Announce | None:
    if announce is None or videos == 1:
        return announce
    return lambda note: announce(f"{plan.output.name}: {note}")


def _own_folder(export: ExportSettings | None, plan: Plan, videos: int) -> ExportSettings | None:
    if export is None or videos == 1:
        return export
    return export.model_copy(update={"folder": export.folder / plan.output.name})


def film_to_read(plan: Plan, settings: ScanSettings, announce: Announce | None) -> VideoInfo:
    """Return a video as it is to be read: as its project's scan did, if that was asked the same."""
    if Project.exists(plan.project):
        with Project.open(plan.project) as project:
            known = project.scan_info()
            if known is not None and known.settings == settings:
                return project_film(project, plan.video)
    info = open_source(plan.video, settings)
    for note in source_notes(info, settings.deinterlace):
        (announce or (lambda note: None))(note)
    return info


def scan_once(
    plan: Plan,
    settings: ScanSettings,
    runtime: RuntimeSettings,
    network: NetworkId,
    progress: ProgressCallback | None,
    *,
    film: VideoInfo | None = None,
    announce: Announce | None = None,
    crew: Crew | None = None,
) -> None:
    """Scan unless the project holds a finished scan of these pictures, so and by this recogniser.

    Parameters
    ----------
    film
        The video as it is to be read, if that is known.
    announce
        Is told of damage that the scan met.
    crew
        Who works, if not this process.
    """
    film = film or open_source(plan.video, settings)
    if Project.exists(plan.project):
        with Project.open(plan.project) as project:
            project.check_video(film.fingerprint, plan.video)
            project.check_stream(film.chosen)
            info = project.scan_info()
            same = info is not None and _same_scan(info.settings, settings)
            seen = info is not None and info.treatment == film.treatment
            if same and seen and info is not None and not info.network.contradicts(network):
                return
    scan(
        plan.video,
        plan.project,
        settings=settings,
        runtime=runtime,
        progress=progress,
        announce=announce,
        info=film,
        engine=crew,
    )


def _same_scan(one: ScanSettings, other: ScanSettings) -> bool:
    """Return whether two scans of the same pictures would be the same."""
    pictures = {"deinterlace", "denoise", "video_stream"}
    return one.model_dump(exclude=pictures) == other.model_dump(exclude=pictures)


class KnownPeople:
    """Everybody known in one run: the user's profiles, and a profile for each person met.

    Only people who are clear enough to judge teach it; whoever is seen, however blurred, is
    recognised over all of their tracks (`scan.recognise`).
    """

    def __init__(self, profiles: Sequence[Profile], network: NetworkId) -> None:
        self._people = list(profiles)
        self._network = network
        self._origins: dict[int, Path] = {}

    def meet(self, plan: Plan) -> None:
        """Remember the close-ups of a video's people."""
        for identity, centroid, references in self._clear(plan):
            if not references:
                continue
            self._origins.update({id(reference): plan.video for reference in references})
            place = self._find(identity, centroid)
            if place is None:
                name = f"{identity.name} of {plan.video.name}"
                met = Profile(
                    name,
                    tuple(references),
                    self._network.name,
                    recogniser_digest=self._network.digest,
                )
                self._people.append(met)
            else:
                known = self._people[place]
                same = [reference for reference in references if known.belongs(reference)]
                self._people[place] = known.extended(same)

    def lend(self, plan: Plan) -> dict[int, Profile]:
        """Return, per identity of a video, a profile of the close-ups others have of them."""
        elsewhere = {
            person.name: tuple(
                reference
                for reference in person.references
                if self._origins.get(id(reference)) != plan.video
            )
            for person in self._people
        }
        with Project.open(plan.project) as project:
            found = recognised(project, [one for one in self._people if elsewhere[one.name]])
        return {
            number: replace(person, references=elsewhere[person.name])
            for number, person in found.items()
        }

    def _clear(self, plan: Plan) -> Iterator[tuple[Identity, FloatArray, list[Reference]]]:
        with Project.open(plan.project) as project:
            tracks = {track.id: track for track in project.tracks()}
            for identity in project.identities():
                centroid = clear_centroid([tracks[track] for track in identity.tracks])
                if centroid is None or identity.state != "restore" or identity.profile:
                    continue
                yield identity, centroid, project.references(identity.id)

    def _find(self, identity: Identity, centroid: FloatArray) -> int | None:
        found = match(
            centroid,
            [person for person in self._people if person.name not in identity.not_profiles],
            tracks=True,
            recogniser=self._network.name,
            digest=self._network.digest,
        )
        names = [person.name for person in self._people]
        return None if found.name is None else names.index(found.name)
