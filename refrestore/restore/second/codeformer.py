"""CodeFormer, whose network is spandrel_extra_arches' (its licence forbids commercial use).

Zhou et al., "Towards Robust Blind Face Restoration with Codebook Lookup Transformer", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from refrestore.errors import ModelError
from refrestore.models.stages import RESTRICTED
from refrestore.restore.second.kind import Asked, Kind
from refrestore.restore.second.stage import Descriptor, PlainStage

NAME, TITLE = "codeformer", "CodeFormer"

LICENCE = "S-Lab License 1.0: no commercial use"

SIDE = 512

FIDELITY = 0.5
"""Where the user says nothing: the middle of what its authors offer."""

_NEEDED = (
    "position_emb",
    "idx_pred_layer.1.weight",
    "quantize.embedding.weight",
    "ft_layers.0.self_attn.in_proj_weight",
)


class _Network(nn.Module):
    def __init__(self, network: nn.Module, fidelity: float) -> None:
        super().__init__()
        self.network, self.fidelity = network, fidelity

    def forward(self, faces: Tensor) -> Tensor:
        # The authors' own call: colour is put back to the input's (adain).
        made: Tensor = self.network(faces, weight=self.fidelity, adain=True)[0]
        return made


def _detect(weights: Mapping[str, Tensor]) -> bool:
    return set(_NEEDED) <= weights.keys()


def _load(weights: Mapping[str, Tensor], asked: Asked) -> PlainStage:
    try:
        from spandrel_extra_arches.architectures.CodeFormer import CodeFormerArch
    except ImportError as error:
        raise ModelError(
            "CodeFormer needs the package spandrel_extra_arches, which is not installed here; "
            "run: pip install 'refrestore[codeformer]'"
        ) from error
    about = Descriptor(NAME, TITLE, SIDE, LICENCE, takes_fidelity=True)
    about.check(asked.dtype)
    try:
        network = CodeFormerArch().load(dict(weights)).model
    except Exception as error:  # whatever building a network raises
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise ModelError(f"the weights do not fit the CodeFormer network: {reason}") from error
    fidelity = FIDELITY if asked.fidelity is None else asked.fidelity
    ready = _Network(network, fidelity).to(device=asked.device, dtype=asked.dtype)
    return PlainStage(about, ready.eval().requires_grad_(False), asked.dtype)


KIND = Kind(NAME, TITLE, LICENCE, _detect, _load, restricted=RESTRICTED[NAME], takes_fidelity=True)
