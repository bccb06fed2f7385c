"""Mozilla Common Voice: sentences read by volunteers. CC0; its archives need an account, so give --source.

Layout: `LANGUAGE/{train,dev,test}.tsv` with the columns client_id, path, sentence, and `LANGUAGE/clips/*.mp3`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.convert import files
from manifests.corpus import Recording, Summary
from manifests.lines import ManifestError
from manifests.prepared import prepare as prepared
from manifests.tables import rows

SPLITS = {"train": "train", "dev": "validation", "test": "test"}


def prepare(source: str | None, out: str, only: str | None, options: Mapping[str, Any]) -> Summary:
    """Manifests below `out`, made once, with the arguments as conf/data/commonvoice.yaml has them."""

    def find(given: Path | None, _: Path) -> list[Recording]:
        if given is None:
            raise ManifestError(
                "Common Voice cannot be downloaded without an account. Fetch it from commonvoice.mozilla.org, unpack "
                "it, and give its folder as data.source."
            )
        return recordings(given, only)

    return prepared("commonvoice", source, out, options, find)


def recordings(source: Path, language: str | None = None) -> list[Recording]:
    """Recordings of the three official splits.

    Args:
        source: a folder with the dataset somewhere below it.
        language: which, for example `en`; may be left out where there is only one.

    Raises:
        ManifestError: there is none, or there are several.
    """
    source = source.absolute()  # so that the folder that is given has a name as well
    tables = [path for path in files(source) if path.name == "train.tsv"]
    folders = [path.parent for path in tables if (path.parent / "clips").is_dir()]
    if language:
        folders = [folder for folder in folders if folder.name == language]
    if not folders:
        raise ManifestError(f"{source} does not hold Common Voice{f' {language}' if language else ''}: expected "
                            "LANGUAGE/train.tsv and LANGUAGE/clips/ below it.")  # fmt: skip
    if len(folders) > 1:
        listed = ", ".join(str(folder.relative_to(source)) for folder in folders)
        raise ManifestError(f"{source} holds {listed}: choose with --only, or give one of them as --source.")
    folder, found = folders[0], []
    for name, split in SPLITS.items():
        table = folder / f"{name}.tsv"
        if not table.exists():
            continue
        for where, row in rows(table):
            for column in ("path", "sentence"):
                if column not in row:
                    raise ManifestError(f"{where}: the column {column!r} is missing. Is this a table of Common Voice?")
            clip = row["path"].strip()
            if not clip:
                raise ManifestError(f"{where}: the path is empty. Remove the line.")
            clip = clip if "." in Path(clip).name else f"{clip}.mp3"
            extra = {"speaker": row["client_id"][:16]} if row.get("client_id") else {}
            found.append(Recording(folder / "clips" / clip, row["sentence"], (split,), Path(clip).stem, extra))
    return found
