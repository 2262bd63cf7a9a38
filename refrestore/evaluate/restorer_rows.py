"""Rows that need the restorer: ours in its variants, and the frequency split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from refrestore.config import EncoderSettings, RenderSettings
from refrestore.engine.local import render
from refrestore.evaluate.rows import FilmCase, Made, PictureCase, Row, film_pictures
from refrestore.evaluate.split import SPLIT_SIGMA, frequency_split
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.faces.pose import mesh_keypoints
from refrestore.project import Project
from refrestore.render.crops import from_uint8
from refrestore.render.people import gather_people
from refrestore.render.still import DETECT_SIZE, PASSES, PictureResult, restore_picture
from refrestore.render.toolbox import Toolbox
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.composite import differences, mesh_boxes, pasted
from refrestore.restore.hull_mask import grown, hull_mask
from refrestore.scan.recognise import recognised
from refrestore.types import FloatArray, ImageArray, ProgressCallback

NO_FACE = "no face found"

SWITCHED_OFF = (
    ("steadied", "ours, not steadied", "every frame by itself (restore/steady.py left out)"),
    ("carried", "ours, all restored", "no face is carried over (restore/carried.py left out)"),
    ("burst", "ours, frame by frame", "no face is drawn from those around it (restore/burst.py)"),
    ("energy", "ours, averaged", "the mean of the references as it is (blocks.raised)"),
    ("colours", "ours, the film's colours", "with its blotches (restore/colours.py left out)"),
    ("head", "ours, without the head", "the mesh's hull only (restore/head.py left out)"),
    ("as_filmed", "ours, not as filmed", "no motion blur, no grain (restore/camera.py left out)"),
    ("mask", "ours, without the mask", "all of the mesh's hull is face (restore/mask.py left out)"),
    ("lids", "ours, all eyes open", "shut eyes as any others (restore/lids.py left out)"),
    ("mouth", "ours, their mouths", "mouths that no reference shows, too (fusion_bands.unshown)"),
    ("guard", "ours, unguarded", "references whatever the guard says (restore/guard.py left out)"),
)
"""Switches of `render.switches` with the names and descriptions of their rows."""


@dataclass(frozen=True, eq=False)
class Ours:
    """The restorer as users run it: `refrestore image` and `refrestore run`.

    Parameters
    ----------
    key, name, about
        As in `Row`.
    references
        Nobody's, the person's, or somebody else's.
    toolbox
        Networks; a variant may bring its own.
    settings
        Of the render; a variant may change them.
    progress
        Is told how far a film is.
    film_only
        Stills are as those of another row.
    """

    key: str
    name: str
    about: str
    references: Literal["none", "right", "wrong"]
    toolbox: Toolbox
    settings: RenderSettings
    progress: ProgressCallback | None = None
    film_only: bool = False

    def picture(self, case: PictureCase) -> Made | None:
        """Restore a picture, gate and guard included."""
        if self.film_only:
            return None
        profile = {"none": None, "right": case.profile, "wrong": case.stranger}[self.references]
        if self.references == "wrong" and profile is None:
            return None
        result = restore_picture(
            case.picture, self.toolbox, profile=profile, settings=self.settings
        )
        return Made(result.image, _done(result))

    def film(self, case: FilmCase) -> Iterator[ImageArray] | None:
        """Render a film, losslessly encoded."""
        folder = case.swapped if self.references == "wrong" and not case.albums else case.project
        if folder is None:
            return None
        settings = self.settings
        if self.references == "none":
            settings = settings.model_copy(update={"references": 0})
        with Project.open(folder) as project:
            profiles = case.albums.get(self.references, ())
            result = render(
                project,
                case.folder / f"{self.key}.mkv",
                settings=settings,
                encoder=EncoderSettings(codec="ffv1"),
                lent=recognised(project, profiles) if profiles else None,
                video=case.film,
                toolbox=self.toolbox,
                progress=self.progress,
            )
        return film_pictures(result.output)


def _done(result: PictureResult) -> str:
    """Return what was done to the largest face."""
    if not len(result.faces):
        return NO_FACE
    return str(result.summary()[int(np.argmax(result.faces.size))]["done"])


@dataclass(frozen=True, eq=False)
class FrequencySplit:
    """The frequency split as a row: our detector, mesh, references and paste, no network.

    Parameters
    ----------
    toolbox
        For its detector and mesh.
    """

    toolbox: Toolbox
    key: str = "split"
    name: str = "frequency split of 5 references"
    about: str = (
        "low frequencies of the input and the others of the mean of five warped references of "
        "the person; nothing is trained"
    )

    def picture(self, case: PictureCase) -> Made:
        """Put the references' detail onto the largest face."""
        models = self.toolbox.models
        found = models.detector.detect([case.picture], [0], DETECT_SIZE, passes=PASSES)
        if not len(found):
            return Made(case.picture, NO_FACE)
        faces = models.describe(case.picture, found[[int(np.argmax(found.size))]], embed=False)
        assert faces.landmarks is not None
        bank = ReferenceBank.from_references(case.profile.references)
        sigma = SPLIT_SIGMA[case.condition.rsplit(", ", 1)[-1]]
        return Made(_split(case.picture, faces.keypoints, faces.landmarks, [bank], sigma))

    def film(self, case: FilmCase) -> Iterator[ImageArray]:
        """Do it to every face whose person has references, frame by frame."""
        with Project.open(case.project) as project:
            people = gather_people(project, [])
            owner = project.identity_of_track()
            for index, picture in enumerate(film_pictures(case.film)):
                if index not in case.kinds:
                    yield picture
                    continue
                faces = project.faces(first=index, stop=index + 1)
                tracks = [] if faces.track is None else faces.track.tolist()
                rows = [row for row, track in enumerate(tracks) if owner.get(track) in people.banks]
                if not rows:
                    yield picture
                    continue
                faces = faces[rows]
                banks = [people.banks[owner[tracks[row]]] for row in rows]
                landmarks, _ = self.toolbox.models.mesh(picture, faces.box, faces.keypoints)
                sigma = SPLIT_SIGMA[case.kinds[index]]
                yield _split(picture, mesh_keypoints(landmarks), landmarks, banks, sigma)


def _split(
    picture: ImageArray,
    keypoints: FloatArray,
    landmarks: FloatArray,
    banks: list[ReferenceBank],
    sigma: float,
) -> ImageArray:
    matrices = similarity(keypoints, FFHQ_TEMPLATE)
    before = crops(picture, matrices)
    meshes = transform(matrices, landmarks).astype(np.float32)
    after = frequency_split(before, meshes, banks, sigma=sigma)
    planes = [from_uint8(faces) for faces in (after, before)]
    masks = hull_mask(grown(torch.from_numpy(meshes)), before.shape[1])
    size = (picture.shape[1], picture.shape[0])
    strengths = np.ones(len(before), np.float32)
    boxes = mesh_boxes(meshes, before.shape[1])
    made = differences(
        planes[0], planes[1], masks, strengths, matrices, boxes=boxes, picture_size=size
    )
    return pasted(picture, made)


def our_rows(
    toolbox: Toolbox, settings: RenderSettings, progress: ProgressCallback | None
) -> list[Ours]:
    """Return the restorer without references, with a wrong person's and with the right."""
    stages = ", then ".join(toolbox.stages)
    plain = Ours(
        "ours-none",
        "ours, no references",
        f"the restorer ({stages}) without references",
        "none",
        toolbox,
        settings,
        progress,
    )
    return [
        plain,
        replace(
            plain,
            key="ours-wrong",
            name="ours, somebody else's",
            about="the same with the most similar other person's references, through gate and "
            "guard; in films the far tracks are given to the next person",
            references="wrong",
        ),
        replace(
            plain,
            key="ours-right",
            name="ours, the person's references",
            about="the same with references of the person: in stills their other photos, in films "
            "the near shots that the scan finds",
            references="right",
        ),
    ]


def switch_rows(
    toolbox: Toolbox, settings: RenderSettings, progress: ProgressCallback | None
) -> list[Row]:
    """Return the restorer with one part of it left out each, and with fewer or more references."""
    _, wrong, right = our_rows(toolbox, settings, progress)
    rows: list[Row] = [
        replace(
            right,
            key=f"references-{count}",
            name=f"ours, {count} reference{'s' if count > 1 else ''} at most",
            about=f"the person's references, {count} for a face instead of {settings.references}",
            settings=settings.model_copy(update={"references": count}),
        )
        for count in (1, 3, 8)
        if count != settings.references
    ]
    for switch, name, about in SWITCHED_OFF:
        without = toolbox.without(switch)
        rows.append(
            replace(
                right,
                key=f"no-{switch}",
                name=name,
                about=about,
                toolbox=without,
                film_only=switch in ("steadied", "carried", "burst", "as_filmed"),
            )
        )
    unguarded = replace(
        wrong,
        key="wrong-no-guard",
        name="ours, somebody else's, unguarded",
        about="a wrong person's references without gate and guard",
        toolbox=toolbox.without("guard"),
    )
    return [*rows, unguarded]
