"""Which recogniser embeddings are from: a network is known by its file's name and digest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkId:
    """A recogniser by its file.

    One that is trained again keeps its name, and its embeddings have little to do with the old
    ones'.

    Parameters
    ----------
    name
        The file's name without suffix, "" if unknown.
    digest
        First 16 hexadecimal digits of its SHA-256, "" if unknown.
    """

    name: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.digest[:8]})" if self.digest else self.name or "?"

    def contradicts(self, other: NetworkId) -> bool:
        """Say whether they are two networks for certain."""
        pairs = ((self.name, other.name), (self.digest, other.digest))
        return any(one and two and one != two for one, two in pairs)
