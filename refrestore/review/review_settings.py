"""What `refrestore review` was asked for."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from refrestore.config import RenderSettings, RuntimeSettings, Settings, profiles_directory

LOOPBACK = "127.0.0.1"


class ReviewSettings(Settings):
    """Which project is shown, where, and with what previews are made."""

    project: Path = Field(description="Project folder, or the file of a queue of films.")
    host: str = Field(LOOPBACK, min_length=1, description="Address to listen on.")
    port: int = Field(8765, ge=0, le=65535, description="Port; 0 takes any that is free.")
    runtime: RuntimeSettings = Field(RuntimeSettings(), description="Models and device.")
    render: RenderSettings = Field(
        RenderSettings(), description="The second stage of previews, and of renders by default."
    )
    output: Path | None = Field(None, description="Default output of renders.")
    video: Path | None = Field(None, description="The source, if it was moved.")
    open_browser: bool = Field(True, description="Open the page.")

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
