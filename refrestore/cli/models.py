"""`refrestore models`: list, fetch, verify, path."""

from __future__ import annotations

from typing import Annotated

import typer

from refrestore.models import FileStatus, ModelStore

from . import options
from .output import print_json, print_line, print_note
from .progress import progress_reporter
from .tables import print_table

app = typer.Typer(help="Model files: list, download, verify.", no_args_is_help=True)

Names = Annotated[list[str], typer.Argument(metavar="PACK|NAME", help="Packs or file names.")]
SomeNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="PACK|NAME", help="Packs or file names; by default all present."),
]
OneName = Annotated[
    str | None, typer.Argument(metavar="NAME", help="File name; by default the folders.")
]


Digest = Annotated[
    str | None,
    typer.Option(
        metavar="DIGEST",
        help="Digest that you trust, of one file of which the list says that it needs one.",
    ),
]


def _as_json(status: FileStatus) -> dict[str, object]:
    file = status.file
    return {
        "name": file.name,
        "packs": list(file.packs),
        "role": file.role,
        "present": status.state == "present",
        "state": status.state,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "licence": file.licence,
        "url": file.url,
        "path": None if status.path is None else str(status.path),
        "about": file.about,
    }


def _state(status: FileStatus) -> str:
    needs = status.file.unconfirmed and status.state != "present"
    return f"{status.state}, needs --sha256" if needs else status.state


def _size(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.1f} MB"


@app.command("list")
@options.with_settings
def list_files(*, runtime: options.ModelsDir, json: options.Json = False) -> None:
    """Show every model file that refrestore knows, and which are here."""
    store = ModelStore(runtime)
    found = [store.verify(file.name) for file in store.catalogue.files]
    if json:
        print_json({"models": [_as_json(status) for status in found]})
        return
    print_table(
        ("NAME", "PACKS", "ROLE", "STATE", "SIZE", "LICENCE"),
        [
            (
                status.file.name,
                ",".join(status.file.packs) or "-",
                status.file.role,
                _state(status),
                _size(status.file.bytes),
                status.file.licence,
            )
            for status in found
        ],
    )


@app.command()
@options.with_settings
def fetch(
    names: Names,
    *,
    sha256: Digest = None,
    runtime: options.ModelsDir,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Download packs or files, check their digests, and say from where; an interrupted one goes on.

    The only command that opens a network connection.
    """
    store = ModelStore(runtime)
    with progress_reporter(progress) as report:
        paths = store.fetch(names, report, print_note, sha256)
    if json:
        print_json({"files": [{"name": path.name, "path": str(path)} for path in paths]})
        return
    for path in paths:
        print_line(str(path))


@app.command()
@options.with_settings
def verify(
    names: SomeNames = None, *, runtime: options.ModelsDir, json: options.Json = False
) -> None:
    """Digest files anew; exit status 1 if one that was asked for is missing or wrong."""
    store = ModelStore(runtime)
    results = store.verify_all(names)
    good = all(status.state == "present" for status in results)
    if json:
        files = [_as_json(status) for status in results]
        print_json({"ok": good, "files": files})
    else:
        for status in results:
            print_line(f"{status.state}: {status.path or status.file.name}")
    if not good:
        raise typer.Exit(1)


@app.command()
@options.with_settings
def path(name: OneName = None, *, runtime: options.ModelsDir, json: options.Json = False) -> None:
    """Print where a verified model file lies, or the folders that are searched."""
    store = ModelStore(runtime)
    if name is not None:
        found = str(store.locate(name))
        if json:
            print_json({"name": name, "path": found})
        else:
            print_line(found)
        return
    folders = [str(folder) for folder in store.directories]
    if json:
        print_json({"directories": folders, "download": str(store.download_directory)})
        return
    for folder in folders:
        print_line(folder)
