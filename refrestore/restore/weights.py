"""Weights of networks: read from files that are trusted in nothing, and written for our own.

A `.pth` file is a pickle, which can hold a program: only its tensors are read. Our own networks are
half precision in safetensors, with what builds the network.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from refrestore.errors import ModelError
from refrestore.plain_file import check_plain, open_plain, open_zip

Network = TypeVar("Network", bound=nn.Module)

SAFETENSORS = ".safetensors"

VERIFY = "`refrestore models verify` says which files are damaged"

_WRAPPERS = ("params_ema", "params-ema", "params", "model_state_dict", "state_dict", "model", "net")
"""Keys under which training programs keep the weights; the moving average before the last step."""

_ZIP = b"PK\x03\x04"

_SHARED = 2
"""How many times over tied weights may count; else tensors have no more bytes than their file."""


class _UnfitError(Exception):
    """Why a file is not one of weights, as a clause."""


def read_tensors(path: Path, advice: str = VERIFY) -> dict[str, Tensor]:
    """Return the tensors of a `.pth` or `.safetensors` file by name; nothing in it is executed.

    Parameters
    ----------
    path
        The file.
    advice
        What to do about a file that cannot be used, as the end of a sentence.

    Raises
    ------
    ModelError
        The file is missing, damaged, no plain file, or holds anything else than finite numbers
        that it has room for.
    """
    try:
        size = check_plain(path).st_size
        tensors = load_file(path) if path.suffix.lower() == SAFETENSORS else _unpickled(path)
        _check(tensors, size)
    except FileNotFoundError as error:
        raise ModelError(f"There is no file of weights {path}; {advice}.") from error
    except (OSError, _UnfitError) as error:
        raise ModelError(f"{path} cannot be used as weights: {why(error)}; {advice}.") from error
    except Exception as error:  # a damaged pickle leads torch anywhere
        # Without torch's own words: they advise to execute what is in the file.
        raise ModelError(
            f"{path} cannot be used as weights: it is damaged, or holds more than tensors; "
            f"{advice}."
        ) from error
    return tensors


def save_weights(network: nn.Module, path: Path, settings: Mapping[str, Any]) -> None:
    """Write the weights in half precision; each of `settings` becomes a JSON text beside them."""
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, path, metadata={key: json.dumps(value) for key, value in settings.items()})


def load_weights(
    path: Path, build: Callable[[Mapping[str, Any]], Network], *, what: str
) -> Network:
    """Read a network that `save_weights` wrote, in single precision.

    Parameters
    ----------
    path
        The file.
    build
        Makes the network from the settings it was written with.
    what
        What it is, for messages.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another shape.
    """
    try:
        size = check_plain(path).st_size
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check(tensors, size)
        settings = {key: json.loads(value) for key, value in texts.items()}
        with torch.device("meta"), _Unfilled():  # settings that lie take no memory
            wanted = {name: value.shape for name, value in build(settings).state_dict().items()}
        if wanted != {name: value.shape for name, value in tensors.items()}:
            raise _UnfitError("its tensors are not of the network that it describes")
        network = build(settings)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except Exception as error:  # settings that lie lead anywhere
        raise ModelError(
            f"The {what} weights {path} cannot be used ({why(error)}); "
            f"put back models/lite/{path.name} of this version."
        ) from error
    return network


class _Unfilled(TorchFunctionMode):
    """Leaves tensors without numbers as they are: drawing some would load torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def why(error: BaseException) -> str:
    """Return the reason that an error gives, in one line without its full stop."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _unpickled(path: Path) -> dict[str, Tensor]:
    with open_plain(path) as file:
        packed = file.read(len(_ZIP)) == _ZIP
    if packed:
        with open_zip(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise _UnfitError("its parts are compressed, which torch never does")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = torch.load(path, map_location="cpu", weights_only=True)
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict):
        raise _UnfitError(f"it holds a {type(content).__name__}, not the weights of a network")
    return content


def _check(tensors: Mapping[Any, Any], size: int) -> None:
    """Check that these are plain tensors of finite numbers that a file of `size` bytes can hold."""
    if not tensors:
        raise _UnfitError("it holds no tensors")
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _UnfitError("it holds more than the weights of a network")
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise _UnfitError(f"{name} is no plain tensor")
        if not value.numel():
            raise _UnfitError(f"{name} is empty")
    if sum(value.numel() * value.element_size() for value in tensors.values()) > _SHARED * size:
        raise _UnfitError("its tensors are larger than the file")
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise _UnfitError(f"{name} holds what is no number")
