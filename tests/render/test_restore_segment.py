"""Painting: in batches of one side each, on a GPU without waiting for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from refrestore.media.patch import VISIBLE
from refrestore.render.carrying import Carrying
from refrestore.render.face_table import FaceTable
from refrestore.render.restore_segment import restore_segment
from refrestore.render.segment_result import Account, RestoredFrame
from refrestore.render.switches import Switches
from refrestore.render.tools import Tools
from refrestore.render.window import composed
from refrestore.restore.bank import PHOTO, ReferenceBank
from refrestore.restore.burst import TERMS
from refrestore.restore.restorer import Restored, Restorer
from refrestore.types import Faces, Frame, Geometry

SIZE = (240, 180)
FRAMES = 9


def frames() -> Iterator[Frame]:
    generator = np.random.default_rng(3)
    picture = generator.integers(60, 200, (SIZE[1] // 6, SIZE[0] // 6, 3)).astype(np.uint8)
    for index in range(FRAMES):
        image = np.kron(np.roll(picture, index // 3, 1), np.ones((6, 6, 1), np.uint8))
        made = av.VideoFrame.from_ndarray(image, format="rgb24")
        yield Frame(index, Fraction(index, 25), made, Geometry(*SIZE))


def work_of(sides: tuple[tuple[int, ...], ...], blur: float = 0.0) -> FaceTable:
    """Return two people beside each other, with the side each has in each frame."""
    rows = [(frame, person) for frame in range(FRAMES) for person in range(len(sides))]
    count = len(rows)
    frame, person = np.array(rows).T
    side = np.array([sides[one][index] for index, one in rows])
    to_crop = np.zeros((count, 2, 3))
    to_crop[:, 0, 0] = to_crop[:, 1, 1] = side / 100
    to_crop[:, 0, 2] = -side / 100 * (20 + 70 * person + 2 * frame)  # they walk, and overlap
    to_crop[:, 1, 2] = -side / 100 * 30
    mesh = np.random.default_rng(1).uniform(0.25, 0.75, (468, 2)).astype(np.float32)
    ones = np.ones(count, np.float32)
    faces = Faces(
        frame=frame.astype(np.int64),
        box=np.tile(np.float32([0, 0, 90, 90]), (count, 1)),
        score=ones,
        keypoints=np.zeros((count, 5, 2), np.float32),
        track=person.astype(np.int64),
    )
    own = (frame > 0) & (frame < FRAMES - 1)
    strength = np.where(person == 0, 1, 0.6).astype(np.float32)
    landmarks = mesh * side[:, None, None].astype(np.float32)
    blurs = np.zeros((count, TERMS), np.float32)
    blurs[:, :2], blurs[:, 2] = blur, -6
    whose = person.astype(np.int64)
    columns = (side, to_crop, ones, landmarks, ones, blurs, ones, 0 * ones)
    return FaceTable(faces, whose, strength, own, *columns)


class Sharpener:
    """A restorer that needs no weights; it is told the sides of its batches."""

    second = None
    sides = (128, 256)
    each, alone, _check = Restorer.each, Restorer.alone, staticmethod(lambda: None)

    def __init__(self, device: str = "cpu", workers: int = 0) -> None:
        self.device = torch.device(device)
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self.batches: list[tuple[int, ...]] = []

    def restore(self, crops: torch.Tensor, landmarks: Any, banks: Any, **_: Any) -> Restored:
        assert crops.device.type == self.device.type
        assert crops.is_floating_point()
        self.batches.append(tuple(crops.shape))
        around = F.avg_pool2d(crops, 9, 1, 4)
        images = (crops + 0.6 * (crops - around)).clamp(0, 1)
        side = crops.shape[-1]
        line = torch.arange(side, device=crops.device) / side
        ramp = ((0.3 - (line - 0.5).abs()) * 20).clamp(0, 1)
        masks = (ramp[:, None] * ramp).expand(len(crops), -1, -1).contiguous()
        return Restored(images, masks, masks, [[] for _ in banks])


class Seeing(Sharpener):
    """Remembers the faces of 192 px that it was given, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.faces: list[torch.Tensor] = []

    def restore(self, crops: torch.Tensor, landmarks: Any, banks: Any, **_: Any) -> Restored:
        if crops.shape[-1] == 192:
            self.faces.append(crops)
        return super().restore(crops, landmarks, banks)


def painted(
    work: FaceTable,
    batch: int,
    restorer: Sharpener,
    account: Account,
    *,
    apart: int = 1,
    film: Sequence[Frame] | None = None,
    banks: Mapping[int, ReferenceBank] | None = None,
) -> list[RestoredFrame]:
    tools = Tools(None, restorer, banks or {}, len(banks or {}), batch, apart=apart)  # type: ignore[arg-type]
    tools = replace(tools, switches=Switches(head=banks is None))
    shown = frames() if film is None else film
    return list(chain(*restore_segment(work, shown, tools, account, scale=1)))


@pytest.mark.parametrize(("share", "plain"), [(0.4, 256), (0.5, 128), (0.9, 128)])
def test_without_references_half_the_side_will_do_where_no_texture_of_it_is_shown(
    share: float, plain: int
) -> None:
    one = np.ones(1, np.float32)
    bank = ReferenceBank(
        images=torch.full((1, 3, 256, 256), 128, dtype=torch.uint8),
        landmarks=np.full((1, 468, 2), 128, np.float32),
        pose=np.zeros((1, 3), np.float32),
        quality=one,
        native_size=one,
        embeddings=np.full((1, 512), 512**-0.5, np.float32),
        frames=np.array([PHOTO]),
        light=np.zeros((1, 64), np.float32),
    )
    work = work_of(((256,) * FRAMES,))
    work = replace(work, guided=np.full(len(work), share, np.float32))
    restorer = Sharpener()
    account = Account()
    done = painted(work, 4, restorer, account, banks={0: bank})
    assert sum(len(one.patches) for one in done) == FRAMES - 2
    assert [shape[-1] for shape in restorer.batches] == [256, plain] * FRAMES


MIXED = ((128,) * 5 + (192,) * 4, (192,) * FRAMES)


@pytest.mark.parametrize(("blur", "apart"), [(0.0, 1), (0.01, 1), (0.0, 3), (0.01, 2)])
def test_batches_and_threads_change_nothing(blur: float, apart: int) -> None:
    work, account = work_of(MIXED, blur), Account()
    whole = Sharpener(workers=3)
    once = painted(work, 8, whole, account, apart=apart)
    again = painted(work, 1, Sharpener(), Account(), apart=apart)
    assert {shape[-1] for shape in whole.batches} == {128, 192}
    assert {shape[0] for shape in whole.batches} == {1}  # of a CPU's cache
    assert [one.frame.index for one in once] == list(range(FRAMES))
    for one, other in zip(once, again, strict=True):
        assert len(one.patches) == len(other.patches) == (2 if 0 < one.frame.index < 8 else 0)
        for patch, same in zip(one.patches, other.patches, strict=True):
            assert (patch.left, patch.top) == (same.left, same.top)
            assert torch.equal(patch.delta, same.delta)
            assert patch.delta.abs().max() > 0.02
    assert account.faces == 2 * (FRAMES - 2)
    for one in once:  # each face that shows is counted, with its own change
        assert one.faces == len(one.patches)
    changes = torch.stack([one.change for one in account.changed])
    assert float(changes.min()) > VISIBLE
    strong, weak = (
        np.mean([float(one.change) for one in account.changed if one.identity == who])
        for who in (0, 1)
    )
    assert weak < 0.8 * strong  # of strength 0.6
    assert {tuple(shown.after.shape) for shown in account.pictures.values()} <= {
        (side, side, 3) for side in (128, 192)
    }


def test_faces_that_overlap_share_their_pixels() -> None:
    work = work_of(((192,) * FRAMES, (128,) * FRAMES))
    for one in painted(work, 4, Sharpener(), Account()):
        total = torch.zeros(SIZE[1], SIZE[0])
        for patch in one.patches:
            height, width = patch.alpha.shape
            total[patch.top : patch.top + height, patch.left : patch.left + width] += patch.alpha
        assert float(total.max()) <= 1 + 1e-6
        if one.patches:
            assert float(total.max()) > 0.9


def test_a_blurred_face_is_drawn_from_the_frames_around_it() -> None:
    plain, drawn = Seeing(), Seeing()
    painted(work_of(MIXED), 4, plain, Account())
    painted(work_of(MIXED, 0.01), 4, drawn, Account())
    before, after = (torch.cat(one.faces) for one in (plain, drawn))
    assert before.shape == after.shape
    apart = (before - after).abs().mean((1, 2, 3))
    assert float(apart.min()) > 0.002


@pytest.mark.parametrize("apart", [1, 3])
@pytest.mark.parametrize("blur", [0.0, 0.01])
def test_a_gpu_is_not_waited_for(blur: float, apart: int, fake_cuda: Any) -> None:
    """From restored batches to patches: nothing comes back, and nothing is asked of it."""
    account = Account()
    restorer = Sharpener("cuda")
    made = painted(work_of(MIXED, blur), 2 * FRAMES // apart, restorer, account, apart=apart)
    assert {shape[-1] for shape in restorer.batches} == {128, 192}, "each batch of one side"
    assert max(shape[0] for shape in restorer.batches) > 4 / apart
    patches = [patch for one in made for patch in one.patches]
    assert len(patches) == 2 * (FRAMES - 2)
    assert {patch.delta.device.type for patch in patches} == {"cuda"}
    assert fake_cuda.fetched == []
    # What is fetched is the samples that change, all together, and with the record the report's
    # pictures.
    finished = list(composed(made, None, 1))
    assert [one.painted for one in finished] == made
    assert {one.change.device.type for one in account.changed} == {"cuda"}
    assert len(fake_cuda.fetched) == 1
    assert all(shown.before.device.type == "cuda" for shown in account.pictures.values())


@pytest.mark.parametrize(
    "asked", ["bool(x.any())", "x.nonzero()", "x[x > 0]", "x + y", "x.cpu().numpy()"]
)
def test_the_pretence_refuses_what_waits(fake_cuda: Any, asked: str) -> None:
    x, y = torch.zeros(3, device="cuda"), torch.zeros(3)
    with pytest.raises(Exception, match=r"(?i)fake|device|numpy|_local_scalar_dense|nonzero"):
        eval(asked, {"x": x, "y": y})


def laid(one: RestoredFrame) -> torch.Tensor:
    """Return what is added to a frame, as large as the frame."""
    total = torch.zeros(SIZE[1], SIZE[0], 3)
    for patch in one.patches:
        height, width = patch.delta.shape[:2]
        total[patch.top : patch.top + height, patch.left : patch.left + width] += patch.delta
    return total


def given(restorer: Sharpener) -> int:
    """Return how many faces it was given."""
    return sum(shape[0] for shape in restorer.batches)


def without(work: FaceTable, frame: int, person: int) -> FaceTable:
    """Return a table in which somebody's face of a frame is not to be restored."""
    gone = (work.faces.frame == frame) & (work.track == person)
    return replace(work, strength=np.where(gone, 0, work.strength).astype(np.float32))


@pytest.mark.parametrize(
    ("apart", "frames_restored"),
    [(2, [0, 2, 4, 6, 8]), (3, [0, 3, 6, 8]), (4, [0, 4, 8]), (1, range(FRAMES))],
)
def test_faces_between_are_carried_over(apart: int, frames_restored: Sequence[int]) -> None:
    work, account, restorer = work_of(MIXED), Account(), Sharpener()
    made = painted(work, 4, restorer, account, apart=apart)
    assert given(restorer) == 2 * len(frames_restored)
    assert account.faces == 2 * (FRAMES - 2)
    assert all(len(one.patches) == 2 for one in made[1:-1])
    everyone = Sharpener()
    whole = painted(work, 4, everyone, Account())
    assert given(everyone) == 2 * FRAMES
    for one, other in zip(made, whole, strict=True):
        if one.patches:
            assert float(laid(one).abs().mean()) > 0.5 * float(laid(other).abs().mean())
            assert torch.equal(laid(one), laid(other)) == (apart == 1)


@pytest.mark.parametrize(("frame", "count"), [(3, 5 + 5), (4, 5 + 6), (6, 5 + 6)])
def test_where_a_track_is_interrupted_it_is_restored(frame: int, count: int) -> None:
    """Where one frame goes, the two beside it are restored."""
    work, restorer = without(work_of(MIXED), frame, 1), Sharpener()
    painted(work, 4, restorer, Account(), apart=2)
    assert given(restorer) == count


@pytest.mark.parametrize("blur", [0.0, 0.01])
def test_a_face_whose_sources_are_lost_is_restored(blur: float) -> None:
    work, account, restorer = work_of(MIXED, blur), Account(), Sharpener()
    left = [frame for frame in frames() if frame.index not in (4, 6)]  # a damaged film
    made = painted(work, 4, restorer, account, apart=2, film=left)
    assert [len(one.patches) for one in made] == [0, 2, 2, 2, 2, 2, 0]
    assert given(restorer) == 2 * (3 + 1)  # of frames 0, 2 and 8, and 5 between the lost ones


@pytest.mark.parametrize(("way", "count"), [(0.0, 3), (0.005, 5), (0.03, 9)])
def test_a_face_that_moves_fast_is_restored_more_often(way: float, count: int) -> None:
    """Of nine frames every fourth, every second, or each."""
    work = work_of(MIXED)
    going = work.landmarks + (way * work.side * work.faces.frame)[:, None, None]
    fast = replace(work, landmarks=going.astype(np.float32))
    carrying = Carrying(fast, range(len(fast)), 4)
    assert len(fast) - len(carrying.sources) == 2 * count
    for row, near in carrying.sources.items():
        assert {work.track[one] for one in near} == {work.track[row]}
        assert not set(near) & carrying.sources.keys()
