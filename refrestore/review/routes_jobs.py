"""Previews, renders and how far they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from refrestore.config import NO_STAGE, EncoderSettings, RenderSettings
from refrestore.errors import UsageError
from refrestore.models.stages import RESTRICTED, installed, kind_of

from .cards import Json
from .estimate import expected
from .page_state import PageState
from .refusals import OVERWRITE, ConflictError, NotFoundError
from .routes_pictures import FOR_EVER
from .schemas import PreviewRequest, RenderRequest
from .security import REPORT_POLICY
from .studio import RenderOrder

TYPES = {
    "before.png": "image/png",
    "after.png": "image/png",
    "before.mp4": "video/mp4",
    "after.mp4": "video/mp4",
    "report.html": "text/html; charset=utf-8",
    "report.json": "application/json",
}
"""The files that a job may have."""


def job_routes(page_state: PageState) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api")

    @routes.post("/previews")
    def preview(wanted: PreviewRequest) -> Json:
        return _preview(page_state, wanted)

    @routes.post("/renders")
    def render(wanted: RenderRequest) -> Json:
        order = _order(page_state, wanted)
        asked = wanted.model_dump(exclude={"strength", "overwrite"})
        job = page_state.jobs.start(
            "render", lambda job: page_state.studio.render(job, order), asked
        )
        return {"job": job.id}

    @routes.get("/renders/estimate")
    def estimate(
        scale: Literal["1", "2", "4"] = "1", start: float | None = None, end: float | None = None
    ) -> Json:
        return _estimate(page_state, int(scale), start, end)

    @routes.get("/renders/stages")
    def second_stages() -> Json:
        return {"stages": _stages(page_state), "given": _given(page_state)}

    @routes.get("/jobs")
    def jobs() -> Json:
        return {"jobs": [job.said() for job in page_state.jobs.all()]}

    @routes.get("/jobs/{number}")
    def job(number: int) -> Json:
        return page_state.jobs.get(number).said()

    @routes.post("/jobs/{number}/cancel")
    def cancel(number: int) -> Json:
        job = page_state.jobs.get(number)
        job.cancel()
        return job.said()

    @routes.get("/jobs/{number}/frame.jpg")
    def frame(number: int) -> Response:
        shown = page_state.jobs.get(number).frame
        if shown is None:
            raise NotFoundError("No frame is ready yet.")
        return Response(shown, media_type="image/jpeg")

    @routes.get("/jobs/{number}/files/{name}")
    def file(number: int, name: str) -> Response:
        path = page_state.jobs.get(number).files.get(name)
        if name not in TYPES or path is None or not path.is_file():
            raise NotFoundError("There is no such file.")
        if name.startswith("report."):
            policy = {"Content-Security-Policy": REPORT_POLICY} if name.endswith("html") else {}
            return FileResponse(path, media_type=TYPES[name], headers=policy)
        return FileResponse(path, media_type=TYPES[name], headers=FOR_EVER)

    return routes


def _preview(page_state: PageState, wanted: PreviewRequest) -> Json:
    view = page_state.reader.view()
    if wanted.identity is not None and wanted.identity not in view.identities:
        raise NotFoundError(f"There is no person {wanted.identity} in this project now.")
    at, seconds = _exact(wanted.at), _exact(wanted.seconds)
    strengths = _strengths(wanted)
    if seconds:
        job = page_state.jobs.start(
            "loop",
            lambda job: page_state.studio.loop(job, at, seconds, strengths, wanted.identity),
        )
    else:
        job = page_state.jobs.start(
            "preview", lambda job: page_state.studio.preview(job, at, strengths)
        )
    return {"job": job.id}


def _strengths(wanted: PreviewRequest) -> dict[int, float] | None:
    if wanted.strength is None:
        return None
    if not all(name.isascii() and name.isdigit() for name in wanted.strength):
        raise UsageError("Strengths are given by the numbers of people.")
    return {int(name): value for name, value in wanted.strength.items()}


def _order(page_state: PageState, wanted: RenderRequest) -> RenderOrder:
    output = page_state.output_folder / bare_name(wanted.name)
    if output.exists() and not wanted.overwrite:
        raise ConflictError(f"There is a file {output.name} already.", OVERWRITE)
    if wanted.start is not None and wanted.end is not None and wanted.start >= wanted.end:
        raise UsageError("The part to render must end after it starts.")
    settings = RenderSettings.model_validate(
        {
            "scale": wanted.scale,
            "strength": wanted.strength,
            "start": None if wanted.start is None else _exact(wanted.start),
            "end": None if wanted.end is None else _exact(wanted.end),
            **_second_stage(page_state, wanted),
        }
    )
    given = {"crf": wanted.crf, "codec": wanted.codec}
    encoder = EncoderSettings.model_validate(
        {name: value for name, value in given.items() if value is not None}
    )
    frames = _frames(page_state, wanted.start, wanted.end)
    return RenderOrder(output, settings, encoder, frames)


def _stages(page_state: PageState) -> list[Json]:
    """Return the second stages that are installed."""
    return [
        {
            "name": file.name,
            "about": file.about,
            "licence": file.licence,
            "restricted": RESTRICTED[kind_of(file)],
            "fidelity": kind_of(file) == "codeformer",
        }
        for file in installed(page_state.settings.runtime)
    ]


def _given(page_state: PageState) -> str | None:
    """Return the second stage that the review was started with."""
    stage = page_state.settings.render.second_stage
    return stage.name if isinstance(stage, Path) else stage


def _second_stage(page_state: PageState, wanted: RenderRequest) -> Json:
    """Return the settings of the second stage that was chosen."""
    name, given = wanted.second_stage, page_state.settings.render
    if name is None:
        return {key: getattr(given, key) for key in ("second_stage", "fidelity", "accept_licence")}
    if name == NO_STAGE:
        return {"second_stage": NO_STAGE, "fidelity": None}
    file = next((one for one in installed(page_state.settings.runtime) if one.name == name), None)
    if file is None:
        raise NotFoundError(f"There is no second stage {name} on this machine.")
    return {
        "second_stage": Path(name),
        "fidelity": wanted.fidelity,
        "accept_licence": kind_of(file) if wanted.licence_accepted else None,
    }


def bare_name(name: str) -> str:
    """Return the name of a file to write in a folder.

    Raises
    ------
    UsageError
        When it is not only a name, or a hidden one.
    """
    odd = any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in name)
    if odd or name.startswith(".") or Path(name).name != name or not Path(name).suffix:
        raise UsageError(f"{name[:80]!r} is no file name; give one such as film.mp4.")
    return name


def _estimate(page_state: PageState, scale: int, start: float | None, end: float | None) -> Json:
    view = page_state.reader.view()
    frames = _frames(page_state, start, end)
    planned = page_state.planner.planned(page_state.project, view.version, scale)
    faces = planned.between(start, end)
    width, height = page_state.project.video.geometry.scaled(scale).display_size
    factor = page_state.studio.measured.factor
    seconds = expected(frames, faces, width * height) * (factor or 1.0)
    source = (
        "by what this session has restored"
        if factor
        else "by a rule of thumb; nothing was rendered here yet"
    )
    return {
        "seconds": round(seconds, 1),
        "frames": frames,
        "faces": faces,
        "sentence": f"About {_spoken(seconds)}, {source}.",
        "measured": factor is not None,
    }


def _frames(page_state: PageState, start: float | None, end: float | None) -> int:
    """Return about how many frames a part of the video has."""
    video, found = page_state.project.video, page_state.reader.scanned()
    known = (found.info.frames if found.info else None) or video.frames or 0
    rate = float(page_state.project.rate) or 25.0
    finish = known / rate if video.duration is None else float(video.duration)
    low, high = max(0.0, start or 0.0), finish if end is None else end
    share = max(0.0, min(high, finish) - low) / max(finish, 1e-9)
    return round(known * share)


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def _exact(seconds: float) -> Fraction:
    return Fraction(repr(seconds))
