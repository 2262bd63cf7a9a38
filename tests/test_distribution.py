"""What is built: wheel and source archive as hatchling makes them, and what they declare."""

from __future__ import annotations

import ast
import email
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the wheel and the source archive."""
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    folder = str(tmp_path_factory.mktemp("dist"))
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    (sdist,) = SdistBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    return Path(wheel), Path(sdist)


@pytest.fixture(scope="module")
def metadata(built):
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(wheel.read(name))


def test_licences_are_in_both(built, metadata):
    wanted = {"LICENSE", "NOTICE", "LICENSE-htm", "LICENSE-preact", "LICENSE-signals"}
    with zipfile.ZipFile(built[0]) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/licenses/" in name]
        assert {Path(name).name for name in names} == wanted
        licence = next(name for name in names if name.endswith("licenses/LICENSE"))
        assert b"2026 refrestore maintainers" in wheel.read(licence)
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "NOTICE"} <= names
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] == "refrestore maintainers"


def test_notice_names_every_weight_and_every_vendored_library():
    notice = (ROOT / "NOTICE").read_text()
    for path in (ROOT / "models/lite").iterdir():
        assert path.name in notice
    for path in (ROOT / "models/standin").iterdir():
        assert path.stem in notice
    table = (ROOT / "refrestore/review/static/vendor/README.md").read_text()
    for row in table.splitlines():
        if row.startswith("| ") and row.count("|") == 5 and ".js |" in row:
            version = row.split("|")[2].split(",")[0].split()[-1]
            assert version in notice, row


def test_classifiers_exist(metadata):
    from trove_classifiers import classifiers

    found = metadata.get_all("Classifier")
    assert found
    assert set(found) <= classifiers


def test_no_extra_and_no_requirement_brings_two_onnxruntimes(metadata):
    from packaging.requirements import Requirement

    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    names = {one.name for one in requirements if one.marker is None}
    assert {"torch", "fastapi", "uvicorn", "onnx", "opencv-python"} <= names
    assert not names & {"insightface", "facexlib", "gfpgan", "numba"}
    for extra in ("", *metadata.get_all("Provides-Extra")):
        for python, system in (("3.10", "linux"), ("3.11", "linux"), ("3.12", "darwin")):
            where = {"extra": extra, "python_version": python, "sys_platform": system}
            chosen = {
                one.name for one in requirements if one.marker is None or one.marker.evaluate(where)
            }
            runtimes = {name for name in chosen if name.startswith("onnxruntime")}
            plain = extra == "cpu" or python == "3.10" or system == "darwin"
            expected = {"onnxruntime"} if plain else {"onnxruntime-gpu"}
            assert runtimes == (expected if extra in ("cpu", "gpu") else set()), where


def imported(text):
    """Yield the top-level modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


def test_extras_are_imported_where_they_may_be():
    users = {module: [] for module in ("insightface", "facexlib", "gfpgan", "basicsr", "ray")}
    for path in sorted((ROOT / "refrestore").rglob("*.py")):
        text = path.read_text()
        for module, paths in users.items():
            if module in text and module in imported(text):
                paths.append(path.relative_to(ROOT).as_posix())
    assert users == {
        "insightface": ["refrestore/faces/normalisation.py"],  # only where it is installed
        "facexlib": [],
        "gfpgan": [],
        "basicsr": [],
        "ray": [
            "refrestore/engine/cluster.py",
            "refrestore/engine/recruits.py",
            "refrestore/engine/task.py",
        ],
    }
