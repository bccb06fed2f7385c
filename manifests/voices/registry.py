"""Engines by their names: found, or named with the command that installs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from manifests.lines import ManifestError
from manifests.voices.base import Engine
from manifests.voices.espeak import Espeak
from manifests.voices.flite import Flite
from manifests.voices.folder import Folder
from manifests.voices.kokoro import Kokoro
from manifests.voices.piper import Piper

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (Espeak, Kokoro, Piper, Flite, Folder)}
INSTALLED = "installed"  # in place of names: all that are there
_told: set[str] = set()  # each word asks for the voices, and one line is enough


def engine_of(spec: str) -> Engine:
    """The engine `NAME` or `NAME:FOLDER`, whether it is installed or not.

    Raises:
        ManifestError: there is none of that name.
    """
    name, _, path = spec.partition(":")
    if name not in ENGINES:
        raise ManifestError(f"There is no voice {name!r}; there are {', '.join(ENGINES)}. Correct voices=[…].")
    return ENGINES[name](Path(path) if path else None)


def found(specs: Sequence[str]) -> list[str]:
    """The engines of `voices=[…]`, each checked to be there; `installed` stands for all that are, and says which not.

    Raises:
        ManifestError: one is not installed, with the command that installs it; or none is named.
    """
    chosen: list[str] = []
    absent: list[str] = []
    for spec in specs:
        if spec == INSTALLED:
            for name, engine in ENGINES.items():
                if any(one.split(":")[0] == name for one in [*specs, *chosen]):
                    continue
                if why := engine().missing():
                    absent += [f"{name} ({why}): {engine.install}"] if engine is not Folder else []
                else:
                    chosen.append(name)
        elif why := engine_of(spec).missing():
            raise ManifestError(f"The voice {spec!r} cannot speak: {why}. Install it: {engine_of(spec).install}")
        else:
            chosen.append(spec)
    for line in absent:
        if line not in _told:
            print(f"more voices  {line}")
            _told.add(line)
    if not chosen:
        raise ManifestError("No voice is named. Give some: voices=[installed], or voices=[espeak,kokoro].")
    return list(dict.fromkeys(chosen))
