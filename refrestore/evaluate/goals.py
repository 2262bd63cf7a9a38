"""The figures to reach, as differences between rows of the same run.

Absolute figures of one method move by 0.1 and more between papers, with degradation, recogniser
and crop; differences within a run do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

from refrestore.evaluate.table import Goal, Table

RIGHT, PLAIN, WRONG = "ours-right", "ours-none", "ours-wrong"
INPUT, TRUTH, SPLIT, GFPGAN = "input", "truth", "split", "gfpgan"
"""Keys of the rows that goals are about."""

BEHIND, BEHIND_RIGHT = "ours-", f"{RIGHT}-"
"""Begin the keys of a second stage's rows behind ours, before that of its row alone."""

OVER_INPUT = {"moderate": 0.20, "severe": 0.30}
OVER_PLAIN = {"moderate": 0.15, "severe": 0.25}
"""Identity to be won by the right references, over the input and over none."""

LOST_TO_WRONG = {"moderate": 0.02, "severe": 0.06}
"""Identity that a wrong person's references may cost."""

JITTER = 1.2
"""Identity jitter that is allowed, in the truth's."""

FLICKER = 0.5
"""Boundary flicker that is allowed, grey levels over the input's."""

JITTER_OF_PACKAGE = 0.5
"""What is allowed of the flicker of a restorer as its own tool applies it, by the same weights
where they stand behind ours. Identity jitter, as a pasted square hides the flicker of its edge."""

LOST_TO_SECOND = 0.002
"""Identity that a second stage may cost."""


def goals(table: Table) -> list[Goal]:
    """Hold a table against the figures to reach, where it has the rows for them."""
    found = []
    for condition in table.conditions:
        kind = "severe" if condition.rsplit(", ", 1)[-1] in ("severe", "24px") else "moderate"
        found += list(_of_condition(table, condition, kind))
    return found


def _of_condition(table: Table, condition: str, kind: str) -> Iterator[Goal]:
    def value(row: str, metric: str) -> float | None:
        return table.mean(row, condition, metric)

    def compared(
        about: str,
        rows: tuple[str, str],
        metric: str,
        limit: str,
        holds: Callable[[float], bool],
    ) -> Iterator[Goal]:
        one, other = value(rows[0], metric), value(rows[1], metric)
        if one is not None and other is not None:
            yield Goal(condition, about, one - other, limit, holds(one - other))

    won, ahead, lost = OVER_INPUT[kind], OVER_PLAIN[kind], LOST_TO_WRONG[kind]
    of_input, of_split = (RIGHT, INPUT), (RIGHT, SPLIT)
    yield from compared(
        "identity over the input", of_input, "identity", f"≥ {won:.2f}", lambda d: d >= won
    )
    yield from compared(
        "identity over ours without references",
        (RIGHT, PLAIN),
        "identity",
        f"≥ {ahead:.2f}",
        lambda d: d >= ahead,
    )
    yield from compared(
        "identity with a wrong person's references, over none",
        (WRONG, PLAIN),
        "identity",
        f"≥ −{lost:.2f}",
        lambda d: d >= -lost,
    )
    yield from compared(
        "identity over the frequency split", of_split, "identity", "> 0", lambda d: d > 0
    )
    yield from compared("PSNR over the frequency split", of_split, "psnr", "> 0", lambda d: d > 0)
    yield from compared("PSNR over the input", of_input, "psnr", "≥ 0", lambda d: d >= 0)
    for metric in table.metrics:
        if metric.key in ("perceptual", "niqe", "motion"):
            about = f"{metric.label} over the input"
            yield from compared(about, of_input, metric.key, "< 0", lambda d: d < 0)
        if metric.key == "landmarks":
            about = "landmark error over the input"
            yield from compared(about, of_input, metric.key, "≤ 0", lambda d: d <= 0)
    keys = {row.key for row in table.rows}
    alone = [row.key for row in table.rows if f"{BEHIND_RIGHT}{row.key}" in keys]
    scorers = [one for one in table.metrics if one.key in ("identity", "second")]
    for key in alone:
        for metric, (row, plain) in product(scorers, ((BEHIND_RIGHT, RIGHT), (BEHIND, PLAIN))):
            about = f"{metric.label} with {key} behind {plain}, over without"
            rows = (f"{row}{key}", plain)
            least = f"≥ −{LOST_TO_SECOND:g}"
            yield from compared(about, rows, metric.key, least, lambda d: d >= -LOST_TO_SECOND)
    yield from _in_motion(condition, value, alone)


def _in_motion(
    condition: str, value: Callable[[str, str], float | None], alone: Sequence[str]
) -> Iterator[Goal]:
    jitter, true = value(RIGHT, "jitter"), value(TRUTH, "jitter")
    if jitter is not None and true:
        share = jitter / true
        yield Goal(
            condition, "identity jitter in the truth's", share, f"≤ {JITTER:g}", share <= JITTER
        )
    flicker = value(RIGHT, "flicker")
    if flicker is not None:
        about = "boundary flicker over the input's"
        yield Goal(condition, about, flicker, f"≤ {FLICKER:g}", flicker <= FLICKER)
    for key in alone or [GFPGAN]:
        tool, behind = value(key, "jitter"), value(f"{BEHIND}{key}", "jitter")
        behind = jitter if behind is None else behind
        if behind is not None and tool is not None and true is not None and tool > true:
            share = max(behind - true, 0.0) / (tool - true)
            about = f"identity jitter beyond the truth's, in that of {key} alone"
            limit = f"≤ {JITTER_OF_PACKAGE:g}"
            yield Goal(condition, about, share, limit, share <= JITTER_OF_PACKAGE)


def markdown(found: list[Goal]) -> str:
    """Return goals as a Markdown table."""
    lines = ["| | | measured | goal | |", "|---|---|---|---|---|"]
    lines += [
        f"| {goal.condition} | {goal.about} | {goal.value:+.3f} | {goal.limit} | "
        f"{'reached' if goal.reached else 'missed'} |"
        for goal in found
    ]
    return "\n".join(lines) + "\n"
