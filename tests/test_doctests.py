"""The examples in docstrings are true; gathered in one file, so that finding them imports nothing."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("heyjetson", "custom_modules", "manifests", "experiments")
PATHS = (path.relative_to(ROOT) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))


def module(path: Path) -> str:
    """The name a file is imported by."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", [module(path) for path in PATHS if ">>> " in (ROOT / path).read_text("utf-8")])
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert not failed
    if not tried:
        pytest.skip("its examples need TensorRT")
