"""The film of a render: rendered and joined or, where nothing is restored, copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refrestore.config import EncoderSettings, RenderSettings
from refrestore.errors import MediaError, kept_if_broken_off
from refrestore.media.copying import copy_film, resolve_copy
from refrestore.media.encoder import Encoder
from refrestore.media.join import join
from refrestore.media.moments import film_length
from refrestore.media.probe import VideoInfo
from refrestore.render.loop import Job, render_segments
from refrestore.render.report import SegmentRecord
from refrestore.render.segments import Segment, SegmentFolder
from refrestore.types import Announce, ProgressCallback

COPIED = "No face needed restoration; the film stream was copied, not encoded."


@dataclass(frozen=True)
class Film:
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


def make_film(
    job: Job,
    folder: SegmentFolder,
    output: Path,
    *,
    asked: EncoderSettings,
    said: Notes,
    progress: ProgressCallback,
) -> Film:
    """Write the output.

    Parameters
    ----------
    asked
        What the user asked of the encoder: a film that must be encoded is not copied.
    said
        Is told what is lost before the first frame is rendered.

    Raises
    ------
    UsageError, MediaError, DiskError
        There is no frame in the range, or the output cannot be written.
    """
    info, part, frames = job.info, job.part, job.frames
    as_it_is = AsItIs(info, output, folder.path, job.settings, asked)
    nothing = not any(plan.restored_frames for plan in job.plans)
    if nothing and job.export is None and (encoder := as_it_is.copied(said)) is not None:
        return Film([], [SegmentRecord(frames)], encoder, copied=True)
    said.say(job.encoder.notes)
    rendered = render_segments(
        job, folder, lambda done, _: progress("render", done, max(frames, done))
    )
    if not rendered:
        folder.remove()
        length = film_length(info, job.shots)
        long = "" if length is None else f"; the film is {float(length):.2f} s long"
        raise MediaError(f"{info.path} has no frame between --start and --end{long}.")
    segments, records = zip(*rendered, strict=True)
    unchanged = not any(record.faces for record in records)
    if unchanged and (not nothing or job.export is not None):
        encoder = as_it_is.copied(said)
        if encoder is not None:
            return Film(segments, records, encoder, copied=True)
    with kept_if_broken_off(lambda: folder.kept(segments)):
        join(
            [folder.video(segment) for segment in segments],
            job.encoder,
            info,
            output,
            start=part.start,
            end=part.end,
            work=folder.path,
        )
    return Film(segments, records, job.encoder)


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
            if note not in self._announced:
                self._announced.add(note)
                self._announce(note)


@dataclass(frozen=True)
class AsItIs:
    """The output that a film gives in which nothing is restored."""

    info: VideoInfo
    output: Path
    work: Path
    settings: RenderSettings
    encoder: EncoderSettings

    def copied(self, said: Notes) -> Encoder | None:
        """Copy the film if that is what was asked for and the container takes it, and say so.

        None if it must be encoded; the reason is said where the user did not give it.
        """
        settings = self.settings
        ranged = settings.start is not None or settings.end is not None
        if settings.scale != 1 or ranged or self.encoder.model_fields_set:
            return None
        try:
            encoder = resolve_copy(self.info, self.output, work=self.work)
            copy_film(encoder, self.info, self.output, work=self.work)
        except MediaError as error:
            said.say([f"No face needed restoration, but the film is encoded again: {error}"])
            return None
        said.say([COPIED, *encoder.notes], instead=True)
        return encoder
