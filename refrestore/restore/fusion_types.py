"""The fusion network's shape, what it sees, what it makes of it, what it returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from refrestore.restore.fusion_bands import FULL


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """Shape of the network; stored in the weights file.

    Parameters
    ----------
    channels
        Of the reference encoder.
    context
        Of the trunk, at half the decoder's resolution.
    width
        Of the decoder.
    bands
        Octaves of the working picture that are mixed; the rest is the input's. Crops are
        multiples of 2 ** (bands + 1).
    encoder_blocks, trunk_blocks, decoder_blocks
        Residual blocks of each part.
    detail
        Channels at half the working resolution in the decoder.
    finish
        Channels of the head that draws on the finest octave of smaller crops.
    sides
        Of the crops that it was trained for, ascending; the weights' own word.
    """

    channels: int = 64
    context: int = 128
    width: int = 96
    bands: int = 4
    encoder_blocks: int = 1
    trunk_blocks: int = 4
    decoder_blocks: int = 3
    detail: int = 32
    finish: int = 16
    sides: tuple[int, ...] = (FULL,)


@dataclass(frozen=True, slots=True)
class Fused:
    """What the network returns.

    Parameters
    ----------
    images : (B, 3, S, S) float32
        Restored faces, RGB, about 0..1 (not clamped).
    confidence : (B, 1, S, S) float32
        Share of the references in the fine bands, 0..1: high where they agree with each other and
        with the input, 0 without references.
    """

    images: torch.Tensor
    confidence: torch.Tensor


@dataclass(frozen=True, slots=True)
class WorkingFaces:
    """What the network makes of faces at the working resolution T.

    Parameters
    ----------
    images : (B, 3, T, T) float32
        Restored faces.
    field : (B, K, 2, g, g) float32
        Where each reference lies, working pixels, on the grid of the offsets given.
    light : (B, K, 3, l, l)
        What each reference is multiplied by to have the face's light, from `light.light_gain`.
    attention : (B, K, 2, T / 4, T / 4)
        Softmax over the references, for the fine and for the coarse bands.
    shares : (B, bands, T / 4, T / 4)
        What the references have of each band, 0..1; the rest is the input's.
    gains : (B, 2, bands, T / 4, T / 4)
        Factors of the references' and of the input's bands.
    detail : (B, detail, T / 2, T / 2)
        What the decoder drew from.
    """

    images: torch.Tensor
    field: torch.Tensor
    light: torch.Tensor
    attention: torch.Tensor
    shares: torch.Tensor
    gains: torch.Tensor
    detail: torch.Tensor


@dataclass(frozen=True, slots=True)
class Mixture:
    """Faces and the mixture of them and their references, before anything is drawn.

    Parameters
    ----------
    faces : (B, 3, T, T) float32
        As they were given.
    hull : (B, 1, T / 4, T / 4) float32
        As in `FusionNetwork.forward`.
    trunk : (B, width, T / 4, T / 4)
        What faces and references say together.
    fused : (B, 3, T, T) float32
        The mixture.
    field, light, attention, shares, gains
        As in `WorkingFaces`.
    side
        Of the crops.
    """

    faces: torch.Tensor
    hull: torch.Tensor
    trunk: torch.Tensor
    fused: torch.Tensor
    field: torch.Tensor
    light: torch.Tensor
    attention: torch.Tensor
    shares: torch.Tensor
    gains: torch.Tensor
    side: int
