"""What painting gives back: frames with their patches, faces as they were restored, accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from torch import Tensor

from refrestore.media.patch import VISIBLE, Patch
from refrestore.types import Frame, ImageArray


@dataclass(frozen=True, eq=False)
class RestoredFrame:
    """A frame and what to add to it, a patch a face."""

    frame: Frame
    patches: Sequence[Patch]

    @property
    def faces(self) -> int:
        """Faces in it whose change can be seen."""
        return sum(float(one.change) >= VISIBLE for one in self.patches)


@dataclass(frozen=True, eq=False)
class Face:
    """A face as it was restored.

    Parameters
    ----------
    frame, time
        Index and presentation time (seconds) of its frame.
    identity, track
        Whose it is, and in which appearance.
    strength
        How much of the restored face shows, 0..1.
    guided
        Weight of the references, 0..1.
    used
        Rows of the bank it was restored from, best first.
    before, after : (S, S, 3) uint8
        RGB: the aligned crop as the restorer saw it, and as it is blended; S is the face's side.
    """

    frame: int
    time: Fraction
    identity: int
    track: int
    strength: float
    guided: float
    used: tuple[int, ...]
    before: ImageArray
    after: ImageArray


class Witness(Protocol):
    """Is shown faces as they are restored."""

    def wants(self, track: int, frame: int) -> bool:
        """Say whether to show a face."""

    def see(self, face: Face) -> None:
        """Take a face."""


@dataclass(frozen=True, eq=False)
class Example:
    """One face before and after, for the report.

    Parameters
    ----------
    frame
        Its index.
    inside
        Share of the crop that the picture fills.
    change
        Mean change of its pixels in grey levels, () on the same device.
    before, after : (S, S, 3) uint8
        RGB, where they were made; S is the face's side.
    """

    frame: int
    inside: float
    change: Tensor
    before: Tensor
    after: Tensor


@dataclass(frozen=True, eq=False)
class Changed:
    """One face that was pasted.

    Parameters
    ----------
    identity
        Whose it is.
    referenced
        Whether close-ups helped.
    change
        Mean change of its pixels in grey levels (`Patch.change`), () where it was made.
    invented
        How much was shown of what a second stage drew, 0..1.
    lowered
        Whether its shut lids were drawn, as no close-up shows them.
    """

    identity: int
    referenced: bool
    change: Tensor
    invented: float = 0.0
    lowered: bool = False


@dataclass
class Account:
    """What was done in one segment.

    Parameters
    ----------
    changed
        Every face that was pasted, seen or not.
    left
        Per identity, faces that were to be restored and that the guard left as they were, by its
        reason.
    used
        Per identity, how often each row of its bank was used.
    pictures
        Per track, one face to show.
    """

    changed: list[Changed] = field(default_factory=list)
    left: dict[int, Counter[str]] = field(default_factory=dict)
    used: dict[int, Counter[int]] = field(default_factory=dict)
    pictures: dict[int, Example] = field(default_factory=dict)

    @property
    def faces(self) -> int:
        """Faces pasted, whether it can be seen or not."""
        return len(self.changed)
