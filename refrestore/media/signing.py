"""Content Credentials (C2PA): a signed manifest in an output, with the user's own key.

The package c2pa signs; no time stamp is asked for, so nothing leaves the machine.
"""

from __future__ import annotations

import io
import json
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from refrestore import __version__
from refrestore.errors import MediaError, UsageError
from refrestore.file_names import readable_name
from refrestore.media.failures import writing
from refrestore.media.files import publish
from refrestore.media.provenance import SOURCE_TYPE, VOCABULARY, Provenance
from refrestore.plain_file import read_plain

SUFFIXES = (".mp4", ".m4v", ".mov", ".png", ".jpg", ".jpeg", ".webp")
"""Outputs that can hold a manifest."""

MOST_BYTES = 1_000_000
"""Of a key file; a chain of three certificates has ten thousand."""

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""C2PA's names of signatures, by the curve of the key (C2PA specification 2.1, section 13.2)."""

_SOURCE = "source"

_CREATED = {"action": "c2pa.created", "digitalSourceType": f"{VOCABULARY}/digitalCreation"}

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_KEY = re.compile(
    rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.+?-----END \1PRIVATE KEY-----\n?", re.DOTALL
)


@dataclass(frozen=True, repr=False)
class SigningKey:
    """A private key and the certificates that vouch for it.

    Parameters
    ----------
    algorithm
        C2PA's name of the signature.
    certificates, key
        PEM, the signer's own certificate first.
    """

    algorithm: str
    certificates: bytes
    key: bytes

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Read a PEM file that holds both.

        Raises
        ------
        UsageError
            The package c2pa is missing, or the file is not that.
        """
        try:
            import c2pa
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError as error:
            raise UsageError(
                f"--c2pa-key needs the package {error.name}, which is not installed here; "
                "run: pip install 'refrestore[c2pa]'"
            ) from error
        try:
            text = read_plain(path, MOST_BYTES)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"The key {path} cannot be read: {reason}.") from error
        certificates, key = b"".join(_CERTIFICATE.findall(text)), _KEY.search(text)
        if not certificates or key is None:
            raise UsageError(
                f"{path} must hold a private key and its certificates, one after the other, in PEM."
            )
        try:
            opened = load_pem_private_key(key[0], None)
        except (ValueError, TypeError) as error:  # a key with a password is a TypeError
            raise UsageError(f"The key in {path} cannot be opened ({error}).") from error
        made = cls(_algorithm(opened, path), certificates, key[0])
        try:
            made.try_out()
        except c2pa.C2paError as error:
            raise UsageError(f"{path} cannot sign Content Credentials ({error}).") from error
        return made

    def try_out(self) -> None:
        """Sign a dot in memory; raises what c2pa does."""
        import c2pa

        dot = io.BytesIO()
        Image.new("RGB", (1, 1)).save(dot, "PNG")
        manifest = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [_CREATED]}}]}
        with self.signer() as signer, c2pa.Builder(json.dumps(manifest)) as builder:
            builder.sign(signer, "image/png", dot, io.BytesIO())

    def signer(self) -> Any:
        """Return c2pa's own, to be closed."""
        import c2pa

        info = c2pa.C2paSignerInfo(self.algorithm, self.certificates, self.key, None)
        return c2pa.Signer.from_info(info)


def _algorithm(key: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise UsageError(
        f"The key in {path} is of a kind that C2PA does not know; use Ed25519, RSA or P-256."
    )


def check_signed_name(output: Path, *, pictures: bool = False) -> None:
    """Refuse an output that cannot hold a manifest.

    Parameters
    ----------
    output
        The file.
    pictures
        Whether it is many files, one a frame.

    Raises
    ------
    UsageError
        By its suffix.
    """
    if pictures or output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{output} cannot hold Content Credentials; with --c2pa-key give it a name that ends "
            f"in {', '.join(SUFFIXES)}."
        )


def sign(output: Path, key: SigningKey, done: Provenance, source: Path, *, work: Path) -> None:
    """Put a signed manifest into a finished output.

    Parameters
    ----------
    source
        What it was made of; the manifest has its name and its own credentials, of a photo a small
        picture too.
    work
        Folder on the output's disk, for as long as it takes.

    Raises
    ------
    MediaError
        The certificates do not go with the key, or are not for this.
    DiskError
        There is no room.
    """
    import c2pa

    temporary = work / f".signed-{output.name}"
    try:
        with writing(output):
            try:
                manifest = json.dumps(_manifest(output, done, source))
                with key.signer() as signer, c2pa.Builder(manifest) as builder:
                    if source.suffix.lower() in SUFFIXES:  # it may have credentials: they are kept
                        with source.open("rb") as file:
                            builder.add_ingredient(
                                json.dumps(_made_of(source)), _kind(source), file
                            )
                    builder.sign_file(output, temporary, signer)
            except c2pa.C2paError as error:
                raise MediaError(
                    f"{output} is done, but cannot be signed ({error}): look at --c2pa-key."
                ) from error
            publish(temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _manifest(output: Path, done: Provenance, source: Path) -> dict[str, Any]:
    agent = {"name": "refrestore", "version": __version__}
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_SOURCE]}}
    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": agent,
        "parameters": {"description": done.sentence},
    }
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [opened, edited]}}
    manifest = {"claim_generator_info": [agent], "title": output.name, "assertions": [actions]}
    if source.suffix.lower() not in SUFFIXES:
        manifest["ingredients"] = [{**_made_of(source), "format": _kind(source)}]
    return manifest


def _made_of(source: Path) -> dict[str, str]:
    return {"title": readable_name(source.name), "relationship": "parentOf", "label": _SOURCE}


def _kind(source: Path) -> str:
    return mimetypes.guess_type(source.name)[0] or "application/octet-stream"
