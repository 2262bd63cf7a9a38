"""Packs: sets of model files that work together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refrestore.config import PackName, RuntimeSettings
from refrestore.errors import ModelError

from .catalogue import file_digest
from .model_store import ModelStore


@dataclass(frozen=True, slots=True)
class FacePack:
    """Verified files that find and recognise faces: all that a scan needs.

    Parameters
    ----------
    name
        The pack's name.
    detector
        SCRFD ONNX with five keypoints.
    recogniser
        ArcFace-style ONNX, 112 px, 512-d.
    landmarks
        ONNX face mesh, 468 points.
    """

    name: PackName
    detector: Path
    recogniser: Path
    landmarks: Path

    @property
    def recogniser_digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the recogniser's file.

        Embeddings of two networks cannot be compared, and one that is trained again keeps its name.
        """
        return file_digest(self.recogniser)[:16]


@dataclass(frozen=True, slots=True)
class Pack(FacePack):
    """Verified files of a whole pack.

    Parameters
    ----------
    fusion
        Reference fusion network (safetensors), trained here.
    second
        The second stage's weights, or None if the pack restores without.
    mask
        Face mask network (safetensors), trained here, or None.
    lids
        What says whether eyes are shut (safetensors), trained here, or None.
    parser
        ParseNet weights, or None. Without both, all of the mesh hull counts as face.
    """

    fusion: Path
    second: Path | None
    mask: Path | None
    lids: Path | None
    parser: Path | None


def load_face_pack(settings: RuntimeSettings) -> FacePack:
    """Find and verify the files that a scan needs.

    Raises
    ------
    ModelError
        As `load_pack`.
    """
    detector, recogniser, landmarks = _locate(settings, ("detector", "recogniser", "landmarks"))
    return FacePack(settings.pack, detector, recogniser, landmarks)


def load_pack(settings: RuntimeSettings) -> Pack:
    """Find and verify all files of the pack that the settings name.

    Raises
    ------
    ModelError
        If files are missing (one sentence names all of them) or one has a wrong digest.
    """
    roles = ["detector", "recogniser", "landmarks", "fusion"]
    catalogue = ModelStore(settings).catalogue
    optional = [
        role
        for role in ("second stage", "mask", "lids", "parser")
        if catalogue.role(settings.pack, role)
    ]
    found = dict(zip(roles + optional, _locate(settings, [*roles, *optional]), strict=True))
    return Pack(
        name=settings.pack,
        detector=found["detector"],
        recogniser=found["recogniser"],
        landmarks=found["landmarks"],
        fusion=found["fusion"],
        second=found.get("second stage"),
        mask=found.get("mask"),
        lids=found.get("lids"),
        parser=found.get("parser"),
    )


def _locate(settings: RuntimeSettings, roles: list[str] | tuple[str, ...]) -> list[Path]:
    store = ModelStore(settings)
    files = []
    for role in roles:
        file = store.catalogue.role(settings.pack, role)
        if file is None:
            raise ModelError(f"The catalogue's pack {settings.pack} has no {role}.")
        files.append(file)
    missing = [file for file in files if store.find(file.name) is None]
    fetchable = [file.name for file in missing if file.url or file.archive]
    if len(missing) > 1:
        names = ", ".join(file.name for file in missing)
        looked = ", ".join(map(str, store.directories))
        advice = (
            f"run: refrestore models fetch {settings.pack}"
            if fetchable
            else "put them into a folder and name it with --models-dir"
        )
        raise ModelError(f"Pack {settings.pack} misses {names} (looked in {looked}); {advice}.")
    return [store.locate(file.name) for file in files]
