"""A corpus of one's own texts, by synthetic voices: a manifest for each part, whose voices are others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import soundfile

from manifests.broad_texts import parts
from manifests.lines import ManifestError, Utterance, write_manifest
from manifests.text import Normaliser, TextOptions
from manifests.voices.base import PARTS
from manifests.voices.registry import INSTALLED, found
from manifests.voices.speaking import SAMPLE_RATE, takes
from manifests.wrapped import numbered_sentences

STAMP = "corpus.json"


def read_texts(path: Path, options: TextOptions) -> tuple[list[str], list[str]]:
    """Sentences of a text file as transcripts are, each once, without those that are empty.

    Args:
        path: of the file, with a sentence in each line, or lines that are broken at a width, as books have them: then
            long sentences are read in parts, which last no longer than training takes.
        options: how they are normalised.

    Returns:
        the texts; what was changed, and each line that was left out, with the reason.

    Raises:
        ManifestError: it cannot be read, or has no text that can be used.
    """
    normaliser = Normaliser(options)
    texts: dict[str, None] = {}
    left_out = []
    lines, book = numbered_sentences(path)
    for number, line in lines:
        for part in filter(str.strip, parts(line) if book else [line]):
            text, refused = normaliser(part)
            if text:
                texts[text] = None
            else:
                why = refused.of(part) if refused else f"no words: {part!r:.80}"
                left_out.append(f"left out: {path}:{number}: {why}")
    if not texts:
        raise ManifestError("\n".join([f"{path} holds no text to speak. Write a sentence in each line.", *left_out]))
    read = [f"text: the lines of {path} are broken at a width: its sentences were read"] if book else []
    return list(texts), [*read, *(f"text: {line}" for line in normaliser.report()), *left_out]


def build(
    out: Path,
    texts: Sequence[str],
    takes_of_each: int = 4,
    voices: Sequence[str] = (INSTALLED,),
    seed: int = 1,
    workers: int | None = None,
) -> dict[str, Path]:
    """Speak every text and write `{train,validation,test}.jsonl`; what was spoken before is used again.

    A tenth of the takes each is of validation and test; their voices are others where the engines have enough.

    Args:
        out: folder to write to.
        texts: to say, as they are to be transcribed.
        takes_of_each: by drawn voices.
        voices: engines; `installed` stands for all that are.
        seed: of everything drawn.
        workers: processes; all cores when None. The sound does not depend on it.

    Returns:
        the manifest of each part.

    Raises:
        ManifestError: a text cannot be spoken, a voice is missing, or `out` holds another corpus.
    """
    if takes_of_each < 1:
        raise ManifestError(f"Each text needs one take at least, found {takes_of_each}.")
    out = out.absolute()  # what is relative in a manifest is relative to its folder
    stamp = out / STAMP
    if stamp.exists() and json.loads(stamp.read_text()).get("texts") is None:
        raise ManifestError(f"{out} holds another corpus. Give --out another folder.")
    engines, total = found(voices), len(texts) * takes_of_each
    counts = {"train": total, "validation": -(-total // 10), "test": -(-total // 10)}
    manifests = {}
    for part in PARTS:
        said = takes(engines, texts, counts[part], out / "voices", part, seed, f"{part} texts", workers)
        folder = out / "wavs" / part
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, one in enumerate(said):
            path = folder / f"{number:06d}.wav"
            soundfile.write(path, one.samples, SAMPLE_RATE, subtype="PCM_16")
            speaker = {"speaker": f"{one.engine} {one.request.voice}"}
            lines.append(Utterance(path, len(one.samples) / SAMPLE_RATE, one.text, extra=speaker))
        manifests[part] = out / f"{part}.jsonl"
        write_manifest(manifests[part], lines)
    stamp.write_text(json.dumps({"texts": len(texts), "takes": takes_of_each, "voices": engines, "seed": seed}))
    return manifests
