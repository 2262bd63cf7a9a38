"""The settings of a scan, as a project keeps them."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from refrestore.config import ScanSettings

from .damage import DamageError
from .values import json_object


def unpack_settings(value: Any) -> ScanSettings:
    """Return the settings of a scan; fields of another version of the program are dropped.

    Raises
    ------
    DamageError
        When they cannot be understood.
    """
    said = {"deinterlace": "off", **json_object(value)}  # by versions that could not
    try:
        return ScanSettings(**{k: v for k, v in said.items() if k in ScanSettings.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        raise DamageError(f"{'.'.join(map(str, first['loc']))} is not allowed") from error
