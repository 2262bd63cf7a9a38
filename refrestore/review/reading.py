"""The project as the page sees it, read once a version and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refrestore.profiles import Match
from refrestore.project import CloseUp, Project
from refrestore.project.gaps import find_gaps
from refrestore.project.pooling import pool_tracks
from refrestore.project.suggestions import Suggestions, suggest
from refrestore.render.wanted import photos_wanted
from refrestore.types import FloatArray, Identity, Track

from .profile_index import IndexedProfile, ProfileIndex
from .scan_cache import ScanCache

MOST_SUGGESTED = 40

_GAPS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Likely:
    """How alike a person is to a profile.

    Parameters
    ----------
    certainty
        Cosine to the profile the person is linked to; None if unlinked or not comparable.
    name, similarity
        The profile that the person may be, if not linked; None for nobody.
    """

    certainty: float | None = None
    name: str | None = None
    similarity: float = 0.0


class ProjectView:
    """A project as it is after a certain edit."""

    def __init__(self, project: Project, scanned: ScanCache, version: str) -> None:
        self.project, self.scanned, self.version = project, scanned, version
        self.identities: dict[int, Identity] = {one.id: one for one in project.identities()}
        self.close_ups: dict[int, list[CloseUp]] = {}
        for one in project.close_ups():
            self.close_ups.setdefault(one.identity or 0, []).append(one)

    @cached_property
    def settled(self) -> frozenset[int]:
        """Tracks that the user put where they are."""
        return self.project.settled_tracks()

    @cached_property
    def holders(self) -> dict[int, int]:
        """Identity by track."""
        return {track: one.id for one in self.identities.values() for track in one.tracks}

    def cover(self, identity: Identity) -> CloseUp | None:
        """Return a person's best close-up in use, None if there is none."""
        used = (one for one in self.close_ups.get(identity.id, []) if one.used)
        return max(used, key=lambda one: one.quality, default=None)

    def tracks_of(self, identity: Identity) -> list[Track]:
        """Return the tracks of a person."""
        return [self.scanned.tracks[track] for track in identity.tracks]

    def centroid(self, identity: Identity) -> FloatArray | None:
        """Return the (512,) mean embedding of a person, None if nobody saw them clearly."""
        clear = [track for track in self.tracks_of(identity) if track.embedding is not None]
        return pool_tracks(clear) if clear else None

    def similarities(self, identity: Identity) -> dict[int, float]:
        """Return the cosine of each of a person's tracks to the others of the person."""
        clear = [track for track in self.tracks_of(identity) if track.embedding is not None]
        if len(clear) < 2:
            return {}
        embeddings = np.stack([t.embedding for t in clear if t.embedding is not None])
        weights = np.array([max(t.embedding_weight, 0.05) for t in clear], np.float32)
        weighted = embeddings * weights[:, None]
        others = weighted.sum(0) - weighted
        length = np.maximum(np.linalg.norm(others, axis=1), 1e-9)
        cosines = (embeddings * others).sum(1) / length
        return {t.id: float(value) for t, value in zip(clear, cosines, strict=True)}


class Reader:
    """Reads a project; what was read stays until an edit or a scan changes it.

    Parameters
    ----------
    project
        Open for as long as this is used.
    profile_index
        Profiles.
    """

    def __init__(self, project: Project, profile_index: ProfileIndex) -> None:
        self.project, self.profile_index = project, profile_index
        self._mutex = threading.RLock()
        self._scanned: ScanCache | None = None
        self._view: ProjectView | None = None
        self._gaps: OrderedDict[object, list[str]] = OrderedDict()
        self._wanted: OrderedDict[object, str] = OrderedDict()
        self._likely: tuple[object, dict[int, Likely]] | None = None
        self._suggested: tuple[str, Suggestions] | None = None

    def version(self) -> str:
        """Return what changes with every edit and scan."""
        return f"{self.project.scan_id()}.{self.project.last_entry()}"

    def scanned(self) -> ScanCache:
        """Return the current scan."""
        return self.view().scanned

    def view(self) -> ProjectView:
        """Return the project as it is now."""
        with self._mutex, self.project.database.transaction():
            version = self.version()
            if self._view is None or self._view.version != version:
                scan = self.project.scan_id()
                # A drawn face is a track more.
                if self._scanned is None or (self._scanned.scan, len(self._scanned.tracks)) != (
                    scan,
                    self.project.track_count(),
                ):
                    self._scanned = ScanCache(self.project)
                self._view = ProjectView(self.project, self._scanned, version)
            return self._view

    def warm(self) -> None:
        """Read what the first view shows, so that it need not wait for that."""
        view = self.view()
        for identity in view.identities.values():
            if identity.state == "restore":
                self.gaps(view, identity)

    def gaps(self, view: ProjectView, identity: Identity) -> list[str]:
        """Return what close-ups a person lacks, in sentences."""
        close_ups = view.close_ups.get(identity.id, [])
        used = tuple(one.id for one in close_ups if one.used)
        profile = self._of(identity.profile)
        stamp = None if profile is None else profile.stamp
        key = (view.scanned.scan, identity.id, identity.name, identity.tracks, used, stamp)
        with self._mutex:
            if key not in self._gaps:
                self._gaps[key] = _gaps(view, identity, profile)
                while len(self._gaps) > _GAPS_KEPT:
                    self._gaps.popitem(last=False)
            return self._gaps[key]

    def wanted(self, view: ProjectView, identity: Identity) -> str | None:
        """Return which photos would help a person without close-ups and profile."""
        if identity.state != "restore" or identity.profile is not None or view.cover(identity):
            return None
        key = (view.scanned.scan, identity.tracks)
        with self._mutex:
            if key not in self._wanted:
                self._wanted[key] = photos_wanted(self.project, identity)
                while len(self._wanted) > _GAPS_KEPT:
                    self._wanted.popitem(last=False)
            return self._wanted[key]

    def likely(self, view: ProjectView) -> Mapping[int, Likely]:
        """Return who people may be, of the profiles that are open."""
        indexed = self.profile_index.already()
        key = (view.version, tuple((one.name, one.stamp) for one in indexed))
        with self._mutex:
            if self._likely is None or self._likely[0] != key:
                self._likely = (key, _likely(view, indexed))
            return self._likely[1]

    def suggestions(self, view: ProjectView) -> Suggestions:
        """Return what is worth a look."""
        with self._mutex:
            if self._suggested is None or self._suggested[0] != view.version:
                self._suggested = (view.version, suggest(self.project, limit=MOST_SUGGESTED))
            return self._suggested[1]

    def _of(self, name: str | None) -> IndexedProfile | None:
        if name is None:
            return None
        return next((one for one in self.profile_index.already() if one.name == name), None)


def _gaps(view: ProjectView, identity: Identity, profile: IndexedProfile | None) -> list[str]:
    poses = [view.scanned.poses[t] for t in identity.tracks if t in view.scanned.poses]
    if not poses:
        return []
    frames = np.concatenate([frames for frames, _ in poses])
    faces = np.concatenate([pose for _, pose in poses])
    known = [(o.yaw, o.pitch) for o in view.close_ups.get(identity.id, []) if o.used]
    if profile is not None and profile.profile is not None:
        known += [(float(r.pose[0]), float(r.pose[1])) for r in profile.profile.references]
    pairs = np.array(known, np.float32).reshape(-1, 2)
    return find_gaps(identity, frames, faces, pairs, view.scanned.timeline).sentences()


def _likely(view: ProjectView, indexed: Sequence[IndexedProfile]) -> dict[int, Likely]:
    network = view.scanned.network
    fit = [s.profile for s in indexed if s.profile is not None and s.misfit(network) is None]
    if not fit:
        return {}
    from refrestore.scan.recognise import match_identities

    by_name = {profile.name: profile for profile in fit}
    matches: Mapping[int, Match] = match_identities(view.project, fit)
    found = {}
    for number, answer in matches.items():
        identity = view.identities.get(number)
        if identity is None:
            continue
        if identity.profile is None:
            found[number] = Likely(name=answer.name, similarity=answer.similarity)
        elif identity.profile in by_name:
            centroid = view.centroid(identity)
            if centroid is not None:
                found[number] = Likely(by_name[identity.profile].similarity(centroid))
    return found
