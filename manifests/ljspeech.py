"""LJSpeech: 24 hours of one reader (Ito and Johnson, 2017). Public domain.

Layout: `metadata.csv` with `ID|as printed|as spoken`, and `wavs/ID.wav`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.convert import files, sounds
from manifests.corpus import Recording, Summary
from manifests.download import located
from manifests.lines import ManifestError, text_lines
from manifests.prepared import prepare as prepared

ARCHIVE = "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2"
CHECKSUM = "sha256:be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5"


def prepare(source: str | None, out: str, options: Mapping[str, Any]) -> Summary:
    """Manifests below `out`, made once, with the arguments as conf/data/ljspeech.yaml has them."""
    return prepared("ljspeech", source, out, options, find)


def find(source: Path | None, out: Path) -> list[Recording]:
    """`recordings` of a folder or an archive, unpacked below `out`; None is the public download."""
    return recordings(located(source, out / "source", ARCHIVE, CHECKSUM))


def recordings(source: Path) -> list[Recording]:
    """All recordings, in `train`; `corpus.hold_out` takes validation and test from it.

    Raises:
        ManifestError: `source` does not hold LJSpeech, or a line cannot be read.
    """
    metadata = next((path for path in files(source) if path.name == "metadata.csv"), None)
    if metadata is None:
        raise ManifestError(f"{source} does not hold LJSpeech: expected metadata.csv and wavs/ in it.")
    folder = metadata.parent / "wavs"
    heard, found = sounds(folder), []
    for number, line in text_lines(metadata):
        columns = [column.strip() for column in line.split("|")]  # nothing is quoted in it, though texts hold quotes
        if len(columns) < 2 or not columns[0]:
            raise ManifestError(f"{metadata}:{number}: expected `ID|TEXT|TEXT`, found {line!r:.80}. Mend it.")
        name, text = columns[0], columns[2] if len(columns) > 2 and columns[2] else columns[1]
        found.append(Recording(heard.get(name, folder / f"{name}.wav"), text, ("train",), name, {"speaker": "lj"}))
    return found
