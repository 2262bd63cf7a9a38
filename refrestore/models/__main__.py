"""Writes the digests of the files trained here into `models/catalogue.toml`.

Usage: `python -m refrestore.models --update-lite`, after a training.
"""

from __future__ import annotations

import argparse

from refrestore.config import tree_directory

from .catalogue import update_lite


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m refrestore.models")
    parser.add_argument(
        "--update-lite",
        action="store_true",
        required=True,
        help="write length and digest of the files in models/lite into the catalogue",
    )
    parser.parse_args()
    changed = update_lite(tree_directory("models") / "catalogue.toml")
    print("updated: " + ", ".join(changed) if changed else "nothing changed")


if __name__ == "__main__":
    main()
