"""A second film of a series: its people are the first one's, through profiles."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import ProfileError
from refrestore.profiles import ProfileStore
from refrestore.project import Project
from refrestore.scan.build import build_profile, update_profile
from refrestore.scan.recognise import match_identities
from refrestore.scan.scan import scan

RATE = 30

FIRST_FRAMES, LENGTH = {"again": 26}, 20
"""Of each clip, from frame 10 on if not told otherwise: as few as give close-ups of everybody."""

FIRST = {"eat": "Eve", "book": "Bob", "again": "Ada", "bird": "Bea"}
SECOND = {"night": "Eve", "school": "Bob", "brother": "Ada", "milk": "Bea", "hungry": None}
"""Sign-language clips, each of one person, in the order in which the films show them."""

SHOT_OF_NOBODY_ENROLLED = 4


def film_of(clips: Sequence[str], folder: Path, film: Path) -> None:
    """Join clips, each a shot of the film."""
    count = 0
    with av.open(str(film), "w") as output:
        stream = output.add_stream("libx264", RATE, {"crf": "14", "preset": "veryfast"})
        for clip in clips:
            with av.open(str(folder / f"sample-videos__asl_gestures_{clip}.mkv")) as source:
                first = FIRST_FRAMES.get(clip, 10)
                for frame in islice(source.decode(video=0), first, first + LENGTH):
                    if not count:
                        stream.width, stream.height = frame.width, frame.height
                        stream.pix_fmt = frame.format.name
                    frame.pts, frame.time_base = count, Fraction(1, RATE)
                    frame.pict_type = av.video.frame.PictureType.NONE
                    output.mux(stream.encode(frame))
                    count += 1
        output.mux(stream.encode())


def cast(project: Project) -> dict[int, str | None]:
    """Return the profile that whoever is in each shot longest is linked to."""
    tracks = {track.id: track for track in project.tracks()}
    longest: dict[int, tuple[int, str | None]] = {}
    for one in project.identities():
        for track in map(tracks.get, one.tracks):
            length = track.stop - track.first
            longest[track.shot] = max(
                longest.get(track.shot, (0, None)), (length, one.profile), key=lambda p: p[0]
            )
    return {shot: profile for shot, (_, profile) in sorted(longest.items())}


@pytest.mark.shared
@pytest.mark.parametrize("pack", ["teachers", "lite"])
def test_the_second_film_knows_the_first_ones_people(shared, tmp_path, pack):
    runtime = RuntimeSettings(
        device="cpu",
        threads=1,
        pack=pack,
        models_dir=shared / "models" if pack == "teachers" else None,
    )
    store = ProfileStore(tmp_path / "profiles")
    films = [tmp_path / "first.mkv", tmp_path / "second.mkv"]
    for film, clips in zip(films, (FIRST, SECOND), strict=True):
        film_of(list(clips), shared / "data" / "clips", film)
        scan(film, film.with_suffix(".project"), settings=ScanSettings(), runtime=runtime)

    # The first film's people are named and remembered.
    with Project.open(films[0].with_suffix(".project")) as first:
        shot_of = {track.id: track.shot for track in first.tracks()}
        people = dict(zip(range(len(FIRST)), FIRST.values(), strict=True))
        for one in first.identities():
            shots = {shot_of[track] for track in one.tracks}
            if one.references and len(shots) == 1:
                name = people[shots.pop()]
                build_profile(name, from_projects=[(first, one.id)], store=store, runtime=runtime)
                first.rename(one.id, name)
                first.link_profile(one.id, name)
        assert store.list() == sorted(people.values())
        assert list(cast(first).values()) == list(FIRST.values())
        from_first = {name: store.load(name).statistics.count for name in store.list()}

    # The second film's are they, and the one who has no profile is nobody.
    with Project.open(films[1].with_suffix(".project")) as second:
        match_identities(second, store.load_all(), link=True)
        assert list(cast(second).values()) == list(SECOND.values())
        named = {one.profile: one for one in second.identities() if one.profile is not None}
        assert {name: one.name for name, one in named.items()} == {name: name for name in named}

        # They learn from it, and from nobody else in it.
        for name, one in named.items():
            if one.references:
                update_profile(name, from_projects=[(second, one.id)], store=store, runtime=runtime)
        learnt = {name: store.load(name).statistics.count for name in store.list()}
        assert learnt["Eve"] > from_first["Eve"]
        assert learnt["Ada"] > from_first["Ada"]
        before = (store.directory / "Eve" / "profile.json").read_bytes()
        tracks = {track.id: track for track in second.tracks()}
        stranger = next(
            one
            for one in second.identities()
            if one.references
            and {tracks[track].shot for track in one.tracks} == {SHOT_OF_NOBODY_ENROLLED}
        )
        with pytest.raises(ProfileError, match="shows somebody else than Eve"):
            update_profile(
                "Eve", from_projects=[(second, stranger.id)], store=store, runtime=runtime
            )
        assert (store.directory / "Eve" / "profile.json").read_bytes() == before

    # Scanned again, the first film is as it was; matched anew by what was learnt, it is the same.
    scan(films[0], films[0].with_suffix(".project"), settings=ScanSettings(), runtime=runtime)
    with Project.open(films[0].with_suffix(".project")) as first:
        assert list(cast(first).values()) == list(FIRST.values())
        first.unlink_profiles([one.id for one in first.identities() if one.profile])
        assert set(cast(first).values()) == {None}
        match_identities(first, store.load_all(), link=True)
        assert list(cast(first).values()) == list(FIRST.values())
