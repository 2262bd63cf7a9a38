"""DFDNet: parts of a face exchanged for the most alike of a dictionary.

Li et al., "Blind Face Restoration via Deep Multi-scale Component Dictionaries", ECCV 2020. VGG19's
features of eyes, nose and mouth are looked up at four sizes and guide the decoder. Its weights are
of two layouts: the authors' own (`latest_net_G.pth`, with a folder of arrays) and BasicSR's
(`DFDNet_official-*.pth`, with a file of tensors); the dictionary lies beside them. Spectral norms
are worked into the weights when they are read.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor, nn

from refrestore.errors import ModelError
from refrestore.models.stages import RESTRICTED
from refrestore.plain_file import check_plain
from refrestore.restore.second.kind import Asked, Kind
from refrestore.restore.second.stage import Descriptor

NAME, TITLE = "dfdnet", "DFDNet"

LICENCE = "CC BY-NC-SA 4.0: no commercial use"

SIDE = 512

PARTS: Mapping[str, tuple[int, ...]] = {
    "left_eye": (70, 63, 105, 66, 107, 33, 160, 158, 133, 153, 144),
    "right_eye": (336, 296, 334, 293, 300, 362, 385, 387, 263, 373, 380),
    "nose": (5, 4, 75, 97, 2, 326, 305),
    "mouth": (
        61,
        39,
        37,
        0,
        267,
        269,
        291,
        405,
        314,
        17,
        84,
        181,
        78,
        82,
        13,
        312,
        308,
        317,
        14,
        87,
    ),
}
"""Points of the mesh where the parts' points of 68 lie; left and right are the picture's, and an
eye's brow belongs to it."""

LEAST = 16
"""Half a part's side, at least (the authors' get_part_location)."""

LEVELS: Mapping[int, int] = {256: 128, 128: 256, 64: 512, 32: 512}
"""Channels at each size that is looked up."""

SEEN = {8: 256, 17: 128, 26: 64, 34: 32}
"""Layers of VGG19 that these are: behind three activations, and a convolution."""

FOLDER, FILE = "DictionaryCenter512", "DFDNet_dict_512*.pth"
"""The dictionary beside the weights, as the authors have it and as BasicSR has it."""

_VGG = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
"""Outputs of VGG19's convolutions, 0 halves the size; the last activation is not asked for."""

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_EPSILON = 1e-5

_Dictionary = Mapping[str, Tensor]
"""Features of each part and size, (N, C, h, w), by `PART_SIZE`."""


def _vgg() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for width in _VGG:
        if not width:
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(before, width, 3, 1, 1), nn.ReLU()]
        before = width
    return nn.Sequential(*layers[:-1])


def _pair(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """Two convolutions with a leaky ReLU between."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation),
        nn.LeakyReLU(0.2),
        nn.Conv2d(outputs, outputs, 3, 1, dilation, dilation),
    )


class _Dilated(nn.Module):
    """Four dilations beside each other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_pair(channels, channels, by) for by in (4, 3, 2, 1))
        self.fusion = nn.Conv2d(4 * channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        beside: Tensor = self.fusion(torch.cat([block(x) for block in self.blocks], 1))
        return beside + x


class _Up(nn.Module):
    """Scaled and shifted by features that were looked up, and enlarged."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.enlarge = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.scale, self.shift = _pair(inputs, outputs), _pair(inputs, outputs)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        kernel = x.new_tensor([1.0, 2.0, 1.0])
        kernel = (kernel[:, None] * kernel / 16).expand(x.shape[1], 1, 3, 3)
        x = self.first(F.conv2d(x, kernel, padding=1, groups=x.shape[1]))
        x = F.leaky_relu(x, 0.04)  # two of 0.2
        x = x * self.scale(seen) + self.shift(seen).sigmoid()
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return F.leaky_relu(self.enlarge(x), 0.2)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = _pair(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.body(x)
        return x + changed


class DFDNet(nn.Module):
    """The network, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.vgg = _vgg()
        self.attention = nn.ModuleDict(
            {f"{part}_{size}": _pair(wide, wide) for size, wide in LEVELS.items() for part in PARTS}
        )
        self.dilation = _Dilated(512)
        self.up = nn.ModuleList(
            _Up(i, o) for i, o in ((512, 512), (512, 256), (256, 128), (128, 64))
        )
        self.out = nn.Sequential(
            nn.Conv2d(64, 64, 3, 1, 1),
            nn.LeakyReLU(0.2),
            _Residual(64),
            _Residual(64),
            nn.Conv2d(64, 3, 3, 1, 1),
            nn.Tanh(),
        )

    def forward(
        self, faces: Tensor, places: Mapping[str, Tensor], dictionary: _Dictionary
    ) -> Tensor:
        """Restore faces.

        Parameters
        ----------
        faces : (B, 3, 512, 512)
            RGB in -1..1.
        places
            By part (B, 4), whole pixels: left, top, right, bottom.
        dictionary
            See `_Dictionary`.
        """
        seen = self._seen(faces)
        deepest = seen[32]
        for size, features in seen.items():
            seen[size] = self._looked_up(features, size, places, dictionary)
        x = self.dilation(deepest)
        for up, size in zip(self.up, sorted(seen), strict=True):
            x = up(x, seen[size])
        made: Tensor = self.out(x)
        return made

    def _seen(self, faces: Tensor) -> dict[int, Tensor]:
        mean, spread = (faces.new_tensor(one)[:, None, None] for one in (_MEAN, _SPREAD))
        x = ((faces + 1) / 2 - mean) / spread
        seen = {}
        for index, layer in enumerate(self.vgg):
            x = layer(x)
            if index in SEEN:
                seen[SEEN[index]] = x
        return seen

    def _looked_up(
        self, features: Tensor, size: int, places: Mapping[str, Tensor], dictionary: _Dictionary
    ) -> Tensor:
        """Return features whose parts are exchanged for the dictionary's most alike."""
        made = features.clone()
        for row in range(len(features)):
            for part in PARTS:
                left, top, right, bottom = (places[part][row] // (SIDE // size)).tolist()
                own = features[row : row + 1, :, top:bottom, left:right]
                known = dictionary[f"{part}_{size}"].to(own)
                resized = F.interpolate(own, known.shape[2:], mode="bilinear", align_corners=False)
                alike = _adapted(known, resized)
                best = int(F.conv2d(resized, alike).flatten().argmax())
                swapped = F.interpolate(alike[best : best + 1], own.shape[2:])
                weight = self.attention[f"{part}_{size}"](swapped - own)
                made[row, :, top:bottom, left:right] = (weight * swapped + own)[0]
        return made


def _adapted(known: Tensor, to: Tensor) -> Tensor:
    """Give features the mean and spread of others (AdaIN)."""

    def about(features: Tensor) -> tuple[Tensor, Tensor]:
        mean = features.mean((2, 3), keepdim=True)
        return mean, (features.var((2, 3), keepdim=True) + _EPSILON).sqrt()

    (mean, spread), (wanted, wide) = about(known), about(to)
    return (known - mean) / spread * wide + wanted


def places_of(landmarks: Tensor) -> dict[str, Tensor]:
    """Return where the parts of faces are, (B, 4) whole pixels inside of 512, by part.

    Parameters
    ----------
    landmarks : (B, 468, 2) float32
        In pixels of 512.
    """
    places = {}
    for part, indices in PARTS.items():
        points = landmarks[:, list(indices)]
        middle = points.mean(1)
        half = ((points.amax(1) - points.amin(1)).amax(1, keepdim=True) / 2).clamp(min=LEAST)
        low = (middle - half + 1).long().clamp(0, SIDE - 2 * LEAST)
        high = torch.maximum((middle + half).long(), low + 2 * LEAST).clamp(max=SIDE)
        places[part] = torch.cat([low, high], 1)
    return places


@dataclass(frozen=True, eq=False)
class DFDNetStage:
    """DFDNet and its dictionary as a second stage; see `SecondStage`."""

    descriptor: Descriptor
    network: DFDNet
    dictionary: _Dictionary
    dtype: torch.dtype = torch.float32

    def __call__(self, faces: Tensor, landmarks: Tensor, confidence: Tensor) -> Tensor:
        """Restore a batch."""
        made: Tensor = self.network(faces, places_of(landmarks), self.dictionary)
        return made


def _detect(weights: Mapping[str, Tensor]) -> bool:
    return any(name in weights for name in ("le_256.0.bias", "attn_blocks.left_eye_256.0.bias"))


def _load(weights: Mapping[str, Tensor], asked: Asked) -> DFDNetStage:
    own = dict(_renamed(_folded(weights)))
    try:
        with torch.device("meta"):
            network = DFDNet()
        network.load_state_dict(own, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights do not fit the DFDNet network: {reason}") from error
    network.to(asked.device).eval().requires_grad_(False)
    dictionary = {
        name: features.to(asked.device) for name, features in _read_dictionary(asked.folder).items()
    }
    digest = hashlib.sha256()
    for name, features in sorted(dictionary.items()):
        digest.update(name.encode() + features.cpu().numpy().tobytes())
    about = Descriptor(
        NAME, TITLE, SIDE, LICENCE, precisions=(torch.float32,), beside=digest.hexdigest()
    )
    return DFDNetStage(about, network, dictionary)


def _folded(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors with spectral norms worked in."""
    for name, value in weights.items():
        base, _, kind = name.rpartition("_")
        if kind == "orig" and f"{base}_u" in weights and f"{base}_v" in weights:
            norm = weights[f"{base}_u"] @ value.flatten(1) @ weights[f"{base}_v"]
            yield base, value / norm
        elif kind not in ("u", "v") or f"{base}_orig" not in weights:
            yield name, value


_RENAMED = (
    (r"^(?:attn_blocks\.)((?:left_eye|right_eye|nose|mouth)_\d+)\.", r"attention.\1."),
    (r"^multi_scale_dilation\.conv_blocks\.", "dilation.blocks."),
    (r"^multi_scale_dilation\.conv_fusion\.", "dilation.fusion."),
    (r"^MSDilate\.convi\.", "dilation.fusion."),
    (r"^up(?:sample)?4\.(\d)\.(?:Model|body)\.", r"out.\1.body."),
    (r"^up(?:sample)?4\.", "out."),
    (r"^up(?:sample)?([0-3])\.conv1\.1\.", r"up.\1.first."),
    (r"^up(?:sample)?([0-3])\.convup\.1\.", r"up.\1.enlarge."),
    (r"^up(?:sample)?([0-3])\.(?:ScaleModel1|scale_block)\.", r"up.\1.scale."),
    (r"^up(?:sample)?([0-3])\.(?:ShiftModel1|shift_block)\.", r"up.\1.shift."),
    (r"^VggExtract\.model\.features\.", "vgg."),
)
_SHORT = {"le": "left_eye", "re": "right_eye", "no": "nose", "mo": "mouth"}
_KEPT = ("attention.", "dilation.", "out.", "up.", "vgg.")


def _renamed(tensors: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Yield what the network has, of either layout, by its own names."""
    index_of = _vgg_places()
    for name, value in tensors:
        if found := re.match(r"^(le|re|no|mo)_(\d+)\.(.*)$", name):
            part, size, rest = found.groups()
            yield f"attention.{_SHORT[part]}_{size}.{rest}", value
            continue
        if found := re.match(r"^MSDilate\.conv([1-4])\.(.*)$", name):
            yield f"dilation.blocks.{int(found[1]) - 1}.{found[2]}", value
            continue
        if found := re.match(r"^vgg_extractor\.vgg_net\.(conv\d_\d)\.(.*)$", name):
            yield f"vgg.{index_of[found[1]]}.{found[2]}", value
            continue
        tried = ((re.match(pattern, name), new) for pattern, new in _RENAMED)
        own = next((one.expand(new) + name[one.end() :] for one, new in tried if one), name)
        deeper = own.startswith("vgg.") and int(own.split(".")[1]) > max(SEEN)
        if own.startswith(_KEPT) and not deeper:
            yield own, value


def _vgg_places() -> dict[str, int]:
    """Return the number of each convolution of VGG19 by the name that BasicSR has for it."""
    places, level, number, index = {}, 1, 0, 0
    for wide in _VGG:
        if not wide:
            level, number, index = level + 1, 0, index + 1
            continue
        number += 1
        places[f"conv{level}_{number}"] = index
        index += 2
    return places


def _read_dictionary(folder: Path) -> _Dictionary:
    """Return the dictionary that lies beside the weights.

    Raises
    ------
    ModelError
        It is not there, damaged, or of other shapes.
    """
    files = sorted(folder.glob(FILE))
    try:
        found = _of_file(files[0]) if files else dict(_of_folder(folder / FOLDER))
    except FileNotFoundError as error:
        raise ModelError(
            f"its dictionary is not beside it: put {FILE} or the folder {FOLDER} there."
        ) from error
    except Exception as error:  # a damaged pickle leads torch anywhere
        raise ModelError("its dictionary is damaged, or holds more than arrays.") from error
    for size, wide in LEVELS.items():
        for part in PARTS:
            one = found.get(f"{part}_{size}")
            if one is None or one.ndim != 4 or one.shape[1] != wide or not one.isfinite().all():
                raise ModelError(f"its dictionary has no {part.replace('_', ' ')} of {size} px.")
    return found


def _of_file(path: Path) -> _Dictionary:
    check_plain(path)
    if not zipfile.is_zipfile(path):
        raise ValueError(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    return {f"{part}_{size}": content[str(size)][part].float() for size in LEVELS for part in PARTS}


def _of_folder(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for size, wide in LEVELS.items():
        for part in PARTS:
            path = folder / f"{part}_{size}_center.npy"
            check_plain(path)
            rows = np.load(path, allow_pickle=False).astype(np.float32)
            side = round((rows[0].size / wide) ** 0.5)
            yield f"{part}_{size}", torch.from_numpy(rows.reshape(len(rows), wide, side, side))


KIND = Kind(NAME, TITLE, LICENCE, _detect, _load, restricted=RESTRICTED[NAME], single=True)
