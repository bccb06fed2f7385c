"""Imports point one way: experiments to custom_modules; manifests and heyjetson stand alone; there are no circles."""

from __future__ import annotations

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = {  # each → what it may import
    "heyjetson": {"heyjetson"},
    "manifests": {"manifests"},
    "custom_modules": {"custom_modules", "manifests"},  # files are written whole by one piece of code
    "experiments": {"experiments", "custom_modules", "manifests", "heyjetson"},
}
# Sound is read, typing answered, output escaped, letters told from what stands between words, what lies in a recording
# of a word told, its scores checked, by one piece of code in both worlds.
SHARED = (
    "heyjetson.arguments", "heyjetson.audio", "heyjetson.errors", "heyjetson.letters", "heyjetson.printing",
    "heyjetson.verifier", "heyjetson.wakeword.recordings",
)  # fmt: skip


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))}


@functools.cache
def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """The statements that import, anywhere in a file."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path: Path) -> Iterator[str]:
    """What a module imports anywhere in it, within functions and for types alone included."""
    for node in imports(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            module = node.module or ""
            inner = [f"{module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else module for name in inner)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room):
    for module, path in MODULES.items():
        if module.partition(".")[0] != room:
            continue
        for name in imported(path):
            top = name.partition(".")[0]
            if room in ("manifests", "custom_modules") and name.startswith(SHARED):
                continue
            assert top not in ROOMS or top in ROOMS[room], f"{path} imports {name}"
            assert top != "pytorch_lightning", f"{path}: import lightning.pytorch"
            assert room != "heyjetson" or top not in ("torch", "nemo", "lightning"), f"{path} imports {name}"


def test_no_module_imports_itself_by_way_of_others():
    graph = {
        module: {name for name in imported(path) if name in MODULES} - {module} for module, path in MODULES.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_every_module_of_ours_that_is_imported_is_there():
    """mypy passes over imports that it does not find."""
    places = [path for room in (*ROOMS, "tests", "benchmarks", "docs") for path in (ROOT / room).rglob("*.py")]
    known = {module_of(path) for path in places}
    missing = []
    for path in [*places, *ROOT.glob("*.py")]:
        for node in imports(path):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            missing += [f"{path}: {name}" for name in names if name.partition(".")[0] in ROOMS and name not in known]
    assert not missing
