"""Who is on screen when, drawn: a row a person, a bar a track, shot cuts as thin lines."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refrestore.errors import UsageError
from refrestore.media.files import write_file
from refrestore.plain_text import counted, plain
from refrestore.types import Identity, ImageArray

from .project import Project
from .timing import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")

MOST_PEOPLE = 40
"""Rows drawn; the picture stays readable and below the sizes viewers refuse."""

RESTORED, UNHELPED, ALONE = "#2a78b8", "#a9cbe4", "#b4b4b4"
"""Blue, its tint, grey: told apart in grey-scale print and with any colour blindness."""

CUT, TEXT, MUTED = "#d9d9d9", "#222222", "#757575"

_WIDTH, _ROW, _TOP, _BOTTOM = 13.0, 0.62, 0.62, 0.42
"""Inches."""

_FACES, _LABELS, _RIGHT = 0.62, 2.15, 0.25
"""Inches left of the axes: the thumbnails' column and the labels'; and the margin right of them."""

_DPI = 150
_BAR = 0.52
_LEAST_BAR = 0.0015
"""Part of the axis that the shortest bar takes: a glimpse of one frame is still seen."""

_THUMBNAIL = 84
"""Side in pixels of the faces: what the rows show at `_DPI`."""

_NAME_LENGTH = 20
_MOST_CUTS = 400
"""With more, the lines would be a grey field."""

_TICKS = 10
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
"""Seconds between ticks that people can count in."""


@dataclass(frozen=True)
class TimelineRow:
    """One person of the picture.

    Parameters
    ----------
    name, facts
        What is written beside the face.
    spans
        Seconds of start and end of each appearance.
    colour
        Of the bars.
    face : (H, W, 3) uint8, optional
        RGB.
    """

    name: str
    facts: str
    spans: tuple[tuple[float, float], ...]
    colour: str
    face: ImageArray | None = None


def write_timeline(project: Project, path: Path, *, most: int = MOST_PEOPLE) -> None:
    """Draw who is on screen when, as PNG or SVG by suffix; the same project, the same bytes.

    Parameters
    ----------
    project
        A scanned project.
    path
        Where to.
    most
        People at most, those longest on screen.

    Raises
    ------
    UsageError
        When the suffix is neither.
    DiskError
        When it cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise UsageError(f"{path} needs a name that ends in {' or '.join(SUFFIXES)}.")
    with project.database.transaction():
        people = [one for one in project.identities() if one.state != "not_a_face"]
        shown = sorted(people, key=lambda one: (-one.seconds, one.id))[:most]
        timeline = project.timeline()
        rows = [_row(project, one, timeline) for one in shown]
        shots = project.shots()
        info = project.scan_info()
        frames = max([shot.stop for shot in shots] + [info.frames or 0 if info else 0])
        extent = (timeline.seconds(0), timeline.seconds(frames))
        cuts = timeline.cuts[1:]
    title = f"Who is on screen in {project.video.path.name}"
    if len(shown) < len(people):
        title += f" (the {len(shown)} longest of {counted(len(people), 'person', 'people')})"
    write_file(path, draw_timeline(rows, cuts, extent, title=title, kind=kind[1:]))


def draw_timeline(
    rows: Sequence[TimelineRow],
    cuts: Iterable[float],
    extent: tuple[float, float],
    *,
    title: str,
    kind: str,
) -> bytes:
    """Return the picture as PNG or SVG.

    Parameters
    ----------
    rows
        People, the uppermost first.
    cuts
        Seconds.
    extent
        Seconds of the video's start and end.
    title
        Above it.
    kind
        "png" or "svg".
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = _TOP + max(1, len(rows)) * _ROW + _BOTTOM
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Nobody's own settings, ids from a fixed salt and no dates: the same project is the same
        # bytes. Text stays text in an SVG: names can be searched and need no font of ours.
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "refrestore"
        matplotlib.rcParams["svg.fonttype"] = "none"
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure((_WIDTH, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        left = (_FACES + _LABELS) / _WIDTH
        axes = figure.add_axes(
            (left, _BOTTOM / height, 1 - left - _RIGHT / _WIDTH, 1 - (_TOP + _BOTTOM) / height)
        )
        _draw_axes(axes, extent, max(1, len(rows)))
        _draw_cuts(axes, list(cuts))
        for number, row in enumerate(rows):
            _draw_row(figure, axes, number, row, extent)
        if not rows:
            axes.text(0.5, 0.5, "nobody", transform=axes.transAxes, ha="center", color=MUTED)
        _draw_head(figure, title, height, {row.colour for row in rows})
        content = io.BytesIO()
        nothing = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(content, format=kind, metadata=nothing)
    return content.getvalue()


def clock(seconds: float, *, hours: bool = False) -> str:
    """Return a time as m:ss, or h:mm:ss."""
    sign, whole = ("-", -round(seconds)) if round(seconds) < 0 else ("", round(seconds))
    if hours:
        return f"{sign}{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{sign}{whole // 60}:{whole % 60:02d}"


def _row(project: Project, person: Identity, timeline: Timeline) -> TimelineRow:
    tracks = project.tracks(person.tracks)
    spans = tuple((timeline.seconds(t.first), timeline.seconds(t.stop)) for t in tracks)
    if person.state != "restore":
        colour, fact = ALONE, "left alone"
    elif person.references or person.profile:
        colour = RESTORED
        fact = counted(person.references, "close-up")
    else:
        colour, fact = UNHELPED, "no close-up"
    if person.profile:
        fact += f", {person.profile}"
    facts = f"{person.seconds:.1f} s · {fact}"
    name = person.name if len(person.name) <= _NAME_LENGTH else f"{person.name[:_NAME_LENGTH]}…"
    return TimelineRow(f"{person.id}  {name}", facts, spans, colour, _face(project, person))


def _face(project: Project, person: Identity) -> ImageArray | None:
    """Return the picture that shows a person best."""
    references = project.references(person.id)
    if references:
        return references[0].image
    tracks = project.tracks(person.tracks)
    for track in sorted(tracks, key=lambda one: (-one.quality, one.id)):
        thumbnail = project.thumbnail(track.id)
        if thumbnail is not None:
            return thumbnail
    return None


def _draw_axes(axes: Axes, extent: tuple[float, float], rows: int) -> None:
    start, end = extent
    end = max(end, start + 1)
    step = next((one for one in _STEPS if (end - start) / one <= _TICKS), _STEPS[-1])
    first = -(-start // step)
    ticks = [step * (first + place) for place in range(int((end - start) // step) + 2)]
    ticks = [tick for tick in ticks if start <= tick <= end]
    axes.set_xlim(start, end)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks(ticks, [clock(tick, hours=end >= 3600) for tick in ticks])
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=9, colors=TEXT, length=3)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    for row in range(1, rows):
        axes.axhline(row - 0.5, color="#f0f0f0", linewidth=0.6, zorder=0)


def _draw_cuts(axes: Axes, cuts: Sequence[float]) -> None:
    if len(cuts) <= _MOST_CUTS:
        low, high = axes.get_ylim()
        axes.vlines(cuts, min(low, high), max(low, high), colors=CUT, linewidth=0.6, zorder=1)


def _draw_row(
    figure: Figure, axes: Axes, number: int, row: TimelineRow, extent: tuple[float, float]
) -> None:
    least = _LEAST_BAR * (extent[1] - extent[0])
    bars = [(start, max(stop - start, least)) for start, stop in row.spans]
    axes.broken_barh(bars, (number - _BAR / 2, _BAR), facecolors=row.colour, zorder=2)
    width, height = figure.get_size_inches()
    middle = 1 - (_TOP + (number + 0.5) * _ROW) / height
    words: dict[str, Any] = {"ha": "left", "va": "center", "parse_math": False}
    left = (_FACES + 0.12) / width
    figure.text(left, middle + 0.09 / height, plain(row.name), color=TEXT, size=10, **words)
    figure.text(left, middle - 0.12 / height, plain(row.facts), color=MUTED, size=8, **words)
    if row.face is not None:
        side = 0.54
        box = (0.12 / width, middle - side / 2 / height, side / width, side / height)
        beside = figure.add_axes(box)
        beside.imshow(_small(row.face), interpolation="none")
        beside.set_axis_off()


def _small(face: ImageArray) -> ImageArray:
    import cv2

    small = cv2.resize(face, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    return small.astype(face.dtype)


def _draw_head(figure: Figure, title: str, height: float, colours: set[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure.text(
        0.12 / _WIDTH,
        1 - 0.22 / height,
        plain(title),
        color=TEXT,
        size=12,
        va="center",
        parse_math=False,
    )
    meanings = {
        RESTORED: "to be restored from close-ups",
        UNHELPED: "no close-up: hardly touched",
        ALONE: "left alone, as you said",
    }
    keys: list[Patch | Line2D] = [
        Patch(color=colour, label=words) for colour, words in meanings.items() if colour in colours
    ]
    keys.append(Line2D([], [], color=CUT, linewidth=1.2, label="cut"))
    figure.legend(
        handles=keys,
        loc="upper right",
        bbox_to_anchor=(1 - (_RIGHT - 0.08) / _WIDTH, 1 - 0.155 / height),
        borderpad=0,
        borderaxespad=0,
        ncols=len(keys),
        frameon=False,
        fontsize=8,
        labelcolor=TEXT,
        handlelength=1.4,
    )
