"""`python -m refrestore`, and the console script."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line; until that is imported, Ctrl-C just ends the process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from refrestore.cli import main as run

    run()


if __name__ == "__main__":
    main()
