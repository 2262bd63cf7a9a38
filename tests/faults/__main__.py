"""`python -m tests.faults`: run the fault campaign and tell what it found."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from .archives import Archives
from .campaign import Campaign, FaultClass, Report
from .databases import Databases
from .disk import Disk
from .formats import Formats
from .kills import Kills
from .length import Length
from .media import Media
from .page import PageConnections, PageLoad, PageRequests
from .signals import Signals
from .tables import markdown, put_between_markers, table
from .weights import Weights

CLASSES: tuple[type[FaultClass], ...] = (
    Kills,
    Media,
    Formats,
    Disk,
    Databases,
    Archives,
    Weights,
    Signals,
    Length,
    PageConnections,
    PageRequests,
    PageLoad,
)
SEED = 20261128


def main() -> int:
    """Return 1 if a trial failed."""
    options = _options()
    report = Report(options.seed, _round(options))
    if options.go_on:
        report = Report.going_on(options.json, options.seed, _round(options))
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="refrestore-faults-", dir=options.folder))
    chosen = [one for one in CLASSES if not options.only or one.name in options.only]
    with Campaign(folder, options.seed, workers=options.workers, keep=options.keep) as campaign:
        for one in chosen:
            count = round(one.full * options.scale / one.weight)
            numbers = list(range(one.reduced if options.reduced else max(1, count)))
            if options.trial is not None:
                numbers = [options.trial]
            if not numbers or one.name in report.seconds:
                continue
            campaign.run(one(), numbers, report)
            print(table([row for row in report.rows if row.name == one.name]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    for failure in report.failed[: options.show]:
        name = failure.row.partition(":")[0]
        print(f"\n{failure.row}, trial {failure.number}: {failure.sentence}")
        print(
            f"  again: python -m tests.faults --seed {options.seed} --only {name} "
            f"--trial {failure.number} --keep"
        )
    if options.keep:
        print(f"\nKept in {folder}")
    if options.markdown:
        put_between_markers(options.markdown, markdown(report, CLASSES))
    return int(bool(report.failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    names = [one.name for one in CLASSES]
    parser.add_argument("--scale", type=float, default=1.0, help="Of the full round's trials.")
    parser.add_argument("--reduced", action="store_true", help="The round of `make test`.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--only", type=lambda text: text.split(","), help=f"Of {','.join(names)}, by commas."
    )
    parser.add_argument("--trial", type=int, help="Only the trial of this number.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="For what is made; default the system's.")
    parser.add_argument("--keep", action="store_true", help="Keep what trials left.")
    parser.add_argument("--show", type=int, default=20, help="Failures told.")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="Write the table as JSON after each class."
    )
    parser.add_argument(
        "--go-on", action="store_true", help="Run only classes that the JSON file has not yet."
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="Write the table between its markers."
    )
    options = parser.parse_args()
    if options.go_on and options.json is None:
        parser.error("--go-on needs --json FILE, which has what was run before")
    unknown = set(options.only or ()) - set(names)
    if unknown:
        parser.error(
            f"there is no class {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
    return options


def _round(options: argparse.Namespace) -> str:
    if options.trial is not None:
        return f"trial {options.trial}"
    return "reduced" if options.reduced else f"scale {options.scale:g}"


if __name__ == "__main__":
    sys.exit(main())
