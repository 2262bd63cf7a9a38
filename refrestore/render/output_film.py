"""The film of a render: joined from its segments or, where nothing is restored, copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from refrestore.errors import MediaError, kept_if_broken_off
from refrestore.media.copying import copy_film, resolve_copy
from refrestore.media.encoder import Encoder
from refrestore.media.frame_files import publish_pictures
from refrestore.media.join import join
from refrestore.render.recipe import FilmRecipe
from refrestore.render.report import SegmentRecord
from refrestore.render.segment_folder import Segment, SegmentFolder
from refrestore.types import Announce

COPIED = "No face was restored; the film stream was copied, not encoded."


@dataclass(frozen=True)
class RenderedFilm:
    """What became of the film.

    Parameters
    ----------
    segments, records
        Rendered, in order; a copied film may have none, and one record.
    encoder
        That made it.
    copied
        Whether its packets are the source's.
    """

    segments: Sequence[Segment]
    records: Sequence[SegmentRecord]
    encoder: Encoder
    copied: bool = False


def film_as_it_is(recipe: FilmRecipe, folder: SegmentFolder, said: Notes) -> RenderedFilm | None:
    """Copy a film in which nothing is to be restored; None if it must be rendered."""
    if recipe.export is not None or any(plan.restored_frames for plan in recipe.plans):
        return None
    encoder = _copied(recipe, folder, said)
    if encoder is None:
        return None
    return RenderedFilm([], [SegmentRecord(recipe.stop)], encoder, copied=True)


def film_of(
    recipe: FilmRecipe, records: Sequence[SegmentRecord], folder: SegmentFolder, said: Notes
) -> RenderedFilm:
    """Make the output of its segments or, if nothing was restored after all, copy it.

    Parameters
    ----------
    records
        Of the recipe's segments, in order.

    Raises
    ------
    MediaError, DiskError
        There is no frame in it, or the output cannot be written.
    """
    pairs = zip(recipe.segments, records, strict=True)
    rendered = [(segment, record) for segment, record in pairs if record.frames]
    if not rendered:
        folder.remove()
        raise MediaError(f"Not one frame of {recipe.info.path} could be read where it was wanted.")
    segments, records = zip(*rendered, strict=True)
    hoped = recipe.export is not None or any(plan.restored_frames for plan in recipe.plans)
    if hoped and not any(record.faces for record in records):
        encoder = _copied(recipe, folder, said)
        if encoder is not None:
            return RenderedFilm(segments, records, encoder, copied=True)
    videos = [folder.video(segment) for segment in segments]
    with kept_if_broken_off(lambda: folder.kept(recipe.segments)):
        if recipe.encoder.pictures is not None:
            publish_pictures(
                videos,
                recipe.encoder,
                recipe.info,
                recipe.output,
                first=segments[0].first,
                work=folder.path,
            )
            return RenderedFilm(segments, records, recipe.encoder)
        join(
            videos,
            recipe.encoder,
            recipe.info,
            recipe.output,
            start=recipe.part.start,
            end=recipe.part.end,
            work=folder.path,
        )
    return RenderedFilm(segments, records, recipe.encoder)


class Notes:
    """Sentences for the user: announced as they come, kept for the report.

    Parameters
    ----------
    announce
        Is told each of them once.
    """

    def __init__(self, announce: Announce | None) -> None:
        self.notes: list[str] = []
        self._announced: set[str] = set()
        self._announce = announce or (lambda note: None)

    def say(self, notes: Iterable[str], *, instead: bool = False) -> None:
        """Say sentences that were not said yet, in the report after the others or instead."""
        if instead:
            self.notes.clear()
        for note in notes:
            self.notes.append(note)
            self.announce(note)

    def announce(self, note: str) -> None:
        """Announce a sentence that the report does not need, once."""
        if note not in self._announced:
            self._announced.add(note)
            self._announce(note)


def _copied(recipe: FilmRecipe, folder: SegmentFolder, said: Notes) -> Encoder | None:
    """Copy the film if that is what was asked for and the container takes it, and say so.

    None if it must be encoded; the reason is said where the user did not give it.
    """
    settings, info, output = recipe.settings, recipe.info, recipe.output
    ranged = settings.start is not None or settings.end is not None
    asked = recipe.asked.model_fields_set or info.treatment.filters or info.fps is not None
    if settings.scale != 1 or settings.layer or ranged or asked:
        return None
    try:
        encoder = resolve_copy(info, output, work=folder.path)
        copy_film(encoder, info, output, work=folder.path)
    except MediaError as error:
        said.say([f"No face was restored, but the film is encoded again: {error}"])
        return None
    said.say([COPIED, *encoder.notes], instead=True)
    return encoder
