"""The tree's own documents as a site: `python docs/site.py [SITE]` (`make docs`).

README.md is the first page, `docs/` the others, and what they link to elsewhere in the tree comes
along under its own path, so every link leads where it leads in the tree. A warning is an error, and
a link that leads nowhere is a warning.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sphinx.cmd.build import main as sphinx

ROOT = Path(__file__).resolve().parent.parent

NAVIGATION = {
    "Begin": ["docs/start", "docs/install", "docs/troubleshooting"],
    "The work": [
        "docs/review",
        "docs/review-in-the-terminal",
        "docs/albums",
        "docs/archive",
        "docs/editors",
        "docs/cluster",
        "docs/gpu",
        "docs/commands",
        "docs/second-stage",
        "docs/json",
    ],
    "People": [
        "docs/profiles-and-consent",
        "docs/privacy",
        "docs/provenance",
        "profiles/README",
    ],
    "Figures": [
        "docs/quality",
        "docs/far-from-near",
        "docs/identity",
        "docs/reliability",
        "models/README",
    ],
    "Inside": [
        "docs/how-it-works",
        "docs/architecture",
        "docs/api",
        "docs/decisions/index",
        "CONTRIBUTING",
        "SECURITY",
        "CHANGELOG",
    ],
}
"""Pages by heading, in order; those that are not there are passed over, others come last."""

LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")


def linked(page: str) -> Iterator[str]:
    """Yield the paths in the tree that a page links to."""
    for link in LINK.findall((ROOT / page).read_text("utf-8")):
        if ":" not in link:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
            if not path.startswith(".."):
                yield path


def stage(source: Path) -> None:
    """Lay what becomes the site into a folder, under the paths that it has in the tree."""
    shutil.rmtree(source, ignore_errors=True)
    waiting = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
    waiting += [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages: list[str] = []
    while waiting:
        path = waiting.pop()
        target = source / ("index.md" if path == "README.md" else path)
        if not (ROOT / path).is_file() or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            pages.append(path.removesuffix(".md"))
            waiting.extend(linked(path))
            target.write_text(_as_page(path), "utf-8")
        else:
            shutil.copyfile(ROOT / path, target)
    _write_decisions(source)
    with (source / "index.md").open("a", encoding="utf-8") as front:
        front.write(_navigation({*pages, "docs/decisions/index"} - {"README"}))


def _as_page(path: str) -> str:
    """Return a page's text with links to files only."""
    return LINK.sub(lambda link: _file(path, link[1]), (ROOT / path).read_text("utf-8"))


def _file(page: str, link: str) -> str:
    """Return a link to a folder as one to its list, and to the README as one to the first page."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    if path == "docs/decisions":
        return posixpath.join(link, "index.md")
    if path == "README.md":
        return posixpath.join(posixpath.dirname(link), "index.md")
    return link


def _write_decisions(source: Path) -> None:
    folder = source / "docs" / "decisions"
    names = "\n".join(path.stem for path in sorted(folder.glob("*.md")))
    (folder / "index.md").write_text(
        "# Decisions\n\nWhy things are as they are, what was measured, and what was rejected.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n{names}\n```\n",
        "utf-8",
    )


def _navigation(pages: set[str]) -> str:
    listed = {page for group in NAVIGATION.values() for page in group}
    within = {page for page in pages if re.match(r"docs/decisions/\d", page)}
    groups = {**NAVIGATION, "More": sorted(pages - listed - within)}
    blocks = []
    for caption, group in groups.items():
        if there := [page for page in group if page in pages]:
            names = "\n".join(there)
            blocks.append(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n{names}\n```\n")
    return "".join(blocks)


def main() -> int:
    """Build the site; return Sphinx' status."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "site")
    source = site.with_name(f"{site.name}-source")
    stage(source)
    strict = ["-W", "--keep-going", "-q", "-E", "-b", "html", "-c", str(ROOT / "docs")]
    return int(sphinx([*strict, "-d", str(site.with_name("doctrees")), str(source), str(site)]))


if __name__ == "__main__":
    raise SystemExit(main())
