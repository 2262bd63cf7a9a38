"""Pictures of a film before and after: whole frames, and faces enlarged beneath each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.project import Project
from refrestore.types import Faces, ImageArray

TILE = 176
"""Side of a face, pixels."""

AROUND = 1.6
"""Side of what a tile shows, in heights of the face's box."""

_LEFT, _GAP, _HEADER = 92, 6, 46
_BACKGROUND, _TEXT, _MUTED = (24, 24, 27), (240, 240, 240), (150, 150, 155)
_BIG, _SMALL = 15, 12


@dataclass(frozen=True, slots=True)
class FaceMoment:
    """A person's face at one moment of the film.

    Parameters
    ----------
    name, note
        Written above the face.
    time
        Seconds.
    box
        x0, y0, x1, y1 in shares of the picture's width and height.
    """

    name: str
    note: str
    time: Fraction
    box: tuple[float, float, float, float]


def far_faces(project: Project, times: Sequence[Fraction]) -> list[FaceMoment]:
    """Return each person's face at the first of these times that has one, left to right."""
    moments = []
    unseen = list(project.identities())
    for time in times:
        frame, (width, height) = _frame_at(project.video.path, time)
        faces = project.faces(first=frame, stop=frame + 1)
        tracks = _tracks(faces)
        here = []
        for identity in list(unseen):
            rows = [row for row, track in enumerate(tracks) if track in identity.tracks]
            if not rows:
                continue
            unseen.remove(identity)
            x0, y0, x1, y1 = map(float, faces.box[rows[0]])
            count = identity.references
            note = (
                f"{y1 - y0:.0f} px, {count} close-ups"
                if count
                else f"{y1 - y0:.0f} px, no close-up"
            )
            box = (x0 / width, y0 / height, x1 / width, y1 / height)
            here.append(FaceMoment(identity.name, note, time, box))
        moments += sorted(here, key=lambda moment: moment.box[0])
    return moments


def face_sheet(moments: Sequence[FaceMoment], videos: Mapping[str, Path]) -> ImageArray:
    """Draw a column for each person and a row for each video, (H, W, 3) RGB."""
    columns = max(1, len(moments))
    width = _LEFT + columns * (TILE + _GAP)
    height = _HEADER + len(videos) * (TILE + _GAP)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    big, small = ImageFont.load_default(_BIG), ImageFont.load_default(_SMALL)
    for column, moment in enumerate(moments):
        left = _LEFT + column * (TILE + _GAP)
        draw.text((left + 2, 6), moment.name, _TEXT, font=big)
        draw.text((left + 2, 26), moment.note, _MUTED, font=small)
    for row, (label, video) in enumerate(videos.items()):
        top = _HEADER + row * (TILE + _GAP)
        draw.text((_GAP + 2, top + TILE // 2 - 8), label, _TEXT, font=big)
        pictures = {time: picture_at(video, time) for time in {one.time for one in moments}}
        for column, moment in enumerate(moments):
            tile = Image.fromarray(_enlarged(pictures[moment.time], moment.box))
            sheet.paste(tile, (_LEFT + column * (TILE + _GAP), top))
    return np.asarray(sheet)


def before_after(before: Path, after: Path, times: Sequence[Fraction]) -> ImageArray:
    """Draw frames before and after side by side, a row for each time, (H, W, 3) RGB.

    Both at the size of the one before.
    """
    rows = [[picture_at(video, time) for video in (before, after)] for time in times]
    height, width = rows[0][0].shape[:2]
    for pair in rows:
        smaller = cv2.resize(pair[1], (width, height), interpolation=cv2.INTER_AREA)
        pair[1] = np.asarray(smaller, np.uint8)
    shape = (_GAP + 2 * (width + _GAP), 28 + len(rows) * (height + _GAP))
    sheet = Image.new("RGB", shape, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_BIG)
    for column, label in enumerate(("before", "after")):
        left = _GAP + column * (width + _GAP)
        draw.text((left + 2, 5), label, _TEXT, font=font)
        for row, pictures in enumerate(rows):
            sheet.paste(Image.fromarray(pictures[column]), (left, 28 + row * (height + _GAP)))
    return np.asarray(sheet)


def stacked(pictures: Sequence[ImageArray]) -> ImageArray:
    """Return pictures beneath each other, each in the middle of the widest."""
    width = max(picture.shape[1] for picture in pictures)
    rows = []
    for picture in pictures:
        spare = width - picture.shape[1]
        row = np.full((picture.shape[0], width, 3), _BACKGROUND, np.uint8)
        row[:, spare // 2 : spare // 2 + picture.shape[1]] = picture
        rows.append(row)
    return np.concatenate(rows)


def picture_at(video: Path, time: Fraction) -> ImageArray:
    """Return the frame shown at a time, (H, W, 3) RGB."""
    with VideoReader(video, start=time) as reader:
        return display_rgb(next(iter(reader)))


def _frame_at(video: Path, time: Fraction) -> tuple[int, tuple[int, int]]:
    """Return index and (width, height) of the frame shown at a time."""
    with VideoReader(video, start=time) as reader:
        frame = next(iter(reader))
        height, width = display_rgb(frame).shape[:2]
        return frame.index, (width, height)


def _tracks(faces: Faces) -> list[int]:
    return [] if faces.track is None else [int(track) for track in faces.track]


def _enlarged(picture: ImageArray, box: tuple[float, float, float, float]) -> ImageArray:
    """Return the face and what is around it as a tile; the square never leaves the picture."""
    height, width = picture.shape[:2]
    side = min(AROUND * (box[3] - box[1]) * height, height, width)
    left = min(max(((box[0] + box[2]) * width - side) / 2, 0), width - side)
    top = min(max(((box[1] + box[3]) * height - side) / 2, 0), height - side)
    scale = TILE / side
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    matrix[:, 2] += 0.5 * (scale - 1)
    tile = cv2.warpAffine(
        picture, matrix, (TILE, TILE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(tile, np.uint8)
