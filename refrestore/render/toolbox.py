"""Opens what a render needs, once, and says what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import cv2
import torch

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.errors import UsageError
from refrestore.faces.align import CROP_SIZE
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.faces.network_id import NetworkId
from refrestore.models.catalogue import file_digest
from refrestore.models.pack import Pack, load_pack
from refrestore.models.runtime import available_cpus, torch_device, torch_dtype
from refrestore.profiles import Profile
from refrestore.profiles.reembed import seen_by
from refrestore.render.low_resolution import centroid_from_afar
from refrestore.render.people import Eyes
from refrestore.render.second import Second, open_second, opened
from refrestore.render.switches import ALL_ON, Switches
from refrestore.restore.fusion import load_fusion
from refrestore.restore.lids import load_lids
from refrestore.restore.mask import FaceMask, load_mask
from refrestore.restore.parser import load_parser
from refrestore.restore.restorer import Restorer
from refrestore.restore.second.kind import Asked
from refrestore.types import FloatArray

if TYPE_CHECKING:
    from refrestore.render.background import Background

MOST_WORKERS = 8
"""Faces restored side by side on a CPU; each takes about 250 MB."""

CPU_BATCH = 8
"""Faces restored at a time on a CPU; there they only share out the workers."""

LEAST_BATCH, MOST_BATCH = 8, 512
"""Faces restored at a time on CUDA; so many frames' faces wait for each other."""

FACE_BYTES = 320_000_000
"""What a face of side 512 with eight references takes while it is restored: a CPU's worker grows
by 250 MB with five, in single precision. It goes with the square of the side."""


@dataclass(frozen=True, eq=False)
class Toolbox:
    """The opened networks of a pack.

    Parameters
    ----------
    pack
        Where they came from.
    models
        Detector, landmarks, recogniser.
    restorer
        Fusion, a second stage behind it and a face mask where there are such.
    switches
        What a render leaves out, to measure what it is worth.
    background
        What enlarges the rest of the frame, or None.
    second
        The file of the second stage, or None.
    """

    pack: Pack
    models: FaceModels
    restorer: Restorer
    switches: Switches = ALL_ON
    background: Background | None = None
    second: Second | None = None
    _opened: dict[Any, Any] = field(default_factory=dict, repr=False)
    _low_resolution: WeakKeyDictionary[Profile, FloatArray] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    @property
    def eyes(self) -> Eyes:
        """Return the recogniser, with what it is known by."""
        network = NetworkId(self.pack.recogniser.stem, self.pack.recogniser_digest)
        return Eyes(network, self.models.recogniser)

    def fitted(self, profile: Profile) -> Profile:
        """Return a profile in this recogniser's embeddings, its close-ups embedded again if needed.

        Nothing is saved.
        """
        eyes = self.eyes
        return seen_by(profile, eyes.network, eyes.recogniser)[0]

    def low_resolution(self, profile: Profile) -> FloatArray:
        """Return a fitted profile's centroid as seen from afar, (512,)."""
        if profile not in self._low_resolution:
            found = centroid_from_afar(profile.references, self.models.recogniser)
            self._low_resolution[profile] = found
        return self._low_resolution[profile]

    @cached_property
    def fusion(self) -> str:
        """SHA-256 of the fusion weights: what adapters are bound to."""
        return file_digest(self.pack.fusion)

    @property
    def stages(self) -> list[str]:
        """Return the restorer's stages, for people."""
        second = self.restorer.second
        return ["reference fusion", *([] if second is None else [second.descriptor.title])]

    def description(self) -> dict[str, Any]:
        """Return what decides the numbers that come out: files by digest, device, precision."""
        return {
            "pack": self.pack.name,
            "files": self.digests(),
            "device": str(self.restorer.device),
            "precision": str(self.restorer.dtype).removeprefix("torch."),
            "stages": self.stages,
            **({"second": self.second.description()} if self.second else {}),
            **({"background": self.background.description()} if self.background else {}),
            **({"without": self.switches.off} if self.switches.off else {}),
        }

    def batch(self, asked: int | Literal["auto"], side: int) -> int:
        """Return how many faces are restored at a time, with crops of a side at most.

        On CUDA as many as a third of the memory that is free, or only kept by torch for later, has
        room for: while a segment is painted, the next one is looked at.
        """
        if asked != "auto":
            return asked
        device = self.restorer.device
        if device.type != "cuda":
            return CPU_BATCH
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return faces_that_fit((free + kept) // 3, side)

    def equipped(self, settings: RenderSettings, runtime: RuntimeSettings) -> Toolbox:
        """Return the same with the networks that a render's settings name, each opened once.

        Raises
        ------
        ModelError, UsageError
            As `open_second` and `open_background`.
        """
        from refrestore.render.background import open_background

        background, tools = None, self
        if settings.background is not None:
            background = self._once(
                ("background", settings.background), lambda: open_background(settings, runtime)
            )
        if settings.second_stage is not None:
            own = self.restorer
            second = self._once(
                (settings.second_stage, settings.fidelity, settings.accept_licence),
                lambda: open_second(settings, runtime, own.device, own.dtype),
            )
            tools = self.followed_by(second)
        elif settings.fidelity is not None:
            raise UsageError("--fidelity is for a second stage: name one with --second-stage.")
        return tools if background is self.background else replace(tools, background=background)

    def followed_by(self, second: Second | None) -> Toolbox:
        """Return the same with another second stage, or none."""
        stage = None if second is None else second.stage
        return replace(self, second=second, restorer=self.restorer.followed_by(stage))

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._opened:
            self._opened[key] = make()
        return self._opened[key]

    def without(self, *names: str) -> Toolbox:
        """Return the same with some `Switches` turned off."""
        switches = replace(self.switches, **dict.fromkeys(names, False))
        restorer = self.restorer if switches.mask else self.restorer.unmasked()
        restorer = restorer if switches.energy else restorer.averaging()
        restorer = restorer if switches.colours else restorer.with_the_films_colours()
        restorer = restorer if switches.lids else restorer.with_open_eyes()
        restorer = restorer if switches.mouth else restorer.with_their_mouths()
        return replace(self, switches=switches, restorer=restorer)

    def digests(self) -> Mapping[str, str]:
        """Return the SHA-256 of every file of the pack, by role."""
        roles = ("detector", "recogniser", "landmarks", "fusion", "mask", "lids", "parser")
        files = {role: getattr(self.pack, role) for role in roles}
        return {role: file_digest(path) for role, path in files.items() if path is not None}


def faces_that_fit(memory: int, side: int) -> int:
    """Return how many faces of a side fit into so many bytes, `LEAST_BATCH` to `MOST_BATCH`.

    >>> faces_that_fit(40 << 30, 512), faces_that_fit(40 << 30, 128)
    (128, 512)
    """
    each = FACE_BYTES * side**2 // CROP_SIZE**2
    return max(LEAST_BATCH, min(MOST_BATCH, memory // each // LEAST_BATCH * LEAST_BATCH))


def open_toolbox(settings: RuntimeSettings) -> Toolbox:
    """Open every network of the pack the settings name.

    Raises
    ------
    ModelError
        If a file is missing, damaged or of another kind.
    UsageError
        If CUDA was asked for and is not there.
    """
    pack = load_pack(settings)
    device = torch_device(settings.device)
    dtype = torch_dtype(device)
    threads = settings.threads or available_cpus()
    if device.type == "cpu":
        # The restorer works on several faces instead (Restorer.workers).
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    models = load_face_models(pack, settings.device, threads=threads)
    fusion = load_fusion(pack.fusion, device, dtype)
    second = None if pack.second is None else opened(pack.second, Asked(device, dtype))
    stage = None if second is None else second.stage
    mask = open_mask(pack, device, dtype)
    workers = min(threads, MOST_WORKERS)
    lids = None if pack.lids is None else load_lids(pack.lids, device)
    restorer = Restorer(fusion, stage, device, dtype, workers=workers, mask=mask, lids=lids)
    return Toolbox(pack, models, restorer, second=second)


def open_mask(pack: Pack, device: torch.device, dtype: torch.dtype) -> FaceMask | None:
    """Open what tells faces from things in front of them.

    The parser takes 1.4 s a face on a CPU; there the small network of the tree stands in for it.
    """
    if pack.parser is not None and device.type == "cuda":
        return load_parser(pack.parser, device, dtype)
    return None if pack.mask is None else load_mask(pack.mask, device, dtype)
