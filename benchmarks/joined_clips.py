"""The sign-language clips as one film, for `label_faces.py`, `identity_films.py`, `trackers.py`.

    python benchmarks/joined_clips.py DATA FILM.mkv

Twenty clips of a few people who recur, one after the other in an order drawn once: every join is a
cut, and whoever comes after it may have been seen before or not. Encoded again almost without loss,
as the pictures of clips cannot be counted through in one file otherwise.
"""

from __future__ import annotations

import argparse
import random
from fractions import Fraction
from pathlib import Path

import av

NAME = "asl_gestures_joined"
PATTERN = "*asl_gestures_*.mkv"
CLIPS = 20
SEED = 4
RATE = 30


def joined(data: Path, film: Path) -> list[int]:
    """Write the film and return the first frame of every clip in it."""
    clips = sorted(data.rglob(PATTERN), key=lambda path: path.name)
    if len(clips) != CLIPS:
        raise SystemExit(f"{data} has {len(clips)} clips {PATTERN}, the labels are of {CLIPS}")
    random.Random(SEED).shuffle(clips)
    starts, count = [], 0
    with av.open(str(film), "w") as output:
        stream = output.add_stream("libx264", RATE, {"crf": "8", "preset": "fast"})
        for clip in clips:
            starts.append(count)
            with av.open(str(clip)) as source:
                for frame in source.decode(video=0):
                    if not count:
                        stream.width, stream.height = frame.width, frame.height
                        stream.pix_fmt = frame.format.name
                        stream.codec_context.color_range = frame.color_range
                    frame.pts, frame.time_base = count, Fraction(1, RATE)
                    frame.pict_type = av.video.frame.PictureType.NONE
                    output.mux(stream.encode(frame))
                    count += 1
        output.mux(stream.encode())
    return starts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("film", type=Path)
    arguments = parser.parse_args()
    print("clips begin at frames", joined(arguments.data, arguments.film))


if __name__ == "__main__":
    main()
