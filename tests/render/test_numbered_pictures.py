"""A folder of frames through the whole program, and a film into one."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from refrestore.cli import app
from refrestore.config import EncoderSettings
from refrestore.engine.local import render
from refrestore.media.coding import read_region
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.frame_files import output_of, publish_pictures
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter
from refrestore.project import Project

from .conftest import SETTINGS


def pictures_of(path: Path) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return [frame.picture.to_ndarray(format="rgb48le") for frame in reader]


def split_up(film: Path, pattern: Path) -> None:
    """Write a film's frames as pictures of 16 bits, numbered from 0 on."""
    info = probe(film)
    folder, settings = output_of(pattern, EncoderSettings(pixel_format="rgb48be"))
    encoder = resolve_encoder(settings, info, scale=1, output=folder)
    segment = pattern.parent.with_suffix(".segment")
    with VideoReader(film, info=info) as reader, SegmentWriter(segment, encoder) as writer:
        for frame in reader:
            writer.write(frame.picture, frame.time)
    publish_pictures([segment], encoder, info, folder, first=0, work=folder.parent)


def told(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout if code == 0 else str(done.exception)


def test_a_folder_of_frames_from_end_to_end(scanned, tmp_path) -> None:
    frames = tmp_path / "frames" / "f%04d.png"
    split_up(scanned.film, frames)
    for name in sorted(os.listdir(frames.parent), reverse=True):  # as a camera numbers them
        os.rename(frames.parent / name, frames.parent / f"f{int(name[1:5]) + 86400:04d}.png")
    restored = tmp_path / "restored" / "%06d.tif"
    words = ("run", frames.parent, "-o", restored, "--fps", "23.976", "--json")
    said = json.loads(told(*words))["results"][0]
    assert said["faces"] > 0
    assert said["output"] == str(restored.parent)
    assert Path(said["report"]) == tmp_path / "restored.report.json"
    assert not (tmp_path / ".restored.refrestore").exists()
    before, after = pictures_of(frames), pictures_of(restored)
    assert len(before) == len(after)
    assert sorted(os.listdir(restored.parent))[0] == "086400.tif"
    changed = [(one != other).any(-1) for one, other in zip(before, after, strict=True)]
    assert any(each.any() for each in changed)
    assert all(each.mean() < 0.9 for each in changed)
    with Project.open(tmp_path / "restored.refrestore") as opened:
        assert opened.video.rate == Fraction(24000, 1001)
        film = tmp_path / "again.mkv"
        few = {"start": Fraction(0), "end": Fraction(3, 24)}
        render(opened, film, settings=SETTINGS.model_copy(update=few))
        assert probe(film).average_rate == Fraction(24000, 1001)
    two = frames.parent / "f86402.png"
    two.write_bytes((frames.parent / "f86403.png").read_bytes())
    project = tmp_path / "restored.refrestore"
    refused = told("render", "-p", project, "-o", tmp_path / "x.mkv", code=1)
    assert "is another video" in refused


def test_a_film_becomes_the_frames_of_its_render(scanned, rendered, tmp_path) -> None:
    output = tmp_path / "new" / "%d.png"
    with Project.open(scanned.project) as opened:
        result = render(opened, output, settings=SETTINGS.model_copy(update={"start": None}))
    assert result.output == output.parent
    with VideoReader(rendered.output) as film, VideoReader(output) as pictures:
        for frame, picture in zip(film, pictures, strict=True):
            # 4:2:0 has not the colours of every pixel, but the same luma.
            one = frame.picture.to_ndarray(format="rgb24").astype(int)
            other = picture.picture.to_ndarray(format="rgb24").astype(int)
            assert np.abs(one.mean(-1) - other.mean(-1)).mean() < 1.5


def test_a_layer_over_the_film_is_the_render(scanned, rendered, tmp_path) -> None:
    output = tmp_path / "layer" / "%d.png"
    with Project.open(scanned.project) as opened:
        result = render(opened, output, settings=SETTINGS.model_copy(update={"layer": True}))
    assert result.summary["faces"] == rendered.summary["faces"]
    worst, moved = [], []
    with (
        VideoReader(scanned.film) as film,
        VideoReader(rendered.output) as restored,
        VideoReader(output) as layers,
    ):
        for source, render_, top in zip(film, restored, layers, strict=True):
            red, green, blue, alpha = np.moveaxis(top.picture.to_ndarray() / 255, 2, 0)
            below, wanted = (
                read_region(one.picture, 0, 0, one.picture.width, one.picture.height)
                for one in (source, render_)
            )
            over = np.stack([red, green, blue], -1)
            result_ = over * alpha[..., None] + below * (1 - alpha[..., None])
            # In 4:2:0 the render's chroma is the mean of four pixels, so their luma is compared.
            weights = np.array([0.299, 0.587, 0.114])
            worst.append(np.abs((result_ - wanted) @ weights).max() * 255)
            moved.append(np.abs((wanted - below) @ weights).max() * 255)
    assert max(moved) > 15
    assert max(worst) < 3.0
    assert np.median(worst) < 1.6
