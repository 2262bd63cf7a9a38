"""From scores to the table: metrics, entries, means, and the goals they are held against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, slots=True)
class Metric:
    """A column.

    Parameters
    ----------
    key
        Its name in the JSON.
    label
        What people call it, with its unit.
    better
        Whether higher is better, or lower, or what is nearer to 1.
    digits
        After the point.
    about
        What it is, in one sentence.
    """

    key: str
    label: str
    better: Literal["higher", "lower", "nearer to 1"]
    digits: int
    about: str

    def called(self, label: str) -> Metric:
        """Return the same metric under another name."""
        return replace(self, label=label)

    @property
    def head(self) -> str:
        """The column's head: its label and where better is."""
        arrows = {"higher": "↑", "lower": "↓", "nearer to 1": "→ 1"}
        return f"{self.label} {arrows[self.better]}"

    def worth(self, value: float) -> float:
        """Return a number that is higher the better a value is."""
        if self.better == "nearer to 1":
            return -abs(math.log(max(value, 1e-9)))
        return value if self.better == "higher" else -value

    def text(self, value: float | None) -> str:
        """Write a value."""
        return "–" if value is None else f"{value:.{self.digits}f}"


METRICS = (
    Metric("identity", "identity", "higher", 3, "cosine to the true face, by MobileFaceNet"),
    Metric("second", "by EdgeFace", "higher", 3, "the same cosine by a second recogniser"),
    Metric(
        "profile", "profile", "higher", 3, "cosine to the mean of the person's other photos, by it"
    ),
    Metric("psnr", "PSNR dB", "higher", 2, "in the face's mesh, RGB"),
    Metric("ssim", "SSIM", "higher", 3, "of luma, in the face's mesh"),
    Metric("perceptual", "perceptual", "lower", 3, "distance of a network's features in the face"),
    Metric("ring", "ring", "lower", 3, "the same distance around the face: hair, ears and neck"),
    Metric("blotches", "blotches", "lower", 2, "error of coarse colours in the face, grey levels"),
    Metric(
        "detail",
        "detail",
        "nearer to 1",
        2,
        "strength of the three finest octaves of luma in the face over the truth's",
    ),
    Metric("landmarks", "landmarks", "lower", 4, "mean distance over the interocular distance"),
    Metric("niqe", "NIQE", "lower", 2, "of the 512-px crop from brows to chin"),
    Metric("jitter", "VIDD", "lower", 3, "mean cosine distance of neighbouring frames' embeddings"),
    Metric("deviation", "σIDS", "lower", 3, "deviation over a clip of the cosine to the truth"),
    Metric("motion", "TLME", "lower", 4, "error of landmark motion over the interocular distance"),
    Metric("speech", "mouth", "higher", 2, "correlation of the lips' opening with the true one"),
    Metric("lids", "lids", "higher", 3, "share of frames with eyes open or shut as they truly are"),
    Metric("warping", "warping", "lower", 2, "change along the true flow in the face, grey levels"),
    Metric(
        "flicker",
        "flicker",
        "lower",
        2,
        "temporal deviation in a ring around the mask less the input's, grey levels",
    ),
)
"""All columns, in order; a table has those that were measured."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one face, or one face's clip, in one row.

    Parameters
    ----------
    row
        The row's key.
    condition
        What was evaluated: "stills, moderate".
    subject
        Whose face, of which picture.
    values
        By metric; missing or not a number where it could not be taken.
    done
        What the restorer says it did, if it says it.
    """

    row: str
    condition: str
    subject: str
    values: Mapping[str, float]
    done: str | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach, and what was.

    Parameters
    ----------
    condition, about
        Where, and what is compared.
    value, limit
        Measured, and what it is held against.
    reached
        Whether it holds.
    """

    condition: str
    about: str
    value: float
    limit: str
    reached: bool


@dataclass(frozen=True, slots=True)
class RowText:
    """A row as the table names it."""

    key: str
    name: str
    about: str


@dataclass(frozen=True)
class Table:
    """Means of all entries.

    Parameters
    ----------
    rows, metrics
        In order; only those with entries are shown.
    entries
        Every score.
    """

    rows: Sequence[RowText]
    metrics: Sequence[Metric]
    entries: Sequence[Scores]
    _means: dict[tuple[str, str, str], float | None] = field(default_factory=dict, repr=False)

    @property
    def conditions(self) -> list[str]:
        """Conditions in the order in which they were met."""
        return list(dict.fromkeys(entry.condition for entry in self.entries))

    def count(self, condition: str) -> int:
        """Return how many faces or clips of faces a condition has."""
        return len({entry.subject for entry in self.entries if entry.condition == condition})

    def mean(self, row: str, condition: str, metric: str) -> float | None:
        """Return the mean of a cell; None where nothing was measured."""
        key = (row, condition, metric)
        if key not in self._means:
            values = np.array(
                [
                    entry.values.get(metric, np.nan)
                    for entry in self.entries
                    if entry.row == row and entry.condition == condition
                ],
                np.float64,
            )
            known = values[np.isfinite(values)]
            self._means[key] = float(known.mean()) if len(known) else None
        return self._means[key]

    def rows_of(self, condition: str) -> list[RowText]:
        """Return the rows that a condition has."""
        there = {entry.row for entry in self.entries if entry.condition == condition}
        return [row for row in self.rows if row.key in there]

    def metrics_of(self, condition: str) -> list[Metric]:
        """Return the metrics that a condition has."""
        rows = self.rows_of(condition)
        return [
            metric
            for metric in self.metrics
            if any(self.mean(row.key, condition, metric.key) is not None for row in rows)
        ]

    def best(self, condition: str, metric: Metric) -> str | None:
        """Return the key of the best row, the truth and other photos left out."""
        values = {
            row.key: value
            for row in self.rows_of(condition)
            if row.key not in ("another", "truth")
            and (value := self.mean(row.key, condition, metric.key)) is not None
        }
        if not values:
            return None
        return max(values, key=lambda key: metric.worth(values[key]))

    def done(self, row: str, condition: str) -> dict[str, int]:
        """Return how often the restorer says that it did what."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            if entry.row == row and entry.condition == condition and entry.done is not None:
                counts[entry.done] = counts.get(entry.done, 0) + 1
        return counts

    def plain(self) -> dict[str, Any]:
        """Return the table as plain values."""
        return {
            "metrics": [
                {"key": m.key, "label": m.label, "better": m.better, "about": m.about}
                for m in self.metrics
            ],
            "rows": [{"key": r.key, "name": r.name, "about": r.about} for r in self.rows],
            "means": {
                condition: {
                    row.key: {
                        metric.key: _rounded(self.mean(row.key, condition, metric.key))
                        for metric in self.metrics_of(condition)
                    }
                    | ({"done": done} if (done := self.done(row.key, condition)) else {})
                    for row in self.rows_of(condition)
                }
                for condition in self.conditions
            },
            "faces": {condition: self.count(condition) for condition in self.conditions},
            "entries": [
                {
                    "row": e.row,
                    "condition": e.condition,
                    "subject": e.subject,
                    **{key: _rounded(value) for key, value in e.values.items()},
                    **({"done": e.done} if e.done else {}),
                }
                for e in self.entries
            ],
        }

    def markdown(self) -> str:
        """Return the table as Markdown, one part a condition; the best of a column is bold."""
        parts = []
        for condition in self.conditions:
            metrics = self.metrics_of(condition)
            best = {metric.key: self.best(condition, metric) for metric in metrics}
            lines = [
                f"### {condition} ({self.count(condition)} faces)",
                "",
                "| | " + " | ".join(metric.head for metric in metrics) + " |",
                "|---|" + "---|" * len(metrics),
            ]
            for row in self.rows_of(condition):
                cells = []
                for metric in metrics:
                    text = metric.text(self.mean(row.key, condition, metric.key))
                    cells.append(f"**{text}**" if best[metric.key] == row.key else text)
                lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
            parts.append("\n".join(lines))
        return "\n\n".join(parts) + "\n"


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 5)
