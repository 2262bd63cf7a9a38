"""The folder of exported faces: gathered from the segments, and there only when complete."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from refrestore import __version__
from refrestore.media.files import disk_error, write_file
from refrestore.plain_text import json_text
from refrestore.render.face_export import (
    KINDS,
    MOST_FACES,
    FaceExport,
    check_export_folder,
    read_record,
)
from refrestore.render.people import People
from refrestore.render.plan import NOBODY, TrackPlan
from refrestore.storage.workplace import OutputPlace
from refrestore.types import Identity

INDEX = "index.json"

LONGEST_NAME = 60
"""Letters of a person's name in a folder's."""


def publish_faces(
    folder: Path,
    segments: Sequence[Path],
    export: FaceExport,
    *,
    source: str,
    people: People,
    plans: Sequence[TrackPlan],
    seconds: Callable[[int], float],
) -> int:
    """Gather the segments' faces; return how many there are.

    Files are linked, or copied where they cannot be, so that a publication that was cut short can
    be done again.

    Parameters
    ----------
    folder
        New or empty.
    segments
        Folders of the segments' faces.
    seconds
        From the film's first frame to a frame of an index.

    Raises
    ------
    DiskError
        It cannot be written; the folder is as it was.
    """
    check_export_folder(folder)
    names = {identity.id: identity for identity in people.identities}
    faces: list[dict[str, Any]] = []
    left_alone: list[dict[str, Any]] = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with OutputPlace(folder) as own, own.scratch() as work:
            partial = work / folder.name
            partial.mkdir()
            for segment in segments:
                record = read_record(segment)
                for face in record["faces"]:
                    place = folder_name(names[face["identity"]])
                    for kind in KINDS:
                        _link(segment / kind / face["file"], partial / place / kind / face["file"])
                    faces.append({"folder": place, **_explained(face, people)})
                left_alone += record["left_alone"]
            left_alone += planned(plans)
            for entry in left_alone:
                entry["time"] = round(seconds(entry["frame"]), 3)
            index = {
                "refrestore": __version__,
                "source": source,
                "every": export.every,
                "most_per_person": MOST_FACES,
                "people": _people(people.identities, faces),
                "faces": sorted(
                    faces, key=lambda one: (one["identity"], one["frame"], one["track"])
                ),
                "left_alone": sorted(left_alone, key=lambda one: (one["frame"], one["track"])),
            }
            text = json_text(index) + "\n"
            write_file(partial / INDEX, text.encode())
            if folder.exists():
                folder.rmdir()  # empty; not every system renames over it
            partial.rename(folder)
    except OSError as error:
        raise disk_error(folder, error) from error
    return len(faces)


def folder_name(identity: Identity) -> str:
    """Return a person's folder: number and name, without what a file system may not take."""
    name = unicodedata.normalize("NFC", identity.name)
    kept = "".join(letter if letter.isalnum() or letter in "-_" else " " for letter in name)
    short = "-".join(kept[:LONGEST_NAME].split())
    return f"{identity.id:04d}-{short}" if short else f"{identity.id:04d}"


def planned(plans: Sequence[TrackPlan]) -> list[dict[str, Any]]:
    """Return what the plan leaves alone, one object a stretch of a track with one reason."""
    stretches: list[dict[str, Any]] = []
    for plan in plans:
        last: dict[str, Any] | None = None
        for frame, reason in zip(plan.faces.frame.tolist(), plan.reasons, strict=True):
            if reason is None:
                last = None
            elif last is not None and last["reason"] == reason:
                last["frames"] += 1
            else:
                last = {
                    "identity": None if plan.identity == NOBODY else plan.identity,
                    "track": plan.track,
                    "frame": frame,
                    "frames": 1,
                    "reason": reason,
                }
                stretches.append(last)
    return stretches


def _explained(face: Mapping[str, Any], people: People) -> dict[str, Any]:
    """Return a face with the names of its references in place of their rows."""
    bank = people.references.get(face["identity"], ())
    references = [bank[row].source for row in face["used"] if row < len(bank)]
    plain = {key: value for key, value in face.items() if key != "used"}
    return {**plain, "references": references}


def _people(
    identities: Sequence[Identity], faces: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    return [
        {
            "identity": identity.id,
            "name": identity.name,
            "state": identity.state,
            "folder": folder_name(identity),
            "faces": sum(face["identity"] == identity.id for face in faces),
        }
        for identity in identities
    ]


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
