"""Damage to bytes: what disks, networks, cards and enemies do to files."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

HEADER = 1024
"""Bytes at either end of a file where formats keep what everything else hangs on."""

BLOCK = 512
"""A sector."""

_EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1")

_FIELDS = re.compile(
    rb"moov|mvhd|trak|tkhd|mdhd|stsd|stts|ctts|stss|stsc|stsz|stco|elst|edts|avc1|avcC|mp4a|esds"
    rb"|\x1a\x45\xdf\xa3|\x15\x49\xa9\x66|\x16\x54\xae\x6b|\x1f\x43\xb6\x75|\x2a\xd7\xb1"
    rb"|RIFF|avih|strh|strf|idx1|movi|\x00\x00\x01[\xb3\xb5\xb8\xba\xbb\xe0\xc0]|\x47[\x00-\x5f]"
)
"""Names of boxes, elements and start codes of the containers that are tried."""


def flipped(content: bytearray, dice: random.Random) -> None:
    """Flip 1 to 64 bits."""
    for _ in range(dice.choice((1, 4, 16, 64))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def flipped_header(content: bytearray, dice: random.Random) -> None:
    """Flip bits at the beginning or the end."""
    for _ in range(dice.choice((1, 2, 8))):
        place = dice.randrange(min(HEADER, len(content)))
        content[place if dice.random() < 0.6 else -1 - place] ^= 1 << dice.randrange(8)


def truncated(content: bytearray, dice: random.Random) -> None:
    """Cut the end off."""
    del content[dice.randrange(len(content)) :]


def zeroed(content: bytearray, dice: random.Random) -> None:
    """Zero a few blocks."""
    for _ in range(dice.choice((1, 1, 3))):
        start = dice.randrange(len(content))
        part = content[start : start + BLOCK * dice.choice((1, 4, 8))]
        content[start : start + len(part)] = bytes(len(part))


def duplicated(content: bytearray, dice: random.Random) -> None:
    """Insert a block twice."""
    start = dice.randrange(len(content))
    content[start:start] = content[start : start + BLOCK]


def swapped(content: bytearray, dice: random.Random) -> None:
    """Exchange two blocks."""
    one, other = sorted(dice.sample(range(max(2, len(content) - BLOCK)), 2))
    size = min(BLOCK, other - one, len(content) - other)
    mine, its = content[one : one + size], content[other : other + size]
    content[one : one + size], content[other : other + size] = its, mine


def removed(content: bytearray, dice: random.Random) -> None:
    """Take a block out."""
    start = dice.randrange(len(content))
    del content[start : start + BLOCK]


def extreme_field(content: bytearray, dice: random.Random) -> None:
    """Put the least, the largest or a negative number near a box's, element's or start's name."""
    found = [match.start() for match in _FIELDS.finditer(content)]
    place = dice.choice(found) if found else dice.randrange(len(content))
    place = max(0, min(place + dice.choice((-4, 4, 8, 12, 16, 20, 24)), len(content) - 4))
    content[place : place + 4] = dice.choice(_EXTREMES)


def renamed_field(content: bytearray, dice: random.Random) -> None:
    """Change the name of a box, element or start code."""
    found = [match.start() for match in _FIELDS.finditer(content)]
    place = dice.choice(found) if found else dice.randrange(len(content))
    content[place] ^= 1 << dice.randrange(8)


def garbage(content: bytearray, dice: random.Random) -> None:
    """Keep the beginning, and nothing that makes sense after it."""
    start = dice.randrange(min(HEADER, len(content)))
    content[start:] = dice.randbytes(len(content) - start)


Mutation = Callable[[bytearray, random.Random], None]

MUTATIONS: tuple[Mutation, ...] = (
    flipped,
    flipped,
    flipped_header,
    truncated,
    zeroed,
    duplicated,
    swapped,
    removed,
    extreme_field,
    extreme_field,
    extreme_field,
    renamed_field,
    garbage,
)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Return content with one kind of damage, sometimes two."""
    damaged = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2))):
        if damaged:
            dice.choice(MUTATIONS)(damaged, dice)
    return bytes(damaged)
