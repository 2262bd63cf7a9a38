"""What a render's output says of itself, and what the report says where it does not."""

from __future__ import annotations

import re

import av
import pytest

from refrestore import __version__
from refrestore.config import RenderSettings
from refrestore.engine.local import render
from refrestore.errors import UsageError

from .conftest import FAR_PART, LOSSLESS

UNSAID = "The output does not say that it was restored, as --no-provenance asked."


def comment(path):
    with av.open(str(path)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        return tags.get("comment"), float(container.duration / av.time_base)


def spans(said):
    """Return the seconds of `0:00:01.2-0:00:03.4`, each pair."""
    pattern = r"(\d+):(\d\d):(\d\d\.\d)"
    times = [int(h) * 3600 + int(m) * 60 + float(s) for h, m, s in re.findall(pattern, said or "")]
    return list(zip(times[::2], times[1::2], strict=True))


def test_the_film_says_when_faces_were_restored(rendered) -> None:
    said, length = comment(rendered.output)
    assert f"restored by refrestore {__version__}" in said
    assert all(0 <= first < last <= length + 0.1 for first, last in spans(said))
    assert spans(said)
    assert not any(one["name"] in said for one in rendered.summary["identities"])
    assert UNSAID not in rendered.summary["notes"]


def rendered_part(project, output, **settings):
    part = {"references": 0, **FAR_PART}
    return render(
        project, output, encoder=LOSSLESS, settings=RenderSettings(**{**part, **settings})
    )


def test_times_are_the_output_s_and_names_are_given_when_asked(project, tmp_path) -> None:
    result = rendered_part(project, tmp_path / "out.mkv", name_people=True)
    said, length = comment(result.output)
    assert length < 0.3
    assert all(last <= 0.3 for _, last in spans(said))
    restored = {one["name"] for one in result.summary["identities"] if one["restored_faces"]}
    assert restored
    assert all(name in said for name in restored)


def test_nothing_is_said_and_that_is_said(project, tmp_path) -> None:
    result = rendered_part(project, tmp_path / "out.mkv", provenance=False)
    assert result.summary["faces"]
    assert comment(result.output)[0] is None
    assert UNSAID in result.summary["notes"]
    assert UNSAID in result.page.read_text()


def test_what_cannot_be_signed_is_refused_before_the_first_frame(project, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"cannot hold Content Credentials"):
        rendered_part(project, tmp_path / "out.mkv", c2pa_key=tmp_path / "key.pem")
    assert not (tmp_path / "out.mkv").exists()
