"""What a render's frames are made from, as numbers: the project is read here and nowhere after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from refrestore import __version__
from refrestore.config import EncoderSettings, ExportSettings, RenderSettings
from refrestore.errors import MediaError
from refrestore.media.encoder import Encoder
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.entries import Entries
from refrestore.media.moments import FilmPart, film_length, frame_at, resolve_part
from refrestore.media.probe import VideoInfo
from refrestore.media.signing import SigningKey, check_signed_name
from refrestore.profiles import Profile
from refrestore.profiles.cosines import cosines
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.project.timing import Timeline
from refrestore.render.carrying import frames_apart
from refrestore.render.face_export import FaceExport, check_export_folder, plans_within
from refrestore.render.people import People, gather_people
from refrestore.render.plan import TrackPlan, plan_tracks
from refrestore.render.segment_folder import Segment, digest, split
from refrestore.render.toolbox import Toolbox
from refrestore.render.tools import Tools
from refrestore.render.wanted import wanted_of
from refrestore.types import Shot

SAID = {"provenance", "name_people", "c2pa_key"}
"""Settings that no frame depends on."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything that frames depend on but the networks. Picklable.

    Parameters
    ----------
    info
        The source.
    shots
        Its shots, as the scan found them.
    entries
        Its frames whose times are known.
    timeline
        From its frames to seconds.
    people
        Who is in it, and what they are restored from.
    plans
        What each track gets.
    settings
        How.
    networks
        What the networks say of themselves (`Toolbox.description`).
    """

    info: VideoInfo
    shots: Sequence[Shot]
    entries: Entries
    timeline: Timeline
    people: People
    plans: Sequence[TrackPlan]
    settings: RenderSettings
    networks: Mapping[str, Any]

    def tools(self, toolbox: Toolbox, side: int) -> Tools:
        """Return the references with the networks that use them, for crops of a side at most."""
        return Tools(
            toolbox.models,
            toolbox.restorer,
            self.people.banks,
            self.settings.references,
            toolbox.batch(self.settings.batch, side),
            self.people.rivals,
            toolbox.switches,
            cosines(toolbox.eyes.network.name),
            frozenset(plan.track for plan in self.plans if not plan.referenced),
            frames_apart(self.info.average_rate) if toolbox.switches.carried else 1,
        )


@dataclass(frozen=True, eq=False)
class FilmRecipe(Recipe):
    """A recipe for an output.

    Parameters
    ----------
    first, stop
        Frames that are rendered, half open.
    part
        The same as times.
    output
        The video to write.
    asked, encoder
        What the user asked of the encoder, and the one that was found to work.
    export, export_folder
        Which faces are written as pictures and where, or None.
    wanted
        By identity id, which photos would help those who lack close-ups.
    """

    first: int
    stop: int
    part: FilmPart
    output: Path
    asked: EncoderSettings
    encoder: Encoder
    export: FaceExport | None
    export_folder: Path | None
    wanted: Mapping[int, str]

    @cached_property
    def segments(self) -> list[Segment]:
        """Those of the whole film, cut to the frames that are rendered: a part's are the film's."""
        longest = max(1, round(Fraction(self.settings.segment_seconds) * self.info.average_rate))
        frames = max(self.stop, self.shots[-1].stop if self.shots else 0)
        every = split(self.shots, longest=longest, first=0, stop=frames)
        return [
            Segment(one.index, max(one.first, self.first), min(one.stop, self.stop))
            for one in every
            if one.first < self.stop and one.stop > self.first
        ]

    @cached_property
    def key(self) -> str:
        """Digest of everything the frames depend on."""
        content = hashlib.sha256()
        for plan in self.plans:
            content.update(np.array([plan.track, plan.identity], np.int64).tobytes())
            content.update(plan.faces.frame.tobytes())
            content.update(plan.faces.keypoints.tobytes())
            content.update(plan.strength.tobytes())
        for identity, bank in sorted(self.people.banks.items()):
            content.update(np.array([identity], np.int64).tobytes())
            content.update(bank.images.numpy().tobytes())
            content.update(bank.landmarks.tobytes())
            content.update(b"" if bank.adapter is None else bank.adapter.content)
            content.update(self.people.rivals.of(identity).tobytes())
        for track, mean in sorted(self.people.rivals.means.items()):
            content.update(np.array([track], np.int64).tobytes() + mean.tobytes())
        return digest(
            [
                __version__,
                [self.info.fingerprint, self.info.stream, self.info.treatment.filters],
                [(shot.first, shot.stop) for shot in self.shots],
                self.settings.model_dump(mode="json", exclude=SAID),
                repr(self.encoder),
                self.networks,
                content.hexdigest(),
            ]
        )


def read_recipe(
    project: Project,
    info: VideoInfo,
    toolbox: Toolbox,
    people: People,
    settings: RenderSettings,
    *,
    near: tuple[int, int] | None = None,
    strengths: Mapping[int, float] | None = None,
) -> Recipe:
    """Return the recipe for frames of a project's video.

    Parameters
    ----------
    near
        Frames, half open, of which the plans are enough: a plan depends on faces in the same
        frames only, and tracks end at cuts, so that those of the shots concerned are all that
        matter.
    strengths
        Limits per identity id in the place of the identities' own.
    """
    shots, tracks = project.shots(), project.tracks()
    if near is not None:
        concerned = {one.index for one in shots if one.first < near[1] and one.stop > near[0]}
        tracks = [track for track in tracks if track.shot in concerned]
    plans = plan_tracks(
        tracks,
        lambda track: project.faces([track]),
        people.identities,
        settings,
        references=people.resolved,
        strengths=strengths,
    )
    return Recipe(
        info=info,
        shots=shots,
        entries=project.entries(),
        timeline=project.timeline(),
        people=people,
        plans=plans,
        settings=settings,
        networks=toolbox.description(),
    )


def prepare(
    project: Project,
    output: Path,
    work: Path,
    open_networks: Callable[[], Toolbox],
    *,
    settings: RenderSettings,
    encoder: EncoderSettings,
    profiles: Iterable[Profile] = (),
    lent: Mapping[int, Profile] | None = None,
    video: Path | None = None,
    export: ExportSettings | None = None,
) -> FilmRecipe:
    """Try everything that can fail, the quickest first, and return the recipe for an output.

    Parameters
    ----------
    work
        The output's folder.
    open_networks
        Opens what takes seconds to open, when the rest is known to be right.
    others
        As for `refrestore.engine.local.render`.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence.
    """
    info = project_film(project, video)
    part = resolve_part(settings.start, settings.end, info, project.shots(), project.entries())
    if export is not None:
        check_export_folder(export.folder)
    resolved = resolve_encoder(
        encoder, info, scale=settings.scale, output=output, work=work, layer=settings.layer
    )
    return film_recipe(
        project,
        info,
        part,
        resolved,
        open_networks,
        output=output,
        settings=settings,
        asked=encoder,
        profiles=profiles,
        lent=lent,
        export=export,
    )


def film_recipe(
    project: Project,
    info: VideoInfo,
    part: FilmPart,
    encoder: Encoder,
    open_networks: Callable[[], Toolbox],
    *,
    output: Path,
    settings: RenderSettings,
    asked: EncoderSettings,
    profiles: Iterable[Profile] = (),
    lent: Mapping[int, Profile] | None = None,
    export: ExportSettings | None = None,
) -> FilmRecipe:
    """Return the recipe for an output whose film and encoder are known.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence.
    """
    shots, entries = project.shots(), project.entries()
    if settings.c2pa_key is not None:
        check_signed_name(output, pictures=encoder.pictures is not None)
        SigningKey.read(settings.c2pa_key)
    toolbox = open_networks()
    if toolbox.background is not None:
        toolbox.background.check(info)
    people = gather_people(project, list(profiles), lent, eyes=toolbox.eyes, fusion=toolbox.fusion)
    recipe = read_recipe(project, info, toolbox, people, settings)
    counted = shots[-1].stop if shots else project.video.frames or info.frames or 1
    first = 0 if part.start is None else frame_at(part.start, info, entries)
    end = None if part.end is None else frame_at(part.end, info, entries)
    stop = max(counted, (first or 0) + 1) if end is None else end
    if first is None or stop <= first:
        length = film_length(info, shots)
        long = "" if length is None else f"; the film is {float(length):.2f} s long"
        raise MediaError(f"{info.path} has no frame between --start and --end{long}.")
    shown = plans_within(recipe.plans, first, stop)
    return FilmRecipe(
        **vars(recipe),
        first=first,
        stop=stop,
        part=part,
        output=output,
        asked=asked,
        encoder=encoder,
        export=None if export is None else FaceExport(shown, export.every, zero=info.start),
        export_folder=None if export is None else export.folder,
        wanted=wanted_of(project, people, shown),
    )
