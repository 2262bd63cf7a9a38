"""Numbered pictures as a film: which there are, that none is missing, and how they are opened.

They are named by a pattern as libav takes it, `frames/%06d.png`, or by their folder alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

from refrestore.errors import MediaError
from refrestore.file_names import is_utf8, readable_name

SUFFIXES = frozenset({".dpx", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
"""Of pictures that can be a film's."""

ASSUMED_RATE = Fraction(25)
"""Frames per second where nobody says it: pictures have no times of their own."""

MOST_NAMED = 4
"""Gaps that a sentence names."""

_END_BYTES = 4096
"""Of either end of each picture that a fingerprint looks at: in a compressed one, the end has
checksums of all of it."""

_PLACE = re.compile(r"%(?:0(\d{1,2}))?d")
_NUMBERED = re.compile(r"(.*?)(\d{1,18})(\.[A-Za-z]+)", re.DOTALL)


@dataclass(frozen=True)
class FrameSequence:
    """Numbered pictures, none of them missing.

    Parameters
    ----------
    pattern
        Folder, and name with `%d` or `%06d` where the number stands.
    first
        Number of the first.
    facts
        Size in bytes and time of change, nanoseconds, of each.
    """

    pattern: Path
    first: int
    facts: tuple[tuple[int, int], ...]

    def file(self, place: int) -> Path:
        """Return a picture by its place, the first at 0."""
        return self.pattern.with_name(file_name(self.pattern.name, self.first + place))

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(size for size, _ in self.facts)

    def fingerprint(self) -> str:
        """Return what identifies the content: numbers, sizes, and a digest of each one's ends."""
        digest = hashlib.sha256(f"{self.first}".encode())
        for place, (size, _) in enumerate(self.facts):
            digest.update(f" {size} ".encode())
            with self.file(place).open("rb") as file:
                digest.update(file.read(_END_BYTES))
                file.seek(max(0, size - _END_BYTES))
                digest.update(file.read(_END_BYTES))
        return f"{self.size}-{digest.hexdigest()}"

    def check_sizes(self) -> None:
        """Refuse pictures of several sizes before hours are spent on the first of them.

        Only headers are read, of what Pillow knows; of the rest the reader speaks on the way.

        Raises
        ------
        MediaError
            One is not as large as the first.
        """
        wanted = None
        for place in range(len(self.facts)):
            found = _picture_size(self.file(place))
            if found is None:
                continue
            wanted = wanted or found
            if found != wanted:
                raise MediaError(
                    f"{self.file(place)} is {found[0]}x{found[1]}, and {self.file(0).name} is "
                    f"{wanted[0]}x{wanted[1]}: pictures of one film have one size; scale it, or "
                    "make two films of them."
                )


def is_pattern(path: Path) -> bool:
    """Return whether a path names numbered pictures, and is no file's own name."""
    return (
        path.suffix.lower() in SUFFIXES
        and is_utf8(path)
        and "\0" not in os.fspath(path)
        and len(_PLACE.findall(path.name)) == 1
        and not os.path.lexists(path)
    )


def sequence_path(path: Path) -> Path:
    """Return the pattern of the pictures in a folder; any other path as it is.

    Raises
    ------
    MediaError
        The folder has no numbered pictures, or several sequences of them.
    """
    if not (is_utf8(path) and os.path.isdir(path)):
        return path
    patterns = sorted(_patterns([entry.name for entry in _listed(path)]))
    if len(patterns) > 1:
        raise MediaError(
            f"The folder {readable_name(path)} has several sequences of pictures "
            f"({', '.join(patterns[:MOST_NAMED])}): name one of them, as {path / patterns[0]}."
        )
    if not patterns:
        raise MediaError(
            f"{readable_name(path)} is not a file: it is a folder, without numbered pictures "
            f"({', '.join(sorted(SUFFIXES))}); name a film, or restore photos with `refrestore "
            "image`."
        )
    return path / patterns[0]


def read_sequence(pattern: Path) -> FrameSequence:
    """Return the pictures that a pattern names.

    Raises
    ------
    MediaError
        There is none, a number is missing between them, or one is empty.
    """
    before, digits, after = _split(pattern.name)
    found: dict[int, tuple[int, int]] = {}
    for entry in _listed(pattern.parent):
        name = entry.name
        number = name[len(before) : len(name) - len(after)]
        if name.startswith(before) and name.endswith(after) and number.isdecimal():
            if number != str(int(number)).zfill(digits):
                continue
            facts = entry.stat()
            found[int(number)] = facts.st_size, facts.st_mtime_ns
    if not found:
        raise MediaError(f"There are no pictures {pattern}.")
    numbers = sorted(found)
    every = range(numbers[0], numbers[-1] + 1)
    if len(numbers) < len(every):
        _refuse_gaps(pattern, sorted(set(every) - found.keys()), len(every))
    sequence = FrameSequence(pattern, numbers[0], tuple(found[one] for one in numbers))
    for place, (size, _) in enumerate(sequence.facts):
        if not size:
            raise MediaError(f"{sequence.file(place)} is empty (0 bytes).")
    return sequence


def libav_input(sequence: FrameSequence, rate: Fraction) -> tuple[str, dict[str, str]]:
    """Return a sequence's name for libav's image2 demuxer, and its options."""
    before, digits, after = _split(sequence.pattern.name)
    folder = os.path.join(sequence.pattern.parent, before)
    name = f"file:{folder.replace('%', '%%')}%0{digits}d{after.replace('%', '%%')}"
    return name, {"framerate": str(rate), "start_number": str(sequence.first)}


def file_facts(path: Path) -> object:
    """Return what of a film, file or pictures, changes when somebody writes to it.

    Raises
    ------
    OSError, MediaError
        It is gone.
    """
    if is_pattern(path):
        return read_sequence(path)
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def is_film(path: Path) -> bool:
    """Return whether a file of that name is there, or the pictures of a pattern's folder."""
    return os.path.exists(path.parent if is_pattern(path) else path)


def file_name(name: str, number: int) -> str:
    """Return the name of the picture of a number.

    >>> file_name("shot_%06d.png", 12)
    'shot_000012.png'
    """
    before, digits, after = _split(name)
    return f"{before}{str(number).zfill(digits)}{after}"


def _split(name: str) -> tuple[str, int, str]:
    """Return what stands before a pattern's number, its least digits, and what stands behind it."""
    place = _PLACE.search(name)
    assert place is not None
    return name[: place.start()], int(place[1] or 1), name[place.end() :]


def _listed(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise MediaError(
            f"The folder {readable_name(folder)} cannot be read: {error.strerror}."
        ) from error


def _patterns(names: Sequence[str]) -> set[str]:
    """Return the patterns of numbered pictures among a folder's names."""
    numbers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        found = _NUMBERED.fullmatch(name)
        if found is not None and found[3].lower() in SUFFIXES and is_utf8(name):
            numbers[found[1], found[3]].append(found[2])
    patterns = set()
    for (before, after), own in numbers.items():
        padded = {len(one) for one in own if one.startswith("0") and len(one) > 1}
        for digits in padded or {min(map(len, own))}:
            place = "%d" if digits == 1 else f"%0{digits}d"
            patterns.add(f"{before}{place}{after}")
    return patterns


def _refuse_gaps(pattern: Path, missing: Sequence[int], every: int) -> None:
    gaps = []
    for _, run in groupby(enumerate(missing), lambda one: one[1] - one[0]):
        numbers = [number for _, number in run]
        first, last = (file_name(pattern.name, number) for number in (numbers[0], numbers[-1]))
        gaps.append(first if first == last else f"{first} to {last}")
    more = f" and {len(gaps) - MOST_NAMED} more gaps" if len(gaps) > MOST_NAMED else ""
    raise MediaError(
        f"{pattern} has {len(missing)} of its {every} pictures missing ("
        f"{', '.join(gaps[:MOST_NAMED])}{more}): put them there, or number the others without gaps."
    )


def _picture_size(path: Path) -> tuple[int, int] | None:
    from PIL import Image  # what lists a project's people does without

    try:
        with Image.open(path) as picture:
            return picture.size
    except Exception:  # Pillow raises anything over pictures that it does not know
        return None
