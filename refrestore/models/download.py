"""Download of one file: resumable, length and digest checked, final name only when complete.

The only module of refrestore that opens a network connection.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from refrestore.errors import DiskError, Kept, ModelError, kept_if_broken_off
from refrestore.plain_file import BROKEN_ZIP, open_zip
from refrestore.types import ProgressCallback

from .catalogue import file_digest

TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as broken."""

ATTEMPTS = 5
"""Connections in a row that may break without a new byte before the download is given up."""

SPARE_BYTES = 64 << 20
"""Room that must stay free on the disk after a download."""

_BLOCK = 1 << 18
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _BrokenOffError(Exception):
    """The connection ended early; the partial file can be continued."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything else."""

    def redirect_request(  # noqa: PLR0917 (the base class's signature)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise ModelError(f"{req.full_url} redirects to the unencrypted {newurl}; not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True)
class Download:
    """What to fetch, and what it must turn out to be.

    Parameters
    ----------
    url
        http or https address.
    target
        Final path; `target` + ".part" holds what has come so far, `target` + ".part.json" the
        server's validator (entity tag or date) of it.
    bytes
        Exact length, or None if unknown.
    sha256
        Digest of the whole file, lower-case hex.
    pause
        Seconds before the second connection; doubled for each further one.
    """

    url: str
    target: Path
    bytes: int | None
    sha256: str
    pause: float = 1.0

    @property
    def partial(self) -> Path:
        """Where the bytes lie until they are complete and verified."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def _notes(self) -> Path:
        return self.target.with_name(self.target.name + ".part.json")

    def run(self, progress: ProgressCallback | None = None) -> Path:
        """Fetch, continuing an earlier attempt, verify, and rename.

        Parameters
        ----------
        progress
            Called with the file's name, bytes present, and bytes in all (None if unknown).

        Returns
        -------
        Path
            The target.

        Raises
        ------
        ModelError
            If the server has no such file, cannot be reached, keeps breaking off, announces
            another length, or what came is of another digest (it is then deleted).
        DiskError
            If the folder cannot be written or has not enough room.
        """
        with _disk_errors(self.target.parent):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._check_room()
            resumed = self._size() > 0
            with kept_if_broken_off(self._kept):
                self._transfer(progress)
            if resumed and not self._is_right():
                # The beginning may be of another version of the file: once more, from zero.
                self._discard()
                self._transfer(progress)
            if not self._is_right():
                self._discard()
                raise ModelError(
                    f"{self.url} gave a file of another digest than the one it should have; it "
                    "was deleted, so try again later or from another network."
                )
            self.partial.replace(self.target)
            self._notes.unlink(missing_ok=True)
        return self.target

    def _transfer(self, progress: ProgressCallback | None) -> None:
        failures, farthest = 0, self._size()
        while trouble := self._attempt(progress):
            # Farther than ever, not than just before: a start from zero is no progress.
            failures = 0 if self._size() > farthest else failures + 1
            farthest = max(farthest, self._size())
            if failures >= ATTEMPTS:
                raise ModelError(
                    f"The download of {self.url} broke off after {self._size()} bytes "
                    f"({trouble}); the same command continues it."
                ) from trouble
            time.sleep(self.pause * 2**failures)

    def _attempt(self, progress: ProgressCallback | None) -> _BrokenOffError | None:
        try:
            self._connect(progress)
        except _BrokenOffError as error:
            return error
        return None

    def _connect(self, progress: ProgressCallback | None) -> None:
        """Open one connection and read it to its end into the partial file."""
        offset = self._size()
        if self.bytes is not None and offset >= self.bytes:
            if offset == self.bytes:
                return
            self._discard()
            offset = 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "refrestore"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if validator := self._validator():
                headers["If-Range"] = validator
        opener = urllib.request.build_opener(_Redirects)
        try:
            with opener.open(
                urllib.request.Request(self.url, headers=headers), timeout=TIMEOUT
            ) as reply:
                self._receive(reply, offset, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
                self._discard()
                raise _BrokenOffError("the server cannot continue it") from error
            if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _BrokenOffError(f"the server says {error.code} {error.reason}") from error
            raise ModelError(
                f"{self.url} cannot be fetched: the server says {error.code} {error.reason}."
            ) from error
        except urllib.error.URLError as error:
            raise _BrokenOffError(str(error.reason)) from error
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _BrokenOffError(str(error) or type(error).__name__) from error

    def _receive(self, reply: Any, offset: int, progress: ProgressCallback | None) -> None:
        """Append (206) or write anew (200) what a server sends."""
        length = reply.headers.get("Content-Length")
        total = int(length) if length is not None and length.isdigit() else None
        if reply.status == http.HTTPStatus.PARTIAL_CONTENT:
            match = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != offset:
                self._discard()
                raise _BrokenOffError("the server continued at another place")
            total = None if match[2] == "*" else int(match[2])
        else:
            offset = 0
        if self.bytes is not None and total is not None and total != self.bytes:
            raise ModelError(
                f"{self.url} announces {total} bytes where the catalogue says {self.bytes}; "
                "nothing was fetched."
            )
        total = self.bytes if total is None else total
        self._note(reply)
        done = offset
        with self.partial.open("ab" if offset else "wb") as stream:
            while block := _read(reply):
                done += len(block)
                if total is not None and done > total:
                    break
                stream.write(block)
                if progress:
                    progress(self.target.name, done, total)
            stream.flush()
            os.fsync(stream.fileno())
        if total is not None and done > total:
            self._discard()
            raise ModelError(f"{self.url} sends more than the {total} bytes it should; deleted.")
        if total is not None and done < total:
            raise _BrokenOffError(f"the connection ended at {done} of {total} bytes")

    def _kept(self) -> Kept:
        size = self._size()
        if not size:
            return Kept(f"nothing of {self.target.name} has come yet", goes_on=False)
        of = "" if self.bytes is None else f" of {self.bytes / 1e6:,.1f}"
        return Kept(f"{size / 1e6:,.1f}{of} MB are kept in {self.partial}", goes_on=True)

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.is_file() else 0

    def _is_right(self) -> bool:
        return self.partial.is_file() and file_digest(self.partial) == self.sha256

    def _discard(self) -> None:
        self.partial.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _validator(self) -> str | None:
        try:
            notes = json.loads(self._notes.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        validator = notes.get("validator") if isinstance(notes, dict) else None
        return validator if isinstance(validator, str) else None

    def _note(self, reply: Any) -> None:
        """Keep the validator, so that a continuation of another version is refused (RFC 9110)."""
        tag = reply.headers.get("ETag")
        if tag is not None and tag.startswith("W/"):
            tag = None  # a weak tag does not promise equal bytes and is not allowed in If-Range
        validator = tag or reply.headers.get("Last-Modified")
        self._notes.write_text(json.dumps({"validator": validator}), "utf-8")

    def _check_room(self) -> None:
        missing = (self.bytes or 0) - self._size()
        free = shutil.disk_usage(self.target.parent).free
        if missing + SPARE_BYTES > free:
            raise DiskError(
                f"{self.target.parent} has {free >> 20} MiB free, and {self.target.name} needs "
                f"{(missing + SPARE_BYTES) >> 20} MiB; make room or choose another --models-dir."
            )


def extract_member(archive: Path, member: str, target: Path, sha256: str) -> Path:
    """Take one named file out of a zip, verify its digest, and only then give it its name.

    The member's own path is never used as a path: nothing but `target` is written.

    Parameters
    ----------
    archive
        Zip file.
    member
        Its name in the archive, in any folder of it.
    target
        Where to put it.
    sha256
        Digest it must have.

    Raises
    ------
    ModelError
        If the archive is damaged, has not exactly one such member, or it is of another digest.
    DiskError
        If the target cannot be written.
    """
    temporary = target.with_name(target.name + ".part")
    with _disk_errors(target.parent):
        try:
            with open_zip(archive) as packed:
                found = [
                    entry
                    for entry in packed.infolist()
                    if PurePosixPath(entry.filename).name == member and not entry.is_dir()
                ]
                if len(found) != 1:
                    raise ModelError(f"{archive} holds {len(found)} files named {member}, not 1.")
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(found[0]) as source, temporary.open("wb") as stream:
                    shutil.copyfileobj(source, stream, _BLOCK)
            if file_digest(temporary) != sha256:
                raise ModelError(
                    f"{member} in {archive} is of another digest than the catalogue's; not used."
                )
            temporary.replace(target)
        except BROKEN_ZIP as error:
            raise ModelError(f"{archive} is damaged ({error}); delete it and try again.") from error
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _read(reply: Any) -> bytes:
    try:
        block: bytes = reply.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:  # the network's, not the disk's
        raise _BrokenOffError(str(error) or type(error).__name__) from error
    return block


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn a failing disk into one sentence."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{folder} cannot be written: {error.strerror or error}.") from error
