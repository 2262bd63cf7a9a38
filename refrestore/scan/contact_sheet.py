"""Contact sheet: who is in a video, on one picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from refrestore.plain_text import counted, plain
from refrestore.project.project import Project
from refrestore.types import Identity, ImageArray

COLUMNS = 12
"""Faces a row at most."""

TILE = 96
"""Side of a face in pixels."""

_LABEL = 200
_GAP = 4
_HEADER = 24
_BACKGROUND, _TEXT, _MUTED = (24, 24, 27), (240, 240, 240), (150, 150, 155)
_BIG, _SMALL = 15, 12


def contact_sheet(project: Project) -> ImageArray:
    """Draw a row of faces for each identity of a project.

    Name, state and seconds on the left; up to twelve faces on the right, references (framed)
    before the thumbnails of tracks, the best first.

    Returns
    -------
    (H, W, 3) uint8
        RGB.
    """
    identities = project.identities()
    width = _LABEL + COLUMNS * (TILE + _GAP) + _GAP
    height = _HEADER + max(1, len(identities)) * (TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    big, small = ImageFont.load_default(_BIG), ImageFont.load_default(_SMALL)
    title = f"{project.video.path.name}: {counted(len(identities), 'person', 'people')}"
    draw.text((2 * _GAP, _GAP), plain(title), _MUTED, font=small)
    for row, identity in enumerate(identities):
        top = _HEADER + row * (TILE + _GAP) + _GAP
        name = plain(f"{identity.id}  {identity.name}")
        draw.text((2 * _GAP, top + 8), name, _TEXT, font=big)
        for line, text in enumerate(_facts(identity)):
            draw.text((2 * _GAP, top + 32 + 16 * line), plain(text), _MUTED, font=small)
        for column, (face, framed) in enumerate(_faces(project, identity)):
            left = _LABEL + column * (TILE + _GAP)
            picture = Image.fromarray(face).resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, top))
            if framed:
                corner = (left, top, left + TILE - 1, top + TILE - 1)
                draw.rectangle(corner, outline=_TEXT)
    return np.asarray(sheet)


def _facts(identity: Identity) -> list[str]:
    tracks = counted(len(identity.tracks), "track")
    return [
        f"{identity.seconds:.1f} s in {tracks}",
        counted(identity.references, "reference"),
        *([f"profile {identity.profile}"] if identity.profile else []),
        *([identity.state.replace("_", " ")] if identity.state != "restore" else []),
    ]


def _faces(project: Project, identity: Identity) -> list[tuple[ImageArray, bool]]:
    """Return faces to show, best first, and whether each is a reference."""
    references = project.references(identity.id)
    shown = [(reference.image, True) for reference in references[:COLUMNS]]
    tracks = sorted(project.tracks(identity.tracks), key=lambda track: -track.quality)
    for track in tracks:
        if len(shown) >= COLUMNS:
            break
        thumbnail = project.thumbnail(track.id)
        if thumbnail is not None:
            shown.append((thumbnail, False))
    return shown
