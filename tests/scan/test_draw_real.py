"""A woman in full profile whom a scan of the real film does not see, drawn on one frame of it."""

from fractions import Fraction

import av
import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.media.probe import probe
from refrestore.project import Project
from refrestore.scan.draw import Pencil, draw_face
from refrestore.scan.scan import scan

pytestmark = pytest.mark.shared

BRIDGE = (32.6, 35.2)
"""Seconds of the film: a man and a woman argue on a bridge, both from the side."""

BOX, AT = (436.0, 52.0, 480.0, 118.0), Fraction(341, 10)
"""Around her head, in pixels of the film, and when."""


def test_a_profile_that_the_scan_missed_is_followed(shared, tmp_path):
    film, piece = shared / "data/film/tears_of_steel_360p.mp4", tmp_path / "bridge.mp4"
    with av.open(str(film)) as source, av.open(str(piece), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        source.seek(int(BRIDGE[0] / stream.time_base), stream=stream)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts * stream.time_base <= BRIDGE[1]:
                packet.stream = copy
                target.mux(packet)
    runtime = RuntimeSettings(device="cpu", threads=1)
    scan(piece, tmp_path / "project", settings=ScanSettings(), runtime=runtime)
    with Project.open(tmp_path / "project") as project:
        at = AT - probe(piece).start
        frame = round(at * project.video.rate)
        here = project.faces(project.identity_of_track(), frame, frame + 1)
        assert not any(box[0] > 400 for box in here.box)
        drawn = draw_face(project, at, BOX, pencil=Pencil.open(runtime), name="Celia")
        faces = project.faces([drawn.track])
        assert drawn.stop - drawn.first > 50
        assert (faces.score > 0.6).mean() > 0.95
        middle = (faces.box[:, :2] + faces.box[:, 2:]) / 2
        assert np.abs(middle - np.mean([BOX[:2], BOX[2:]], axis=0)).max() < 40
        assert 25 < np.median(faces.size) < 50
        (track,) = project.tracks([drawn.track])
        assert track.embedding_weight > 0.3
