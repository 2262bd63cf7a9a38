"""The words everybody uses: geometry, frames, the `Faces` table, shots, tracks, references.

Two coordinate systems exist and every array says which one it is in:

* *storage pixels*: the grid of the coded picture. Rows and columns may be non-square
  (sample aspect ratio) and turned (rotation).
* *display pixels*: what a viewer sees; square pixels, upright, with the height (or, turned by
  90 degrees, the width) of the storage grid. All face coordinates are display pixels.

Pixel centres lie at integer coordinates, as in OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ImageArray = NDArray[np.uint8]

KEYPOINTS = 5
"""Left eye, right eye, nose, left and right mouth corner, as they appear in the picture."""

DENSE_LANDMARKS = 468
"""Points of the face mesh (MediaPipe's canonical topology)."""

EMBEDDING_SIZE = 512
"""Length of an identity embedding (ArcFace's)."""

ProgressCallback = Callable[[str, int, "int | None"], None]
"""Called as `progress(stage, done, total)`; `total` is None where it is not known."""

Announce = Callable[[str], None]
"""Called with sentences the user should hear before work begins."""

IdentityState = Literal["restore", "ignore", "not_a_face"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a storage grid is shown.

    Parameters
    ----------
    width, height
        Size of the storage grid in pixels.
    sample_aspect
        Width of one storage pixel over its height.
    rotation
        Degrees, clockwise, by which the storage picture is turned to stand upright.
    """

    width: int
    height: int
    sample_aspect: Fraction = Fraction(1)
    rotation: Literal[0, 90, 180, 270] = 0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Geometry needs a positive size, got {self.width}x{self.height}")
        if self.sample_aspect <= 0:
            raise ValueError(f"sample_aspect must be positive, got {self.sample_aspect}")
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation must be 0, 90, 180 or 270, got {self.rotation}")

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height in display pixels."""
        wide = max(1, round(self.width * self.sample_aspect))
        return (wide, self.height) if self.rotation in (0, 180) else (self.height, wide)

    def scaled(self, factor: int) -> Geometry:
        """Return the geometry of the same picture enlarged by a whole factor."""
        return replace(self, width=self.width * factor, height=self.height * factor)

    def display_to_storage(self) -> DoubleArray:
        """Return the (2, 3) affine matrix that takes display to storage coordinates."""
        display_width, display_height = self.display_size
        # Edge-aligned coordinates (pixel centres at +0.5) make turning and scaling exact.
        turn = {
            0: np.array([[1.0, 0, 0], [0, 1, 0]]),
            90: np.array([[0.0, 1, 0], [-1, 0, display_width]]),
            180: np.array([[-1.0, 0, display_width], [0, -1, display_height]]),
            270: np.array([[0.0, -1, display_height], [1, 0, 0]]),
        }[self.rotation]
        wide = display_width if self.rotation in (0, 180) else display_height
        turn[0] *= self.width / wide
        turn[:, 2] += turn[:, :2] @ np.array([0.5, 0.5]) - 0.5
        return turn

    def storage_to_display(self) -> DoubleArray:
        """Return the inverse of `display_to_storage`."""
        matrix = self.display_to_storage()
        inverse = np.linalg.inv(matrix[:, :2])
        return np.hstack([inverse, -inverse @ matrix[:, 2:]])


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture with its time.

    Parameters
    ----------
    index
        Position in presentation order, from 0, in the whole video (not in a cut-out).
    time
        Presentation time in seconds, exactly as the container says; it need not start at 0.
    picture
        The decoder's picture in storage orientation and source pixel format. Never written to.
    geometry
        How the storage grid is shown.
    """

    index: int
    time: Fraction
    picture: av.VideoFrame
    geometry: Geometry

    def __repr__(self) -> str:
        return (
            f"Frame(index={self.index}, time={float(self.time):.3f}s, "
            f"{self.geometry.width}x{self.geometry.height} {self.picture.format.name})"
        )


def _column(*tail: int, kind: str) -> Any:
    return field(default=None, metadata={"tail": tail, "kind": kind})


@dataclass(frozen=True, eq=False)
class Faces:
    """A table of N faces, one array a column; every stage takes one and returns one.

    Columns other than `frame`, `box`, `keypoints` and `score` are None until a stage adds them.

    Parameters
    ----------
    frame : (N,) int64
        Frame index.
    box : (N, 4) float32
        Left, top, right, bottom in display pixels.
    keypoints : (N, 5, 2) float32
        Eyes, nose, mouth corners in display pixels.
    score : (N,) float32
        The detector's confidence, 0..1; 0 where a face was interpolated and not detected.
    landmarks : (N, 468, 2) float32, optional
        Dense landmarks in display pixels.
    embedding : (N, 512) float32, optional
        Unit identity embeddings; NaN rows where none was taken.
    quality : (N,) float32, optional
        0..1, product of size, sharpness, pose, exposure and occlusion terms (faces.quality).
    sharpness : (N,) float32, optional
        Detail inside the face at native resolution (faces.quality).
    pose : (N, 3) float32, optional
        Yaw, pitch, roll in degrees; positive yaw looks to the picture's right.
    track : (N,) int64, optional
        Track id, -1 for none.
    """

    frame: IntArray = field(metadata={"tail": (), "kind": "i8"})
    box: FloatArray = field(metadata={"tail": (4,), "kind": "f4"})
    keypoints: FloatArray = field(metadata={"tail": (KEYPOINTS, 2), "kind": "f4"})
    score: FloatArray = field(metadata={"tail": (), "kind": "f4"})
    landmarks: FloatArray | None = _column(DENSE_LANDMARKS, 2, kind="f4")
    embedding: FloatArray | None = _column(EMBEDDING_SIZE, kind="f4")
    quality: FloatArray | None = _column(kind="f4")
    sharpness: FloatArray | None = _column(kind="f4")
    pose: FloatArray | None = _column(3, kind="f4")
    track: IntArray | None = _column(kind="i8")

    def __post_init__(self) -> None:
        count = len(self.frame)
        for column in fields(self):
            value = getattr(self, column.name)
            if value is None:
                continue
            array = np.asarray(value, dtype=column.metadata["kind"])
            expected = (count, *column.metadata["tail"])
            if array.shape != expected:
                raise ValueError(
                    f"Faces.{column.name} has shape {array.shape}, expected {expected}"
                )
            object.__setattr__(self, column.name, array)

    @classmethod
    def empty(cls) -> Faces:
        """Return a table of no faces."""
        return cls(
            frame=np.zeros(0, np.int64),
            box=np.zeros((0, 4), np.float32),
            keypoints=np.zeros((0, KEYPOINTS, 2), np.float32),
            score=np.zeros(0, np.float32),
        )

    @classmethod
    def concatenate(cls, tables: Iterable[Faces], *, common: bool = False) -> Faces:
        """Stack tables, of which empty ones say nothing.

        Parameters
        ----------
        tables
            With the same columns.
        common
            Leave out the columns that not all tables have.

        Raises
        ------
        ValueError
            When only some have a column, unless the `common` ones are asked for.
        """
        parts = [table for table in tables if len(table)]
        if not parts:
            return cls.empty()
        columns: dict[str, Any] = {}
        for name in (column.name for column in fields(cls)):
            values = [getattr(part, name) for part in parts]
            there = [value for value in values if value is not None]
            if there and len(there) < len(values) and not common:
                raise ValueError(
                    f"{len(there)} of {len(values)} tables have the column {name}: add it to all, "
                    "or ask for the columns that are common"
                )
            columns[name] = np.concatenate(values) if len(there) == len(values) else None
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: NDArray[Any] | slice | list[int]) -> Faces:
        """Return the table of the chosen rows (a mask, indices or a slice)."""
        columns: dict[str, Any] = {
            column.name: None if value is None else value[rows]
            for column in fields(self)
            for value in [getattr(self, column.name)]
        }
        return type(self)(**columns)

    def with_columns(self, **columns: Any) -> Faces:
        """Return a table with these columns added or replaced."""
        return replace(self, **columns)

    def by_frame(self) -> Iterator[tuple[int, Faces]]:
        """Yield frame index and rows of each frame, in ascending order of frames."""
        order = np.argsort(self.frame, kind="stable")
        frames, starts = np.unique(self.frame[order], return_index=True)
        for frame, rows in zip(frames, np.split(order, starts[1:]), strict=True):
            yield int(frame), self[rows]

    @property
    def size(self) -> FloatArray:
        """Geometric mean of box width and height, (N,), display pixels."""
        extent = np.clip(self.box[:, 2:] - self.box[:, :2], 0, None)
        size: FloatArray = np.sqrt(extent[:, 0] * extent[:, 1])
        return size

    @property
    def interocular(self) -> FloatArray:
        """Distance of the eye keypoints, (N,), display pixels."""
        distance: FloatArray = np.linalg.norm(
            self.keypoints[:, 1] - self.keypoints[:, 0], axis=-1
        ).astype(np.float32)
        return distance

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{column.name}{list(value.shape)}"
            for column in fields(self)
            if (value := getattr(self, column.name)) is not None
        )
        return f"Faces({shown})"


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames between two cuts.

    Parameters
    ----------
    index
        Position of the shot in the video, from 0.
    first, stop
        Frame indices, half open: `first <= frame < stop`.
    start
        Presentation time of frame `first` in seconds.
    """

    index: int
    first: int
    stop: int
    start: Fraction


@dataclass(frozen=True, eq=False)
class Track:
    """One face through consecutive frames of one shot.

    Parameters
    ----------
    id
        Unique in its project.
    shot
        Index of its shot.
    first, stop
        Frame indices, half open.
    embedding
        (512,) unit, quality-weighted mean over its best frames; None if no frame was good enough.
    embedding_weight
        How much that embedding can be trusted, 0..1.
    quality
        Quality of its best face, 0..1.
    size
        Median face size in display pixels.
    weak
        May join an identity, or found a provisional one, but never a firm one.
    """

    id: int
    shot: int
    first: int
    stop: int
    embedding: FloatArray | None
    embedding_weight: float
    quality: float
    size: float
    weak: bool


@dataclass(frozen=True, eq=False)
class Reference:
    """One sharp aligned close-up of a person.

    Parameters
    ----------
    image : (512, 512, 3) uint8
        RGB crop aligned to the FFHQ five-point template.
    landmarks : (468, 2) float32
        Dense landmarks in pixels of `image`.
    embedding : (512,) float32
        Unit identity embedding of this crop.
    pose : (3,) float32
        Yaw, pitch, roll in degrees.
    sharpness, quality
        As in `Faces`.
    native_size
        Face size in display pixels of where it was taken; below 512 the crop was enlarged.
    source
        Where it is from, for people: "film.mp4 at 12.480 s" or "album/anna.jpg".
    frame
        Frame index in the project's video, or None for a photo.
    """

    image: ImageArray
    landmarks: FloatArray
    embedding: FloatArray
    pose: FloatArray
    sharpness: float
    quality: float
    native_size: float
    source: str
    frame: int | None = None

    def __repr__(self) -> str:
        yaw, pitch, _ = self.pose
        return (
            f"Reference({self.source!r}, native {self.native_size:.0f} px, "
            f"yaw {yaw:.0f}, pitch {pitch:.0f}, quality {self.quality:.2f})"
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """One person of a project, after the user's edits.

    Parameters
    ----------
    id
        Stable in its project, also over a second scan where the person is found again.
    name
        The user's name for it, or "person N".
    state
        What the render does with it.
    tracks
        Ids of its tracks, ascending.
    seconds
        Time on screen.
    faces
        Number of faces (rows of the table).
    references
        Number of usable references.
    profile
        Name of the profile it is linked to, if any.
    strength
        How far the render restores it, 0..1.
    not_profiles
        Names of profiles that the user said are somebody else's, ascending.
    provisional
        Whether they are only seen blurred: no track is clear enough to found an identity.
    """

    id: int
    name: str
    state: IdentityState
    tracks: tuple[int, ...]
    seconds: float
    faces: int
    references: int
    profile: str | None = None
    strength: float = 1.0
    not_profiles: tuple[str, ...] = ()
    provisional: bool = False
