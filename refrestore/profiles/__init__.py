"""Profiles: what a person looks like, kept beyond one film.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refrestore.front_door import opened

if TYPE_CHECKING:
    from .profile import Match, Profile, match
    from .store import ProfileStore

_HOMES = {
    "Match": "profile",
    "Profile": "profile",
    "ProfileStore": "store",
    "match": "profile",
}

__all__ = ["Match", "Profile", "ProfileStore", "match"]


__getattr__ = opened(__name__, _HOMES)
