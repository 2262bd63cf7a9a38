"""The library's front door: every name is there, and importing it costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import refrestore


def test_every_name_of_the_library_is_there() -> None:
    for name in refrestore.__all__:
        assert callable(getattr(refrestore, name)), name
    with pytest.raises(AttributeError, match="nonsense"):
        refrestore.nonsense  # noqa: B018


def test_onnxruntime_reports_to_nobody(tmp_path) -> None:
    """Its reporting keeps a session's number in the temporary folder as soon as it is imported."""
    code = "from refrestore.models.runtime import session_options; session_options()"
    surroundings = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    surroundings.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], env=surroundings, check=True)
    assert not list(tmp_path.iterdir())


def test_importing_it_loads_no_network() -> None:
    code = "import refrestore, sys; print('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
