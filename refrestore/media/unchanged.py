"""Whether a film is still the one that was opened, hours later."""

from __future__ import annotations

from refrestore.errors import MediaError
from refrestore.media.probe import VideoInfo, fingerprint
from refrestore.media.sequences import file_facts


class Unchanged:
    """Remembers a film's size and time of change, to tell whether what was read is of one film.

    Readers go on over what they cannot decode and end where a file ends, so a film that is
    written to, or whose disk is taken away, would only be a shorter or a damaged one.

    Parameters
    ----------
    info
        The film, as it was probed.

    Raises
    ------
    MediaError
        It has changed since it was probed, or is gone.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._path = info.path
        self._known = self._facts()
        if self._fingerprint() != info.fingerprint:
            raise self._changed()

    def check(self) -> None:
        """Look again.

        Raises
        ------
        MediaError
            It has changed, or is gone.
        """
        if self._facts() != self._known:
            raise self._changed()

    def _facts(self) -> object:
        try:
            return file_facts(self._path)
        except (OSError, MediaError) as error:
            raise self._gone() from error

    def _fingerprint(self) -> str:
        try:
            return fingerprint(self._path)
        except (OSError, MediaError) as error:
            raise self._gone() from error

    def _changed(self) -> MediaError:
        return MediaError(
            f"{self._path} was changed while it was being read, so what was made of it last is not "
            "used: put it back as it was, or begin anew with the film as it is now."
        )

    def _gone(self) -> MediaError:
        return MediaError(
            f"{self._path} cannot be read any more: put the film back, or its disk, and try again."
        )
