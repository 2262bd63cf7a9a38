"""What a render can leave out: only `evaluate --switches` does, to measure what each is worth."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Switches:
    """Parts of the restoration that can be turned off.

    Parameters
    ----------
    steadied
        Faces are averaged with themselves over time (`restore.steady`).
    as_filmed
        They get their frame's motion blur and grain (`restore.camera`).
    mask
        What is in front of a face is left out (`restore.mask`).
    guard
        A face that is somebody else gets no references, and what came out less like the person
        than it went in is given up (`restore.guard`).
    energy
        Texture that references do not share is not averaged away (`blocks.raised`).
    colours
        Blotches of the film's chroma are not the person's (`restore.colours`).
    carried
        Most faces of a track are carried over from those around them (`restore.carried`).
    burst
        A blurred face is first drawn from the frames around it (`restore.burst`).
    head
        Hair, ears and neck come from a reference where one agrees (`restore.head`).
    lids
        Eyes that are shut come from close-ups of shut eyes or stay as they are (`restore.lids`).
    mouth
        A mouth that no reference shows stays the frame's (`fusion_bands.unshown`).
    """

    steadied: bool = True
    as_filmed: bool = True
    mask: bool = True
    guard: bool = True
    energy: bool = True
    colours: bool = True
    carried: bool = True
    burst: bool = True
    head: bool = True
    lids: bool = True
    mouth: bool = True

    @property
    def off(self) -> list[str]:
        """Names of those that are turned off."""
        return [one.name for one in fields(self) if not getattr(self, one.name)]


ALL_ON = Switches()
