"""Whose face is where in a photo, as photo managers write it: XMP in the file or beside it.

Two schemas: regions of the Metadata Working Group (guidelines 2.0, section 5.9), which digiKam,
Picasa and Lightroom write, each in another of RDF's spellings, and Microsoft's People tags, which
digiKam and Windows write. A photo comes from anywhere: its XML may define nothing (no DTD, so no
entities), and is bounded.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from refrestore.errors import MediaError
from refrestore.file_names import readable_name
from refrestore.media.stills import PhotoTags, read_tags
from refrestore.plain_file import is_plain

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of a picture's width and height."""

MOST_XMP = 4_000_000
"""Bytes of XMP that are read; a few kB are usual, digiKam's with a history of edits some 100 kB."""

_DEEPEST = 50
"""Elements inside each other; regions lie about ten deep."""

_SAME_SHAPE = 0.02
"""Difference of two aspect ratios' logarithms up to which they are one: reductions are rounded."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_MWG = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_AREA = "{http://ns.adobe.com/xmp/sType/Area#}"
_SIZE = "{http://ns.adobe.com/xap/1.0/sType/Dimensions#}"
_MP = "{http://ns.microsoft.com/photo/1.2/}"
_MP_INFO = "{http://ns.microsoft.com/photo/1.2/t/RegionInfo#}"
_MP_REGION = "{http://ns.microsoft.com/photo/1.2/t/Region#}"

_UPRIGHT: Mapping[int, Callable[[float, float], tuple[float, float]]] = MappingProxyType(
    {
        1: lambda x, y: (x, y),
        2: lambda x, y: (1 - x, y),
        3: lambda x, y: (1 - x, 1 - y),
        4: lambda x, y: (x, 1 - y),
        5: lambda x, y: (y, x),
        6: lambda x, y: (1 - y, x),
        7: lambda x, y: (1 - y, 1 - x),
        8: lambda x, y: (y, 1 - x),
    }
)
"""Where a point of the stored picture is in the upright one, by EXIF orientation."""

Properties = Mapping[str, "str | Element"]


@dataclass(frozen=True, slots=True)
class FaceRegion:
    """A face that somebody has named.

    Parameters
    ----------
    name
        Whose.
    boxes
        Where it is in the upright picture. Two where the file does not tell whether the region was
        drawn on the picture as it is stored or as it is shown: programs differ.
    """

    name: str
    boxes: tuple[Box, ...]


def face_regions(path: Path) -> tuple[FaceRegion, ...]:
    """Return the named faces of a photo: its sidecar's (a.jpg.xmp, a.xmp), or else its own.

    Parameters
    ----------
    path
        A picture. Only its header is read.

    Raises
    ------
    MediaError
        When the picture or its XMP cannot be read, or regions are of a picture of another shape.
    """
    tags = read_tags(path)
    for sidecar in _sidecars(path):
        found = _regions(_read(sidecar), sidecar, tags)
        if found:
            return found
    return () if tags.xmp is None else _regions(tags.xmp, path, tags)


def _sidecars(path: Path) -> Iterator[Path]:
    for name in (f"{path.name}.xmp", f"{path.name}.XMP", f"{path.stem}.xmp", f"{path.stem}.XMP"):
        sidecar = path.with_name(name)
        if is_plain(sidecar):
            yield sidecar


def _read(sidecar: Path) -> bytes:
    try:
        with sidecar.open("rb") as file:
            return file.read(MOST_XMP + 1)
    except OSError as error:
        raise MediaError(f"{readable_name(sidecar)} cannot be read: {error.strerror}.") from error


def _regions(xmp: bytes, path: Path, tags: PhotoTags) -> tuple[FaceRegion, ...]:
    name = readable_name(path)
    if len(xmp) > MOST_XMP:
        raise MediaError(f"{name} has more than {MOST_XMP // 1_000_000} MB of XMP.")
    try:
        root = _tree(xmp.rstrip(b"\0 \r\n\t"))
        found = list(_mwg(root, tags)) or list(_people_tags(root, tags))
    except (_UnreadableError, expat.ExpatError, UnicodeError, LookupError) as error:
        raise MediaError(f"{name} has XMP that cannot be read ({error}).") from error
    except _OtherShapeError as error:
        raise MediaError(f"{name} {error}.") from error
    return tuple(found)


class _UnreadableError(Exception):
    """What XML there may not be."""


class _OtherShapeError(Exception):
    """That regions are of a picture of another shape, as the end of a sentence."""


def _tree(xmp: bytes) -> Element:
    """Return the root of XML that defines nothing."""
    builder, parser = TreeBuilder(), expat.ParserCreate(namespace_separator="}")
    depth = 0

    def named(name: str) -> str:
        return "{" + name if "}" in name else name

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise _UnreadableError(f"more than {_DEEPEST} elements lie inside each other")
        builder.start(named(name), {named(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(named(name))

    def refuse(*_: object) -> None:
        raise _UnreadableError("it has a document type, which no photo needs")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.Parse(xmp, True)
    return builder.close()


def _properties(element: Element) -> Properties:
    """Return an RDF node's properties, whichever way they are spelt: what `rdf:li` holds too."""
    found: dict[str, str | Element] = dict(element.attrib)
    for child in element:
        if child.tag == f"{_RDF}Description":
            found.update(_properties(child))
        elif len(child) or child.attrib:
            found[child.tag] = child
        else:
            found[child.tag] = child.text or ""
    return found


def _items(value: str | Element | None) -> Iterator[Properties]:
    """Yield the members of an RDF bag or sequence."""
    if isinstance(value, Element):
        for one in value.iter(f"{_RDF}li"):
            yield _properties(one)


def _text(properties: Properties, key: str) -> str:
    value = properties.get(key, "")
    return (value if isinstance(value, str) else value.text or "").strip()


def _number(properties: Properties, key: str) -> float:
    try:
        value = float(_text(properties, key))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _positive(value: float) -> float:
    return value if value > 0 else math.nan


def _nodes(root: Element, tag: str) -> Iterator[Properties]:
    for element in root.iter(tag):
        yield _properties(element)


def _mwg(root: Element, tags: PhotoTags) -> Iterator[FaceRegion]:
    for regions in _nodes(root, f"{_MWG}Regions"):
        applied = regions.get(f"{_MWG}AppliedToDimensions")
        size = _properties(applied) if isinstance(applied, Element) else {}
        width, height = (_positive(_number(size, f"{_SIZE}{key}")) for key in "wh")
        for item in _items(regions.get(f"{_MWG}RegionList")):
            name = _name(_text(item, f"{_MWG}Name"))
            if not name or _text(item, f"{_MWG}Type").lower() not in ("face", ""):
                continue
            area = item.get(f"{_MWG}Area")
            where = _properties(area) if isinstance(area, Element) else {}
            x, y, w, h = (_number(where, f"{_AREA}{key}") for key in "xywh")
            if _text(where, f"{_AREA}unit").lower() == "pixel":
                x, y, w, h = x / width, y / height, w / width, h / height
            box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
            yield from _region(name, box, tags, width / height)


def _people_tags(root: Element, tags: PhotoTags) -> Iterator[FaceRegion]:
    for info in _nodes(root, f"{_MP}RegionInfo"):
        for item in _items(info.get(f"{_MP_INFO}Regions")):
            name = _name(_text(item, f"{_MP_REGION}PersonDisplayName"))
            rectangle = _text(item, f"{_MP_REGION}Rectangle").split(",")
            if not name or len(rectangle) != 4:
                continue
            numbers = {str(place): text for place, text in enumerate(rectangle)}
            x, y, w, h = (_number(numbers, key) for key in "0123")
            yield from _region(name, (x, y, x + w, y + h), tags, math.nan)


def _name(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _region(name: str, box: Box, tags: PhotoTags, applied: float) -> Iterator[FaceRegion]:
    """Yield a region of the upright picture, nothing where the numbers are none."""
    if any(map(math.isnan, box)):
        return
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in box)
    if right <= left or bottom <= top:
        return
    turned = _UPRIGHT[tags.orientation]
    (x, y), (u, v) = turned(left, top), turned(right, bottom)
    drawn_on_stored = min(x, u), min(y, v), max(x, u), max(y, v)
    drawn_on_shown = left, top, right, bottom
    choices = [
        choice
        for choice, (width, height) in (
            (drawn_on_stored, tags.stored),
            (drawn_on_shown, tags.shown),
        )
        if math.isnan(applied) or abs(math.log(applied * height / width)) < _SAME_SHAPE
    ]
    if not choices:
        width, height = tags.shown
        raise _OtherShapeError(
            f"has face regions of a picture of another shape than its {width}x{height}: it was "
            "cropped since they were drawn"
        )
    yield FaceRegion(name, tuple(dict.fromkeys(choices)))
