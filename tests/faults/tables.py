"""The table of a round, for a terminal and for docs/reliability.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .campaign import FaultClass, Report, Row

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def table(rows: Sequence[Row]) -> str:
    """Return rows as aligned text."""
    lines = [
        f"{row.name:10} {row.row:32} {row.trials:6} trials {row.failures:5} failures{_also(row)}"
        for row in rows
    ]
    return "\n".join(lines)


def markdown(report: Report, classes: Sequence[type[FaultClass]]) -> str:
    """Return the table of a round in Markdown, with the command that makes it again."""
    facts = report.as_json()
    lines = [
        f"Round: {report.scale}, seed {report.seed}, version {facts['version']}, {facts['date']}, "
        f"Python {facts['python']}, {facts['system']}, "
        f"{sum(facts['seconds'].values()) / 60:.0f} minutes. Again: `{_command(report)}`.",
        "",
        "| Class | What | Trials | Failures |",
        "| --- | --- | ---: | ---: |",
    ]
    order = [one.name for one in classes]
    lines += [
        f"| {row.name} | {row.row}{_also(row)} | {row.trials:,} | {row.failures:,} |"
        for row in sorted(report.rows, key=lambda row: order.index(row.name))
    ]
    total = sum(row.trials for row in report.rows), sum(row.failures for row in report.rows)
    lines.append(f"| **all** | | **{total[0]:,}** | **{total[1]:,}** |")
    return "\n".join(lines)


def put_between_markers(path: Path, text: str) -> None:
    """Replace what stands between the two markers of a document."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no {BEGIN} and {END}: nothing was written.")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _command(report: Report) -> str:
    what = "--reduced" if report.scale == "reduced" else f"--{report.scale}"
    return f'make faults FAULTS="{what} --seed {report.seed}"'


def _also(row: Row) -> str:
    counted = ", ".join(f"{count} {what}" for what, count in sorted(row.counts.items()))
    return f" ({counted})" if counted else ""
