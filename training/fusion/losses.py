"""Losses that only training needs: features, identity, patches."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

IDENTITY_SIZE = 112
SHRINKING = 0.8
"""Target pixels a crop pixel below which the sampler would alias."""


class SqueezeFeatures(nn.Module):
    """Unweighted distance of SqueezeNet 1.1 features (Caffe's weights). Not LPIPS."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        from torchvision.models import squeezenet1_1

        net = squeezenet1_1(weights=None)
        state = torch.load(path, weights_only=True)
        state = {key: value for key, value in state.items() if key.startswith("features")}
        net.load_state_dict(state, strict=False)
        self.features = net.features[:8]  # to the second pool's fire modules: 1/8 of the size
        self.taps = (1, 4, 7)
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor([123.0, 117.0, 104.0]).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = (x * 255 - self.mean).contiguous(memory_format=torch.channels_last)
        taps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                taps.append(F.normalize(x.float(), dim=1))
        return taps


def recogniser_module(path: Path) -> nn.Module:
    """EdgeFace-XS's ONNX weights in timm's EdgeNeXt, so that gradients pass through it."""
    import onnx
    import timm

    graph = onnx.load(str(path)).graph
    values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    state = {
        name.removeprefix("model."): torch.from_numpy(value.copy())
        for name, value in values.items()
        if name.startswith("model.")
    }
    for node in graph.node:  # linear layers lost their names to transposed constants
        if node.op_type == "MatMul" and node.input[1] in values:
            # model, stages, stages.0, blocks, blocks.0, mlp, fc1
            parts = node.name.split("/")[2:-1]
            name = ".".join(part for part in parts if part not in ("stages", "blocks"))
            state[f"{name}.weight"] = torch.from_numpy(values[node.input[1]].T.copy())
    network = timm.create_model("edgenext_x_small", num_classes=512)
    network.load_state_dict(state)
    return network


class Identity(nn.Module):
    """A recogniser's view of a face, through a differentiable alignment of a blurred picture.

    Besides the embedding it gives the first stages' features. A good recogniser forgives blur, so
    its embedding rewards no detail that the face has lost (NOTES.md); its early features do.
    """

    TAPS = (0, 1, 2)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.network = recogniser_module(path).eval().requires_grad_(False)
        kernel = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", (kernel[:, None] * kernel).expand(3, 1, 3, 3).clone())

    def forward(
        self, images: torch.Tensor, matrices: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Look at faces.

        Parameters
        ----------
        images : (B, 3, T, T)
            RGB 0..1 of 256 px.
        matrices : (B, 2, 3)
            Crop to ArcFace's 112 px.

        Returns
        -------
        embedding : (B, 512)
            Unit.
        stages : list of (B, C, h, w)
            Features of 28, 14 and 7 cells a side, unit over C.
        """
        # Where it shrinks (1.8 times at 256 px), blurred first, or the sampler would alias (which
        # also keeps the gradient from drawing what only the recogniser sees).
        blurred = images
        if float(torch.linalg.det(matrices[0, :, :2])) < SHRINKING**2:
            padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
            blurred = F.conv2d(padded, self.kernel, groups=3)
        size = blurred.shape[-1]
        last = matrices.new_tensor([[0, 0, 1]]).expand(len(matrices), 1, 3)
        back = torch.linalg.inv(torch.cat([matrices, last], 1))[:, :2]
        axis = torch.arange(IDENTITY_SIZE, dtype=torch.float32)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        points = torch.stack([x, y, torch.ones_like(x)], -1)
        where = torch.einsum("bij,hwj->bhwi", back, points)
        grid = (where + 0.5) * 2 / size - 1
        aligned = F.grid_sample(blurred, grid, align_corners=False, padding_mode="border")
        x = self.network.stem((aligned - 0.5) / 0.5)
        stages = []
        for index, stage in enumerate(self.network.stages):
            x = stage(x)
            if index in self.TAPS:
                stages.append(F.normalize(x.float(), dim=1))
        x = self.network.forward_head(self.network.norm_pre(x))
        return F.normalize(x.float(), dim=1), stages


class Patches(nn.Module):
    """A small patch discriminator on the fine bands of `pictures` laid together (spectral norm).

    Two of them are a picture and the degraded face that it was made from.
    """

    def __init__(self, pictures: int = 1, width: int = 32) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.Sequential(
            norm(nn.Conv2d(12 * pictures, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            norm(nn.Conv2d(width, width * 2, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            norm(nn.Conv2d(width * 2, width * 2, 3, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width * 2, 1, 3, padding=1),
        )

    def forward(self, *pictures: torch.Tensor) -> torch.Tensor:
        """One score per 4-px cell; the low frequencies are taken out, they are the input's."""
        images = torch.cat(pictures, 1)
        low = F.interpolate(
            F.avg_pool2d(images, 8), scale_factor=8, mode="bilinear", align_corners=False
        )
        return self.layers(F.pixel_unshuffle((images - low) * 4, 2)).float()


def charbonnier(x: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(x * x + 1e-6)
