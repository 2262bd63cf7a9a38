"""What an output says of itself: that its faces were restored, by what, where, and whose they are.

In words in a film's `comment` and a picture's XMP; there as IPTC's digital source type too (Photo
Metadata Standard 2023.2), which programs read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from refrestore import __version__
from refrestore.plain_text import plain

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype"
SOURCE_TYPE = f"{VOCABULARY}/compositeWithTrainedAlgorithmicMedia"
"""A recording of which parts were made by a trained network (IPTC NewsCodes)."""

SPANS = 40
"""Stretches that are named; of more the first and last moment. MP4 readers cut long comments."""

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   xmp:CreatorTool="refrestore {version}" ext:DigitalSourceType="{source}">
   <dc:description>
    <rdf:Alt><rdf:li xml:lang="x-default">{sentence}</rdf:li></rdf:Alt>
   </dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class Provenance:
    """What was done to an output.

    Parameters
    ----------
    spans
        Seconds of the output, first and last, in which faces were restored; none of a picture.
    people
        Whose faces; nobody's where they are not to be named.
    background
        File name of the network that repainted the rest of the frame, if one did.
    """

    spans: Sequence[tuple[float, float]] = ()
    people: Sequence[str] = ()
    background: str | None = None

    @property
    def sentence(self) -> str:
        """What the comment says, as plain text."""
        whose = f" of {_listed(self.people)}" if self.people else ""
        where = f", at {_listed(self._moments())}" if self.spans else ""
        said = f"Faces{whose} restored by refrestore {__version__} with neural networks{where}."
        if self.background is not None:
            said += f" The rest of the frame was repainted by {self.background}."
        return plain(said)

    def _moments(self) -> list[str]:
        spans = self.spans
        if len(spans) > SPANS:
            return [f"{len(spans)} places from {_clock(spans[0][0])} to {_clock(spans[-1][1])}"]
        return [f"{_clock(first)}-{_clock(last)}" for first, last in spans]

    def xmp(self) -> bytes:
        """Return the XMP packet of a picture."""
        said = escape(self.sentence)
        return _XMP.format(version=__version__, source=SOURCE_TYPE, sentence=said).encode()


def with_sentence(comment: str | None, sentence: str) -> str:
    """Return a comment with a sentence after what it said before."""
    return sentence if not comment else f"{comment.rstrip()}\n{sentence}"


def _clock(seconds: float) -> str:
    """Return 0:01:02.5 of seconds."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{tenths / 10:04.1f}"


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
