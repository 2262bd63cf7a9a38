"""`refrestore profile tune`: tune the fusion network to a profile's person, keep it if it helps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from refrestore.adapt.learn import Course, Losses, drawn, learn
from refrestore.adapt.likeness import Likeness, aligned_faces
from refrestore.adapt.training_samples import (
    SampleMaker,
    TrainingSample,
    crop_of,
    spoilt,
    to_recogniser,
)
from refrestore.adapt.verdict import Verdict, judged
from refrestore.config import RuntimeSettings
from refrestore.errors import ProfileError
from refrestore.evaluate.degrade import TUNING
from refrestore.faces.recogniser import Recogniser
from refrestore.models.catalogue import file_digest
from refrestore.models.pack import load_face_pack
from refrestore.models.runtime import available_cpus
from refrestore.profiles import Profile, ProfileStore
from refrestore.render.crops import to_uint8
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.adapter import Adapter, Tuning
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import load_fusion
from refrestore.types import FloatArray, ProgressCallback

LEAST_REFERENCES = 6
"""Fewer leave nothing to learn from when some are kept out to judge by."""

HELD_SHARE, LEAST_HELD, MOST_HELD = 0.25, 2, 6
"""References kept out of the learning: share and limits."""

STRANGERS = 4
"""Other profiles whose faces are shown as somebody else's."""

OTHERS = 0.15
"""Share of samples that show somebody else, where there are other profiles."""

SPARE = 15.0
"""Seconds of the budget that opening and judging take."""

SEED = 1


@dataclass(frozen=True)
class Tuned:
    """What a tuning came to.

    Parameters
    ----------
    profile
        As it is now.
    kept
        Whether the new adapter was kept.
    verdict
        What the references kept out say of it; None if nothing did better than the untuned network
        while it was learnt.
    course
        How it went.
    held
        References kept out.
    seconds
        It took.
    """

    profile: Profile
    kept: bool
    verdict: Verdict | None
    course: Course
    held: int
    seconds: float

    def summary(self) -> dict[str, Any]:
        """Return it as one plain object."""
        return {
            "name": self.profile.name,
            "kept": self.kept,
            "tuned": self.profile.adapter is not None,
            "references": len(self.profile.references),
            "held_out": self.held,
            "steps": self.course.steps,
            "stopped_early": self.course.stopped,
            "seconds": round(self.seconds, 1),
            "before": None if self.verdict is None else asdict(self.verdict.before),
            "after": None if self.verdict is None else asdict(self.verdict.after),
        }

    def sentence(self) -> str:
        """Return it for people."""
        name, verdict = self.profile.name, self.verdict
        if verdict is None:
            return (
                f"{name} was not tuned: nothing that was learnt in {self.course.steps} steps "
                f"helped on the {self.held} close-ups kept out; the profile is as it was."
            )
        change = (
            f"identity similarity {verdict.before.identity:.3f} to {verdict.after.identity:.3f}, "
            f"PSNR {verdict.before.psnr:.2f} to {verdict.after.psnr:.2f} dB on {self.held} "
            "close-ups kept out"
        )
        if self.kept:
            return f"{name} was tuned: {change}."
        return (
            f"{name} was not tuned: what was learnt does not restore better than the untuned "
            f"network ({change}); the profile is as it was."
        )


def tune_profile(
    name: str,
    *,
    store: ProfileStore,
    runtime: RuntimeSettings | None = None,
    minutes: float = 5.0,
    progress: ProgressCallback | None = None,
) -> Tuned:
    """Tune the fusion network to a person and keep the adapter in the profile if it helps.

    It is kept if, on references that took no part in the learning, restored faces are more like
    the person by the pack's recogniser and not farther from the true picture. Otherwise the profile
    stays as it is. Ctrl-C ends the learning; what did best until then is judged.

    Parameters
    ----------
    name
        The profile's.
    minutes
        For all of it, by the clock.
    progress
        Told about stages "tune" (seconds) and "judge".

    Raises
    ------
    ProfileError
        When there is no such profile, or it has too few references.
    ModelError
        When a network is missing or damaged.
    """
    began = time.monotonic()
    profile = store.load(name)
    check_references(profile)
    runtime = runtime or RuntimeSettings()
    toolbox = open_toolbox(runtime)
    profile = toolbox.fitted(profile)
    strangers = _strangers(store, name)
    left = max(60.0 * minutes - SPARE - (time.monotonic() - began), 1.0)
    adapter, verdict, course, held = tune(
        ReferenceBank.from_references(profile.references),
        toolbox,
        strangers=[ReferenceBank.from_references(one.references) for one in strangers],
        seconds=left,
        threads=runtime.threads or available_cpus(),
        progress=progress,
    )
    kept = adapter is not None
    if adapter is not None:
        content = adapter.content
        profile, _ = store.change(name, lambda old: replace(old, adapter=content))
    return Tuned(profile, kept, verdict, course, len(held), time.monotonic() - began)


def forget_adapter(name: str, *, store: ProfileStore) -> Profile:
    """Take the adapter out of a profile."""
    return store.change(name, lambda old: replace(old, adapter=None))[0]


def check_references(profile: Profile) -> None:
    """Refuse a profile with too few references.

    Raises
    ------
    ProfileError
        Naming how many there are.
    """
    if len(profile.references) < LEAST_REFERENCES:
        raise ProfileError(
            f"The profile {profile.name} has {len(profile.references)} close-ups, and tuning needs "
            f"at least {LEAST_REFERENCES}: add some with `refrestore profile update "
            f"{profile.name} --photos FOLDER`."
        )


def _strangers(store: ProfileStore, name: str) -> list[Profile]:
    """Return some other profiles; damaged ones say nothing."""
    found: list[Profile] = []
    for other in store.list():
        if other == name or len(found) == STRANGERS:
            continue
        try:
            found.append(store.load(other))
        except ProfileError:
            continue
    return [one for one in found if len(one.references) > 1]


def tune(
    bank: ReferenceBank,
    toolbox: Toolbox,
    *,
    strangers: Sequence[ReferenceBank] = (),
    seconds: float,
    threads: int = 1,
    progress: ProgressCallback | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Adapter | None, Verdict | None, Course, list[int]]:
    """Tune to a bank of references.

    Parameters
    ----------
    bank
        The person's references.
    toolbox
        The networks in use.
    strangers
        Other people's references.
    seconds
        For the learning.
    threads
        With two, samples are made beside the learning.
    clock
        What seconds are counted by.

    Returns
    -------
    adapter
        None if it did not help.
    verdict
        None if nothing did better than the untuned network while it was learnt.
    course, held
        How it went, and the rows kept out of it.
    """
    report = progress or (lambda stage, done, total: None)
    random = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    held = held_rows(len(bank))
    rows = [row for row in range(len(bank)) if row not in held]
    device, dtype = toolbox.restorer.device, toolbox.restorer.dtype
    network = load_fusion(toolbox.pack.fusion, device)
    tuning = Tuning(network, file_digest(toolbox.pack.fusion))
    lite = load_face_pack(RuntimeSettings(pack="lite"))
    likeness = Likeness(lite.recogniser).to(device)
    maker = SampleMaker(network, toolbox.models.landmarker, np.random.default_rng(SEED + 1), dtype)

    def draw() -> tuple[TrainingSample, bool]:
        if strangers and maker.random.random() < OTHERS:
            other = strangers[int(maker.random.integers(len(strangers)))]
            return maker.draw(other, range(len(other)), bank, held), True
        return maker.draw(bank, rows, bank, held), False

    whole = round(seconds)
    course = learn(
        tuning,
        draw,
        Losses(likeness, centroid(bank, rows, likeness)),
        _checker(maker, bank, held, toolbox.models.recogniser, likeness=likeness),
        seconds=seconds,
        dtype=dtype,
        threads=threads,
        random=random,
        clock=clock,
        told=lambda passed: report("tune", min(passed, whole - 1), whole),
    )
    report("tune", whole, whole)
    if course.adapter is None:
        return None, None, course, held
    report("judge", 0, 1)
    verdict = judged(course.adapter, bank, held, toolbox, seed=SEED + 2)
    report("judge", 1, 1)
    return (course.adapter if verdict.passed else None), verdict, course, held


def held_rows(count: int) -> list[int]:
    """Return the references kept out, evenly over all: they are in order of quality."""
    number = min(max(round(HELD_SHARE * count), LEAST_HELD), MOST_HELD)
    return [int((place + 0.5) * count / number) for place in range(number)]


@torch.no_grad()
def centroid(bank: ReferenceBank, rows: Sequence[int], likeness: Likeness) -> torch.Tensor:
    """Return the (1, 512) unit mean of what the recogniser of the loss sees in references."""
    seen = []
    for row in rows:
        part = crop_of(bank.images[row].permute(1, 2, 0).numpy())
        matrix = torch.from_numpy(to_recogniser(bank.landmarks[row]))
        device = next(likeness.buffers()).device
        seen.append(likeness(part.to(device), matrix.to(device)))
    return torch.nn.functional.normalize(torch.cat(seen).mean(0, keepdim=True), dim=1)


def _checker(
    maker: SampleMaker,
    bank: ReferenceBank,
    held: Sequence[int],
    recogniser: Recogniser,
    *,
    likeness: Likeness,
) -> Callable[[Adapter], float]:
    """Return what says how much better the tuned network is on the references kept out."""
    random = np.random.default_rng(SEED + 3)
    samples = []
    for row in held:
        truth = np.ascontiguousarray(bank.images[row].permute(1, 2, 0).numpy())
        for ranges in TUNING:
            face = spoilt(truth, random, ranges)
            samples.append(maker.looked_at(face, truth, bank.landmarks[row], bank, held))
    kernel, dtype = likeness.get_buffer("kernel"), maker.dtype

    def embedded(images: torch.Tensor, sample: TrainingSample) -> FloatArray:
        return recogniser.embed(to_uint8(aligned_faces(images, sample.matrices, kernel)))

    def marks(images: torch.Tensor, sample: TrainingSample) -> tuple[float, float]:
        error = (images.clamp(0, 1) - sample.truth).square().mean(1, keepdim=True)
        hull = torch.nn.functional.interpolate(sample.seen.hull, size=error.shape[-2:])
        mean = float((error * hull).sum() / hull.sum().clamp(min=1e-3))
        own, wanted = embedded(images, sample), embedded(sample.truth, sample)
        return float((own * wanted).sum()), -10 * float(np.log10(max(mean, 1e-9)))

    before = [marks(drawn(maker.network, one, dtype), one) for one in samples]

    def check(adapter: Adapter) -> float:
        network = adapter.applied(maker.network)
        after = [marks(drawn(network, one, dtype), one) for one in samples]
        identity, psnr = (np.mean(after, axis=0) - np.mean(before, axis=0)).tolist()
        return float(identity) if psnr >= 0 else float(min(psnr, identity))

    return check
