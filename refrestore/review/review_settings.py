"""What `refrestore review` was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from refrestore.config import RenderSettings, RuntimeSettings, profiles_directory
from refrestore.typed_settings import Settings, Typed

LOOPBACK = "127.0.0.1"


class PageSettings(Settings):
    """Where the page is, as it is typed."""

    port: int = Field(8765, ge=0, le=65535, description="Port; 0 takes any that is free.")
    host: str = Field(
        LOOPBACK,
        min_length=1,
        description="Address to listen on; the default is for this machine only.",
    )
    open_browser: Annotated[bool, Typed("browser")] = Field(
        True, description="Open the page, or print its address only."
    )


class ReviewSettings(PageSettings):
    """Which project is shown, where, and with what previews are made."""

    project: Path = Field(description="Project folder, or the file of a queue of films.")
    runtime: RuntimeSettings = Field(RuntimeSettings(), description="Models and device.")
    render: RenderSettings = Field(
        RenderSettings(), description="The second stage of previews, and of renders by default."
    )
    output: Path | None = Field(None, description="Default output of renders.")
    video: Path | None = Field(None, description="The source, if it was moved.")

    @property
    def profiles(self) -> Path:
        """Folder of the profiles."""
        return profiles_directory(self.runtime)

    @property
    def is_queue(self) -> bool:
        """Whether a queue of films is shown."""
        return self.project.is_file()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in (LOOPBACK, "localhost", "::1")
