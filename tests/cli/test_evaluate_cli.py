"""`refrestore evaluate`: bad input is one sentence, and nothing is written."""

from __future__ import annotations

import sys

import pytest

import refrestore.cli as cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to evaluate on"),
        (["--stills", "nowhere"], "There is no folder nowhere"),
        (["--clips", "nowhere.mp4"], "There is no clip and no folder nowhere.mp4"),
        (["--stills", ".", "--degradation", "awful"], "'awful' of degradations"),
        (["--stills", "."], "has two photos"),
    ],
)
def test_bad_input(arguments, said, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["refrestore", "evaluate", "-o", "out", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    written = capsys.readouterr()
    assert exit_info.value.code == 2
    assert said in written.err
    assert written.err.count("\n") == 1
    assert written.out == ""
    assert list(tmp_path.iterdir()) == []
