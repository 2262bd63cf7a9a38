"""The rest of the frame by a network: tiles without seams, faces pasted as ever, files refused."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.engine.local import render
from refrestore.errors import MediaError, ModelError, UsageError
from refrestore.media.coding import read_region
from refrestore.media.compose import compose
from refrestore.media.patch import Patch
from refrestore.media.planes import plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.project import Project
from refrestore.render.background import (
    OVERLAP,
    Background,
    covered,
    open_background,
    strips,
)
from refrestore.render.preview import preview
from refrestore.render.segment_result import RestoredFrame
from refrestore.types import Frame, Geometry

from .conftest import FAR_PART, LOSSLESS

CPU = RuntimeSettings(device="cpu")


class Blurred(nn.Module):
    """Enlarges by a whole factor and looks `reach` pixels around: what tiling must not show."""

    def __init__(self, factor: int, reach: int = 15) -> None:
        super().__init__()
        self.factor, self.reach = factor, reach

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = 2 * self.reach + 1
        near = F.pad(x, (self.reach,) * 4, mode="replicate")
        soft = F.avg_pool2d(near, side, stride=1)
        mixed = (x + (x - soft)).clamp(0, 1)
        return F.interpolate(mixed, scale_factor=self.factor, mode="bilinear")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).random((height, width, 3), np.float32)


@pytest.mark.parametrize(("factor", "scale"), [(2, 2), (4, 4), (4, 2), (2, 4), (3, 2)])
@pytest.mark.parametrize("size", [(70, 101), (33, 64), (9, 7), (96, 96)])
def test_tiles_show_no_seams(factor: int, scale: int, size: tuple[int, int]) -> None:
    source, network = picture(*size), Blurred(factor)
    whole = strips(source, network, scale, 1000)
    assert [top for top, _ in whole] == [0]
    tiled = strips(source, network, scale, 32)
    tops = [top for top, _ in tiled]
    assert tops == [row * scale for row in range(0, size[0], 32)]
    joined = np.concatenate([strip for _, strip in tiled])
    assert joined.shape == (size[0] * scale, size[1] * scale, 3)
    np.testing.assert_allclose(joined, whole[0][1], atol=2e-5)


@pytest.mark.parametrize(("factor", "scale"), [(4, 2), (2, 4), (3, 2)])
def test_the_networks_own_scale_is_resampled_without_a_shift(factor: int, scale: int) -> None:
    rows, columns = np.mgrid[:40, :60].astype(np.float32)
    source = np.stack([rows / 40, columns / 60, (rows + columns) / 100], -1)
    made = strips(source, Blurred(factor, reach=0), scale, 16)
    joined = np.concatenate([strip for _, strip in made])
    y, x = ((np.arange(side * scale) + 0.5) / scale - 0.5 for side in (40, 60))
    inner = (slice(4 * scale, -4 * scale),) * 2
    wanted = np.broadcast_to(y[:, None] / 40, (40 * scale, 60 * scale))
    np.testing.assert_allclose(joined[..., 0][inner], wanted[inner], atol=2e-3)
    wanted = np.broadcast_to(x[None] / 60, (40 * scale, 60 * scale))
    np.testing.assert_allclose(joined[..., 1][inner], wanted[inner], atol=2e-3)


def test_the_tile_the_network_sees_is_bounded() -> None:
    seen = []

    def network(tile: torch.Tensor) -> torch.Tensor:
        seen.append(tile.shape)
        return F.interpolate(tile, scale_factor=2)

    strips(picture(200, 300), network, 2, 64)
    assert max(max(shape[-2:]) for shape in seen) == 64 + 2 * OVERLAP
    assert len(seen) == 4 * 5


def test_what_faces_cover_adds_up_to_one_at_most() -> None:
    alpha, residual = torch.full((10, 10), 0.7), torch.zeros(10, 10, 3)
    faces = [
        Patch(5, 5, residual, alpha),
        Patch(10, 8, residual, alpha),
        Patch(55, -4, residual, alpha),
    ]
    whole = covered(faces, 0, 40, 60)
    assert whole[0, 0] == 0
    assert whole[6, 6] == pytest.approx(0.7)
    assert whole[10, 12] == 1
    assert whole[3, 58] == pytest.approx(0.7)
    parts = [covered(faces, top, 8, 60) for top in range(0, 40, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def frame_of(pixel_format: str, size: tuple[int, int] = (64, 48)) -> Frame:
    made = av.VideoFrame(*size, pixel_format)
    for index, view in enumerate(plane_views(made)):
        rows, columns = np.mgrid[: view.shape[0], : view.shape[1]]
        wave = np.sin(columns / 7 + index) + np.cos(rows / 5)
        view[:] = ((128 + 40 * wave) * 2 ** (made.format.components[0].bits - 8)).astype(view.dtype)
    return Frame(0, Fraction(0), made, Geometry(*size))


def opened(network: nn.Module, tile: int = 32) -> Background:
    return Background("x.pth", "0" * 64, "Test", network, torch.device("cpu"), torch.float32, tile)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "yuv444p", "gbrp"])
def test_the_background_is_the_networks_and_gives_way_to_faces(pixel_format: str) -> None:
    frame, scale = frame_of(pixel_format), 2
    background = opened(Blurred(4, reach=3))
    alpha = torch.zeros(40, 40)
    alpha[10:30, 10:30] = 1
    patches = [Patch(30, 20, torch.full((40, 40, 3), 0.05), alpha)]
    plain = compose(frame, patches, scale=scale)
    made = background.compose(RestoredFrame(frame, patches), scale)
    assert (made.width, made.height, made.format.name) == (128, 96, pixel_format)
    rgb_made, rgb_plain = (read_region(one, 0, 0, 128, 96) for one in (made, plain))
    # Where the face shows fully, it is what it is without a background.
    inner = (slice(33, 47), slice(43, 57))
    np.testing.assert_allclose(rgb_made[inner], rgb_plain[inner], atol=1.6 / 255)
    source = read_region(frame.picture, 0, 0, 64, 48)
    wanted = np.concatenate([strip for _, strip in strips(source, background.network, scale, 99)])
    outside = np.ones((96, 128), bool)
    outside[20:60, 30:70] = False
    # Brightness; chroma has half the resolution in most of these.
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    off = np.abs(rgb_made @ weights - np.clip(wanted, 0, 1) @ weights)[outside]
    assert off.max() < (4 if "p10" not in pixel_format else 3) / 255
    assert np.abs(rgb_made - rgb_plain)[outside].max() > 0.02, "the network did nothing"


def tiny(folder: Path, suffix: str = ".pth", upscale: int = 2) -> Path:
    """Write the weights of a small network of Real-ESRGAN's compact type."""
    spandrel = pytest.importorskip("spandrel")
    from spandrel.architectures.Compact import Compact

    assert spandrel is not None
    torch.manual_seed(0)
    network = Compact(num_feat=8, num_conv=2, upscale=upscale)
    state = {name: 0.1 * value for name, value in network.state_dict().items()}
    path = folder / f"tiny{suffix}"
    if suffix == ".pth":
        torch.save({"params_ema": state}, path)
    else:
        save_file(state, path)
    return path


def settings(path: Path, scale: int = 2) -> RenderSettings:
    return RenderSettings.model_validate({"background": path, "scale": scale})


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("upscale", [2, 4])
def test_a_network_is_opened_by_its_weights_alone(
    tmp_path: Path, suffix: str, upscale: int
) -> None:
    background = open_background(settings(tiny(tmp_path, suffix, upscale)), CPU)
    assert background is not None
    told = background.description()
    assert told["file"] == f"tiny{suffix}"
    assert "ompact" in told["architecture"]
    out = np.concatenate([s for _, s in strips(picture(40, 50), background._run, 2, 32)])
    assert out.shape == (80, 100, 3)
    assert np.isfinite(out).all()


class Evil:
    def __reduce__(self):
        return (open, ("evil-was-here", "w"))


def test_files_that_are_no_such_network_are_refused(tmp_path, monkeypatch) -> None:
    pytest.importorskip("spandrel")
    monkeypatch.chdir(tmp_path)

    def refused(path: Path) -> str:
        with pytest.raises(ModelError) as caught:
            open_background(settings(path), CPU)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "There is no file of weights" in refused(tmp_path / "gone.pth")
    assert "ends in" in refused(tmp_path / "model.onnx")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_bytes(b"no weights " * 100)
        assert "cannot be used as weights" in refused(tmp_path / name)
    evil = tmp_path / "evil.pth"
    evil.write_bytes(pickle.dumps(Evil()))
    assert "cannot be used as weights" in refused(evil)
    torch.save({"params": Evil()}, evil)
    assert "cannot be used as weights" in refused(evil)
    assert not (tmp_path / "evil-was-here").exists()
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "other.pth")
    assert "no network that spandrel knows" in refused(tmp_path / "other.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    assert "not the weights" in refused(tmp_path / "tensor.pth")
    same = tiny(tmp_path, upscale=1)
    assert "no network that enlarges" in refused(same)


def test_without_spandrel_the_way_to_it_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ModelError, match=r"refrestore\[background\]"):
        open_background(settings(tmp_path / "any.pth"), CPU)


def test_it_is_for_enlarged_films_only(tmp_path) -> None:
    with pytest.raises(UsageError, match="--scale 2 or 4"):
        RenderSettings(background=tmp_path / "model.pth")
    assert settings(tmp_path / "model.pth").model_dump()["background"] == "model.pth"
    assert open_background(RenderSettings(), CPU) is None


def test_interlaced_films_are_refused(scanned) -> None:
    info = replace(probe(scanned.film), interlaced=True)
    with pytest.raises(MediaError, match="interlaced"):
        opened(Blurred(2)).check(info)


def test_a_render_says_that_the_frame_is_not_the_sources(scanned, tmp_path) -> None:
    path = tiny(tmp_path)
    chosen = settings(path).model_copy(update=FAR_PART)
    with Project.open(scanned.project) as project:
        result = render(
            project, tmp_path / "out.mkv", encoder=LOSSLESS, settings=chosen, runtime=CPU
        )
        plain = render(
            project,
            tmp_path / "plain.mkv",
            encoder=LOSSLESS,
            settings=chosen.model_copy(update={"background": None}),
            runtime=CPU,
        )
    assert any(
        "tiny.pth" in note and "not the source's" in note for note in result.summary["notes"]
    )
    assert not any("the source's" in note for note in plain.summary["notes"])
    assert result.summary["background"]["file"] == "tiny.pth"
    assert str(tmp_path) not in result.report.read_text()
    assert result.summary["faces"] == plain.summary["faces"] > 0
    background = open_background(chosen, CPU)
    assert background is not None
    with (
        VideoReader(scanned.film, **FAR_PART) as source,
        VideoReader(result.output) as made,
    ):
        for frame, shown in zip(source, made, strict=True):
            wanted = background.compose(RestoredFrame(frame, []), 2)
            before, after = plane_views(wanted)[0], plane_views(shown.picture)[0]
            same = before == after
            assert same.mean() > 0.5, "little of the frame is the network's"
            assert not same.all(), "no face was pasted"


def test_a_preview_shows_it_too(scanned, tmp_path) -> None:
    chosen = settings(tiny(tmp_path))
    with Project.open(scanned.project) as project:
        shown = preview(project, Fraction(6, 10), settings=chosen, runtime=CPU)
        plain = chosen.model_copy(update={"background": None})
        faces = preview(project, Fraction(6, 10), settings=plain, runtime=CPU)
    assert shown.faces == faces.faces >= 1
    np.testing.assert_array_equal(shown.before, faces.before)
    elsewhere = (faces.before == faces.after).all(2)
    assert elsewhere.mean() > 0.3
    assert (shown.after != faces.after).any(2)[elsewhere].mean() > 0.8


@pytest.mark.shared
def test_real_weights_in_tiles_are_real_weights_at_once(shared) -> None:
    """The small Real-ESRGAN, on two small frames of a real film."""
    pytest.importorskip("spandrel")
    path = shared / "models" / "RealESRGAN_General_x4_v3.pth"
    background = open_background(settings(path), CPU)
    assert background is not None
    part = {"start": Fraction(638, 30), "end": Fraction(640, 30)}
    with VideoReader(shared / "data" / "film" / "tears_of_steel_360p.mp4", **part) as reader:
        frames = list(reader)
    assert len(frames) == 2
    for frame in frames:
        source = read_region(frame.picture, 200, 80, 72, 56)
        whole = strips(source, background._run, 2, 1000)[0][1]
        tiled = np.concatenate([strip for _, strip in strips(source, background._run, 2, 40)])
        assert np.abs(tiled - whole).max() < 3 / 255
        small = whole.reshape(56, 2, 72, 2, 3).mean((1, 3))
        assert np.abs(small - source).mean() < 6 / 255, "it is another picture"
        soft = F.interpolate(
            torch.from_numpy(source.transpose(2, 0, 1)[None]), scale_factor=2, mode="bicubic"
        )[0].permute(1, 2, 0)
        assert _detail(whole) > 1.2 * _detail(soft.numpy()), "it is no sharper than bicubic"


def _detail(picture: np.ndarray) -> float:
    gray = picture.mean(2)
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())
