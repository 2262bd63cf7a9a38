"""Damaged and malicious weight files: refused in one sentence, and nothing in them is run."""

from __future__ import annotations

import io
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from .campaign import FaultClass, Trial, complaint, first
from .mutations import mutated
from .zygote import ROOT

LITE = ROOT / "models" / "lite"
STANDIN = ROOT / "models" / "standin" / "gfpgan_standin.safetensors"
CANARY = "canary"

OPENED = {
    "gfpgan.pth": ("gfpgan", "background"),
    "gfpgan.safetensors": ("gfpgan", "background"),
    "upscaler.pth": ("background", "gfpgan", "parser"),
    "upscaler.safetensors": ("background",),
    "mask.safetensors": ("mask", "fusion", "background"),
    "detector.onnx": ("detector",),
    "landmarks.onnx": ("landmarks",),
}
"""What opens each file in turn."""


class Weights(FaultClass):
    """Weight files of all three kinds, damaged and made to do harm."""

    name = "weights"
    promise = (
        "A weight file that is not what the catalogue says is not loaded; one that the user names "
        "is opened or refused in one sentence, and code in it is never run."
    )
    full, reduced = 200, 8
    rows: ClassVar[tuple[str, ...]] = (
        "damaged, opened",
        "malicious pickle",
        "damaged, by the catalogue's name",
        "damaged, opened",
        "malicious header",
    )

    def row(self, number: int) -> str:
        """Return what kind of file it is."""
        return self.rows[number % len(self.rows)]

    def prepare(self, trial: Trial) -> None:
        """Write undamaged files of each kind."""
        ended = trial.start(write_weights, str(trial.folder)).wait(300)
        if ended.status:
            raise RuntimeError(f"no weights to damage: {ended.err}")
        self._sources = trial.folder

    def run(self, trial: Trial) -> str | None:
        """Make a file and have it opened."""
        row = self.row(trial.number)
        if row == "damaged, by the catalogue's name":
            return _by_name(trial)
        name = trial.random.choice(sorted(OPENED))
        if row == "malicious pickle":
            name = trial.random.choice([one for one in sorted(OPENED) if not one.endswith("onnx")])
            content = trial.random.choice(PICKLES)(trial.folder / CANARY)
        elif row == "malicious header":
            content = trial.random.choice(HEADERS)(trial.random)
        else:
            content = mutated((self._sources / name).read_bytes(), trial.random)
        path = trial.folder / name
        path.write_bytes(content)
        opener = trial.random.choice(OPENED[name])
        wrong = complaint(trial.told(open_weights, opener, str(path)).wait())
        if (trial.folder / CANARY).exists():
            wrong = "CODE IN THE FILE WAS RUN"
        return f"{opener} of {name}: {wrong}" if wrong else None


def _by_name(trial: Trial) -> str | None:
    """Serve a damaged file under a name of the catalogue, to `models`."""
    name = trial.random.choice(sorted(path.name for path in LITE.iterdir()))
    folder = trial.folder / "models"
    folder.mkdir()
    content = (LITE / name).read_bytes()
    damaged = mutated(content, trial.random)
    (folder / name).write_bytes(damaged)
    verified = trial.command("models", "verify", name, "--models-dir", folder).wait()
    located = trial.command("models", "path", name, "--models-dir", folder).wait()
    return first(
        wrong
        for wrong in (
            _verdict(verified.status, damaged == content, verified.err),
            complaint(located, must=damaged == content, what="models path"),
            "used although damaged" if not located.status and damaged != content else None,
        )
    )


def _verdict(status: int, same: bool, err: str) -> str | None:
    right = status == 0 if same else status == 1
    return None if right and not err else f"models verify: exit status {status}: {err[-300:]}"


def open_weights(opener: str, path: str) -> None:
    """Open a file as the program would."""
    OPENERS[opener](Path(path))


def _gfpgan(path: Path) -> None:
    from refrestore.restore.second.gfpgan import GFPGAN

    GFPGAN.from_file(path)


def _parser(path: Path) -> None:
    from refrestore.restore.parser import load_parser

    load_parser(path)


def _background(path: Path) -> None:
    from refrestore.config import RenderSettings, RuntimeSettings
    from refrestore.render.background import open_background

    open_background(RenderSettings(scale=2, background=path), RuntimeSettings(device="cpu"))


def _mask(path: Path) -> None:
    from refrestore.restore.mask import load_mask

    load_mask(path)


def _fusion(path: Path) -> None:
    from refrestore.restore.fusion import load_fusion

    load_fusion(path)


def _network(role: str) -> Callable[[Path], None]:
    def opened(path: Path) -> None:
        from refrestore.faces.analyser import load_face_models
        from refrestore.models.pack import FacePack

        files = {name: LITE / f"{name}.onnx" for name in ("detector", "recogniser", "landmarks")}
        load_face_models(FacePack("lite", **{**files, role: path}), "cpu", threads=1)

    return opened


OPENERS: dict[str, Callable[[Path], None]] = {
    "gfpgan": _gfpgan,
    "parser": _parser,
    "background": _background,
    "mask": _mask,
    "fusion": _fusion,
    "detector": _network("detector"),
    "landmarks": _network("landmarks"),
}


def write_weights(folder: str) -> None:
    """Write undamaged weights: our small second stage and a small enlarger, in both forms."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(STANDIN)
    torch.save({"params_ema": weights}, Path(folder) / "gfpgan.pth")
    shutil.copy(STANDIN, Path(folder) / "gfpgan.safetensors")
    enlarger = _enlarger()
    torch.save({"params": enlarger}, Path(folder) / "upscaler.pth")
    save_file(enlarger, Path(folder) / "upscaler.safetensors")
    for name in ("mask.safetensors", "detector.onnx", "landmarks.onnx"):
        shutil.copy(LITE / name, folder)


def _enlarger() -> dict[str, Any]:
    """Return weights of Real-ESRGAN's compact network, x2; spandrel's own takes long to import."""
    from torch import nn

    widths = ((3, 8), (8, 8), (8, 8))
    layers = [one for a, b in widths for one in (nn.Conv2d(a, b, 3, 1, 1), nn.PReLU(b))]
    body = nn.Sequential(*layers, nn.Conv2d(8, 3 * 2**2, 3, 1, 1))
    return {f"body.{name}": value for name, value in body.state_dict().items()}


class Harm:
    """An object that writes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.canary)!r}, 'w').close()",)


def _raw(canary: Path) -> bytes:
    return pickle.dumps(Harm(canary))


def _in_a_dictionary(canary: Path) -> bytes:
    return pickle.dumps({"params_ema": {"weight": Harm(canary)}}, protocol=2)


def _zipped(canary: Path) -> bytes:
    """The form that torch.save writes now."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"params": Harm(canary)}, protocol=2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def _legacy(canary: Path) -> bytes:
    """The form that torch.save wrote before 1.6: a magic number, a version, facts, the object."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, Harm(canary))
    return b"".join(pickle.dumps(part, protocol=2) for part in parts)


def _by_name_of_a_function(canary: Path) -> bytes:
    return f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()


PICKLES = (_raw, _in_a_dictionary, _zipped, _legacy, _by_name_of_a_function)


def _huge_header(dice: random.Random) -> bytes:
    return struct.pack("<Q", dice.choice((2**63, 2**40, 10**9))) + b"{}"


def _overlapping(dice: random.Random) -> bytes:
    head = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    return struct.pack("<Q", len(head)) + head + dice.randbytes(64)


def _deep(dice: random.Random) -> bytes:
    head = b"[" * dice.choice((1000, 200_000))
    return struct.pack("<Q", len(head)) + head


def _bomb(dice: random.Random) -> bytes:
    """A file of a few hundred kB that unpacks to 100 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000_000))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def _empty(dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice((0, 1, 7, 8, 100)))


HEADERS = (_huge_header, _overlapping, _deep, _bomb, _empty)
