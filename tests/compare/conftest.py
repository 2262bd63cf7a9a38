"""The small films of every kind that the media room makes, and a scanned one with faces."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def _fixtures_of(room: str) -> ModuleType:
    path = Path(__file__).parents[1] / room / "conftest.py"
    spec = importlib.util.spec_from_file_location(f"fixtures_of_{room}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_media, _render = _fixtures_of("media"), _fixtures_of("render")

videos = _media.videos
remake = _media.render
scanned = _render.scanned
