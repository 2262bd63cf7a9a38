"""The evaluation as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import cv2
import jinja2
import numpy as np

from refrestore.evaluate.table import Goal, Table
from refrestore.types import ImageArray

SHOWN = 256
"""Side of a face in the page, pixels."""

SUBJECTS = 8
"""Faces shown of a condition."""

_QUALITY = 88


@dataclass
class Gallery:
    """Faces for the page, few of each condition, kept as JPEG.

    Parameters
    ----------
    strips
        Per condition and subject: the rows' keys and pictures.
    """

    strips: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def add(self, condition: str, subject: str, row: str, crop: ImageArray) -> None:
        """Keep a face (S, S, 3), unless the condition has enough subjects."""
        subjects = self.strips.setdefault(condition, {})
        if subject in subjects or len(subjects) < SUBJECTS:
            subjects.setdefault(subject, {})[row] = _jpeg(crop)


def _jpeg(crop: ImageArray) -> str:
    small = cv2.resize(crop, (SHOWN, SHOWN), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return base64.b64encode(np.asarray(coded).tobytes()).decode()


def page(
    table: Table,
    found: Sequence[Goal],
    gallery: Gallery,
    facts: Mapping[str, Any],
    *,
    comparison: str | None,
) -> str:
    """Return the page.

    Parameters
    ----------
    facts
        What was run: `command`, `notes`, `models` and so on.
    comparison
        File name of the comparison video beside the page, or None.
    """
    template = resources.files("refrestore.evaluate").joinpath("page.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        table=table, goals=found, gallery=gallery.strips, facts=facts, comparison=comparison
    )
