"""Edits of the page become edits of the project."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from refrestore.errors import ProfileError, UsageError
from refrestore.profiles import ProfileStore
from refrestore.project import Project

from .schemas import (
    Distinct,
    Edit,
    Keep,
    Link,
    Merge,
    Move,
    NotAFace,
    NotProfile,
    Rename,
    SetState,
    Split,
    Strength,
    UseCloseUps,
)


def make_edits(project: Project, edits: Sequence[Edit], profiles: ProfileStore) -> list[int]:
    """Make edits, all of them or none; return the ids of identities that are new.

    Raises
    ------
    ProjectError, UsageError, ProfileError
        When one of them is not possible: nothing is changed.
    """
    created: list[int] = []
    with project.together():
        for edit in edits:
            named = edit.profile if isinstance(edit, Link | NotProfile) else None
            if named and named not in profiles.list():
                raise ProfileError(f"There is no profile {named!r}.")
            created += _make(edit, project)
    return created


@singledispatch
def _make(edit: object, project: Project) -> list[int]:
    raise TypeError(f"no edit: {type(edit).__name__}")


@_make.register
def _(edit: Merge, project: Project) -> list[int]:
    project.merge(edit.identities, force=edit.force)
    return []


@_make.register
def _(edit: Split, project: Project) -> list[int]:
    return [project.split(edit.identity, edit.tracks)]


@_make.register
def _(edit: Move, project: Project) -> list[int]:
    if edit.to == "new":
        return [project.separate(edit.tracks, force=edit.force)]
    project.move_tracks(edit.tracks, edit.to, force=edit.force)
    return []


@_make.register
def _(edit: NotAFace, project: Project) -> list[int]:
    if (edit.tracks is None) == (edit.identities is None):
        raise UsageError("Name either tracks or identities that are no faces.")
    if edit.identities is not None:
        project.set_states(edit.identities, "not_a_face")
        return []
    before = {one.id for one in project.identities()}
    return [one for one in project.not_faces(edit.tracks or []) if one not in before]


@_make.register
def _(edit: Rename, project: Project) -> list[int]:
    project.rename(edit.identity, edit.name)
    return []


@_make.register
def _(edit: SetState, project: Project) -> list[int]:
    project.set_states(edit.identities, edit.state)
    return []


@_make.register
def _(edit: Link, project: Project) -> list[int]:
    project.link_profile(edit.identity, edit.profile)
    return []


@_make.register
def _(edit: NotProfile, project: Project) -> list[int]:
    project.deny_profile(edit.identity, edit.profile)
    return []


@_make.register
def _(edit: Distinct, project: Project) -> list[int]:
    project.tell_apart(edit.identities)
    return []


@_make.register
def _(edit: Keep, project: Project) -> list[int]:
    project.keep_tracks(edit.tracks)
    return []


@_make.register
def _(edit: UseCloseUps, project: Project) -> list[int]:
    change = project.use_close_ups if edit.do == "use" else project.drop_close_ups
    change(edit.close_ups)
    return []


@_make.register
def _(edit: Strength, project: Project) -> list[int]:
    project.set_strength(edit.identity, edit.strength)
    return []
