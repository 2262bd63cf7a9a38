"""`refrestore evaluate`: options are settings, bad input is one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import refrestore.cli as cli
from refrestore.config import RenderSettings
from refrestore.errors import UsageError
from refrestore.evaluate.settings import EvaluationSettings


def test_options_are_the_settings(monkeypatch) -> None:
    asked = []

    def run(output, settings, *, runtime, render_settings, progress):
        asked.append((settings, render_settings))
        raise UsageError("enough")

    monkeypatch.setattr("refrestore.evaluate.evaluation.evaluate", run)
    words = "--stills a --stills b --people anna --degradation 24px --degradation severe --seed 3 "
    words += "--second-stage gfpgan --second-stage x/codeformer.pth --accept-licence codeformer"
    for more in ((), ("--quick",)):
        monkeypatch.setattr(
            sys, "argv", ["refrestore", "evaluate", "-o", "out", *words.split(), *more]
        )
        with pytest.raises(SystemExit):
            cli.main()
    (whole, render), (quick, _) = asked
    assert whole == EvaluationSettings(
        stills=(Path("a"), Path("b")),
        people=("anna",),
        degradations=("24px", "severe"),
        seed=3,
        second_stages=("gfpgan", Path("x/codeformer.pth")),
    )
    assert render == RenderSettings(accept_licence="codeformer")
    assert quick == whole.quick()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to evaluate on"),
        (["--stills", "nowhere"], "There is no folder nowhere"),
        (["--clips", "nowhere.mp4"], "There is no clip and no folder nowhere.mp4"),
        (["--stills", ".", "--degradation", "awful"], "'awful' of degradations"),
        (["--stills", "."], "has two photos"),
        (["--stills", ".", "--references", "0"], "give --references 1 to 8"),
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
