"""The files of a profile: what they are called, what is in them, and every check of them.

::

    profile.json             names, numbers, sizes and digests of the files (profiles/schema.json)
    references/001.png       aligned crops, 512 x 512 RGB
    embeddings.safetensors   embeddings, landmarks, poses, centroid, sum of those remembered
    adapter.safetensors      if tuned: the person's change to the fusion network

A document of an older version is brought up to this one first (`profile_migration`). Nothing
here touches a disk: a folder and an exported file go through the same checks.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from refrestore.errors import ProfileError
from refrestore.faces.network_id import NetworkId
from refrestore.storage.images import decode_image, encode_png
from refrestore.types import DENSE_LANDMARKS, EMBEDDING_SIZE, FloatArray, ImageArray, Reference

from .migration import VERSION, migrated
from .profile import MATCH_THRESHOLD, MOST_REMEMBERED, Calibration, Memory, Profile

DOCUMENT = "profile.json"
TENSORS = "embeddings.safetensors"
ADAPTER = "adapter.safetensors"

MOST_REFERENCES = 64
"""References a profile can hold; more of one person show nothing new."""

IMAGE_SIZE = 512

SIZE_LIMITS = {"json": 1 << 20, "safetensors": 1 << 20, "png": 1 << 20}
"""Bytes a file of each kind may have: a 512 x 512 RGB picture has 768 KiB without compression,
64 references have 400 KiB of numbers."""

FILE_NAME = re.compile(r"profile\.json|(embeddings|adapter)\.safetensors|references/[0-9]{3}\.png")
"""Every name a profile's file can have."""

LARGEST_NUMBER = 1e4
"""What no coordinate in a crop, angle or sum of embeddings reaches; nor does what is no number."""

SAME_CENTROID = 1e-3
"""Rounding allowed between the stored centroid and that of the stored embeddings."""

_FORBIDDEN = set('/\\:*?"<>|')
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE
)
_LONGEST_NAME = 64
_LONGEST_NAME_BYTES = 200

Read = Callable[[str, int], bytes]
"""Read a file by its name, refusing one of more than so many bytes."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ShortDigest = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Document):
    """One file of a profile."""

    file: str = Field(pattern=rf"^({FILE_NAME.pattern})$", description="Path in the profile.")
    bytes: int = Field(ge=1, le=SIZE_LIMITS["png"], description="Size of the file.")
    sha256: Digest = Field(description="Digest of the file.")


class ReferenceEntry(FileEntry):
    """One reference: its picture and what is known of it."""

    source: str = Field(max_length=1000, description="Where it is from, for people.")
    sharpness: Finite = Field(description="Detail inside the face, 0..1.")
    quality: Finite = Field(description="0..1; size, sharpness, pose, light, visibility.")
    native_size: Finite = Field(ge=0, description="Face size where it was taken, pixels.")


class StatisticsEntry(_Document):
    """What the references have in common; the centroid is in the tensors."""

    count: int = Field(ge=1, description="References and remembered close-ups.")
    spread: Finite = Field(ge=0, description="Deviation of their similarities to the centroid.")


class CalibrationEntry(_Document):
    """What the threshold means."""

    misses: Share = Field(description="Share of the person's other faces that it misses.")
    strangers: Share = Field(description="Share of other people's faces that it takes.")
    profiles: int = Field(ge=0, description="Other people's profiles it was calibrated with.")


class ProfileDocument(_Document):
    """profile.json: a person, for refrestore."""

    format: Literal["refrestore-profile"] = "refrestore-profile"
    version: Literal[3] = VERSION
    name: str = Field(min_length=1, max_length=_LONGEST_NAME, description="Also the folder's.")
    recogniser: str = Field("", max_length=200, description="Network the embeddings are from.")
    recogniser_digest: str = Field(
        "",
        pattern="^([0-9a-f]{16})?$",
        description="First digits of that network's SHA-256; empty if unknown.",
    )
    threshold: float = Field(
        MATCH_THRESHOLD, gt=0, lt=1, description="Least cosine similarity of a face of the person."
    )
    calibration: CalibrationEntry | None = Field(description="Null for the default threshold.")
    statistics: StatisticsEntry
    remembered: tuple[ShortDigest, ...] = Field(
        max_length=MOST_REMEMBERED,
        description="Close-ups learnt from whose pictures were not kept, by digest.",
    )
    tensors: FileEntry
    adapter: FileEntry | None = Field(None, description="Null if it was not tuned.")
    references: tuple[ReferenceEntry, ...] = Field(min_length=1, max_length=MOST_REFERENCES)


def check_name(name: str) -> str:
    """Return a profile's name in its one spelling (Unicode NFC).

    Raises
    ------
    ProfileError
        When it cannot be a folder's name everywhere: separators, leading dot, control characters,
        device names.
    """
    wanted = unicodedata.normalize("NFC", name)
    problem = None
    if not wanted.isprintable():
        problem = "it must not contain control characters"
    elif not wanted or len(wanted) > _LONGEST_NAME or len(wanted.encode()) > _LONGEST_NAME_BYTES:
        problem = f"it must have 1 to {_LONGEST_NAME} characters"
    elif _FORBIDDEN & set(wanted):
        problem = f"it must not contain {' '.join(sorted(_FORBIDDEN))}"
    elif wanted.startswith((".", "-", " ")) or wanted.endswith((".", " ")):
        problem = "it must not start with '.', '-' or a blank or end with '.' or a blank"
    elif _RESERVED.fullmatch(wanted):
        problem = "some systems keep that name for a device"
    if problem is not None:
        raise ProfileError(f"{name[:80]!r} cannot be the name of a profile: {problem}.")
    return wanted


def pack(profile: Profile) -> dict[str, bytes]:
    """Return a profile's files by name; the same profile always gives the same bytes.

    Raises
    ------
    ProfileError
        When it has too many references or a name that cannot be.
    """
    if len(profile.references) > MOST_REFERENCES:
        raise ProfileError(
            f"The profile {profile.name} has {len(profile.references)} references, "
            f"{MOST_REFERENCES} is the most it can hold."
        )
    files, entries = {}, []
    for number, reference in enumerate(profile.references, start=1):
        file = f"references/{number:03d}.png"
        if reference.image.shape != (IMAGE_SIZE, IMAGE_SIZE, 3):
            raise ProfileError(f"{reference.source} is no {IMAGE_SIZE} x {IMAGE_SIZE} crop.")
        files[file] = encode_png(reference.image)
        entries.append(
            ReferenceEntry(
                **_entry(file, files[file]),
                source=reference.source[:1000],
                sharpness=reference.sharpness,
                quality=reference.quality,
                native_size=reference.native_size,
            )
        )
    files[TENSORS] = save_tensors(
        {
            "centroid": np.ascontiguousarray(profile.centroid, "<f4"),
            "embeddings": profile.embeddings.astype("<f4"),
            "landmarks": np.stack([one.landmarks for one in profile.references]).astype("<f4"),
            "poses": np.stack([one.pose for one in profile.references]).astype("<f4"),
            "remembered": np.ascontiguousarray(profile.memory.total, "<f4"),
        }
    )
    if profile.adapter is not None:
        files[ADAPTER] = profile.adapter
    document = ProfileDocument(
        name=check_name(profile.name),
        recogniser=profile.recogniser,
        recogniser_digest=profile.recogniser_digest,
        threshold=profile.threshold,
        calibration=None
        if profile.calibration is None
        else CalibrationEntry(**asdict(profile.calibration)),
        statistics=StatisticsEntry(count=profile.statistics.count, spread=profile.spread),
        remembered=profile.memory.digests,
        tensors=FileEntry(**_entry(TENSORS, files[TENSORS])),
        adapter=FileEntry(**_entry(ADAPTER, files[ADAPTER])) if ADAPTER in files else None,
        references=tuple(entries),
    )
    text = json.dumps(document.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return {DOCUMENT: (text + "\n").encode(), **files}


def read_document(read: Read, place: str) -> ProfileDocument:
    """Return the checked profile.json of a profile.

    Raises
    ------
    ProfileError
        When it is missing, damaged or of another version.
    """
    content = read(DOCUMENT, SIZE_LIMITS["json"])
    try:
        said = json.loads(content)
        if not isinstance(said, dict):
            raise ValueError("no JSON object")
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{DOCUMENT} of {place} is damaged ({error}).") from error
    if said.get("format") != "refrestore-profile":
        raise ProfileError(f"{place} is not a refrestore profile.")
    try:
        document = ProfileDocument.model_validate(migrated(said, place))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ProfileError(
            f"{DOCUMENT} of {place} is damaged ({where}: {first['msg']})."
        ) from error
    files = named_files(document)
    misplaced = document.adapter is not None and document.adapter.file != ADAPTER
    if len(set(files)) < len(files) or document.tensors.file != TENSORS or misplaced:
        raise ProfileError(f"{DOCUMENT} of {place} is damaged (files are named twice).")
    if document.statistics.count != len(document.references) + len(document.remembered):
        raise ProfileError(f"{DOCUMENT} of {place} is damaged (its count is another's).")
    return document


def named_files(document: ProfileDocument) -> list[str]:
    """Return the names of all files of a profile but profile.json."""
    tensors = [document.tensors, *([] if document.adapter is None else [document.adapter])]
    return [one.file for one in (*tensors, *document.references)]


def unpack_embeddings(read: Read, place: str) -> tuple[NetworkId, FloatArray]:
    """Return network and (N, 512) embeddings of a profile, without opening its pictures.

    Raises
    ------
    ProfileError
        As `unpack`, of the two files it reads.
    """
    document = read_document(read, place)
    tensors = _tensors(_content(read, document.tensors, place), document, place)
    return NetworkId(document.recogniser, document.recogniser_digest), tensors["embeddings"]


def unpack(read: Read, place: str) -> Profile:
    """Return the profile whose files `read` gives, after checking every one of them.

    Parameters
    ----------
    read
        Gives a file's bytes.
    place
        The folder or file, for messages.

    Raises
    ------
    ProfileError
        When a file is missing, has changed or is not what it must be; names the file.
    """
    document = read_document(read, place)
    tensors = _tensors(_content(read, document.tensors, place), document, place)
    references = tuple(
        Reference(
            image=_image(_content(read, entry, place), f"{entry.file} of {place}"),
            landmarks=landmarks,
            embedding=embedding,
            pose=pose,
            sharpness=entry.sharpness,
            quality=entry.quality,
            native_size=entry.native_size,
            source=entry.source,
        )
        for entry, landmarks, embedding, pose in zip(
            document.references,
            tensors["landmarks"],
            tensors["embeddings"],
            tensors["poses"],
            strict=True,
        )
    )
    said = document.calibration
    profile = Profile(
        name=check_name(document.name),
        references=references,
        recogniser=document.recogniser,
        threshold=document.threshold,
        calibration=None if said is None else Calibration(**said.model_dump()),
        memory=Memory(document.remembered, tensors["remembered"]),
        recogniser_digest=document.recogniser_digest,
        adapter=None if document.adapter is None else _adapter(read, document.adapter, place),
    )
    if np.abs(profile.centroid - tensors["centroid"]).max() > SAME_CENTROID:
        raise ProfileError(f"{TENSORS} of {place} is damaged (its centroid is another's).")
    return profile


def without_frames(profile: Profile) -> Profile:
    """Return the profile without frame numbers, which mean nothing in another video."""
    return replace(profile, references=tuple(replace(r, frame=None) for r in profile.references))


def schema() -> str:
    """Return the JSON schema of profile.json, as it is in `profiles/schema.json`."""
    return json.dumps(ProfileDocument.model_json_schema(), indent=2) + "\n"


def _entry(file: str, content: bytes) -> dict[str, Any]:
    return {
        "file": file,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _content(read: Read, entry: FileEntry, place: str) -> bytes:
    content = read(entry.file, SIZE_LIMITS[entry.file.rpartition(".")[2]])
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ProfileError(
            f"{entry.file} of {place} has been changed (its digest is not the recorded one): "
            "restore it or build the profile again."
        )
    return content


def _tensors(content: bytes, document: ProfileDocument, place: str) -> dict[str, FloatArray]:
    count, remembered = len(document.references), len(document.remembered)
    expected = {
        "centroid": (EMBEDDING_SIZE,),
        "embeddings": (count, EMBEDDING_SIZE),
        "landmarks": (count, DENSE_LANDMARKS, 2),
        "poses": (count, 3),
        "remembered": (EMBEDDING_SIZE,),
    }
    try:
        tensors = load_tensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ProfileError(f"{TENSORS} of {place} is damaged ({error}).") from error
    if not remembered:  # what version 1, which remembered nothing, has no tensor for
        tensors.setdefault("remembered", np.zeros(EMBEDDING_SIZE, np.float32))
    shapes = {name: value.shape for name, value in tensors.items()}
    plain = all(value.dtype == np.float32 for value in tensors.values())
    if shapes != expected or not plain:
        raise ProfileError(f"{TENSORS} of {place} is damaged: it holds {shapes}, not {expected}.")
    wild = not all((np.abs(value) < LARGEST_NUMBER).all() for value in tensors.values())
    if wild or np.abs(np.linalg.norm(tensors["embeddings"], axis=1) - 1).max() >= 0.01:
        raise ProfileError(f"{TENSORS} of {place} is damaged (no unit embeddings).")
    if np.linalg.norm(tensors["remembered"]) > remembered * (1 + SAME_CENTROID):
        raise ProfileError(f"{TENSORS} of {place} is damaged (it remembers more than it saw).")
    return tensors


def _adapter(read: Read, entry: FileEntry, place: str) -> bytes:
    """Return the adapter's file: finite numbers; what they fit is the restorer's to know."""
    content = _content(read, entry, place)
    try:
        tensors = load_tensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ProfileError(f"{ADAPTER} of {place} is damaged ({error}).") from error
    if not all(one.dtype == np.float16 and np.isfinite(one).all() for one in tensors.values()):
        raise ProfileError(f"{ADAPTER} of {place} is damaged (no finite half-precision numbers).")
    return content


def _image(content: bytes, place: str) -> ImageArray:
    # The header is checked before anything is decoded: a bomb never gets to unfold.
    wanted = struct.pack(">IIBB", IMAGE_SIZE, IMAGE_SIZE, 8, 2)
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or content[16:26] != wanted:
        raise ProfileError(f"{place} is no PNG picture of {IMAGE_SIZE} x {IMAGE_SIZE} RGB pixels.")
    image = decode_image(content)
    if image is None or image.shape != (IMAGE_SIZE, IMAGE_SIZE, 3):
        raise ProfileError(f"{place} is a damaged picture.")
    return image
