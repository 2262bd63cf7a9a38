"""How far eyes are shut, and which close-ups then show their lids.

The mesh draws open lids over shut eyes too, and the contrast that `faces.eyes` reads in a close-up
goes with the blur. A small network sees both eyes, with what is around them, and says it of a face
of 24 px as of a close-up (training/lids).

A blurred frame tells shut lids from open ones, but shows no lashes; close-ups with open eyes would
draw ghosts of irises there. The person's own close-ups with shut eyes show them, and where there is
none lids are drawn down over open ones (`bank.ReferenceBank.lowered`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from refrestore.faces.eyes import EYES
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.light import luma_of
from refrestore.restore.weights import load_weights, save_weights
from refrestore.types import FloatArray

WIDTH, HEIGHT = 64, 40
"""Pixels of the picture of an eye."""

SPAN = 1.8
"""How many distances of its corners a picture of an eye is wide."""

SEEN = 256
"""Side of a face's crop from which eyes are cut: of a larger one samples would alias."""

FLAT = 0.02
"""Deviation of brightness below which there is nothing to see."""

SURE, ALONE = (0.35, 0.65), (0.7, 0.95)
"""Probabilities up to which eyes count as open, and from which as shut: of a film, where the frames
around have a say too, and of a picture alone."""

USUAL = 75
"""Percentile of what a person's close-ups with open eyes are read as, from which on frames may be
shut: of a face that is turned away, or laughs, one eye in two is not what the network knows."""

SHOWN = 0.9
"""Probability from which a close-up shows shut lids: one that winks shows one, and ghosts of the
other eye."""

APART = 12.0
"""What a close-up with open eyes loses in shut eyes, beside one with shut eyes, logits."""

WIDTHS = (24, 40, 64, 96)
"""Channels at a half to a sixteenth of the pictures."""


def eye_pictures(faces: Tensor, landmarks: Tensor) -> Tensor:
    """Cut both eyes out of faces, level, the second one mirrored.

    Parameters
    ----------
    faces : (B, 3, S, S) float32
        RGB 0..1.
    landmarks : (B, 468, 2) float32
        In pixels of these.

    Returns
    -------
    (B, 2, 40, 64) float32
        Brightness, its mean over both taken off, over its deviation.
    """
    side = faces.shape[-1]
    step = max(1, round(side / SEEN))
    grey = F.avg_pool2d(luma_of(faces)[:, None], step)
    rings = torch.stack([landmarks[:, list(ring)] for ring in EYES], 1)
    middle, along = rings.mean(2), (rings[:, :, 8] - rings[:, :, 0]) * SPAN
    down = torch.stack([-along[..., 1], along[..., 0]], -1)
    x = (torch.arange(WIDTH, device=faces.device) + 0.5) / WIDTH - 0.5
    y = (torch.arange(HEIGHT, device=faces.device) + 0.5 - HEIGHT / 2) / WIDTH
    mirrored = torch.stack([x, -x])[:, None, :, None]
    places = middle[:, :, None, None] + along[:, :, None, None] * mirrored
    places = places + down[:, :, None, None] * y[:, None, None]
    grid = ((places + 0.5) * (2 / side) - 1).flatten(1, 2)
    eyes = F.grid_sample(grey, grid, padding_mode="border", align_corners=False)
    eyes = eyes.reshape(len(faces), 2, HEIGHT, WIDTH)
    spread, mean = torch.std_mean(eyes, (1, 2, 3), keepdim=True)
    return (eyes - mean) / (spread + FLAT)


def unlike(shut: FloatArray, shown: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what references lose in eyes of faces, and what all of them lack.

    Parameters
    ----------
    shut : (B,)
        How far the eyes of faces are shut, 0..1.
    shown : (B, K)
        1 for references whose eyes are shut.

    Returns
    -------
    losses : (B, K) float32
        Logits, 0 for those that are most like the face.
    missing : (B,) float32
        How far eyes have to be the frame's own, 0..1.
    """
    alike = 1 - np.abs(shown - shut[:, None])
    best = alike.max(axis=1)
    losses: FloatArray = (APART * (best[:, None] - alike)).astype(np.float32)
    return losses, (1 - best).astype(np.float32)


class LidsNetwork(nn.Module):
    """Convolutions over both eyes, and one number.

    Parameters
    ----------
    widths
        Channels of the four resolutions, fine to coarse.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        before = (2, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(inner, outer, 3, stride=2, padding=1)
            for inner, outer in zip(before, widths, strict=True)
        )
        self.same = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths)
        self.word = nn.Linear(widths[-1], 1)

    def forward(self, eyes: Tensor) -> Tensor:
        """Return logits of "shut", (B,), of `eye_pictures`."""
        features = eyes.to(self.word.weight.dtype)
        for down, same in zip(self.down, self.same, strict=True):
            features = torch.relu(down(features))
            features = features + torch.relu(same(features))
        said: Tensor = self.word(features.mean((2, 3)))[:, 0]
        return said.float()


class Lids:
    """Says how far eyes are shut.

    Parameters
    ----------
    network
        Trained; it is moved to `device`.
    """

    def __init__(self, network: LidsNetwork, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._read: WeakKeyDictionary[ReferenceBank, FloatArray] = WeakKeyDictionary()

    @torch.inference_mode()
    def probability(self, faces: Tensor, landmarks: FloatArray) -> FloatArray:
        """Return the probability that eyes are shut, (B,); parameters of `eye_pictures`."""
        meshes = torch.from_numpy(np.asarray(landmarks, np.float32))
        eyes = eye_pictures(faces.to(self.device), meshes.to(self.device))
        said: FloatArray = self.network(eyes).sigmoid().cpu().numpy()
        return said

    def shut(
        self,
        faces: Tensor,
        landmarks: FloatArray,
        banks: Sequence[ReferenceBank | None] | None = None,
        sure: tuple[float, float] = SURE,
    ) -> FloatArray:
        """Return how far the eyes of faces are shut, (B,), 0 to 1; as `probability`.

        Parameters
        ----------
        faces, landmarks
            As `eye_pictures`.
        banks
            Each face's references, or None: eyes that look as the open ones of these are open.
        sure
            Probabilities up to which eyes are open, and from which they are shut.
        """
        usual = [
            0.0 if bank is None else self._usual(bank) for bank in banks or [None] * len(faces)
        ]
        low = np.maximum(np.array(usual, np.float32), sure[0])
        shut: FloatArray = (self.probability(faces, landmarks) - low) / (sure[1] - sure[0])
        return shut.clip(0, 1)

    def shown(self, bank: ReferenceBank) -> FloatArray:
        """Return 1 for references whose eyes are shut and 0 for the others, (N,)."""
        return (self._probabilities(bank) > SHOWN).astype(np.float32)

    def _usual(self, bank: ReferenceBank) -> float:
        """Return what a person's open eyes are read as; 0 of one whose shut eyes are known."""
        read = self._probabilities(bank)
        known = not len(read) or bool((read > SHOWN).any())
        return 0.0 if known else float(np.percentile(read, USUAL))

    def _probabilities(self, bank: ReferenceBank) -> FloatArray:
        """Return `probability` of references, (N,); asked once."""
        if bank not in self._read:
            each = [
                self.probability(image[None].float() / 255, mesh[None])
                for image, mesh in zip(bank.images, bank.landmarks, strict=True)
            ]
            self._read[bank] = np.concatenate(each) if each else np.zeros(0, np.float32)
        return self._read[bank]


def save_lids(network: LidsNetwork, path: Path) -> None:
    """Write half-precision weights and the widths as safetensors."""
    save_weights(network, path, {"widths": network.widths})


def load_lids(path: Path, device: torch.device | str = "cpu") -> Lids:
    """Read a network that `save_lids` wrote, ready for inference.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another shape.
    """
    network = load_weights(
        path, lambda settings: LidsNetwork(tuple(settings["widths"])), what="lids"
    )
    return Lids(network, device)
