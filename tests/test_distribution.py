"""What is built: wheel and source archive as hatchling makes them, and what they declare."""

from __future__ import annotations

import ast
import email
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import refrestore

ROOT = Path(__file__).resolve().parent.parent


def build(folder):
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    (sdist,) = SdistBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(wheel), Path(sdist)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the wheel and the source archive."""
    return build(tmp_path_factory.mktemp("dist"))


def test_whoever_builds_it_again_gets_the_same_bytes(built, tmp_path, monkeypatch):
    times = {path: path.stat() for path in (ROOT / "README.md", ROOT / "refrestore/types.py")}
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    umask = os.umask(0o077)
    try:
        for path, was in times.items():
            os.utime(path, (was.st_atime, was.st_mtime - 1e6))
        again = build(tmp_path)
    finally:
        os.umask(umask)
        for path, was in times.items():
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    for one, other in zip(built, again, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes(), one.name


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


def test_version_is_written_once_and_told_everywhere(metadata):
    assert metadata["Version"] == refrestore.__version__
    assert "version" not in re.findall(r"^(\w+) = ", (ROOT / "pyproject.toml").read_text(), re.M)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == refrestore.__version__
    assert cited["license"] == metadata["License-Expression"]
    assert cited["title"] == metadata["Name"]
    assert {"cff-version", "message", "authors"} <= set(cited)


def test_a_tag_is_released_with_its_section_of_the_changelog():
    spec = importlib.util.spec_from_file_location("notes", ROOT / ".github/release_notes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.package_version() == refrestore.__version__
    changelog = "# Changelog\n\n## Unreleased\n\nx\n\n## 0.2.0\n\n* new\n\n## 0.1.0\n\nfirst\n"
    assert module.notes("v0.2.0", changelog, "0.2.0") == "* new"
    assert module.notes("v0.1.0", changelog, "0.1.0") == "first"
    with pytest.raises(ValueError, match=r"v0\.2\.0 would be"):
        module.notes("v0.1.0", changelog, "0.2.0")
    with pytest.raises(ValueError, match=r"no section 0\.3\.0"):
        module.notes("v0.3.0", changelog, "0.3.0")
    assert module.notes("v0.1.0", (ROOT / "CHANGELOG.md").read_text(), "0.1.0")


def test_a_release_is_tried_before_it_is_published():
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    steps = [step.get("run", "") for step in workflow["jobs"]["build"]["steps"]]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    made = [step.removeprefix("make ") for step in steps if step.startswith("make ")]
    assert {"test", "lint", "docs", "dist-test"} == set(made) <= set(targets)
    assert any("release_notes.py" in step for step in steps)
    assert workflow["jobs"]["publish"]["needs"] == "build"
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_container_files_are_sound_and_build_from_what_is_there(name):
    path = ROOT / "containers" / f"{name}.Dockerfile"
    text = path.read_text()
    hadolint = Path(sys.executable).with_name("hadolint")
    if hadolint.exists():
        done = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        for one in source.split():
            assert one.startswith("dist/") or (ROOT / one).is_file(), one
    assert not re.search(r"^(ARG|ENV) .*(TOKEN|SECRET|PASSWORD|KEY)", text, re.M)
    last = text.rpartition("\nFROM ")[2]
    assert "\nUSER 1000\n" in last
    assert 'ENTRYPOINT ["refrestore"]' in last
    ignored = (ROOT / ".dockerignore").read_text()
    assert "!requirements/*.txt" in ignored
    assert "!dist/*.whl" in ignored


def test_the_container_for_processors_finds_the_pinned_torch():
    text = (ROOT / "containers/cpu.Dockerfile").read_text()
    script = re.search(r'sed -nE "(s/.+?/p)" /requirements/run.txt', text)[1]
    pattern = re.fullmatch(r"s/(.+)/\\1/p", script)[1]
    found = re.findall(pattern, (ROOT / "requirements/run.txt").read_text(), re.M)
    assert len(found) == 1
    assert found[0].removeprefix("torch==") in pins("run.txt")["torch"]


def pins(name):
    """Return the pinned versions of a file, per package."""
    found = {}
    for package, version in re.findall(
        r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.M
    ):
        found.setdefault(package, set()).add(version)
    return found


def test_with_and_without_a_gpu_the_same_versions_are_pinned():
    cpu, run, dev = pins("cpu.txt"), pins("run.txt"), pins("dev.txt")
    assert "torch" not in cpu
    assert not [name for name in cpu if name.startswith(("nvidia", "triton"))]
    assert "torchvision" not in {*cpu, *run}
    assert {name: cpu[name] for name in cpu if name in run} == {
        name: run[name] for name in cpu if name in run
    }
    shared = {name for name in run if not name.startswith("nvidia")}
    assert all(run[name] <= dev[name] for name in shared)


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
    extras = ("insightface", "facexlib", "gfpgan", "basicsr", "ray", "torchvision", "c2pa")
    users = {module: [] for module in extras}
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
        "c2pa": ["refrestore/media/signing.py"],
        "torchvision": ["refrestore/evaluate/perceptual.py"],
        "ray": [
            "refrestore/engine/cluster.py",
            "refrestore/engine/recruits.py",
            "refrestore/engine/task.py",
        ],
    }
