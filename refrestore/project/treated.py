"""What a project remembers of what its scan did to the film's pictures."""

from __future__ import annotations

import json
from typing import Any, cast

from refrestore.config import Denoise
from refrestore.media.treatment import DENOISE, FIELDS, UNTREATED, Deinterlaced, Treatment

from .damage import DamageError
from .values import field, json_object, optional, whole

_MOST_PICTURES = 2**31


def pack_treatment(treatment: Treatment) -> str:
    """Return a treatment as it is stored."""
    return json.dumps(
        {
            "deinterlace": treatment.deinterlace,
            "top_first": treatment.top_first,
            "denoise": treatment.denoise,
            "combed": treatment.combed,
            "judged": treatment.judged,
        }
    )


def unpack_treatment(value: Any) -> Treatment:
    """Return a stored treatment; "" is that of versions that had none.

    Raises
    ------
    DamageError
        When it cannot be right.
    """
    if value == "":
        return UNTREATED
    said = json_object(value)
    return Treatment(
        deinterlace=field(said, "deinterlace", _deinterlaced),
        top_first=field(said, "top_first", optional(_flag)),
        denoise=field(said, "denoise", _denoise),
        combed=field(said, "combed", whole(0, _MOST_PICTURES)),
        judged=field(said, "judged", whole(0, _MOST_PICTURES)),
    )


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise DamageError("it is neither true nor false")
    return value


def _deinterlaced(value: Any) -> Deinterlaced:
    if isinstance(value, bool):  # of versions that made one picture of two fields, or none
        return "frame" if value else "off"
    if value not in FIELDS:
        raise DamageError("it is no way of deinterlacing")
    return cast(Deinterlaced, value)


def _denoise(value: Any) -> Denoise:
    if value not in DENOISE:
        raise DamageError("it is no strength of denoising")
    return cast(Denoise, value)
