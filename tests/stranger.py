"""A stranger's path: the wheel in a clean environment, outside the tree, and what they run first.

    python -m tests.stranger dist/*.whl [--python 3.12] [--json FILE]

Ends with status 1 at the first step that fails; `--json` has the seconds of each step.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

PATIENCE = 1200
"""Seconds that a step may take, on a machine that has other work."""


SHORT_FILM = """
from pathlib import Path
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
make_demo_film(Path("demo/film.mp4"), moves=(
    CameraMove(CameraView(0.11, 0.37, 1.0), CameraView(0.13, 0.38, 1.0), 0.44),
    CameraMove(CameraView(0.20, 0.33, 0.5), CameraView(0.22, 0.33, 0.5), 0.44, far=True),
), size=(480, 360))
"""


OURS = ("PYTHON", "REFRESTORE", "VIRTUAL_ENV", "XDG_", "MAKE", "MFLAGS")
"""Beginnings of variables that a stranger has not set."""


class FailedError(Exception):
    """A step that did not do what it should; says which."""


class Stranger:
    """A user with an empty home, in an empty folder.

    Parameters
    ----------
    home
        An empty folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.programs = home / "env" / ("Scripts" if sys.platform == "win32" else "bin")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        cache = os.environ.get("UV_CACHE_DIR") or _uv("cache", "dir").strip()
        self.environment = {
            **kept,
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": cache,
        }

    def install(self, wheel: Path, python: str) -> None:
        """Make an environment of what is pinned, and the wheel."""
        target = ["--python", str(self.programs / "python")]
        self.call([_uv_path(), "venv", "-q", "--python", python, str(self.home / "env")])
        pins = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements" / "run.txt")]
        self.call([_uv_path(), "pip", "install", "-q", *target, *pins])
        self.call([_uv_path(), "pip", "install", "-q", *target, "--no-deps", str(wheel)])
        self.call([_uv_path(), "pip", "check", *target])
        dev = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
        (photo,) = set(re.findall(r"^insightface==\S+", dev, re.MULTILINE))
        self.call([_uv_path(), "pip", "install", "-q", *target, "--no-deps", photo])

    def call(self, command: list[str]) -> str:
        """Run a program in the home; return what it printed.

        Raises
        ------
        FailedError
            It ended with another status than 0.
        """
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise FailedError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def refrestore(self, *arguments: str) -> str:
        """Run the installed command line."""
        return self.call([str(self.programs / "refrestore"), *arguments])

    def outside(self) -> None:
        """Make sure that what is run is what was installed."""
        where = self.call([str(self.programs / "python"), "-c", "import refrestore as r; print(r)"])
        if str(self.home) not in where:
            raise FailedError(f"Not the installed package is imported: {where}")

    def short(self) -> None:
        """Restore a film of a second in place of the demo's."""
        (self.home / "demo").mkdir()
        self.call([str(self.programs / "python"), "-c", SHORT_FILM])
        said = self.refrestore(
            "run", "demo/film.mp4", "-o", "demo/restored.mp4", "--json", "--progress", "none"
        )
        (made,) = json.loads(said)["results"]
        if made["faces"] < 5 or not Path(self.home, made["output"]).is_file():
            raise FailedError(f"The short film became {made}.")

    def demo(self) -> None:
        """Restore the demo's film."""
        made = json.loads(self.refrestore("demo", "demo", "--json", "--progress", "none"))
        missing = [
            one
            for one in ("restored", "report", "faces")
            if not Path(self.home, made[one]).is_file()
        ]
        if missing or made["identities"] < 4 or made["restored_faces"] < 100:
            raise FailedError(f"The demo made {made}, without {missing or 'enough'}.")

    def review(self) -> None:
        """Open the review page as its printed address says."""
        command = [str(self.programs / "refrestore"), "review", "--no-browser", "--port", "0"]
        command += ["demo/restored.mp4.refrestore"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        with subprocess.Popen(command, cwd=self.home, env=self.environment, **pipes) as server:
            try:
                page = _opened(_address(server))
            finally:
                server.terminate()
        if "<title" not in page:
            raise FailedError(f"The review page is {page[:200]!r}.")


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    patience = threading.Timer(PATIENCE, server.kill)
    patience.start()
    try:
        for line in server.stdout:
            if found := re.search(r"http://\S+", line):
                return found[0]
    finally:
        patience.cancel()
    raise FailedError("`refrestore review` printed no address.")


def _opened(address: str) -> str:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(address, timeout=60) as answer:
        return str(answer.read().decode())


def _uv_path() -> str:
    own = ROOT / ".bootstrap" / "bin" / "uv"
    return str(own) if own.exists() else "uv"


def _uv(*arguments: str) -> str:
    return subprocess.run(
        [_uv_path(), *arguments], capture_output=True, text=True, check=True
    ).stdout


def walk(wheel: Path, python: str, *, short: bool) -> dict[str, Any]:
    """Go the path; return the seconds of each step.

    Parameters
    ----------
    wheel
        What is installed.
    python
        By which Python, as uv names it.
    short
        Whether a film of a second is enough.

    Raises
    ------
    FailedError
        At the first step that fails.
    """
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="stranger-") as folder:
        stranger = Stranger(Path(folder).resolve())
        steps: dict[str, Callable[[], object]] = {
            "install": lambda: stranger.install(wheel.resolve(), python),
            "outside": stranger.outside,
            "help": lambda: stranger.refrestore("--help"),
            "version": lambda: stranger.refrestore("--version"),
            "models verify": lambda: stranger.refrestore("models", "verify"),
            "doctor": lambda: stranger.refrestore("doctor"),
            "short film" if short else "demo": stranger.short if short else stranger.demo,
            "review": stranger.review,
        }
        for name, step in steps.items():
            began = time.monotonic()
            step()
            seconds[name] = round(time.monotonic() - began, 2)
            print(f"{python}: {name}: {seconds[name]:.2f} s", flush=True)
        found = stranger.call([str(stranger.programs / "python"), "-V"]).split()[1]
    return {"python": found, "machine": platform.machine(), "seconds": seconds}


def tried(wheel: Path, python: str, *, short: bool) -> dict[str, Any]:
    """Return what `walk` does, or what failed."""
    try:
        return walk(wheel, python, short=short)
    except FailedError as error:
        print(f"{python}: {error}", file=sys.stderr)
        return {"python": python, "failed": str(error).splitlines()[0]}


def main() -> None:
    """Walk with each Python that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="versions, for uv")
    parser.add_argument("--short", action="store_true", help="a film of a second, not the demo")
    parser.add_argument("--json", type=Path, help="where the seconds are written")
    arguments = parser.parse_args()
    walked = [tried(arguments.wheel, python, short=arguments.short) for python in arguments.python]
    if arguments.json:
        arguments.json.write_text(json.dumps(walked, indent=2) + "\n", "utf-8")
    raise SystemExit(any("failed" in one for one in walked))


if __name__ == "__main__":
    main()
