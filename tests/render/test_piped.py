"""A film through pipes: the same frames as from file to file, and nothing else on stdout."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refrestore.cli as cli
from refrestore.config import EncoderSettings, RenderSettings
from refrestore.engine.piped import render_piped
from refrestore.errors import MediaError, UsageError
from refrestore.media.pipes import FilmFromPipe, FilmToPipe, pipe_encoder
from refrestore.media.planes import planar, plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader

from .conftest import SETTINGS


def samples(picture: Any) -> list[np.ndarray]:
    return [view.copy() for view in plane_views(planar(picture))]


def piped(film: Path, kind: Any, stop: int | None = None, again: int = 0) -> bytes:
    """A film's frames as they come through a pipe; some of them again, behind."""
    info, target = probe(film), io.BytesIO()
    encoder = pipe_encoder(EncoderSettings(), info, kind, scale=1, layer=False)
    with VideoReader(film, info=info) as reader:
        frames = list(reader)[:stop]
    with FilmToPipe(target, kind, encoder) as pipe:
        for number, frame in enumerate([*frames, *frames[:again]]):
            pipe.write(frame.picture, number / info.average_rate)
    return target.getvalue()


def check(content: bytes, kind: str, wanted: Path, first: int = 0) -> None:
    film = FilmFromPipe(io.BytesIO(content))
    assert film.kind == kind
    found = list(film.frames(film.info))
    with VideoReader(wanted) as reader:
        expected = list(reader)[first:]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(samples(one.picture), samples(other.picture), strict=True):
            np.testing.assert_array_equal(a, b)


def test_frames_are_those_of_a_render_from_file_to_file(scanned, rendered, project) -> None:
    kind, target, told = "nut", io.BytesIO(), []
    result = render_piped(
        project,
        target,
        source=io.BytesIO(piped(scanned.film, kind)),
        settings=SETTINGS,
        announce=told.append,
    )
    check(target.getvalue(), kind, rendered.output)
    assert result.summary["faces"] == rendered.summary["faces"] > 0
    assert result.report == project.folder.with_name("project.report.json")
    assert result.report.exists()
    assert any("is read once" in note and "begins anew" in note for note in told)


def test_a_part_of_a_file_goes_into_a_pipe(scanned, rendered, project) -> None:
    target = io.BytesIO()
    settings = RenderSettings.model_validate({**SETTINGS.model_dump(), "start": "6f"})
    render_piped(project, target, settings=settings)
    check(target.getvalue(), "y4m", rendered.output, first=6)


def command(*words: object, stdin: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "refrestore", *map(str, words)],
        input=stdin,
        capture_output=True,
        cwd=folder,
        check=False,
    )


def test_the_command_writes_the_film_alone(scanned, project, tmp_path) -> None:
    target = io.BytesIO()
    render_piped(project, target)
    project.close()
    through = piped(scanned.film, "y4m")
    done = command("render", "-p", "project", "-", "-o", "-", stdin=through, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"YUV4MPEG2 ")
    assert done.stdout == target.getvalue()
    said = done.stderr.decode()
    assert "Report: project.report.html" in said
    assert "restored from close-ups" in said


def test_other_frames_than_were_scanned_are_refused(scanned, project, tmp_path) -> None:
    short = piped(scanned.film, "y4m", stop=10)
    with pytest.raises(MediaError, match=r"ended after 10 of the \d+ frames of film\.mp4"):
        render_piped(project, io.BytesIO(), source=io.BytesIO(short), settings=SETTINGS)
    more = piped(scanned.film, "y4m", again=2)
    with pytest.raises(MediaError, match="More frames came through the pipe"):
        render_piped(project, io.BytesIO(), source=io.BytesIO(more), settings=SETTINGS)
    assert not project.folder.with_name("project.report.json").exists()


def test_other_pictures_are_refused(project, tmp_path) -> None:
    from refrestore.media.simple import write_pictures

    film = tmp_path / "other.mp4"
    write_pictures(film, [np.zeros((48, 64, 3), np.uint8)] * 3, rate=25)
    with pytest.raises(MediaError, match="Pictures of 64x48 come through the pipe"):
        render_piped(project, io.BytesIO(), source=io.BytesIO(piped(film, "nut")))


def test_options_that_are_not_for_pipes(project, tmp_path, monkeypatch, capsys) -> None:
    with pytest.raises(UsageError, match="takes --pix-fmt alone"):
        render_piped(project, io.BytesIO(), encoder=EncoderSettings(codec="ffv1"))
    project.close()
    for words, said in (
        (("-", "-o", "out.mp4"), "goes into one: give -o -"),
        (("-o", "-", "--json"), "--json, --export-faces and --engine ray are not for pipes"),
        (("-o", "out.mp4", "--pipe", "nut"), "give -o - with it"),
        (("-", "--video", "x.mp4", "-o", "-"), "VIDEO and --video are the same"),
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["refrestore", "render", "-p", "project", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (2, "")
        assert said in err
