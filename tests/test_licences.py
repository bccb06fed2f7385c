"""docs/licences.md agrees with what is installed."""

import importlib.metadata
import importlib.util
import platform
import re
import sys

import pytest
from packaging.utils import canonicalize_name

from docs import licences
from tests.conftest import ROOT


def rows(text: str, columns: int) -> list[tuple[str, ...]]:
    found = [
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if line[:1] == "|"
    ]
    return [row for row in found if len(row) == columns and not row[0].startswith("-") and row[0] != "package"]


@pytest.fixture(scope="module")
def pages() -> tuple[str, str]:
    """The page that is kept, and the one of this environment."""
    return licences.PAGE.read_text(), licences.tables()


def test_every_package_is_listed_with_its_terms(pages):
    """Those that only another Python or another system needs are left out of the comparison."""
    lists = [page.partition("## All packages")[2].partition("## What")[0] for page in pages]
    kept, made = ({row[0]: row for row in rows(text, 3)} for text in lists)
    wanted = licences.requirements(ROOT / "requirements.txt")
    everywhere = {name for name, lines in wanted.items() if len(lines) > 1 or lines[0].marker is None}
    assert len(made) > 200
    for name, row in made.items():
        assert kept.get(name) == row or name not in everywhere, f"{name}: run `make licences`"
    assert kept.keys() <= wanted.keys(), "no longer required: run `make licences`"


def test_no_package_of_the_environment_is_missing():
    """Those that `make voices` adds are named in docs/trigger.md, and are no part of the environment."""
    if importlib.util.find_spec("kokoro_onnx") or importlib.util.find_spec("piper"):
        pytest.skip("`make voices` has added packages that only its group requires")
    installed = {canonicalize_name(package.metadata["Name"]) for package in importlib.metadata.distributions()}
    project = {"heyjetson", "pip", "setuptools", "uv", "wheel"}
    assert installed - project <= licences.requirements(ROOT / "requirements.txt").keys() | {
        canonicalize_name(name) for name in re.findall(r"[\w-]+", (ROOT / "Makefile").read_text())
    }


def test_libraries_inside_wheels_are_named(pages):
    kept, made = (set(rows(page.partition("## All packages")[0], 4)) for page in pages)
    assert not made - kept or (sys.platform, platform.machine()) != ("linux", "x86_64"), "run `make licences`"
    for part in ("libsoxr", "libsndfile", "espeak-ng", "FFmpeg", "x264", "KenLM"):
        assert part in pages[0], part


def test_the_device_is_told_from_the_workstation():
    device = licences.needed_by()
    assert device["soundfile"] == device["soxr"] == "wheel"
    assert "server" in device["av"] and device["flashlight-text"] == "lm"
    assert not device.keys() & {"torch", "nemo-toolkit", "espeakng-loader", "num2words"}
