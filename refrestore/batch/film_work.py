"""What is done with each film of a queue: what `scan`, `run` and `render` do with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from refrestore.config import RuntimeSettings, profiles_directory
from refrestore.engine.crew import Crew
from refrestore.engine.destinations import Plan
from refrestore.engine.local import render
from refrestore.engine.run import check_wishes, film_to_read, scan_once
from refrestore.errors import ProfileError
from refrestore.media.files import disk_error
from refrestore.profiles import Profile, ProfileStore
from refrestore.project import Project
from refrestore.render.people import clear_centroid
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.scan.build import build_profile, update_profile
from refrestore.scan.recognise import match_identities
from refrestore.storage.workplace import OutputPlace
from refrestore.types import Announce, Identity, ProgressCallback

from .queued_film import Json, QueuedFilm
from .runner import StepDone

RENDERED = ("frames", "faces", "unreferenced", "unseen", "wall_seconds", "notes")
"""What is kept of a render's report, beside its people."""


@dataclass(frozen=True)
class FilmWork:
    """Scans, recognises, learns and renders (`runner.AnyFilmWork`).

    Parameters
    ----------
    runtime
        Where to compute, with which models and profiles; networks are opened once for all films.
    learn
        Whether each film's people become profiles, or teach those they are linked to, before it is
        rendered: films that are scanned later are recognised by them.
    crew
        Workers of a cluster, or None: this process works.
    """

    runtime: RuntimeSettings
    learn: bool = False
    crew: Crew | None = None

    @cached_property
    def toolbox(self) -> Toolbox:
        """The networks."""
        return open_toolbox(self.runtime)

    @cached_property
    def store(self) -> ProfileStore:
        """Who is known."""
        return ProfileStore(profiles_directory(self.runtime))

    def open(self) -> None:
        """Open the networks: without them no film can be worked on."""
        assert self.toolbox

    def scan(self, film: QueuedFilm, progress: ProgressCallback, announce: Announce) -> StepDone:
        """Scan a film, unless that is done, and link those who are recognised to their profile."""
        asked, plan = film.asked, Plan(film.video, film.output, film.project)
        try:
            plan.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(plan.output.parent, error) from error
        with OutputPlace(plan.output) as place:
            info = film_to_read(plan, asked.scan, announce)
            background = self.toolbox.equipped(asked.render, self.runtime).background
            check_wishes(
                plan,
                place,
                info,
                settings=asked.render,
                encoder=asked.encoder,
                background=background,
            )
        network = self.toolbox.eyes.network
        scan_once(
            plan,
            asked.scan,
            self.runtime,
            network,
            progress,
            film=info,
            announce=announce,
            crew=self.crew,
        )
        with Project.open(plan.project) as project:
            self._recognise(project)
            return StepDone(people_of(project))

    def render(self, film: QueuedFilm, progress: ProgressCallback, announce: Announce) -> StepDone:
        """Learn from a film if that is wanted, and render it."""
        asked = film.asked
        with Project.open(film.project) as project:
            if film.step == "review":  # nobody has looked at it: profiles may be there since
                self._recognise(project)
            if self.learn:
                self._learn(project, film, announce)
            result = render(
                project,
                film.output,
                settings=asked.render,
                encoder=asked.encoder,
                runtime=self.runtime,
                profiles=self._linked(project),
                video=film.video,
                toolbox=self.toolbox,
                progress=progress,
                announce=announce,
                engine=self.crew,
            )
            return _done(film, result.summary)

    def trace(self, film: QueuedFilm) -> str:
        """Return which report there is: it is written when the film is complete."""
        try:
            stat = _report(film).stat()
        except OSError:
            return ""
        return f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}"

    def made(self, film: QueuedFilm) -> StepDone:
        """Return what the report beside the output says."""
        return _done(film, json.loads(_report(film).read_text("utf-8")))

    def _recognise(self, project: Project) -> None:
        """Link those who are recognised to their profile."""
        profiles = self.store.load_all()
        if profiles:
            match_identities(project, profiles, link=True, runtime=self.runtime)

    def _learn(self, project: Project, film: QueuedFilm, announce: Announce) -> None:
        """Teach profiles everybody who is clear enough to judge; link who got one."""
        tracks = {track.id: track for track in project.tracks()}
        for one in project.identities():
            clear = clear_centroid([tracks[track] for track in one.tracks]) is not None
            if one.state != "restore" or not one.references or not clear:
                continue
            name = one.profile or _profile_name(one, film)
            try:
                # Of the same name where the process was killed between making it and the link.
                work = update_profile if name in self.store.list() else build_profile
                work(
                    name,
                    from_projects=[(project, one.id)],
                    store=self.store,
                    runtime=self.runtime,
                )
            except ProfileError as error:
                announce(f"{one.name} taught no profile. {error}")
                continue
            if one.profile is None:
                project.link_profile(one.id, name)

    def _linked(self, project: Project) -> list[Profile]:
        names = {one.profile for one in project.identities() if one.profile}
        return [self.store.load(name) for name in sorted(names)]


def people_of(project: Project) -> list[Json]:
    """Return who is in a film, the longest on screen first."""
    people = (one for one in project.identities() if one.state != "not_a_face")
    return [
        {
            "id": one.id,
            "name": one.name,
            "profile": one.profile,
            "state": one.state,
            "seconds": round(one.seconds, 3),
            "faces": one.faces,
        }
        for one in sorted(people, key=lambda one: (-one.seconds, one.id))
    ]


def _done(film: QueuedFilm, summary: Mapping[str, Any]) -> StepDone:
    """Return what a report says of a film and its people."""
    kept = ("id", "name", "profile", "state", "seconds", "faces")
    people = [
        {
            **{key: one[key] for key in kept},
            "restored_faces": one["restored_faces"],
            "unreferenced_faces": one["unreferenced_faces"],
        }
        for one in summary["identities"]
        if one["state"] != "not_a_face"
    ]
    result = {key: summary[key] for key in RENDERED}
    page = film.output.with_name(f"{film.output.stem}.report.html")
    return StepDone(people, {**result, "report": str(_report(film)), "page": str(page)})


def _report(film: QueuedFilm) -> Path:
    return film.output.with_name(f"{film.output.stem}.report.json")


def _profile_name(one: Identity, film: QueuedFilm) -> str:
    """Return what a person is called beyond a film: numbers are the film's alone."""
    named = one.name != f"person {one.id}"
    return one.name if named else f"{one.name} of {film.video.stem}"
