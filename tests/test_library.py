"""The library's front door: every name is there, and importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import refrestore


def test_every_name_of_the_library_is_there() -> None:
    for name in refrestore.__all__:
        assert callable(getattr(refrestore, name)), name
    with pytest.raises(AttributeError, match="nonsense"):
        refrestore.nonsense  # noqa: B018


def test_importing_it_loads_no_network() -> None:
    code = "import refrestore, sys; print('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
