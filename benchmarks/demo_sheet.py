"""Restore the demo film and draw its faces for the documents.

    python benchmarks/demo_sheet.py WORK [--models-dir FOLDER]

WORK is the demo's folder; a demo that is finished there is drawn as it is. Writes
`docs/demo-faces.jpg` (a column for each person: input, restored, truth) and `docs/demo-film.jpg`
(two moments before and after, faces beneath). The close-ups are of the same photos as the far
shots, so this shows what references can do at best; docs/far-from-near.md has other takes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from refrestore.config import RuntimeSettings
from refrestore.evaluate.demo.show import demo

DOCS = Path(__file__).resolve().parent.parent / "docs"
QUALITY = 88


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--models-dir", type=Path)
    options = parser.parse_args()
    files = {"demo-faces.jpg": "faces.png", "demo-film.jpg": "before-after.png"}
    if not all((options.work / name).is_file() for name in files.values()):
        demo(options.work, runtime=RuntimeSettings(models_dir=options.models_dir))
    for target, source in files.items():
        with Image.open(options.work / source) as picture:
            picture.convert("RGB").save(DOCS / target, quality=QUALITY, optimize=True)
        print(DOCS / target)


if __name__ == "__main__":
    main()
