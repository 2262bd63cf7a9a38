"""What a render leaves when its frames are there: the film, the report, the exported faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refrestore import __version__
from refrestore.errors import kept_if_broken_off
from refrestore.media.encoder import Encoder
from refrestore.media.source import source_notes
from refrestore.render.face_export import plans_within
from refrestore.render.output_film import Notes, RenderedFilm
from refrestore.render.publish_faces import publish_faces
from refrestore.render.recipe import FilmRecipe
from refrestore.render.report import SegmentRecord, summarise, write_report
from refrestore.render.segment_folder import SegmentFolder


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


def finish(
    recipe: FilmRecipe,
    film: RenderedFilm,
    folder: SegmentFolder | None,
    said: Notes,
    wall_seconds: float,
) -> RenderResult:
    """Write the report and the exported faces beside a film, and remove its segments.

    Parameters
    ----------
    folder
        Of the segments, if any were kept.
    said
        What the user was told before the first frame.
    wall_seconds
        Since the render began.

    Raises
    ------
    DiskError
        They cannot be written; the segments stay.
    """
    records, seconds = film.records, recipe.timeline.seconds
    stages = recipe.networks["stages"]
    drawn_by = stages[1] if len(stages) > 1 else None
    report = {
        **_facts(recipe, film.encoder),
        "frames": sum(record.frames for record in records),
        "faces": sum(record.faces for record in records),
        "unreferenced": sum(record.faces_without_references for record in records),
        "wall_seconds": round(wall_seconds, 2),
        "unseen": sum(sum(record.unseen.values()) for record in records),
        "notes": [*said.notes, *_notes(recipe, records, copied=film.copied)],
        "identities": [
            {**person, "drawn_by": drawn_by}
            for person in summarise(
                recipe.people,
                plans_within(recipe.plans, recipe.first, recipe.stop),
                records,
                seconds,
                recipe.wanted,
            )
        ],
    }
    output = recipe.output
    json_path = output.with_name(f"{output.stem}.report.json")
    page = output.with_name(f"{output.stem}.report.html")
    write_report(report, json_path, page)
    if folder is None:
        return RenderResult(output, json_path, page, report)
    if recipe.export is not None and recipe.export_folder is not None:
        with kept_if_broken_off(lambda: folder.kept(recipe.segments)):
            publish_faces(
                recipe.export_folder,
                [folder.faces(segment) for segment in film.segments],
                recipe.export,
                source=recipe.info.path.name,
                people=recipe.people,
                plans=plans_within(recipe.plans, recipe.first, recipe.stop),
                seconds=seconds,
            )
    folder.remove()
    return RenderResult(output, json_path, page, report, recipe.export_folder)


def _facts(recipe: FilmRecipe, encoder: Encoder) -> dict[str, Any]:
    info, output, networks = recipe.info, recipe.output, recipe.networks
    width, height = info.geometry.scaled(recipe.settings.scale).display_size
    return {
        "version": __version__,
        "source": {"name": info.path.name, "fingerprint": info.fingerprint},
        "output": {"name": output.name, "width": width, "height": height, "codec": encoder.codec},
        "settings": recipe.settings.model_dump(mode="json"),
        "pack": networks["pack"],
        "models": networks["files"],
        "device": networks["device"],
        "precision": networks["precision"],
        "stages": networks["stages"],
        "second": networks.get("second"),
        "background": networks.get("background"),
    }


def _notes(recipe: FilmRecipe, records: Sequence[SegmentRecord], *, copied: bool) -> list[str]:
    """Return what the reader should know first, in sentences."""
    notes, networks = [*source_notes(recipe.info), *recipe.people.notes], recipe.networks
    if not recipe.plans:
        notes.append("No faces were found.")
    elif not copied and not any(record.faces for record in records):
        notes.append("No face was restored.")
    if (background := networks.get("background")) is not None:
        notes.append(
            f"The whole frame was repainted by {background['file']} "
            f"({background['architecture']}), as --background asked: outside the restored faces "
            "the pixels are that network's, not the source's."
        )
    if (second := networks.get("second")) is not None:
        notes.append(
            f"What no close-up shows was drawn by {second['title']} ({second['file']}; licence: "
            f"{second['licence']}): it is invented, only as much as keeps each person as like."
        )
    if len(networks["stages"]) == 1:
        notes.append(
            "There is no second stage (--second-stage): faces are restored from their references "
            "alone, and what no reference shows stays as soft as it was."
        )
    return notes
