from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.errors import DiskError, ProjectError
from refrestore.faces.network_id import NetworkId
from refrestore.media.treatment import UNTREATED, Treatment
from refrestore.project import Project
from refrestore.project.columns import LANDMARK_RANGE, LANDMARK_STEPS
from refrestore.project.database import MIGRATIONS, SCHEMA_VERSION, Database

TWO_PEOPLE = {1: (0, 300, 100.0), 2: (100, 200, 400.0), 3: (400, 700, 100.0)}


def test_what_is_written_is_read_again(project, make):
    table = make.faces(10, 400, full=True)
    first = make.track(7, 10, 400)
    with project.begin_scan(ScanSettings(detect_every=3), recogniser="edgeface") as writer:
        writer.add_track(first, table)
        writer.add_reference(7, make.reference(1, quality=0.4, frame=20))
        writer.add_reference(7, make.reference(2, quality=0.9))
        writer.add_thumbnail(7, np.full((60, 50, 3), (200, 30, 60), np.uint8))
        writer.set_identities([[7]])
        writer.set_frames(987)
    info = project.scan_info()
    assert (info.settings.detect_every, info.recogniser, info.frames) == (3, "edgeface", 987)
    (found,) = project.tracks()
    assert (found.id, found.first, found.stop, found.weak) == (7, 10, 400, False)
    np.testing.assert_allclose(found.embedding, first.embedding, atol=1e-3)
    assert np.linalg.norm(found.embedding) == pytest.approx(1, abs=1e-6)
    read = project.faces()
    for name in ("frame", "box", "keypoints", "score", "quality", "sharpness", "pose"):
        np.testing.assert_array_equal(getattr(read, name), getattr(table, name), err_msg=name)
    np.testing.assert_allclose(read.embedding, table.embedding, atol=1e-3)
    size = (table.box[:, 2:] - table.box[:, :2]).max()
    rounding = size * LANDMARK_RANGE / LANDMARK_STEPS
    assert np.abs(read.landmarks - table.landmarks).max() < rounding
    assert set(read.track) == {7}
    better, worse = project.references(1)
    assert (better.quality, worse.quality, worse.frame) == (0.9, 0.4, 20)
    original = make.reference(2, quality=0.9)
    np.testing.assert_array_equal(better.image, original.image)
    np.testing.assert_array_equal(better.landmarks, original.landmarks)
    np.testing.assert_array_equal(better.pose, original.pose)
    assert better.source == original.source
    np.testing.assert_allclose(project.thumbnail(7).mean(axis=(0, 1)), (200, 30, 60), atol=3)
    assert project.thumbnail(8) is None


def test_missing_landmarks_stay_missing(project, make):
    table = make.faces(0, 5, full=True)
    table.landmarks[2] = np.nan
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 5), table)
    missing = np.isnan(project.faces().landmarks).any(axis=(1, 2))
    assert missing.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("tracks", "first", "stop"),
    [(None, None, None), (None, 127, 129), ([1, 3], 250, 420), ([2], None, 150), ([9], 0, 10)],
)
def test_faces_of_tracks_and_frames(project, make, tracks, first, stop):
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    everything = project.faces()
    kept = (everything.frame >= (first or 0)) & (everything.frame < (stop or 1 << 40))
    if tracks is not None:
        kept &= np.isin(everything.track, tracks)
    read = project.faces(tracks, first, stop)
    expected = everything[kept]
    assert len(everything) == 700
    assert len(read) == len(expected)
    if len(expected):
        np.testing.assert_array_equal(read.frame, expected.frame)
        np.testing.assert_array_equal(read.track, expected.track)
        np.testing.assert_array_equal(read.box, expected.box)


def test_tracks_with_gaps(project, make):
    table = make.faces(0, 600)[np.r_[0:10, 300:305, 590:600]]
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 600), table)
    read = project.faces(first=301, stop=595)
    assert read.frame.tolist() == [301, 302, 303, 304, 590, 591, 592, 593, 594]


def test_identities_of_a_scan(project, make):
    assert project.identities() == []
    assert project.shots() == []
    assert project.scan_info() is None
    assert len(project.faces()) == 0
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    first, second = project.identities()
    assert (first.name, first.state, first.tracks, first.faces) == (
        "person 1",
        "restore",
        (1, 3),
        600,
    )
    assert first.seconds == pytest.approx(24)
    assert second.seconds == pytest.approx(4)
    assert project.identity_of_track() == {1: 1, 2: 2, 3: 1}
    assert project.shots()[0].start == Fraction(2)


def test_time_on_screen_counts_an_instant_once(project, make):
    make.scan(project, {1: (0, 100, 100.0), 2: (50, 150, 400.0)}, [[1, 2]])
    assert project.identities()[0].seconds == pytest.approx(6)
    assert project.identities()[0].faces == 200


@pytest.mark.parametrize(
    "rows", [[], [0, 2, 1], [0, 0, 1]], ids=["none", "not ascending", "twice in a frame"]
)
def test_a_track_has_one_face_a_frame(project, make, rows):
    with project.begin_scan(ScanSettings()) as writer:
        with pytest.raises(ValueError, match="ascending frames"):
            writer.add_track(make.track(1, 0, 5), make.faces(0, 5)[rows])
        with pytest.raises(ValueError, match="has frames"):
            writer.add_track(make.track(1, 0, 4), make.faces(0, 5))


def test_identities_are_of_known_tracks_once(project, make):
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
        with pytest.raises(ValueError, match="track 2 has not been added"):
            writer.set_identities([[1, 2]])
        with pytest.raises(ValueError, match="two identities"):
            writer.set_identities([[1], [1]])
        with pytest.raises(ValueError, match="was added before"):
            writer.add_track(make.track(1, 0, 5), make.faces(0, 5))


# --- a scan replaces the old one whole or not at all ------------------------------------------


def test_the_old_scan_is_read_until_the_new_one_ends(project, make):
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
        writer.add_reference(1, make.reference(1))
        assert len(project.faces()) == 700
        assert len(project.identities()) == 2
    assert len(project.faces()) == 5
    assert project.identities() == []


def test_a_failed_scan_changes_nothing(project, make):
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    before = project.identities()

    def stumble() -> None:
        with project.begin_scan(ScanSettings()) as writer:
            writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
            writer.add_reference(1, make.reference(1))
            raise KeyError("the detector stumbled")

    with pytest.raises(KeyError):
        stumble()
    assert project.identities() == before
    assert len(list((project.folder / "scans").iterdir())) == 1
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])  # the lock is free again


KILLED_SCAN = """
import sys
from pathlib import Path
import numpy as np
from refrestore.config import ScanSettings
from refrestore.project import Project
from refrestore.types import Faces, Reference, Track
project = Project.open(Path(sys.argv[1]))
writer = project.begin_scan(ScanSettings())
number = 0
while True:
    number += 1
    frames = np.arange(100 * number, 100 * number + 100)
    faces = Faces(frame=frames, box=np.tile([0, 0, 9, 9], (100, 1)),
                  keypoints=np.zeros((100, 5, 2)), score=np.ones(100))
    writer.add_track(Track(number, 0, frames[0], frames[-1] + 1, None, 0.0, 0.0, 9.0, True), faces)
    writer.add_reference(number, Reference(
        np.zeros((512, 512, 3), np.uint8), np.zeros((468, 2), np.float32),
        np.ones(512, np.float32), np.zeros(3, np.float32), 0.5, 0.5, 100.0, "film"))
    print(number, flush=True)
"""


def test_a_killed_scan_changes_nothing_and_leaves_nothing(project, make):
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    project.rename(1, "Anna")
    before = project.identities()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_SCAN, str(project.folder)], stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if int(line) == 20:
            break
    assert project.identities() == before  # another process is in the middle of a scan
    with pytest.raises(ProjectError, match=rf"is being scanned by process {process.pid}"):
        project.begin_scan(ScanSettings())
    process.kill()
    process.wait()
    assert len(list((project.folder / "scans").iterdir())) == 2
    with Project.open(project.folder) as opened:
        assert opened.identities() == before
        assert len(opened.faces()) == 700
        assert opened.database.rows("SELECT COUNT(*) FROM tracks") == [(3,)]
        assert opened.database.rows("SELECT COUNT(*) FROM reference_crops") == [(0,)]
    assert [entry.name for entry in (project.folder / "scans").iterdir()] == ["0001"]
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    assert project.identities() == before


def test_two_scans_at_once_are_refused(project):
    with (
        project.begin_scan(ScanSettings()),
        Project.open(project.folder) as other,
        pytest.raises(ProjectError, match="wait for that scan to end"),
    ):
        other.begin_scan(ScanSettings())
    with project.begin_scan(ScanSettings()):
        pass


def test_opening_during_a_scan_does_not_sweep_it_away(project, make):
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
        writer.add_reference(1, make.reference(1))
        writer.set_identities([[1]])
        with Project.open(project.folder) as other:
            assert other.identities() == []
    assert len(project.references(1)) == 1


def test_an_old_scan_gives_its_room_back(project, make):
    def scan(count):
        with project.begin_scan(ScanSettings()) as writer:
            for number in range(count):
                writer.add_track(make.track(number, 0, 200), make.faces(0, 200, full=True))
        project.database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return project.database.path.stat().st_size

    large = scan(6)
    assert scan(1) < large / 3


# --- the folder -------------------------------------------------------------------------------


def test_a_copied_project_is_whole(project, make, tmp_path):
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
        writer.add_reference(1, make.reference(1))
        writer.set_identities([[1]])
    project.rename(1, "Anna")
    project.close()
    assert sorted(entry.name for entry in project.folder.iterdir()) == [
        "project.sqlite",
        "scan.lock",
        "scans",
    ]
    elsewhere = tmp_path / "other place #1?" / "copy"
    shutil.copytree(project.folder, elsewhere)
    shutil.rmtree(project.folder)
    with Project.open(elsewhere) as copy:
        assert copy.identity(1).name == "Anna"
        assert len(copy.references(1)) == 1
    Database(elsewhere / "project.sqlite").close()


def test_the_video_is_found_beside_a_moved_project(tmp_path, make):
    there = tmp_path / "there"
    there.mkdir()
    (there / "film.mp4").write_bytes(b"")
    Project.create(there / "project", make.video(there)).close()
    shutil.move(there, tmp_path / "here")
    with Project.open(tmp_path / "here" / "project") as moved:
        assert moved.video == make.video(tmp_path / "here")


def test_a_project_that_cannot_be_written_can_be_read(project, make, tmp_path, monkeypatch):
    make.scan(project, TWO_PEOPLE, [[1, 3], [2]])
    project.close()
    monkeypatch.setattr("refrestore.storage.opening.may_write", lambda path: False)
    with Project.open(project.folder) as opened:
        assert len(opened.identities()) == 2
        with pytest.raises(Exception, match="readonly") as caught:
            opened.rename(1, "Anna")
        assert type(caught.value).__name__ == "DiskError"


def test_another_video_is_refused(project, make, tmp_path):
    project.check_video("f" * 16)
    with pytest.raises(ProjectError, match=r"is about film\.mp4, and .*other\.mp4 is another"):
        project.check_video("0" * 16, Path("other.mp4"))
    with pytest.raises(ProjectError, match="another video"):
        Project.open_or_create(project.folder, make.video(tmp_path, "0" * 16))
    Project.open_or_create(project.folder, make.video(tmp_path)).close()


def test_create_refuses_folders_in_use(project, make, tmp_path):
    with pytest.raises(ProjectError, match="is a project already"):
        Project.create(project.folder, make.video(tmp_path))
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ProjectError, match="not empty and not a project"):
        Project.create(tmp_path, make.video(tmp_path))
    assert not (tmp_path / "project.sqlite").exists()


def test_open_needs_a_project(tmp_path):
    with pytest.raises(ProjectError, match=r"no project in .*refrestore scan"):
        Project.open(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_open_refuses_other_files(tmp_path, content):
    (tmp_path / "project.sqlite").write_bytes(content)
    with pytest.raises(ProjectError, match=r"damaged|not a refrestore project"):
        Project.open(tmp_path)


def _set_version(folder: Path, version: int) -> None:
    connection = sqlite3.connect(folder / "project.sqlite")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_other_schemas_are_refused(project):
    project.close()
    _set_version(project.folder, SCHEMA_VERSION + 1)
    with pytest.raises(ProjectError, match=r"newer refrestore .*: update refrestore"):
        Project.open(project.folder)
    _set_version(project.folder, 0)
    with pytest.raises(ProjectError, match=r"older refrestore .* scan the video into a new"):
        Project.open(project.folder)


def test_an_older_schema_is_converted(project):
    project.close()
    _set_version(project.folder, 0)

    def convert(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('converted', 'yes')")

    def stumble(connection: sqlite3.Connection) -> None:
        convert(connection)
        raise KeyError("half-way")

    path = project.folder / "project.sqlite"
    others = dict.fromkeys(range(1, SCHEMA_VERSION), lambda _: None)
    with pytest.raises(KeyError):
        Database(path, {**others, 0: stumble})
    database = Database(path, {**others, 0: convert})
    assert database.meta("converted") == "yes"
    database.close()
    Project.open(project.folder).close()


@pytest.fixture
def version_1(project):
    """A scanned project as the first version wrote it: no digest of the recogniser."""
    with project.begin_scan(ScanSettings(), recogniser="net", recogniser_digest="a" * 16) as writer:
        writer.set_frames(7)
    project.close()
    connection = sqlite3.connect(project.folder / "project.sqlite")
    connection.execute("ALTER TABLE scans DROP COLUMN recogniser_digest")
    connection.execute("ALTER TABLE scans DROP COLUMN treatment")
    connection.execute("UPDATE scans SET settings = '{\"detect_every\": 5}'")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    return project.folder


def test_a_scan_of_version_1_does_not_say_which_file_its_recogniser_was(version_1):
    for _ in range(2):  # converted, and as it is then
        with Project.open(version_1) as opened:
            info = opened.scan_info()
            assert (info.recogniser, info.recogniser_digest, info.frames) == ("net", "", 7)
    with Project.open(version_1) as opened:
        with opened.begin_scan(ScanSettings(), recogniser="net", recogniser_digest="b" * 16):
            pass
        assert opened.scan_info().network == NetworkId("net", "b" * 16)


def test_a_scan_of_an_older_version_left_the_pictures_as_they_were(version_1):
    with Project.open(version_1) as opened:
        info = opened.scan_info()
        assert info.treatment == UNTREATED
        assert info.settings.deinterlace == "off"  # and so another than is asked for now
        assert opened.video.stream is None


def test_a_scan_remembers_what_was_done_to_the_pictures(project):
    treatment = Treatment("field", top_first=False, denoise="strong", combed=3, judged=4)
    with project.begin_scan(ScanSettings(), treatment=treatment):
        pass
    known = project.scan_info().treatment
    assert known == treatment
    assert (known.combed, known.judged) == (3, 4)
    for older, became in (("true", "frame"), ("false", "off")):  # of versions before "field"
        said = (
            f'{{"deinterlace": {older}, "top_first": null, "denoise": "off", '
            '"combed": 3, "judged": 4}'
        )
        project.database.execute("UPDATE scans SET treatment = ?", (said,))
        assert project.scan_info().treatment == Treatment(became)
    for wrong in ("{}", "[]", '{"deinterlace": 1}', '{"deinterlace": "half"}'):
        project.database.execute("UPDATE scans SET treatment = ?", (wrong,))
        with pytest.raises(ProjectError, match="treatment"):
            project.scan_info()


def test_a_project_is_about_one_stream(tmp_path, project):
    project.check_stream(None)
    with pytest.raises(ProjectError, match="the first choice of the streams"):
        project.check_stream(3)
    other = replace(project.video, stream=3)
    with pytest.raises(ProjectError, match="another is asked for"):
        Project.open_or_create(project.folder, other)
    with Project.create(tmp_path / "third", other) as third:
        assert third.video.stream == 3
        third.check_stream(3)
        with pytest.raises(ProjectError, match="stream 3 of the streams"):
            third.check_stream(None)


def test_two_processes_convert_a_project_at_the_same_time(version_1):
    """Both have seen version 1 before either converts."""
    both = threading.Barrier(2)

    class Late(Mapping):
        def __getitem__(self, step):
            return MIGRATIONS[step]

        def __iter__(self):
            return iter(MIGRATIONS)

        def __len__(self):
            return len(MIGRATIONS)

        def __contains__(self, step):
            both.wait()
            return step in MIGRATIONS

    with ThreadPoolExecutor(2) as pool:
        opened = list(pool.map(lambda _: Database(version_1 / "project.sqlite", Late()), range(2)))
    for database in opened:
        assert database.rows("SELECT recogniser_digest FROM scans") == [("",)]
        database.close()


def test_an_older_project_that_cannot_be_written_to_is_read(version_1, monkeypatch):
    monkeypatch.setattr("refrestore.storage.opening.may_write", lambda path: False)
    before = (version_1 / "project.sqlite").read_bytes()
    with Project.open(version_1) as opened:
        assert opened.scan_info().frames == 7
        with pytest.raises(DiskError, match="Cannot write"):
            opened.database.set_meta("scan", "9")
    assert (version_1 / "project.sqlite").read_bytes() == before


def test_a_damaged_crop_is_named(project, make):
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 5), make.faces(0, 5))
        writer.add_reference(1, make.reference(1))
        writer.set_identities([[1]])
    (crop,) = project.folder.glob("scans/*/references/*.png")
    crop.write_bytes(crop.read_bytes()[:100])
    with pytest.raises(ProjectError, match=r"000001\.png is not a picture any more"):
        project.references(1)
    crop.unlink()
    with pytest.raises(ProjectError, match=r"000001\.png is missing"):
        project.references(1)


def test_a_full_disk_is_one_sentence(project, make, tmp_path):
    code = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from refrestore.config import ScanSettings
        from refrestore.errors import DiskError
        from refrestore.project import Project
        from refrestore.types import Faces, Track
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        project = Project.open(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        rng = np.random.default_rng(0)
        try:
            with project.begin_scan(ScanSettings()) as writer:
                for number in range(100):
                    writer.add_track(
                        Track(number, 0, 0, 500, None, 0.0, 0.0, 9.0, True),
                        Faces(frame=np.arange(500), box=rng.normal(size=(500, 4)),
                              keypoints=rng.normal(size=(500, 5, 2)), score=np.ones(500)))
        except DiskError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project.folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Cannot write" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
    with Project.open(project.folder) as opened:
        assert opened.tracks() == []


def test_memory_stays_flat_while_scanning(project, make):
    import tracemalloc

    def peak(tracks: range) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for number in tracks:
            writer.add_track(make.track(number, 0, 200), make.faces(0, 200, full=True))
        return tracemalloc.get_traced_memory()[1] - before

    with project.begin_scan(ScanSettings()) as writer:
        tracemalloc.start()
        try:
            peak(range(2))
            few = peak(range(2, 5))
            many = peak(range(5, 25))
        finally:
            tracemalloc.stop()
    assert many < 1.2 * few
