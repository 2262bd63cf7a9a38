"""What the page may send: checked, and nothing besides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from refrestore.types import IdentityState

MOST = 10_000
"""Things named at once; a film of two hours has some thousand tracks."""

Number = Annotated[int, Field(ge=0, le=2**53)]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=MOST)]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Version = Annotated[str, Field(max_length=64)]
Name = Annotated[str, Field(max_length=500)]


class Strict(BaseModel):
    """Base: a misspelt field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Merge(Strict):
    """Several identities are one person; the first keeps its id."""

    do: Literal["merge"]
    identities: Annotated[list[Number], Field(min_length=2, max_length=MOST)]
    force: bool = False


class Split(Strict):
    """Tracks of an identity are somebody else."""

    do: Literal["split"]
    identity: Number
    tracks: Numbers


class Move(Strict):
    """Tracks are somebody's, or a new person's."""

    do: Literal["move"]
    tracks: Numbers
    to: Number | Literal["new"]
    force: bool = False


class NotAFace(Strict):
    """Tracks or whole identities are no faces."""

    do: Literal["not_a_face"]
    tracks: Numbers | None = None
    identities: Numbers | None = None


class Rename(Strict):
    """An identity has a name; "" takes it away."""

    do: Literal["rename"]
    identity: Number
    name: Name


class SetState(Strict):
    """What the render does with identities."""

    do: Literal["state"]
    identities: Numbers
    state: IdentityState


class Link(Strict):
    """An identity is a profile's person, or nobody's."""

    do: Literal["link"]
    identity: Number
    profile: Name | None


class NotProfile(Strict):
    """An identity is not a profile's person."""

    do: Literal["not_profile"]
    identity: Number
    profile: Name


class Distinct(Strict):
    """Identities are different people."""

    do: Literal["distinct"]
    identities: Annotated[list[Number], Field(min_length=2, max_length=100)]


class Keep(Strict):
    """Tracks are rightly where they are."""

    do: Literal["keep"]
    tracks: Numbers


class UseCloseUps(Strict):
    """Close-ups are references, or never."""

    do: Literal["use", "drop"]
    close_ups: Numbers


class Strength(Strict):
    """How far an identity is restored."""

    do: Literal["strength"]
    identity: Number
    strength: Unit


Edit = Annotated[
    Merge
    | Split
    | Move
    | NotAFace
    | Rename
    | SetState
    | Link
    | NotProfile
    | Distinct
    | Keep
    | UseCloseUps
    | Strength,
    Field(discriminator="do"),
]


class Edits(Strict):
    """Edits that are made together or not at all."""

    version: Version
    edits: Annotated[list[Edit], Field(min_length=1, max_length=1000)]


class FilmTurn(Strict):
    """A film of a queue, by its number."""

    film: Number


class Turn(Strict):
    """Undo or redo."""

    version: Version


class SaveProfile(Strict):
    """A person's close-ups, or an album's photos, become a profile's, and the person is linked."""

    name: Name
    identity: Number | None = None
    album: Number | None = None
    add: bool = False


Strengths = Annotated[dict[str, Unit], Field(max_length=MOST)]
"""By identity id, in digits as JSON's keys are."""


class PreviewRequest(Strict):
    """A moment, or two seconds, before and after."""

    at: Seconds
    identity: Number | None = None
    seconds: Annotated[float, Field(ge=0, le=4)] = 0
    strength: Strengths | None = None


Pixel = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class DrawingRequest(Strict):
    """A face that the scan missed: left, top, right, bottom in display pixels; whose it is."""

    at: Seconds
    box: Annotated[list[Pixel], Field(min_length=4, max_length=4)]
    identity: Number | None = None
    name: Name | None = None


class RenderRequest(Strict):
    """A render of the video or a part of it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    scale: Literal[1, 2, 4] = 1
    crf: Annotated[float, Field(ge=0, le=63)] | None = None
    codec: Annotated[str, Field(max_length=40, pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    strength: Unit = 1.0
    second_stage: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9_.+-]+$")] | None = None
    fidelity: Unit | None = None
    licence_accepted: bool = False
    overwrite: bool = False
