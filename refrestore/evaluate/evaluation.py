"""One evaluation from folders to table, page and comparison video."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from refrestore import __version__
from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.errors import UsageError
from refrestore.evaluate.goals import goals, markdown
from refrestore.evaluate.judge import open_judge
from refrestore.evaluate.page import Gallery, page
from refrestore.evaluate.rows import Row, plain_rows
from refrestore.evaluate.table import Goal, RowText, Scores, Table
from refrestore.media.files import publish, write_file
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.storage.workplace import OutputPlace, make_folder
from refrestore.types import ProgressCallback

from .cast import check_names, find_clips, find_people
from .film_trials import evaluate_film
from .restorer_rows import FrequencySplit, our_rows, switch_rows
from .settings import EvaluationSettings
from .stage_rows import second_rows
from .still_trials import Bench, evaluate_stills
from .tape_trials import evaluate_tapes

ANOTHER = RowText(
    "another",
    "another photo",
    "how like the truth the person's other photos are, each as it is: the mean over them",
)
TRUTH = RowText("truth", "truth", "the picture before it was degraded")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found and where it is written.

    Parameters
    ----------
    table, goals
        The figures.
    json, markdown, page
        Files.
    comparison
        The comparison video, where there was a film.
    notes
        What is missing, in sentences.
    """

    table: Table
    goals: list[Goal]
    json: Path
    markdown: Path
    page: Path
    comparison: Path | None
    notes: list[str]


def evaluate(
    output: Path,
    settings: EvaluationSettings,
    *,
    runtime: RuntimeSettings | None = None,
    render_settings: RenderSettings | None = None,
    more_rows: Sequence[Row] = (),
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Evaluate the restorer and its alternatives.

    Parameters
    ----------
    output
        Folder; `evaluation.json`, `.md` and `.html` are written there, and `comparison.mp4`.
    settings
        On whom, and how much.
    render_settings
        Of our rows.
    more_rows
        Variants, for instance `Ours` with other settings or another toolbox.

    Raises
    ------
    UsageError
        If there is nobody to evaluate on, or no references are to be used.
    ModelError
        If a network is missing: the restorer's, or the independent recogniser.
    """
    runtime, render_settings = runtime or RuntimeSettings(), render_settings or RenderSettings()
    report = progress or (lambda stage, done, total: None)
    began = time.monotonic()
    if not settings.stills and not settings.clips:
        raise UsageError("There is nothing to evaluate on: give folders of photos or of clips.")
    if not render_settings.references:
        raise UsageError("References are what is evaluated: give --references 1 to 8.")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; name a folder for the results.")
    names, most = settings.people, settings.most_people
    people = find_people(settings.stills, names, most, settings.album) if settings.stills else []
    clips = find_clips(settings.clips, names, most) if settings.clips else []
    check_names(names, people, clips, most)
    judge = open_judge(runtime)
    toolbox = open_toolbox(runtime)
    notes = list(judge.notes)
    own = render_settings.model_copy(update={"fidelity": None})  # of second stages alone
    ours = our_rows(toolbox, own, report)
    rows: list[Row] = [
        *plain_rows(),
        *second_rows(ours, settings.second_stages, render_settings, runtime, notes),
        FrequencySplit(toolbox),
        *ours,
        *(switch_rows(toolbox, own, report) if settings.switches else []),
        *more_rows,
    ]
    gallery = Gallery()
    bench = Bench(rows, judge, toolbox, settings, gallery, report)
    make_folder(output)
    if settings.tapes:
        with tempfile.TemporaryDirectory(dir=output) as work:
            entries = list(evaluate_tapes(people, clips, bench, runtime, Path(work)))
    else:
        entries = list(evaluate_stills(people, bench)) if people else []
    comparison = output / "comparison.mp4" if clips and not settings.tapes else None
    if comparison is not None:
        entries += _on_film(clips, bench, runtime, comparison, notes)
    texts = [*(RowText(row.key, row.name, row.about) for row in rows), ANOTHER, TRUTH]
    table = Table(texts, judge.metrics, entries)
    found = goals(table)
    facts = _facts(settings, toolbox, notes) | {"seconds": round(time.monotonic() - began, 1)}
    files = [output / f"evaluation.{suffix}" for suffix in ("json", "md", "html")]
    plain = {"facts": facts, **table.plain(), "goals": [asdict(goal) for goal in found]}
    video = None if comparison is None else comparison.name
    contents = (
        json.dumps(plain, indent=1, ensure_ascii=False) + "\n",
        _markdown(table, found, facts),
        page(table, found, gallery, facts, comparison=video),
    )
    for path, content in zip(files, contents, strict=True):
        write_file(path, content.encode())
    return Evaluation(table, found, files[0], files[1], files[2], comparison, notes)


def _on_film(
    clips: Sequence[Path],
    bench: Bench,
    runtime: RuntimeSettings,
    comparison: Path,
    notes: list[str],
) -> list[Scores]:
    """Evaluate on a film; what is only needed on the way is removed, the comparison kept."""
    with OutputPlace(comparison) as place, place.scratch() as work:
        video = work / comparison.name
        entries, more = evaluate_film(clips, bench, runtime, work, video)
        notes += more
        publish(video, comparison)
    return entries


def _facts(settings: EvaluationSettings, toolbox: Toolbox, notes: Sequence[str]) -> dict[str, Any]:
    described = toolbox.description()
    return {
        "version": __version__,
        "date": date.today().isoformat(),
        "command": _command(settings, described["pack"]),
        "settings": settings.model_dump(mode="json"),
        "notes": list(notes),
        **described,
    }


def _command(settings: EvaluationSettings, pack: str) -> str:
    """Return the command that makes the table again, folders by their last name."""
    words = ["refrestore", "evaluate"]
    words += [w for place in settings.stills for w in ("--stills", place.name)]
    words += [w for place in settings.clips for w in ("--clips", place.name)]
    words += [w for name in settings.people for w in ("--people", name)]
    defaults = EvaluationSettings()
    same_size = all(
        getattr(settings, name) == getattr(defaults.quick(), name)
        for name in ("most_people", "photos", "album", "near_seconds", "far_seconds")
    )
    words += ["--quick"] if same_size else []
    if settings.photos != defaults.photos and not same_size:
        words += ["--photos", str(settings.photos)]
    if settings.degradations != defaults.degradations:
        words += [w for kind in settings.degradations for w in ("--degradation", kind)]
    words += ["--switches"] if settings.switches else []
    words += ["--tapes"] if settings.tapes else []
    stages = settings.model_dump(mode="json")["second_stages"]
    words += [w for stage in stages for w in ("--second-stage", stage)]
    words += [] if pack == "lite" else ["--pack", pack]
    return shlex.join(words)


def _markdown(table: Table, found: list[Goal], facts: dict[str, Any]) -> str:
    notes = "".join(f"\n{note}\n" for note in facts["notes"])
    columns = "\n".join(
        f"* **{metric.label}**: {metric.about}; {metric.better} is better"
        for metric in table.metrics
    )
    rows = "\n".join(f"* **{row.name}**: {row.about}" for row in table.rows)
    return (
        f"    {facts['command']}\n{notes}\n{table.markdown()}\n"
        f"### Figures to reach\n\n{markdown(found)}\n### Rows\n\n{rows}\n\n"
        f"### Columns\n\n{columns}\n"
    )
