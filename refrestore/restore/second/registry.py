"""All kinds of second stage, and how one is opened from a file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch

from refrestore.errors import ModelError, UsageError
from refrestore.restore.second import codeformer, dfdnet, gfpgan, gpen, onnx_file, restoreformer
from refrestore.restore.second.kind import Asked, Kind
from refrestore.restore.second.stage import SecondStage
from refrestore.restore.weights import read_tensors

KINDS: tuple[Kind, ...] = (
    gfpgan.KIND,
    codeformer.KIND,
    restoreformer.KIND,
    gpen.KIND,
    dfdnet.KIND,
)
"""The first that knows a file's weights opens it."""

ADVICE = "a second stage is the published file of a face restorer"


def open_stage(
    path: Path, asked: Asked | None = None, accepted: Collection[str] | None = None
) -> SecondStage:
    """Open a second stage; nothing in its file is executed.

    Parameters
    ----------
    path
        `.pth`, `.ckpt`, `.safetensors` or `.onnx`.
    asked
        How. DFDNet and ONNX files compute in float32, whatever is asked.
    accepted
        Names of kinds whose licence the user accepts; None where that was asked before.

    Raises
    ------
    ModelError
        The file is missing, damaged, no restorer of faces, or needs a package.
    UsageError
        Its licence is not accepted, or it does not take a fidelity that was given.
    """
    asked = replace(asked or Asked(), folder=path.parent)
    if path.suffix.lower() == onnx_file.SUFFIX:
        kind = onnx_file.licence_of(path, KINDS)
        _check_licence(path, kind, accepted)
        stage: SecondStage = onnx_file.open_onnx(path, _precise(asked), KINDS)
    else:
        weights = read_tensors(path, ADVICE)
        kind = next((one for one in KINDS if one.detect(weights)), None)
        if kind is None:
            known = ", ".join(one.title for one in KINDS)
            raise ModelError(
                f"{path} holds no restorer of faces that is known here ({known}, or any in ONNX)."
            )
        _check_licence(path, kind, accepted)
        try:
            stage = kind.load(weights, _precise(asked) if kind.single else asked)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
    if asked.fidelity is not None and not stage.descriptor.takes_fidelity:
        raise UsageError(
            f"{stage.descriptor.title} cannot be told how near to stay to what it is given: leave "
            "--fidelity out."
        )
    return stage


def _precise(asked: Asked) -> Asked:
    return replace(asked, dtype=torch.float32)


def _check_licence(path: Path, kind: Kind | None, accepted: Collection[str] | None) -> None:
    if kind is None or not kind.restricted or accepted is None or kind.name in accepted:
        return
    raise UsageError(
        f"The licence of {path.name} is {kind.title}'s ({kind.licence}); if you keep to it, add "
        f"--accept-licence {kind.name}."
    )
