"""Real tapes: likeness to photos that the profile did not get, before and after the whole job.

    python benchmarks/real_tapes.py MODELS CLIP ALBUM [--unguarded] [--end 4] -o FOLDER

ALBUM is a folder of photos of whoever is seen longest in CLIP. A profile is made of every second of
them, CLIP is restored with it as `refrestore run --profile` does it, and at the input's keypoints
the person's faces are compared with the mean of the other photos, by the two recognisers in MODELS
that take no part in the work. `--unguarded`: also with references wherever they show more than the
face, whatever the guard says. FOLDER keeps films, project and `likeness.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings
from refrestore.engine.local import render
from refrestore.engine.run import run
from refrestore.evaluate.judge import SECOND_FILE
from refrestore.evaluate.scorer import SCORER_FILE, IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.pose import mesh_keypoints
from refrestore.faces.recogniser import Recogniser
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.reader import VideoReader
from refrestore.media.stills import pictures_in
from refrestore.profiles import Profile
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.render.toolbox import open_toolbox
from refrestore.scan.photos import faces_of_pictures
from refrestore.scan.recognise import recognised
from refrestore.types import Faces, FloatArray, Identity, ImageArray, Reference

EVERY = 5
"""Every n-th face is scored."""

LOSSLESS = EncoderSettings(codec="ffv1")

Scorers = Sequence[IdentityScorer | Recogniser]


def seen(image: ImageArray, keypoints: FloatArray, scorers: Scorers) -> list[FloatArray]:
    """Return each scorer's embedding of the face at (5, 2) keypoints of a picture."""
    small = crops(image, similarity(keypoints[None], ARCFACE_TEMPLATE), 112)
    return [scorer.embed(small)[0] for scorer in scorers]


def looks(film: VideoInfo, faces: Faces, scorers: Scorers) -> dict[int, list[FloatArray]]:
    """Return the embeddings of faces as a film shows them, by frame."""
    wanted = dict(zip(faces.frame.tolist(), faces.keypoints, strict=True))
    with VideoReader(film.path, info=film) as reader:
        return {
            frame.index: seen(display_rgb(frame), wanted[frame.index], scorers)
            for frame in reader
            if frame.index in wanted
        }


def likeness(
    found: Mapping[int, Sequence[FloatArray]], truth: Sequence[FloatArray], frames: Sequence[int]
) -> FloatArray:
    """Return cosines to the truth, (frames, scorers)."""
    rows = [[one @ true for one, true in zip(found[f], truth, strict=True)] for f in frames]
    return np.array(rows, np.float32)


def looked(photo: Reference, scorers: Scorers) -> list[FloatArray]:
    """Return each scorer's embedding of a photo."""
    return seen(photo.image, mesh_keypoints(photo.landmarks[None])[0], scorers)


def mean_of(photos: Sequence[Reference], scorers: Scorers) -> list[FloatArray]:
    """Return each scorer's unit mean embedding of photos."""
    every = [looked(one, scorers) for one in photos]
    means = [np.mean(rows, 0) for rows in zip(*every, strict=True)]
    return [mean / np.linalg.norm(mean) for mean in means]


def longest_seen(project: Project) -> tuple[Identity, Faces]:
    """Return who is on screen longest, and every `EVERY`-th of their faces."""
    person = max(project.identities(), key=lambda one: one.seconds)
    faces = project.faces(person.tracks)
    return person, faces[EVERY // 2 :: EVERY]


def score(asked: argparse.Namespace) -> dict[str, Any]:
    """Restore a film and return what both scorers say."""
    runtime = RuntimeSettings(models_dir=asked.models, threads=1)
    toolbox = open_toolbox(runtime)
    scorers: Scorers = (
        IdentityScorer(asked.models / SCORER_FILE, "cpu", 1),
        Recogniser(asked.models / SECOND_FILE, "cpu", 1),
    )
    photos = faces_of_pictures(pictures_in([asked.album]), toolbox.models).references
    profile = Profile.chosen(asked.album.name, photos[::2], toolbox.eyes.network)
    truth = mean_of(photos[1::2], scorers)
    settings = RenderSettings(end=asked.end)
    folder, output = asked.output / "project", asked.output / "restored.mkv"
    asked.output.mkdir(parents=True, exist_ok=True)
    result = run(
        [asked.clip],
        output,
        profiles=[profile],
        project=folder,
        render_settings=settings,
        encoder=LOSSLESS,
        runtime=runtime,
    )[0]
    own = np.mean([likeness({0: looked(one, scorers)}, truth, [0])[0] for one in photos[::2]], 0)
    told: dict[str, Any] = {
        "clip": asked.clip.name,
        "photos": len(photos),
        "likeness of the profile's photos": rounded(own),
    }
    with Project.open(folder) as project:
        person, faces = longest_seen(project)
        films = {"input": project_film(project), "restored": probe(output)}
        if asked.unguarded:
            forced = asked.output / "unguarded.mkv"
            render(
                project,
                forced,
                settings=settings,
                encoder=LOSSLESS,
                lent=recognised(project, [profile]),
                toolbox=toolbox.without("guard"),
            )
            films["unguarded"] = probe(forced)
        found = {name: looks(film, faces, scorers) for name, film in films.items()}
    about = next(one for one in result.summary["identities"] if one["id"] == person.id)
    keys = ("matched", "faces", "restored_faces", "unreferenced_faces", "reasons", "left_alone")
    told |= {key: about[key] for key in keys}
    frames = sorted(set.intersection(*(set(one) for one in found.values())))
    scores = {name: likeness(one, truth, frames) for name, one in found.items()}
    for name, values in scores.items():
        change = values - scores["input"]
        error = change.std(0) / np.sqrt(len(frames))
        told[name] = {
            "likeness": rounded(values.mean(0)),
            "change": rounded(change.mean(0)),
            "worst": rounded(change.min(0)),
            "standard error": rounded(error),
        }
    return told | {"scored": len(frames)}


def rounded(values: FloatArray) -> list[float]:
    """Return values for people."""
    return [round(float(value), 3) for value in values]


def main() -> None:
    """Restore, score and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("album", type=Path)
    parser.add_argument("--unguarded", action="store_true")
    parser.add_argument("--end", help="Only so much of the clip; as for `run`.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    told = score(asked)
    text = json.dumps(told, indent=1)
    (asked.output / "likeness.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
