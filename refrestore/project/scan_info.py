"""What a project notes of its scan."""

from __future__ import annotations

from dataclasses import dataclass

from refrestore.config import ScanSettings
from refrestore.faces.network_id import NetworkId
from refrestore.media.treatment import UNTREATED, Treatment


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """What is known of the current scan.

    Parameters
    ----------
    id
        Its number; grows with every scan.
    settings
        What it was made with.
    recogniser
        Name of the network its embeddings are from; those of others cannot be compared.
    started
        When, ISO 8601 in UTC.
    frames
        Frames the video really has, None if not counted.
    recogniser_digest
        First 16 hexadecimal digits of the SHA-256 of the network's file, "" in a scan of a version
        that did not note it.
    treatment
        What was done to the film's pictures; nothing in a scan of a version that could not.
    """

    id: int
    settings: ScanSettings
    recogniser: str
    started: str
    frames: int | None
    recogniser_digest: str = ""
    treatment: Treatment = UNTREATED

    @property
    def network(self) -> NetworkId:
        """The network its embeddings are from."""
        return NetworkId(self.recogniser, self.recogniser_digest)
