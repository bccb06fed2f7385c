"""LibriSpeech: a thousand hours of read English books (Panayotov et al., 2015). CC BY 4.0.

Layout: `SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt` with lines `SPEAKER-CHAPTER-0000 TEXT` beside the FLAC files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from manifests.convert import files
from manifests.corpus import Recording, Summary
from manifests.download import fetch_archive
from manifests.lines import ManifestError, text_lines
from manifests.prepared import prepare as prepared

ARCHIVE = "https://www.openslr.org/resources/12/{subset}.tar.gz"
# md5 of each archive, as openslr.org publishes them.
SUBSETS = {
    "train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
    "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
    "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
    "test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
    "test-other": "fb5a50374b501bb3bac4815ee91d3135",
}
_NAME = re.compile(r"\d+-\d+-\d+", re.ASCII)
MERGED = {"train": "train", "dev": "validation", "test": "test"}


def prepare(source: str | None, out: str, subsets: str | Sequence[str], options: Mapping[str, Any]) -> Summary:
    """Manifests below `out`, made once, with the arguments as conf/data/librispeech.yaml has them."""
    chosen = choose(subsets if isinstance(subsets, str) else ",".join(subsets))
    return prepared(identity(chosen), source, out, options, lambda given, folder: find(given, folder, chosen))


def identity(subsets: Sequence[str]) -> str:
    """What was chosen, in one order."""
    return f"librispeech {','.join(sorted(subsets))}"


def find(source: Path | None, out: Path, subsets: list[str]) -> list[Recording]:
    """`recordings` of a folder; None is the public download, below `out`."""
    return recordings(source or download(subsets, out / "source"), subsets)


def choose(subsets: str) -> list[str]:
    """Names from a comma-separated list; `all` is all seven.

    Raises:
        ManifestError: a name is unknown.
    """
    names = list(SUBSETS) if subsets.strip() == "all" else [name.strip() for name in subsets.split(",") if name.strip()]
    unknown = [name for name in names if name not in SUBSETS]
    if unknown or not names:
        raise ManifestError(f"Unknown subset {', '.join(unknown) or repr(subsets)}; choose from {', '.join(SUBSETS)}.")
    return names


def download(subsets: list[str], folder: Path) -> Path:
    """Fetch subsets, each into a folder of its own below `folder`."""
    for subset in subsets:
        fetch_archive(ARCHIVE.format(subset=subset), folder / subset, f"md5:{SUBSETS[subset]}")
    return folder


def recordings(source: Path, subsets: list[str]) -> list[Recording]:
    """Recordings of the subsets, each in its own split and in the merged `train`, `validation` or `test`.

    Args:
        source: a folder with the subsets somewhere below it.
        subsets: which.

    Raises:
        ManifestError: a subset has no transcripts there, or a line cannot be read.
    """
    transcripts: dict[str, list[Path]] = {subset: [] for subset in subsets}
    for path in files(source.absolute()):
        subset = path.parent.parent.parent.name
        if subset in transcripts and path.name.endswith(".trans.txt"):
            transcripts[subset].append(path)
    if missing := [subset for subset, paths in transcripts.items() if not paths]:
        raise ManifestError(
            f"{source} holds no {', '.join(missing)}: expected SUBSET/SPEAKER/CHAPTER/*.trans.txt below it. "
            "Choose what is there with --subsets (data.subsets in train.py)."
        )
    found = []
    for subset, paths in transcripts.items():
        for path in paths:
            for number, line in text_lines(path):
                name, text = (*line.split(None, 1), "")[:2]
                if not _NAME.fullmatch(name):
                    raise ManifestError(
                        f"{path}:{number}: expected `SPEAKER-CHAPTER-NUMBER TEXT`, found {line!r:.80}. Mend it."
                    )
                splits = (subset, MERGED[subset.partition("-")[0]])
                extra = {"speaker": name.partition("-")[0], "subset": subset}
                found.append(Recording(path.parent / f"{name}.flac", text, splits, f"{subset}/{name}", extra))
    return found
