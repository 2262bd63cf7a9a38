"""What an evaluation is of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_serializer

from refrestore.config import stage_named
from refrestore.typed_settings import INSIDE, Settings, Typed


def _known(degradation: str) -> str:
    from .degrade import DEGRADATIONS  # a command line that asks for none is not to wait for it

    if degradation not in DEGRADATIONS:
        raise ValueError(f"it is none of {', '.join(DEGRADATIONS)}")
    return degradation


DegradationName = Annotated[str, AfterValidator(_known)]


class EvaluationSettings(Settings):
    """What to evaluate on, and how much of it."""

    stills: tuple[Path, ...] = Field(
        (), description="Folder that holds a folder of photos a person; repeatable."
    )
    clips: tuple[Path, ...] = Field(
        (), description="Folder with clips of talking heads, or a clip; repeatable."
    )
    people: tuple[str, ...] = Field(
        (), description="Only this folder of photos or clip (without suffix); repeatable."
    )
    degradations: Annotated[tuple[DegradationName, ...], Typed("degradation")] = Field(
        ("moderate", "severe"),
        description="Of stills, as moderate or 24px (another word lists all); repeatable.",
    )
    most_people: Annotated[int | None, INSIDE] = Field(
        None, ge=1, description="People taken at most of each kind."
    )
    photos: int = Field(6, ge=1, description="Photos restored of each person.")
    album: Annotated[int, INSIDE] = Field(24, ge=2, description="Photos read of each person.")
    near_seconds: Annotated[float, INSIDE] = Field(
        1.6, gt=0, description="Length of a near shot of the film."
    )
    far_seconds: Annotated[float, INSIDE] = Field(
        1.2, gt=0, description="Length of a far shot of the film."
    )
    look_every: Annotated[int, INSIDE] = Field(
        5, ge=1, description="Frames of a film between those whose single pictures are scored."
    )
    seed: int = Field(0, ge=0, description="Of the degradations.")
    tapes: bool = Field(
        False,
        description="Put these people on tapes, and restore them from photos that are not.",
    )
    second_stages: Annotated[
        tuple[Path | str, ...], Typed("second-stage", metavar="NAME|FILE", parse=stage_named)
    ] = Field(
        (),
        description="A restorer as for render: alone, as its own tool runs it, and behind ours; "
        "repeatable.",
    )
    switches: bool = Field(False, description="A row more for each part of the restorer left out.")

    @field_serializer("second_stages")
    def _files_by_name(self, stages: tuple[Path | str, ...]) -> list[str]:
        return [one.name if isinstance(one, Path) else one for one in stages]

    @field_serializer("stills", "clips")
    def _names_only(self, places: tuple[Path, ...]) -> list[str]:
        return [place.name for place in places]  # reports name no folders of a machine

    def quick(self) -> EvaluationSettings:
        """Return the same with few people, for two minutes on two cores."""
        few = {"most_people": 3, "photos": 2, "album": 9, "near_seconds": 1.0, "far_seconds": 0.8}
        return self.model_copy(update=few)
