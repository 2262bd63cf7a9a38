"""Tuning: what is kept, what is refused, and that nothing else of a profile changes."""

import signal
from dataclasses import fields, replace
from itertools import count

import cv2
import numpy as np
import pytest
import torch

from refrestore.adapt.learn import PATIENCE, SHARES, Losses, learn
from refrestore.adapt.likeness import Likeness
from refrestore.adapt.training_samples import LEFT, TOP, WINDOW, SampleMaker, crop_of
from refrestore.adapt.tune import LEAST_REFERENCES, centroid, held_rows, tune_profile
from refrestore.adapt.verdict import Marks, Verdict
from refrestore.config import RuntimeSettings, tree_directory
from refrestore.errors import ProfileError, Stopped
from refrestore.faces.landmarker import Landmarker
from refrestore.profiles import Profile, ProfileStore
from refrestore.restore.adapter import DOWN, Tuning, read_adapter
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import FusionConfig
from refrestore.restore.restorer import Restorer
from refrestore.types import Reference

LITE = tree_directory("models") / "lite"
SMALL = FusionConfig(channels=16, width=16, encoder_blocks=1, trunk_blocks=1, decoder_blocks=1)


def reference(seed):
    random = np.random.default_rng(seed)
    small = random.integers(40, 216, (16, 16, 3), dtype=np.uint8)
    embedding = random.normal(0, 1, 512).astype(np.float32)
    return Reference(
        image=np.ascontiguousarray(np.kron(small, np.ones((32, 32, 1), np.uint8))),
        landmarks=random.uniform(150, 360, (468, 2)).astype(np.float32),
        embedding=embedding / np.linalg.norm(embedding),
        pose=np.zeros(3, np.float32),
        sharpness=1.0,
        quality=1.0,
        native_size=400.0,
        source=f"{seed}",
    )


@pytest.fixture(scope="module")
def lesson():
    """All that `learn` needs, small: network, samples, recogniser."""
    torch.manual_seed(0)
    network = FusionNetwork(SMALL).requires_grad_(False)
    bank = ReferenceBank.from_references([reference(seed) for seed in range(3)])
    maker = SampleMaker(
        network,
        Landmarker(LITE / "landmarks.onnx", threads=1),
        np.random.default_rng(0),
        torch.float32,
    )
    return network, bank, maker, Likeness(LITE / "recogniser.onnx")


def taught(lesson, check, other=False, threads=1, seconds=20):
    """Learn with a look every step or two; there are more steps between looks with more seconds."""
    network, bank, maker, likeness = lesson
    tuning = Tuning(network, "f" * 64)
    losses = Losses(likeness, centroid(bank, range(3), likeness))
    return learn(
        tuning,
        lambda: (maker.draw(bank, range(3), bank), other),
        losses,
        check,
        seconds=seconds,
        dtype=torch.float32,
        threads=threads,
        random=np.random.default_rng(0),
        clock=count().__next__,  # two a step
    )


def test_a_sample_is_what_the_restorer_sees(lesson):
    """The window at the working resolution shows what the whole crop does at the full one."""
    network, bank, maker, _ = lesson
    truth = np.ascontiguousarray(bank.images[0].permute(1, 2, 0).numpy())
    face = cv2.GaussianBlur(truth, (0, 0), 8)
    sample = maker.looked_at(face, truth, bank.landmarks[0], bank, [0])
    with torch.no_grad():
        made = network.draw(sample.seen).images
    planes = torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))[None]
    found = maker.landmarker.dense(face[None])[0]
    whole = Restorer(network).restore(planes, found, [bank], exclude=[[0]]).images
    small = torch.nn.functional.avg_pool2d(whole, 2)
    wanted = small[..., TOP : TOP + WINDOW, LEFT : LEFT + WINDOW]
    inner = (..., slice(24, -24), slice(24, -24))
    changed = float((sample.seen.faces - wanted)[inner].abs().mean())
    assert changed > 0.01  # references are mixed in
    # The full resolution adds its own finest octave; a pixel beside is three times as far.
    error = float((made.clamp(0, 1) - wanted)[inner].abs().mean())
    beside = float((made.clamp(0, 1).roll(1, 3) - wanted)[inner].abs().mean())
    assert error < 0.3 * changed
    assert error < 0.5 * beside
    assert torch.allclose(sample.truth, crop_of(truth))


def test_a_drawn_sample_never_has_itself_as_a_reference(lesson):
    _, bank, maker, _ = lesson
    alone = replace(
        bank,
        **{one.name: getattr(bank, one.name)[:1] for one in fields(bank) if one.name != "adapter"},
    )
    sample = maker.draw(alone, [0], alone)
    assert torch.allclose(sample.seen.fused, sample.seen.faces, atol=1e-5)  # nothing to mix


@pytest.mark.parametrize("threads", [1, 2])
def test_the_best_is_kept_and_not_the_last(lesson, threads):
    seen = []

    def check(adapter):
        seen.append(adapter.content)
        return 0.1 if len(seen) == 1 else 0.05

    course = taught(lesson, check, threads=threads)
    assert course.stopped
    assert len(seen) == (1 + PATIENCE) * len(SHARES)
    assert course.adapter is not None
    assert course.gain == 0.1
    assert course.adapter.content == seen[0]
    assert any(bool(one.any()) for one in course.adapter.tensors.values())


def test_it_stops_when_nothing_helps(lesson):
    calls = []
    course = taught(lesson, lambda adapter: calls.append(0) or -1.0)
    assert course.adapter is None
    assert len(calls) == PATIENCE * len(SHARES)
    assert course.stopped
    assert course.steps < 10


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), Stopped(signal.SIGINT)])
def test_an_interrupt_keeps_what_was_good(lesson, interrupt):
    calls = []

    def check(adapter):
        calls.append(adapter.content)
        if len(calls) == 2:
            raise interrupt
        return 0.1

    course = taught(lesson, check)
    assert course.adapter is not None
    assert course.adapter.content == calls[0]


def test_a_service_manager_does_not_wait_for_a_judgement(lesson):
    def check(adapter):
        raise Stopped(signal.SIGTERM)

    with pytest.raises(Stopped):
        taught(lesson, check)


def test_somebody_elses_face_is_to_stay_as_it_was(lesson):
    """Where only strangers are shown, the untuned network is what is wanted: nothing is learnt."""
    changes = []

    def check(adapter):
        moved = [
            float(one.abs().max()) for name, one in adapter.tensors.items() if DOWN not in name
        ]
        changes.append(max(moved))
        return 0.0

    taught(lesson, check, other=True, seconds=40)
    assert changes
    assert max(changes) < 1e-2


def test_held_rows():
    assert held_rows(6) == [1, 4]
    for number in range(LEAST_REFERENCES, 65):
        rows = held_rows(number)
        assert 2 <= len(set(rows)) == len(rows) <= 6
        assert 0 <= min(rows) <= max(rows) < number
        assert number - len(rows) >= 4


@pytest.mark.parametrize(
    ("held", "identity", "psnr", "passed"),
    [
        (4, 0.71, 25.0, True),
        (4, 0.71, 24.99, False),
        (4, 0.701, 26.0, False),
        (4, 0.69, 26.0, False),
        (3, 0.71, 25.0, False),
        (3, 0.73, 25.0, True),
    ],
)
def test_what_passes(held, identity, psnr, passed):
    assert Verdict(held, Marks(0.70, 25.0), Marks(identity, psnr)).passed is passed


def test_too_few_references_are_refused_in_a_sentence(tmp_path):
    store = ProfileStore(tmp_path)
    store.save(Profile("Anna", tuple(reference(seed) for seed in range(5))))
    with pytest.raises(ProfileError, match="has 5 close-ups, and tuning needs at least 6"):
        tune_profile("Anna", store=store, runtime=RuntimeSettings(device="cpu"))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_profile_is_tuned_or_as_it_was(tmp_path):
    """Blocks of colour are no person: whatever comes of it, profile and verdict agree."""
    store = ProfileStore(tmp_path)
    folder = store.save(Profile("Anna", tuple(reference(seed) for seed in range(6)), "recogniser"))
    store.save(Profile("Bert", tuple(reference(seed) for seed in range(6, 9)), "recogniser"))
    before, other = files(folder), files(store.path("Bert"))
    told = []
    runtime = RuntimeSettings(device="cpu", threads=1)
    tuned = tune_profile(
        "Anna",
        store=store,
        runtime=runtime,
        minutes=0.1,
        progress=lambda *event: told.append(event),
    )
    assert {stage for stage, _, _ in told} >= {"tune"}
    assert tuned.held == 2
    assert tuned.kept == (tuned.verdict is not None and tuned.verdict.passed)
    assert files(store.path("Bert")) == other
    assert tuned.summary()["kept"] == tuned.kept
    if tuned.kept:
        assert read_adapter(store.load("Anna").adapter).tensors
        assert "was tuned" in tuned.sentence()
    else:
        assert files(folder) == before
        assert "was not tuned" in tuned.sentence()


def test_an_adapter_travels_with_its_profile(tmp_path, lesson):
    content = Tuning(lesson[0], "f" * 64).adapter().content
    store = ProfileStore(tmp_path / "one")
    person = Profile("Anna", tuple(reference(seed) for seed in range(2)), adapter=content)
    folder = store.save(person)
    assert (folder / "adapter.safetensors").read_bytes() == content
    assert store.load("Anna").adapter == content
    file = store.export_file("Anna", tmp_path / "anna.refprofile")
    assert ProfileStore(tmp_path / "two").import_file(file).adapter == content
    store.change("Anna", lambda old: replace(old, adapter=None))
    assert not (folder / "adapter.safetensors").exists()
    assert store.load("Anna").adapter is None


def test_a_damaged_adapter_is_named(tmp_path, lesson):
    content = Tuning(lesson[0], "f" * 64).adapter().content
    store = ProfileStore(tmp_path)
    person = Profile("Anna", tuple(reference(seed) for seed in range(2)), adapter=content)
    folder = store.save(person)
    (folder / "adapter.safetensors").write_bytes(content[:-1] + b"\x01")
    with pytest.raises(ProfileError, match=r"adapter.safetensors .* has been changed"):
        store.load("Anna")
    store.save(replace(person, adapter=b"nonsense"), replace_existing=True)
    with pytest.raises(ProfileError, match=r"adapter.safetensors .* is damaged"):
        store.load("Anna")
