"""Ray on a busy machine."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest

START_SECONDS = 300


def patient(patch: pytest.MonkeyPatch) -> None:
    """Let Ray's processes take minutes to start, as they do on a busy machine; it allows 30 s."""
    from ray._private import services

    get_node = services.get_node

    def asked_again(*asked: Any) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(RuntimeError):
                return get_node(*asked)
            time.sleep(0.2)
        return get_node(*asked)

    patch.setattr(services, "get_node", asked_again)
    patch.setenv("RAY_agent_register_timeout_ms", str(1000 * START_SECONDS))
