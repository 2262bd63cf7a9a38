"""Still pictures from files to files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.errors import MediaError, UsageError
from refrestore.media.provenance import Provenance
from refrestore.media.signing import SigningKey, sign
from refrestore.media.stills import WRITTEN, pictures_in, read_picture, write_picture
from refrestore.profiles import Profile
from refrestore.render.still import PictureResult, restore_picture
from refrestore.render.toolbox import open_toolbox
from refrestore.restore.adapter import usable
from refrestore.restore.guard import Choice

_log = logging.getLogger(__name__)


def restore_pictures(
    photos: Sequence[Path],
    output: Path,
    *,
    profile: Profile | None = None,
    settings: RenderSettings | None = None,
    runtime: RuntimeSettings | None = None,
) -> list[tuple[Path, Path, PictureResult]]:
    """Restore pictures one after another; return source, target and result of each.

    Parameters
    ----------
    photos
        Pictures, or folders of them.
    output
        A file for one picture; a folder for several, or if it is one: names are kept, but for
        formats that are not written: HEIC becomes JPEG, others PNG.

    Raises
    ------
    UsageError
        If an output would overwrite its source or another output.
    MediaError
        If a picture cannot be read: with a warning that says why, after all the others are done.
    DiskError
        If one cannot be written; those before it are done.
    """
    several = len(photos) > 1 or output.is_dir() or any(photo.is_dir() for photo in photos)
    photos = [one for path in photos for one in (pictures_in([path]) if path.is_dir() else [path])]
    targets = [output / _name(photo) if several else output for photo in photos]
    become: dict[Path, Path] = {}
    for photo, target in zip(photos, targets, strict=True):
        other = become.setdefault(target, photo)
        if other is not photo:
            raise UsageError(
                f"{other} and {photo} would both become {target}; restore them into two folders."
            )
    for photo, target in zip(photos, targets, strict=True):
        if target.exists() and photo.exists() and target.samefile(photo):
            raise UsageError(f"{photo} would be overwritten; choose another output.")
    settings, runtime = settings or RenderSettings(), runtime or RuntimeSettings()
    key = None if settings.c2pa_key is None else SigningKey.read(settings.c2pa_key)
    toolbox = open_toolbox(runtime).equipped(settings, runtime)
    if profile is not None:
        profile = toolbox.fitted(profile)
        _, note = usable(profile.adapter, toolbox.fusion, profile.name)
        if note is not None:
            _log.warning(note)
    if several:
        output.mkdir(parents=True, exist_ok=True)
    results = []
    for photo, target in zip(photos, targets, strict=True):
        try:
            picture = read_picture(photo)
        except MediaError as error:
            if not several:
                raise
            _log.warning("%s", error)
            continue
        result = restore_picture(picture, toolbox, profile=profile, settings=settings)
        done = _provenance(result, profile, settings)
        write_picture(target, result.image, said=done)
        if key is not None and done is not None:
            sign(target, key, done, photo, work=target.parent)
        results.append((photo, target, result))
    if len(results) < len(photos):
        raise MediaError(
            f"{len(photos) - len(results)} of {len(photos)} pictures could not be read; the others "
            f"are in {output}."
        )
    return results


def _provenance(
    result: PictureResult, profile: Profile | None, settings: RenderSettings
) -> Provenance | None:
    """Return what a picture is to say of itself; None where it has nothing to say."""
    restored = any(face["done"] != Choice.INPUT.value for face in result.summary())
    if not settings.provenance or not restored:
        return None
    named = [] if profile is None or not settings.name_people else [profile.name]
    return Provenance(people=named)


def _name(photo: Path) -> str:
    suffix = photo.suffix.lower()
    if suffix in WRITTEN:
        return photo.name
    return photo.stem + (".jpg" if suffix in (".heic", ".heif") else ".png")
