"""Transcribe a manifest with a `.nemo` model or with a bundle, and report how good it was."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.errors import ConfigError
from experiments.evaluation.report import Report, make_row
from heyjetson import Bundle, Engine
from manifests import Utterance, read_manifest
from manifests.convert import naming, sound_of
from manifests.notes import Notes
from manifests.progress import progress

LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    from custom_modules.model import SpeechModel


def channels_of(run: Mapping[str, Any], chosen: str | int | None = None) -> str:
    """Which channel a model is given of recordings that have several: the chosen one, else as it was trained.

    Args:
        run: what the model keeps of its training; of earlier versions nothing of this, and then the mix is taken.
        chosen: mix, first, second or the number of one; None for that of the training.

    >>> channels_of({"channels": "second"}), channels_of({"channels": "second"}, "mix"), channels_of({})
    ('second', 'mix', 'mix')
    """
    return str(chosen or run.get("channels") or "mix")


def require_bundle(model: Path, scorer: str | None) -> None:
    """Refuse a language model beside a `.nemo`, which would write what it writes without.

    Raises:
        ConfigError: there is one.
    """
    if scorer and not model.is_dir():
        raise ConfigError(
            f"scorer={scorer} takes part in a bundle's search alone, and {model} is none. Export it first: python "
            f"export.py model={model} out=bundles/NAME."
        )


def evaluate_nemo(model: SpeechModel, manifest: Path, batch_size: int = 16, channels: str = "mix") -> Report:
    """Transcribe a manifest with a NeMo model.

    Args:
        model: in evaluation mode.
        manifest: JSON lines.
        batch_size: utterances at once; like lengths share a batch.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.

    Raises:
        ManifestError: the manifest cannot be read, or a recording of it.
    """
    import torch

    utterances = read_manifest(manifest)
    _tell_strange(manifest, utterances, "".join(model.labels))
    order = sorted(range(len(utterances)), key=lambda index: utterances[index].duration)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    hypotheses, notes = [""] * len(utterances), Notes()
    spent = 0.0
    device = next(model.parameters()).device
    for batch in progress(batches, f"testing on {manifest.name}", len(batches)):
        rate = model.preprocessor._sample_rate
        clips = [torch.from_numpy(sound_of(utterances[index], rate, channels, notes)) for index in batch]
        started = time.perf_counter()
        with torch.inference_mode():
            length = torch.tensor([len(clip) for clip in clips], device=device)
            signal = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True).to(device)
            log_probs, frames, _ = model.forward(input_signal=signal, input_signal_length=length)
            texts = model.greedy_texts(log_probs, frames)
        spent += time.perf_counter() - started
        for index, text in zip(batch, texts, strict=True):
            hypotheses[index] = text
    _say(notes)
    rows = [make_row(utterance, text) for utterance, text in zip(utterances, hypotheses, strict=True)]
    return Report(str(manifest), type(model).__name__, rows, spent)


def evaluate_bundle(
    folder: Path, manifest: Path, threads: int = 1, scorer: str | None = None, channels: str = "mix"
) -> Report:
    """Transcribe a manifest with a bundle, one utterance at a time, as the device does.

    Args:
        folder: of the bundle.
        manifest: JSON lines.
        threads: of onnxruntime.
        scorer: language model: a scorer file, `bundle` for the one in the bundle, None for none.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.

    Raises:
        ManifestError: the manifest cannot be read, or a recording of it.
    """
    engine = Engine(Bundle(folder), threads)
    decoder = engine.decoder(scorer)
    helped = engine.bundle.scorer_for(scorer)
    rows, notes, spent = [], Notes(), 0.0
    utterances = read_manifest(manifest)
    _tell_strange(manifest, utterances, engine.characters(scorer))
    for utterance in progress(utterances, f"testing on {manifest.name}", len(utterances)):
        samples = sound_of(utterance, engine.bundle.sample_rate, channels, notes)
        started = time.perf_counter()
        with naming(utterance.audio):
            result = engine.transcribe(samples, engine.bundle.sample_rate, decoder)
        spent += time.perf_counter() - started
        rows.append(make_row(utterance, result.text))
    _say(notes)
    return Report(str(manifest), str(folder), rows, spent, scorer=None if helped is None else str(helped))


def _tell_strange(manifest: Path, utterances: Sequence[Utterance], characters: Iterable[str]) -> None:
    """Say of transcripts that a model writes never, whatever it hears: in capitals, with digits, sounds for words."""
    strange = [found for one in utterances if (found := set(one.text) - {*characters, " "})]
    if strange:
        listed = " ".join(map(repr, sorted(set().union(*strange))))
        LOG.warning(
            f"{len(strange)} of {len(utterances)} transcripts of {manifest} have characters that this model does not "
            f"write, so errors are theirs as well: {listed:.100}. Normalise them (`python -m manifests check FILE "
            "--fix OUT`), or give texts of what it writes: a model of sounds without a language model writes these."
        )


def _say(notes: Notes) -> None:
    for line in notes.lines():
        LOG.warning(f"sound: {line}")
