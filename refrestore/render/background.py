"""The rest of the frame by a Real-ESRGAN-type network, where the user asks for it.

Off by default: it costs ten to forty times what the faces do, and repaints walls. The network is
the user's own file; spandrel knows its architecture. What it adds to the Lanczos picture is a
difference like a face's, so the source's format and depth stay, and faces are pasted as ever: the
background gives way by as much as a face shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.errors import MediaError, ModelError
from refrestore.media.coding import read_region
from refrestore.media.compose import compose, enlarge
from refrestore.media.paste import Touched
from refrestore.media.patch import Patch
from refrestore.media.probe import VideoInfo
from refrestore.models.catalogue import file_digest
from refrestore.models.runtime import torch_device, torch_dtype
from refrestore.render.segment_result import RestoredFrame
from refrestore.restore.weights import read_tensors, why
from refrestore.types import FloatArray, Frame

CPU_TILE, CUDA_TILE = 192, 512
"""Sides of what the network sees at a time, source pixels without the overlap. An RRDBNet (the
large Real-ESRGAN) keeps about 64 channels at its output's size: 1 GB at 192 in single precision."""

OVERLAP = 32
"""Pixels a tile sees beyond its edge, all around: the small network's 34 convolutions reach as far,
and beyond that the large one's weights are next to nothing."""

SUFFIXES = (".pth", ".safetensors")

Network: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Background:
    """An opened network.

    Parameters
    ----------
    name, digest
        Of its file.
    architecture
        As spandrel names it.
    network
        (1, 3, H, W) RGB 0..1 to (1, 3, kH, kW).
    device, dtype
        Where and in what it computes.
    tile
        Side of a tile, source pixels.
    """

    name: str
    digest: str
    architecture: str
    network: Network
    device: torch.device
    dtype: torch.dtype
    tile: int

    def description(self) -> dict[str, str]:
        """Return what decides the numbers that come out, and what the report says."""
        return {
            "file": self.name,
            "sha256": self.digest,
            "architecture": self.architecture,
            "device": str(self.device),
            "precision": str(self.dtype).removeprefix("torch."),
        }

    def check(self, info: VideoInfo) -> None:
        """Refuse a film whose frames are two pictures each.

        Raises
        ------
        MediaError
            It is interlaced.
        """
        if info.interlaced:
            raise MediaError(
                f"{info.path} is interlaced, and --background would repaint two half pictures as "
                "one; scan it with --deinterlace frame or field, or leave --background out."
            )

    def compose(
        self, restored: RestoredFrame, scale: int, later: Touched | None = None
    ) -> av.VideoFrame:
        """Return a frame enlarged by the network, with its restored faces.

        `later` as for `media.compose.compose`.
        """
        large = enlarge(restored.frame.picture, scale)
        patches = self._patches(restored.frame, large, restored.patches, scale)
        every = [*patches, *restored.patches]
        return compose(restored.frame, every, scale=scale, enlarged=large, later=later)

    def _patches(
        self, frame: Frame, large: av.VideoFrame, faces: Sequence[Patch], scale: int
    ) -> list[Patch]:
        """Return what leads from the Lanczos picture to the network's where no face shows."""
        picture = frame.picture
        source = read_region(picture, 0, 0, picture.width, picture.height)
        patches = []
        for top, strip in strips(source, self._run, scale, self.tile):
            height, width = strip.shape[:2]
            delta = strip - read_region(large, 0, top, width, height)
            delta *= 1 - covered(faces, top, height, width)[..., None]
            patches.append(Patch(0, top, torch.from_numpy(delta), torch.ones(height, width)))
        return patches

    @torch.inference_mode()
    def _run(self, tile: torch.Tensor) -> torch.Tensor:
        return self.network(tile.to(self.device, self.dtype)).float().cpu()


def strips(
    source: FloatArray, network: Network, scale: int, tile: int
) -> list[tuple[int, FloatArray]]:
    """Enlarge a picture tile by tile.

    Parameters
    ----------
    source : (H, W, 3) float32
        RGB 0..1.
    network
        (1, 3, h, w) to (1, 3, kh, kw) for a factor k of its own, which is resampled to `scale`.

    Returns
    -------
    list of (top, (h, W * scale, 3) float32)
        Strips of the large picture, from its first row to its last, 0..1.
    """
    height, width = source.shape[:2]
    planes = torch.from_numpy(np.ascontiguousarray(source.transpose(2, 0, 1)))[None]
    padded = F.pad(planes, (OVERLAP,) * 4, mode=_mode(height, width))
    result = []
    for y in range(0, height, tile):
        rows = min(tile, height - y)
        strip: FloatArray = np.empty((rows * scale, width * scale, 3), np.float32)
        for x in range(0, width, tile):
            columns = min(tile, width - x)
            seen = padded[..., y : y + rows + 2 * OVERLAP, x : x + columns + 2 * OVERLAP]
            made = network(seen.contiguous())
            size = [side * scale for side in seen.shape[-2:]]
            if list(made.shape[-2:]) != size:
                made = F.interpolate(made, size=size, mode="bicubic", antialias=True)
            edge = OVERLAP * scale
            inner = made[0, :, edge : edge + rows * scale, edge : edge + columns * scale]
            strip[:, x * scale : (x + columns) * scale] = inner.clamp(0, 1).permute(1, 2, 0)
        result.append((y * scale, strip))
    return result


def _mode(height: int, width: int) -> str:
    return "reflect" if min(height, width) > OVERLAP else "replicate"


def covered(faces: Sequence[Patch], top: int, height: int, width: int) -> FloatArray:
    """Return how much of each pixel of a strip is a restored face's, (height, width), 0..1."""
    total: FloatArray = np.zeros((height, width), np.float32)
    for face in faces:
        alpha = face.alpha.cpu().numpy()
        rows, columns = alpha.shape
        first, stop = max(face.top, top), min(face.top + rows, top + height)
        left, right = max(face.left, 0), min(face.left + columns, width)
        if first < stop and left < right:
            part = alpha[first - face.top : stop - face.top, left - face.left :]
            total[first - top : stop - top, left:right] += part[:, : right - left]
    return np.minimum(total, 1)


def open_background(settings: RenderSettings, runtime: RuntimeSettings) -> Background | None:
    """Open the network that the settings name; None if they name none.

    Raises
    ------
    ModelError
        spandrel is not installed, or the file is missing, damaged, or not a network that enlarges
        colour pictures.
    UsageError
        CUDA was asked for and is not there.
    """
    path = settings.background
    if path is None:
        return None
    device = torch_device(runtime.device)
    model = _described(path)
    # bfloat16 is off by 0.4 grey levels on the mean (4 at most) from single precision, measured
    # with the small Real-ESRGAN on a film's frame.
    dtype = torch_dtype(device) if model.supports_bfloat16 else torch.float32
    model.to(device, dtype).eval()
    return Background(
        name=path.name,
        digest=file_digest(path),
        architecture=str(model.architecture.name),
        network=model,
        device=device,
        dtype=dtype,
        tile=CUDA_TILE if device.type == "cuda" else CPU_TILE,
    )


def _described(path: Path) -> Any:
    """Return spandrel's descriptor of a network that enlarges RGB pictures and may be tiled."""
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, ModelTiling
    except ImportError as error:
        raise ModelError(
            "--background needs the package spandrel, which is not installed here; "
            "run: pip install 'refrestore[background]'"
        ) from error
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{path} needs a name that ends in {' or '.join(SUFFIXES)}.")
    weights = read_tensors(path, "--background takes the published file of such a network")
    try:
        model = ModelLoader(device="cpu").load_from_state_dict(weights)
    except Exception as error:  # spandrel's own, and whatever building a network raises
        raise ModelError(
            f"{path} holds no network that spandrel knows ({why(error)}); "
            "give the weights of a Real-ESRGAN-type network."
        ) from error
    wanted = (
        isinstance(model, ImageModelDescriptor)
        and model.purpose == "SR"
        and model.scale > 1
        and (model.input_channels, model.output_channels) == (3, 3)
        and model.tiling is not ModelTiling.INTERNAL
    )
    if not wanted:
        raise ModelError(
            f"{path} ({model.architecture.name}) is no network that enlarges colour pictures tile "
            "by tile; give one of the Real-ESRGAN type."
        )
    return model
