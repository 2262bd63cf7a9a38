"""A ComfyUI node: faces of pictures restored from a person's profile."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import torch

from refrestore import (
    ProfileStore,
    RenderSettings,
    RuntimeSettings,
    open_toolbox,
    restore_picture,
)
from refrestore.config import profiles_directory


class RestoreFaces:
    """Restores every face of pictures, each by itself; with a profile, that person's from it."""

    CATEGORY = "image/restoration"
    FUNCTION = "restore"
    RETURN_TYPES: ClassVar = ("IMAGE",)
    RETURN_NAMES: ClassVar = ("restored",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:  # noqa: N802  ComfyUI's name for it
        """Return what ComfyUI shows: `profile` is a name that `refrestore profile list` knows."""
        return {
            "required": {
                "image": ("IMAGE",),
                "profile": ("STRING", {"default": ""}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}),
                "scale": (["1", "2", "4"], {"default": "1"}),
            }
        }

    def restore(
        self, image: torch.Tensor, profile: str, strength: float, scale: str
    ) -> tuple[torch.Tensor]:
        """Return the pictures restored.

        Parameters
        ----------
        image : (B, H, W, 3) float32
            RGB 0..1.

        Returns
        -------
        (B, kH, kW, 3) float32
            RGB 0..1, k the scale; `image` is not written to.

        Raises
        ------
        RefrestoreError
            One of its kinds, with one sentence: there is no such profile, for one.
        """
        runtime = RuntimeSettings()
        settings = RenderSettings(strength=strength, scale=int(scale))  # type: ignore[arg-type]
        person = None
        if profile.strip():
            person = ProfileStore(profiles_directory(runtime)).load(profile.strip())
        toolbox = _toolbox(runtime)
        codes = (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        pictures = [
            restore_picture(picture[..., :3], toolbox, profile=person, settings=settings).image
            for picture in codes
        ]
        restored = torch.stack([torch.from_numpy(picture) for picture in pictures])
        return ((restored.float() / 255).to(image.device),)


@cache
def _toolbox(runtime: RuntimeSettings) -> Any:
    """Return the networks, opened once for all that is asked of the node."""
    return open_toolbox(runtime)
