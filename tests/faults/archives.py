"""Damaged and malicious profile archives: imported whole or refused, and never outside."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from .campaign import FaultClass, Trial, complaint, first, leftovers
from .mutations import mutated

SUFFIX = ".refprofile"


class Archives(FaultClass):
    """Files given to `profile import`."""

    name = "archives"
    promise = (
        "A profile's file is imported whole or refused in one sentence; nothing outside the "
        "profiles' folder is written, nothing in a name or source reaches the terminal as a "
        "control sequence, and no file hangs the import or fills the memory."
    )
    full, reduced = 200, 12
    rows: ClassVar[tuple[str, ...]] = ("damaged", "malicious names", "wrong contents", "no archive")

    def row(self, number: int) -> str:
        """Return what is wrong with the file."""
        return self.rows[number % len(self.rows)]

    def run(self, trial: Trial) -> str | None:
        """Make a file, import it, look at what is there."""
        content = trial.stock.archive(trial.zygote).read_bytes()
        path = trial.folder / f"given{SUFFIX}"
        what = MAKERS[self.row(trial.number)](path, content, trial.random)
        before = _outside(trial.folder)
        imported = trial.command("profile", "import", path).wait()
        trial.count("refused" if imported.status else "accepted")
        listed = trial.command("profile", "list").wait()
        shown = trial.command("profile", "show", "Anna").wait()
        said = "".join(one.out + one.err for one in (imported, listed, shown))
        wrong = first(
            wrong
            for wrong in (
                complaint(imported, what="import"),
                complaint(listed, must=True, what="list"),
                complaint(shown, must=not imported.status and what != "name", what="show"),
                "a control sequence was printed" if "\x1b" in said or "\x9b" in said else None,
                _news(before, _outside(trial.folder)),
                _left(trial),
            )
        )
        return f"{what}: {wrong}" if wrong else None


def _outside(folder: Path) -> dict[str, int]:
    """Return all files outside the profiles' folder, also beside the trial's folder."""
    ignored = ("profiles", "state", "data")
    found = {path.name: 0 for path in folder.iterdir() if path.name not in ignored}
    found |= {f"../{path.name}": 0 for path in folder.parent.glob("*escaped*")}
    return found


def _news(before: dict[str, int], after: dict[str, int]) -> str | None:
    new = sorted(after.keys() - before.keys())
    return f"written outside: {', '.join(new)}" if new else None


def _left(trial: Trial) -> str | None:
    left = leftovers(trial.folder, trial.temporary)
    return f"left behind: {', '.join(left)}" if left else None


def _damaged(path: Path, content: bytes, dice: random.Random) -> str:
    path.write_bytes(mutated(content, dice))
    return "damaged"


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


NAMES = (
    "../escaped.txt", "../../escaped.txt", "/tmp/escaped.txt", "C:\\escaped.txt", "..\\escaped.txt",
    "references/../../escaped.txt", "references/001.png\0.txt", ".lock", "\x1b[2Jescaped", " ",
    "references/999.png", "x" * 5000,
)  # fmt: skip


def _malicious_names(path: Path, content: bytes, dice: random.Random) -> str:
    warnings.simplefilter("ignore", UserWarning)  # zipfile's, of names given twice
    members = _members(content)
    kind = dice.choice(("stray", "renamed", "twice", "link", "many", "stored name"))
    name = dice.choice(NAMES)
    with zipfile.ZipFile(path, "w") as archive:
        for member, inside in members.items():
            archive.writestr(
                name if kind == "renamed" and member == "profile.json" else member, inside
            )
        if kind == "stray":
            archive.writestr(name, b"escaped")
        elif kind == "twice":
            archive.writestr("profile.json", members["profile.json"])
        elif kind == "link":
            link = zipfile.ZipInfo("references/063.png")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "../../escaped.txt")
        elif kind == "many":
            for number in range(500):
                archive.writestr(f"references/{number:03d}.png", b"")
    if kind == "stored name":
        path.write_bytes(path.read_bytes().replace(b"references/001.png", b"../../escaped00.tx"))
    return f"{kind} {name[:30]!r}"


def _json(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def changed(members: dict[str, bytes]) -> None:
        said = json.loads(members["profile.json"])
        change(said)
        members["profile.json"] = json.dumps(said).encode()

    return changed


def _set(key: str, value: Any) -> Callable[[dict[str, bytes]], None]:
    return _json(lambda said: said.__setitem__(key, value))


def _source(said: dict[str, Any]) -> None:
    for one in said["references"]:
        one["source"] = "\x1b]0;owned\x07\x1b[2Jfilm\n\x9b31m"


def _file(said: dict[str, Any]) -> None:
    said["references"][0]["file"] = "../../escaped.png"


def _other_picture(members: dict[str, bytes]) -> None:
    """A small file that claims to be a picture of 60,000 x 60,000, its digest right."""
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(
        ">I4sIIBBBBB", 13, b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0
    )
    said = json.loads(members["profile.json"])
    one = said["references"][0]
    members[one["file"]] = head + b"\0" * 64
    one["sha256"], one["bytes"] = hashlib.sha256(members[one["file"]]).hexdigest(), len(head) + 64
    members["profile.json"] = json.dumps(said).encode()


def _json_of_depth(members: dict[str, bytes]) -> None:
    members["profile.json"] = b"[" * 100_000


def _missing(members: dict[str, bytes]) -> None:
    members.pop(sorted(members)[-1])


CONTENTS: tuple[Callable[[dict[str, bytes]], None], ...] = (
    _set("name", "../escaped"),
    _set("name", "\x1b[31mred"),
    _set("name", "a" * 500),
    _set("version", 99),
    _set("version", 1),
    _set("threshold", float("nan")),
    _set("references", []),
    _set("tensors", {"file": "/etc/passwd", "bytes": 1, "sha256": "0" * 64}),
    _set("recogniser", "\x1b[2J"),
    _json(_source),
    _json(_file),
    _other_picture,
    _json_of_depth,
    _missing,
)


def _wrong_contents(path: Path, content: bytes, dice: random.Random) -> str:
    members = _members(content)
    number = dice.randrange(len(CONTENTS) + 1)
    if number == len(CONTENTS):
        name = dice.choice(sorted(members))
        members[name] = mutated(members[name], dice)
    else:
        CONTENTS[number](members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, inside in members.items():
            archive.writestr(name, inside)
    return "name" if number < 3 else f"contents {number}"


def _no_archive(path: Path, content: bytes, dice: random.Random) -> str:
    kind = dice.choice(("fifo", "zero", "folder", "bomb", "empty", "random", "link", "missing"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("profile.json", b" " * 100_000_000)
    elif kind in ("empty", "random"):
        path.write_bytes(b"" if kind == "empty" else dice.randbytes(5000))
    elif kind == "link":
        path.symlink_to(path)
    return kind


MAKERS = {
    "damaged": _damaged,
    "malicious names": _malicious_names,
    "wrong contents": _wrong_contents,
    "no archive": _no_archive,
}
