"""Which streams of an MPEG transport stream are one programme: libav knows, PyAV does not tell.

Tables as in ISO/IEC 13818-1, 2.4.4 (programme association and map) and ETSI EN 300 468, 5.2.3
(service description).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READ_BYTES = 8 << 20
"""Bytes looked through: tables come ten times a second (the maps) to once in two (the names)."""

PACKET_SIZES = (188, 192, 204)
"""A packet alone, behind a time stamp (M2TS), before its parity."""

_SYNC, _PACKET, _SYNCED = 0x47, 188, 8
_PAT_PID, _SDT_PID = 0x0000, 0x0011
_PAT, _PMT, _SDT = 0x00, 0x02, 0x42
_SERVICE_DESCRIPTOR = 0x48
_CHECKSUM = 4


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme of a multiplex.

    Parameters
    ----------
    number
        Its own.
    pids
        Its streams', libav's `Stream.id`.
    name
        The service's, "" where it is not told.
    """

    number: int
    pids: frozenset[int]
    name: str = ""

    def __str__(self) -> str:
        return f"programme {self.name or self.number}"


def programmes(path: Path) -> list[Programme]:
    """Return the programmes of a transport stream, by number; none of another file."""
    with path.open("rb") as file:
        content = file.read(READ_BYTES)
    places, found, names = {_PAT_PID, _SDT_PID}, dict[int, frozenset[int]](), dict[int, str]()
    sections = list(_sections(content, places))
    maps = {pid for kind, body in sections if kind == _PAT for _, pid in _associations(body)}
    for kind, body in (*sections, *_sections(content, maps)):
        if kind == _PMT:
            found[int.from_bytes(body[3:5], "big")] = frozenset(_streams(body))
        elif kind == _SDT:
            names.update(_services(body))
    return [Programme(number, found[number], names.get(number, "")) for number in sorted(found)]


def _sections(content: bytes, pids: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of the whole tables in packets of some numbers."""
    waiting: dict[int, bytes] = defaultdict(bytes)
    for packet in _packets(content):
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if pid not in pids or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40 and payload:  # a table begins, behind so many bytes of the last
            yield from _cut(waiting[pid] + payload[1 : 1 + payload[0]])
            waiting[pid] = payload[1 + payload[0] :]
        elif waiting[pid]:
            waiting[pid] += payload
    for rest in waiting.values():
        yield from _cut(rest)


def _cut(content: bytes) -> Iterator[tuple[int, bytes]]:
    while len(content) >= 3 and content[0] != 0xFF:
        end = 3 + (int.from_bytes(content[1:3], "big") & 0xFFF)
        if len(content) < end:
            return
        yield content[0], content[: end - _CHECKSUM]
        content = content[end:]


def _packets(content: bytes) -> Iterator[bytes]:
    for size in PACKET_SIZES:
        for offset in range(size):
            places = range(offset, offset + _SYNCED * size, size)
            if places[-1] < len(content) and all(content[place] == _SYNC for place in places):
                for start in range(offset, len(content) - _PACKET + 1, size):
                    if content[start] == _SYNC:
                        yield content[start : start + _PACKET]
                return


def _associations(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield number and place of the map of each programme; 0 is the network's."""
    for at in range(8, len(body) - 3, 4):
        number, pid = (int.from_bytes(body[at + each : at + each + 2], "big") for each in (0, 2))
        if number:
            yield number, pid & 0x1FFF


def _streams(body: bytes) -> Iterator[int]:
    at = 12 + (int.from_bytes(body[10:12], "big") & 0xFFF)
    while at + 5 <= len(body):
        yield int.from_bytes(body[at + 1 : at + 3], "big") & 0x1FFF
        at += 5 + (int.from_bytes(body[at + 3 : at + 5], "big") & 0xFFF)


def _services(body: bytes) -> Iterator[tuple[int, str]]:
    at = 11
    while at + 5 <= len(body):
        number = int.from_bytes(body[at : at + 2], "big")
        end = at + 5 + (int.from_bytes(body[at + 3 : at + 5], "big") & 0xFFF)
        at += 5
        while at + 2 <= min(end, len(body)):
            kind, length = body[at], body[at + 1]
            if kind == _SERVICE_DESCRIPTOR and length >= 3:
                provider = body[at + 3]
                start = at + 5 + provider
                name = body[start : start + body[start - 1]] if start <= len(body) else b""
                if plain := _text(name):
                    yield number, plain
            at += 2 + length
        at = end


def _text(name: bytes) -> str:
    """Return a name in printable characters; its first byte may say in which alphabet it is."""
    plain = name.lstrip(bytes(range(0x20))).decode("latin-1")
    return "".join(each for each in plain if each.isprintable()).strip()
