"""CMU AN4: an hour of people spelling names and addresses, and commands (1991). Free for any use.

Layout: `etc/an4_{train,test}.{transcription,fileids}`, `wav/an4_clstk/SPEAKER/UTTERANCE.sph` in NIST SPHERE.
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

ARCHIVE = "https://dldata-public.s3.us-east-2.amazonaws.com/an4_sphere.tar.gz"
CHECKSUM = "sha256:a0525579493735d32b60fb6fa5975dd0eaacde087b0a4eeb7f13b7ef33077b12"


def prepare(source: str | None, out: str, options: Mapping[str, Any]) -> Summary:
    """Manifests below `out`, made once, with the arguments as conf/data/an4.yaml has them."""
    return prepared("an4", source, out, options, find)


def find(source: Path | None, out: Path) -> list[Recording]:
    """`recordings` of a folder or an archive, unpacked below `out`; None is the public download."""
    return recordings(located(source, out / "source", ARCHIVE, CHECKSUM))


def parse_line(line: str) -> tuple[str, str] | None:
    """Utterance name and transcript of a line like `<s> HELLO </s> (an1-fash-b)`; None when it is not one.

    >>> parse_line("<s> P I T T </s> (an251-fash-b)")
    ('an251-fash-b', 'P I T T')
    """
    text, opened, name = line.strip().rpartition("(")
    name, closed, rest = name.partition(")")
    if not opened or not closed or rest or len(name.split()) != 1:
        return None
    return name.strip(), text.strip().removeprefix("<s>").removesuffix("</s>").strip()


def recordings(source: Path) -> list[Recording]:
    """Recordings of both splits.

    Args:
        source: a folder that has AN4 in it.

    Raises:
        ManifestError: it has not, or a transcription line cannot be read.
    """
    etc = next((path.parent for path in files(source) if path.name == "an4_train.transcription"), None)
    if etc is None:
        raise ManifestError(f"{source} does not hold AN4: expected etc/an4_train.transcription below it.")
    heard = sounds(etc.parent / "wav")
    found = []
    for split in ("train", "test"):
        transcription = etc / f"an4_{split}.transcription"
        for number, line in text_lines(transcription):
            parsed = parse_line(line)
            if parsed is None:
                raise ManifestError(
                    f"{transcription}:{number}: expected `<s> TEXT </s> (NAME)`, found {line!r:.80}. Mend it."
                )
            name, text = parsed
            audio = heard.get(name, etc.parent / "wav" / f"{name}.sph")
            speaker = name.split("-")[1] if name.count("-") >= 2 else name
            found.append(Recording(audio, text, (split,), f"{split}/{name}", {"speaker": speaker}))
    return found
