"""Print what CHANGELOG.md says of a release, for its tag: `python release_notes.py v0.2.0`.

Ends with a sentence and status 1 where the tag is not the package's version, or where the changelog
has no section of that name: such a tag is not released.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def package_version(root: Path = ROOT) -> str:
    """Return `__version__` without importing the package."""
    text = (root / "refrestore" / "__init__.py").read_text("utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]


def notes(tag: str, changelog: str, version: str) -> str:
    """Return the section of a tag's version.

    Raises
    ------
    ValueError
        There is nothing to release under that tag.
    """
    if tag != f"v{version}":
        raise ValueError(f"The tag {tag} is not the package's version: v{version} would be.")
    sections = re.split(r"^## (.+)$", changelog, flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True)).get(version, "").strip()
    if not found:
        raise ValueError(f"CHANGELOG.md has no section {version}: rename Unreleased.")
    return found


def main() -> None:
    """Print the notes of the tag that is the only argument."""
    try:
        print(notes(sys.argv[1], (ROOT / "CHANGELOG.md").read_text("utf-8"), package_version()))
    except ValueError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
