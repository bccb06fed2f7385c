"""What the documents name is there."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("findings/*.md"), *ROOT.glob("benchmarks/*.md")]
)
ROOMS = "benchmarks|conf|custom_modules|docker|docs|experiments|findings|heyjetson|manifests|notebooks|tests"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
PATH = re.compile(rf"`((?:{ROOMS})/[\w./-]*)`")
MODULE = re.compile(r"python -m ((?:experiments|manifests|heyjetson|docs|tests)[\w.]*)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_paths_and_commands_exist(document):
    text = document.read_text()
    missing = [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    missing += [path for path in PATH.findall(text) if not (ROOT / path).exists() and "NAME" not in path]
    for module in MODULE.findall(text):
        path = ROOT / module.rstrip(".").replace(".", "/")
        if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists()):
            missing.append(module)
    assert not missing
