"""Means, the best of a column, Markdown, and the goals."""

from __future__ import annotations

import numpy as np
import pytest

from refrestore.evaluate.goals import goals, markdown
from refrestore.evaluate.table import METRICS, RowText, Scores, Table

KEYS = ("input", "gfpgan", "split", "ours-none", "ours-wrong", "ours-right", "truth")
ROWS = [RowText(key, key.upper(), "about") for key in KEYS]


def table(**identities: float) -> Table:
    entries = [
        Scores(key.replace("_", "-"), "stills, severe", "somebody", {"identity": value, "psnr": 20})
        for key, value in identities.items()
    ]
    return Table(ROWS, METRICS, entries)


def test_means_leave_out_what_is_not_known() -> None:
    entries = [
        Scores("input", "a", "one", {"psnr": 20.0, "niqe": float("nan")}),
        Scores("input", "a", "two", {"psnr": 30.0, "niqe": 5.0}),
        Scores("input", "b", "two", {"psnr": 99.0}),
    ]
    made = Table(ROWS, METRICS, entries)
    assert made.mean("input", "a", "psnr") == 25
    assert made.mean("input", "a", "niqe") == 5
    assert made.mean("input", "b", "niqe") is None
    assert made.conditions == ["a", "b"]
    assert made.count("a") == 2
    assert [metric.key for metric in made.metrics_of("b")] == ["psnr"]


def test_markdown_marks_the_best_and_never_the_truth() -> None:
    entries = [
        Scores("input", "a", "x", {"psnr": 20.0, "niqe": 9.0}),
        Scores("ours-right", "a", "x", {"psnr": 25.0, "niqe": 6.0}),
        Scores("truth", "a", "x", {"niqe": 4.0}),
    ]
    lines = Table(ROWS, METRICS, entries).markdown().splitlines()
    assert "| OURS-RIGHT | **25.00** | **6.00** |" in lines
    assert "| TRUTH | – | 4.00 |" in lines


def test_of_some_metrics_what_is_nearest_to_one_is_best() -> None:
    entries = [
        Scores("input", "a", "x", {"detail": 0.5}),
        Scores("split", "a", "x", {"detail": 1.6}),
        Scores("ours-right", "a", "x", {"detail": 0.8}),
    ]
    lines = Table(ROWS, METRICS, entries).markdown().splitlines()
    assert "| | detail → 1 |" in lines
    assert "| OURS-RIGHT | **0.80** |" in lines


def test_goals_are_differences_of_rows() -> None:
    made = table(input=0.2, split=0.5, ours_none=0.3, ours_wrong=0.25, ours_right=0.6)
    found = {goal.about: goal for goal in goals(made)}
    assert found["identity over the input"].value == pytest.approx(0.4)
    assert found["identity over the input"].reached
    assert found["identity over ours without references"].reached
    wrong = found["identity with a wrong person's references, over none"]
    assert wrong.value == pytest.approx(-0.05)
    assert wrong.reached
    assert not found["PSNR over the frequency split"].reached  # equal is not over
    assert found["PSNR over the input"].reached
    assert "missed" in markdown(list(found.values()))


def test_a_goal_can_be_missed() -> None:
    found = {
        goal.about: goal
        for goal in goals(table(input=0.5, ours_none=0.5, ours_wrong=0.4, ours_right=0.7))
    }
    assert not found["identity over the input"].reached
    assert not found["identity with a wrong person's references, over none"].reached
    assert not any("split" in about for about in found)


def test_goals_in_motion() -> None:
    entries = [
        Scores("truth", "film, moderate", "x", {"jitter": 0.05}),
        Scores("input", "film, moderate", "x", {"motion": 0.02, "flicker": 0.0}),
        Scores("gfpgan", "film, moderate", "x", {"jitter": 0.10}),
        Scores(
            "ours-right", "film, moderate", "x", {"jitter": 0.07, "motion": 0.01, "flicker": 0.4}
        ),
    ]
    found = {goal.about: goal for goal in goals(Table(ROWS, METRICS, entries))}
    assert not found["identity jitter in the truth's"].reached
    assert found["identity jitter in the truth's"].value == pytest.approx(1.4)
    assert found["boundary flicker over the input's"].reached
    about = "identity jitter beyond the truth's, in that of gfpgan alone"
    assert found[about].value == pytest.approx(0.4)
    behind = Scores("ours-gfpgan", "film, moderate", "x", {"jitter": 0.08})  # with its weights
    again = {goal.about: goal for goal in goals(Table(ROWS, METRICS, [*entries, behind]))}
    assert again[about].value == pytest.approx(0.6)
    assert not again[about].reached
    assert found["TLME over the input"].reached


def test_a_second_stage_costs_no_identity_and_flickers_half_as_much() -> None:
    keys = (*KEYS, "gpen", "ours-gpen", "ours-right-gpen")
    rows = [RowText(key, key, "about") for key in keys]
    scores = {
        "ours-none": (0.5, 0.05), "ours-right": (0.8, 0.05), "truth": (1, 0.05),
        "gpen": (0.4, 0.09), "ours-gpen": (0.4985, 0.06), "ours-right-gpen": (0.79, 0.05),
    }  # fmt: skip
    entries = [
        Scores(key, "film, moderate", "x", {"identity": one, "second": one, "jitter": jitter})
        for key, (one, jitter) in scores.items()
    ]
    found = {goal.about: goal for goal in goals(Table(rows, METRICS, entries))}
    assert found["identity with gpen behind ours-none, over without"].reached
    lost = found["by EdgeFace with gpen behind ours-right, over without"]
    assert not lost.reached
    assert lost.value == pytest.approx(-0.01)
    share = found["identity jitter beyond the truth's, in that of gpen alone"]
    assert share.value == pytest.approx(0.25)
    assert share.reached


def test_plain_values_are_json() -> None:
    import json

    made = Table(ROWS, METRICS, [Scores("input", "a", "x", {"psnr": float("inf")}, "left alone")])
    plain = json.loads(json.dumps(made.plain(), allow_nan=False))
    assert plain["entries"][0]["psnr"] is None
    assert plain["means"]["a"]["input"]["done"] == {"left alone": 1}
    assert np.isinf(made.entries[0].values["psnr"])
