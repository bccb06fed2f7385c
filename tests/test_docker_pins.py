"""docker/pin.sh writes digests behind the tags of base images; a stand-in answers for the registries."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
FAKE = """#!/bin/sh
test "$1 $2 $3 $4 $5" = "buildx imagetools inspect --format {{.Manifest.Digest}}" || exit 9
echo "$6" >> "$ASKED"
case $6 in *${REFUSED:-nothing}*) echo denied >&2; exit 1 ;; esac
echo "${ANSWER:-sha256:$(printf '%s' "$6$SALT" | sha256sum | cut -c-64)}"
"""


class Pins:
    """Copies of the Dockerfiles, and a `docker` that knows every image."""

    def __init__(self, folder: Path):
        (folder / "bin").mkdir()
        (folder / "bin" / "docker").write_text(FAKE)
        (folder / "bin" / "docker").chmod(0o755)
        shutil.copy(ROOT / "docker" / "pin.sh", folder)
        for file in FILES:
            shutil.copy(file, folder)
        self.folder, self.asked = folder, folder / "asked"

    def run(self, *files: str, **environment: str) -> subprocess.CompletedProcess:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        settings = os.environ | {"PATH": path, "ASKED": str(self.asked)} | environment
        command = [str(self.folder / "pin.sh"), *(str(self.folder / file) for file in files)]
        return subprocess.run(command, env=settings, capture_output=True, text=True)

    def texts(self) -> dict[str, str]:
        return {file.name: (self.folder / file.name).read_text() for file in FILES}


@pytest.fixture
def pins(tmp_path) -> Pins:
    return Pins(tmp_path)


def without(texts: dict[str, str]) -> dict[str, str]:
    return {name: re.sub(r"@sha256:[0-9a-f]{64}", "", text) for name, text in texts.items()}


def test_every_image_of_a_registry_is_pinned_and_nothing_else_is_changed(pins):
    before = without(pins.texts())
    done = pins.run()
    assert done.returncode == 0, done.stderr
    after = pins.texts()
    assert without(after) == before
    stages = set(re.findall(r" AS (\w+)$", "\n".join(after.values()), re.MULTILINE))
    named = re.findall(r"^(?:FROM |ARG BASE=|# syntax=)(\S+)", "\n".join(after.values()), re.MULTILINE)
    foreign = [name for name in named if name not in stages and not name.startswith("$")]
    assert len(foreign) >= 10
    assert all(re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", name) for name in foreign), foreign
    assert len(pins.asked.read_text().split()) == len({name.partition("@")[0] for name in foreign})


def test_pinned_again_they_get_the_digests_of_that_day(pins):
    assert pins.run().returncode == 0
    first = pins.texts()
    assert pins.run(SALT="later").returncode == 0
    later = pins.texts()
    assert later != first and without(later) == without(first)
    assert pins.run("train.Dockerfile").returncode == 0
    assert pins.texts() == later | {"train.Dockerfile": first["train.Dockerfile"]}


@pytest.mark.parametrize("trouble", [{"REFUSED": "nginx"}, {"ANSWER": "sha256:short"}])
def test_nothing_is_written_where_one_cannot_be_looked_up(pins, trouble):
    before = pins.texts()
    done = pins.run(**trouble)
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert pins.texts() == before
