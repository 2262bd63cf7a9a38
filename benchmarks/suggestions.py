"""How good the reviewer's suggestions are: whom to merge, and which track is somebody else's.

    python benchmarks/suggestions.py DATA IDENTITIES [--pack lite] [--models-dir FOLDER]
        [--cache FILE.npz] [--stills-cache FILE.npz] -o benchmarks/suggestions.json

DATA has the films that are labelled by hand (`benchmarks/labels`), IDENTITIES a folder of photos a
person (both as for `identity_films.py`, `identity_stills.py`). A track is six labelled faces of a
film, one after another, or one photo. Projects are drawn from them, of sixteen people with one to
eight tracks each, and spoilt in the ways that a reviewer has to undo:

* split: a third of the people are in two pieces;
* left: all tracks are clustered as in a scan, and some people stay in pieces;
* anybody: four identities have one track of another person of the project;
* look-alike: the same, with that track of all that is most like the identity.

`precision` is the share of suggestions that are right, `recall` of what is to be found; `first` is
how many of the first k are right where k are to be found (for merges whatever their similarity),
and `first_cosine` the same if pairs come in the order of the cosines of their mean embeddings.
Results of several packs are kept beside each other in the file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import identity_films
import identity_stills
import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.models.pack import load_face_pack
from refrestore.profiles.cosines import cosines
from refrestore.project.suggestions import likely_impurities, likely_merges
from refrestore.scan.association import overlap
from refrestore.scan.clustering import Constraints, cluster_tracks
from refrestore.scan.samples import EmbeddingSample
from refrestore.scan.tracks import pool
from refrestore.types import Track

PROJECTS, PEOPLE, TRACKS, INTRUDERS = 60, 16, 8, 4
SPLIT = 1 / 3
PIECE = 6
"""Faces of a film's track: one to two seconds."""

AGAIN = ("tears_of_steel_720p",)
"""Films whose people are in another one."""

Groups = dict[int, list[int]]


class Source(NamedTuple):
    """Tracks, their ids being their places, and whose they are."""

    tracks: dict[int, Track]
    person: list[str]


class Spoilt(NamedTuple):
    """Tracks by identity, who each identity is, and the tracks that are somebody else's."""

    groups: Groups
    owner: dict[int, str]
    wrong: frozenset[int]


def faces_of_films(data: Path, models: FaceModels) -> identity_stills.Album:
    """Return all labelled faces, in order; a person's name has the film's before it."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for film in identity_films.labelled_films(data, Path(folder), None):
            if film.name in AGAIN:
                continue
            marks = defaultdict(list)
            for person, frame, box in identity_films.marks(film.labels):
                marks[frame].append((f"{film.name}: {person}", box))
            with VideoReader(film.path) as reader:
                for frame in (frame for frame in reader if frame.index in marks):
                    picture = display_rgb(frame)
                    found = models.detector.detect([picture], [0], ScanSettings().detect_size)
                    if not len(found):
                        continue
                    found = models.describe(picture, found)
                    for person, box in marks[frame.index]:
                        near = overlap(box[None], found.box)[0]
                        best = int(np.argmax(near))
                        if near[best] >= identity_films.SAME:
                            seen = (found.embedding[best], found.quality[best], found.size[best])
                            rows.append((person, *seen))
    return identity_stills.Album(*(np.array(column) for column in zip(*rows, strict=True)))


def pieces(faces: identity_stills.Album) -> Source:
    """Return tracks of a few faces each."""
    tracks, people = {}, []
    for person in np.unique(faces.person):
        rows = np.flatnonzero(faces.person == person)
        for start in range(0, len(rows), PIECE):
            own = rows[start : start + PIECE]
            samples = [EmbeddingSample(r, float(faces.quality[r]), faces.embedding[r]) for r in own]
            mean, weight = pool(samples)
            tracks[len(people)] = Track(
                len(people), 0, int(own[0]), int(own[-1]) + 1, mean, weight, 0.5, 50.0, weak=False
            )
            people.append(str(person))
    return Source(tracks, people)


def photos(album: identity_stills.Album) -> Source:
    tracks = {track.id: track for track in identity_stills.tracks_of(album)}
    return Source(tracks, [str(person) for person in album.person])


def drawn(source: Source, random: np.random.Generator, fewest: int) -> dict[str, list[int]]:
    """Return some tracks of some people."""
    own = defaultdict(list)
    for number, track in source.tracks.items():
        if track.embedding is not None:
            own[source.person[number]].append(number)
    names = sorted(name for name, rows in own.items() if len(rows) >= fewest)
    chosen = random.permutation(names)[:PEOPLE]
    counts = random.integers(fewest, TRACKS + 1, len(chosen))
    return {
        str(name): random.permutation(own[name])[:count].tolist()
        for name, count in zip(chosen, counts, strict=True)
    }


def numbered(parts: Sequence[tuple[str, list[int]]], wrong: Sequence[int] = ()) -> Spoilt:
    groups = {number: rows for number, (_, rows) in enumerate(parts) if rows}
    return Spoilt(groups, {number: parts[number][0] for number in groups}, frozenset(wrong))


def split(source: Source, random: np.random.Generator) -> Spoilt:
    parts = []
    for name, rows in drawn(source, random, 1).items():
        at = int(random.integers(1, len(rows))) if len(rows) > 1 and random.random() < SPLIT else 0
        parts += [(name, rows[:at]), (name, rows[at:])]
    return numbered(parts)


def left(source: Source, random: np.random.Generator) -> Spoilt:
    tracks = [source.tracks[row] for rows in drawn(source, random, 1).values() for row in rows]
    threshold = ScanSettings().identity_threshold
    found = cluster_tracks(tracks, Constraints(), threshold=threshold)
    whose = [Counter(source.person[row] for row in group).most_common(1)[0][0] for group in found]
    return numbered([(name, list(group)) for name, group in zip(whose, found, strict=True)])


def intruded(source: Source, random: np.random.Generator, *, alike: bool) -> Spoilt:
    groups = drawn(source, random, 2)
    wrong: list[int] = []
    for host in random.permutation(list(groups))[:INTRUDERS]:
        others = [
            row
            for name, rows in groups.items()
            if name != host and len(rows) > 1
            for row in rows
            if row not in wrong and source.person[row] == name
        ]
        mean = np.sum([source.tracks[row].embedding for row in groups[host]], axis=0)
        likeness = [float(source.tracks[row].embedding @ mean) for row in others]
        row = others[int(np.argmax(likeness)) if alike else int(random.integers(len(others)))]
        groups[source.person[row]].remove(row)
        groups[str(host)].append(row)
        wrong.append(row)
    return numbered(list(groups.items()), wrong)


def by_mean_cosine(spoilt: Spoilt, tracks: dict[int, Track]) -> list[tuple[int, int]]:
    means = []
    for rows in spoilt.groups.values():
        weighted = [max(tracks[r].embedding_weight, 0.05) * tracks[r].embedding for r in rows]
        mean = np.sum(weighted, axis=0)
        means.append(mean / np.linalg.norm(mean))
    ids, cosine = list(spoilt.groups), np.stack(means) @ np.stack(means).T
    pairs = [(i, j) for i in range(len(ids)) for j in range(i)]
    return [(ids[i], ids[j]) for i, j in sorted(pairs, key=lambda pair: -cosine[pair])]


def judged(
    source: Source, make: Callable[..., Spoilt], least: float, kind: str
) -> dict[str, float | int]:
    """Return the figures of one way to spoil projects."""
    random = np.random.default_rng(4)
    named = right = wanted = first = plain = 0
    for _ in range(PROJECTS):
        spoilt = make(source, random)
        if kind == "merges":
            who = spoilt.owner
            merges = likely_merges(spoilt.groups, source.tracks, least=-1)
            order = [who[one.identities[0]] == who[one.identities[1]] for one in merges]
            hits = order[: sum(one.similarity >= least for one in merges)]
            pieces_of = Counter(who.values())
            count = sum(n * (n - 1) // 2 for n in pieces_of.values())
            before = by_mean_cosine(spoilt, source.tracks)[:count]
            plain += sum(who[one] == who[other] for one, other in before)
        else:
            found = likely_impurities(spoilt.groups, source.tracks, least=least)
            hits = order = [one.track in spoilt.wrong for one in found]
            count = len(spoilt.wrong)
        named, right, wanted = named + len(hits), right + sum(hits), wanted + count
        first += sum(order[:count])
    figures: dict[str, float | int] = {
        "to_find": wanted,
        "precision": round(right / max(named, 1), 3),
        "recall": round(right / max(wanted, 1), 3),
        "first": round(first / max(wanted, 1), 3),
    }
    return figures | ({"first_cosine": round(plain / wanted, 3)} if kind == "merges" else {})


def ways() -> Iterator[tuple[str, str, Callable[..., Spoilt]]]:
    yield "merges", "split", split
    yield "merges", "left", left
    yield "impurities", "anybody", lambda *given: intruded(*given, alike=False)
    yield "impurities", "look-alike", lambda *given: intruded(*given, alike=True)


def films(arguments: argparse.Namespace, models: Callable[[], FaceModels]) -> Source:
    """Return the tracks of all films, from the cache if it is there."""
    if arguments.cache and arguments.cache.exists():
        with np.load(arguments.cache) as table:
            return pieces(identity_stills.Album(**table))
    faces = faces_of_films(arguments.data, models())
    if arguments.cache:
        np.savez(arguments.cache, **vars(faces))
    return pieces(faces)


def stills(
    arguments: argparse.Namespace, models: Callable[[], FaceModels]
) -> Iterator[tuple[str, Source]]:
    """Yield photos as they are and far away."""
    path = arguments.stills_cache
    seen = identity_stills.load(path) if path and path.exists() else None
    for group in identity_stills.GROUPS:
        parts = (
            seen[group] if seen else identity_stills.albums(arguments.identities, group, models())
        )
        for width in ("112", identity_stills.FAR):
            yield f"{group}, {width} px", photos(parts[width])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("identities", type=Path)
    parser.add_argument("--pack", default="lite")
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("--cache", type=Path, help="keep the films' faces here")
    parser.add_argument("--stills-cache", type=Path, help="of identity_stills.py")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    pack = load_face_pack(
        RuntimeSettings(
            pack=arguments.pack, models_dir=arguments.models_dir, device="cpu", threads=1
        )
    )
    least = cosines(pack.recogniser.stem).alike

    def models() -> FaceModels:
        return load_face_models(pack, "cpu", threads=1)

    result: dict[str, dict] = {"least": least}
    for name, source in [("films", films(arguments, models)), *stills(arguments, models)]:
        result[name] = {}
        for kind, way, make in ways():
            result[name][f"{kind}, {way}"] = figures = judged(source, make, least, kind)
            print(name, kind, way, json.dumps(figures), flush=True)
    if arguments.output:
        path = arguments.output
        every = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(every | {arguments.pack: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
