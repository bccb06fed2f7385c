"""Beam searches on the same log-probabilities: ours, compiled and in numpy, flashlight's and ctc-beam-decoder.

`python benchmarks/device.py --peers` prints the table. Each decodes the whole set in turn, several times round, so that
a busy machine is busy for all; a figure is the median of the processor times of the rounds, a ratio that of the ratios
in each round. A language model is estimated from train.jsonl beside the test set and tuned with our decoder on
validation.jsonl; its weights serve all.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from experiments.lm.tune import Emissions, Output
from heyjetson.decoding import core
from heyjetson.decoding.beam import BeamDecoder, BeamOptions
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.scorer import Scorer
from heyjetson.metrics import pooled, word_errors

Decode = Callable[[np.ndarray], str]
OURS = "ours, compiled"
HOT = {"turn on": 2.0, "january": 2.0, "kitchen": 2.0}


def ours(output: Output, scorer: Scorer, size: int, hot_words: dict[str, float] | None, numpy: bool = False) -> Decode:
    """Our decoder, a new one for each utterance as a server makes them."""

    def decode(log_probs: np.ndarray) -> str:
        decoder = make_decoder(
            output.labels, output.blank_id, output.frame_seconds,
            scorer=scorer, hot_words=hot_words, options=BeamOptions(size),
        )  # fmt: skip
        assert numpy == (type(decoder) is BeamDecoder)
        decoder.feed(log_probs)
        return decoder.finish()[0].text

    def with_numpy(log_probs: np.ndarray) -> str:
        os.environ[core.SWITCH] = "numpy"
        try:
            return decode(log_probs)
        finally:
            del os.environ[core.SWITCH]

    return with_numpy if numpy else decode


def flashlight(output: Output, scorer: Scorer, arpa: Path, words: Sequence[str], size: int) -> Decode:
    """flashlight-text's LexiconDecoder with the same words, model and thresholds."""
    from flashlight.lib.text import decoder as fl
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    space, lm = output.labels.index(" "), KenLM(str(arpa), Dictionary([*words]))
    trie, begin = fl.Trie(len(output.labels) + 1, space), lm.start(False)
    for number, word in enumerate(words):
        trie.insert([output.labels.index(c) for c in word + " "], number, lm.score(begin, number)[1])
    trie.smear(fl.SmearingMode.MAX)
    options = fl.LexiconDecoderOptions(
        beam_size=size, beam_size_token=len(output.labels) + 1, beam_threshold=16.0,
        lm_weight=scorer.alpha * math.log(10), word_score=scorer.beta, unk_score=-math.inf, sil_score=0.0, log_add=True,
        criterion_type=fl.CriterionType.CTC,
    )  # fmt: skip
    decoder = fl.LexiconDecoder(options, trie, lm, space, output.blank_id, -1, [], False)
    last = np.full((1, len(output.labels) + 1), -1e6, np.float32)  # a space, which ends the last word
    last[0, space] = 0.0

    def decode(log_probs: np.ndarray) -> str:
        rows = np.ascontiguousarray(np.concatenate([log_probs, last]), np.float32)
        found = decoder.decode(rows.ctypes.data, *rows.shape)
        return " ".join(words[number] for number in found[0].words if number >= 0) if found else ""

    return decode


def ctc_beam_decoder(
    output: Output, scorer: Scorer, arpa: Path, size: int, hot_words: dict[str, float] | None
) -> Decode:
    """ctc-beam-decoder, which follows pyctcdecode."""
    from ctc_beam_decoder import build_ctcdecoder

    labels = list(output.labels)
    labels.insert(output.blank_id, "")
    decoder = build_ctcdecoder(labels, str(arpa), alpha=scorer.alpha, beta=scorer.beta)
    more = {"hotwords": list(hot_words), "hotword_weight": max(hot_words.values())} if hot_words else {}

    def decode(log_probs: np.ndarray) -> str:
        return str(decoder.decode(log_probs, beam_width=size, **more))

    return decode


def prepared(bundle: Path, manifest: Path, folder: Path) -> tuple[Output, list[Emissions], Scorer, Path, Sequence[str]]:
    """The model's log-probabilities of the set, and a tuned language model."""
    from experiments.lm.arpa import write_arpa
    from experiments.lm.estimate import estimate
    from experiments.lm.pack import open_model, pack
    from experiments.lm.texts import read_texts, tokens
    from experiments.lm.tune import emissions, tune
    from heyjetson import Bundle, Engine
    from manifests import read_manifest

    opened = Bundle(bundle)
    engine = Engine(opened)
    output = Output(opened.labels, opened.blank_id, opened.frame_seconds)
    sentences, _, _ = read_texts([manifest.with_name("train.jsonl")], [], "".join(output.labels), "en")
    arpa, scorer = folder / "lm.arpa", folder / "scorer"
    write_arpa(arpa, estimate([tokens(sentence, "word") for sentence in sentences], 3))
    model = open_model(arpa, output.labels)
    pack(model, output.labels, scorer, 0.5, 0.0, 64)
    started = time.process_time()
    heard = emissions(engine, read_manifest(manifest.with_name("validation.jsonl"))[:200])
    decoded = time.process_time()
    tuned = tune(heard, scorer, output, 64, 20, with_priors=False)  # the others know none
    print(
        f"weights {tuned.alpha:g} and {tuned.beta:g}; 20 trials took {time.process_time() - decoded:.1f} s of "
        f"processor time, the acoustic model {decoded - started:.1f} s",
        file=sys.stderr,
    )
    found = pack(model, output.labels, scorer, tuned.alpha, tuned.beta, 64)
    return output, emissions(engine, read_manifest(manifest)), found, arpa, sorted(model.words)


def compare(bundle: Path, manifest: Path, rounds: int = 5, numpy_rounds: int = 1) -> None:
    """Print the table.

    Args:
        bundle: whose outputs are decoded.
        manifest: test set; train.jsonl and validation.jsonl lie beside it.
        rounds: how often each decodes the set.
        numpy_rounds: how often the numpy decoder does, which is slow.
    """
    with tempfile.TemporaryDirectory() as folder:
        output, spoken, scorer, arpa, words = prepared(bundle, manifest, Path(folder))
        seconds = output.frame_seconds * sum(len(piece) for one in spoken for piece in one.pieces)
        entries: dict[str, Decode] = {}
        for size in (32, 64):
            entries[f"{OURS}, beam {size}"] = ours(output, scorer, size, None)
            entries[f"ours, numpy, beam {size}"] = ours(output, scorer, size, None, numpy=True)
            entries[f"flashlight-text, LexiconDecoder, beam {size}"] = flashlight(output, scorer, arpa, words, size)
            entries[f"{OURS}, hot words, beam {size}"] = ours(output, scorer, size, HOT)
            try:
                entries[f"ctc-beam-decoder, beam {size}"] = ctc_beam_decoder(output, scorer, arpa, size, None)
                entries[f"ctc-beam-decoder, hot words, beam {size}"] = ctc_beam_decoder(output, scorer, arpa, size, HOT)
            except ImportError:
                print("ctc-beam-decoder is not installed: pip install ctc-beam-decoder", file=sys.stderr)
        times: dict[str, list[float]] = {name: [] for name in entries}
        texts: dict[str, list[str]] = {}
        first: dict[str, float] = {}
        for turn in range(rounds + 1):  # in the first the tables are filled; it stands in a column of its own
            for name, decode in entries.items():
                if "numpy" in name and turn > numpy_rounds:
                    continue
                started = time.process_time()
                texts[name] = [" ".join(decode(piece) for piece in one.pieces) for one in spoken]
                spent = (time.process_time() - started) / seconds * 1000
                if turn:
                    times[name].append(spent)
                else:
                    first[name] = spent
        print(
            f"\n| beam search | ms per second of sound | the first time | ours, compiled / this | WER |\n{'|---' * 5}|"
        )
        for name, spent in times.items():
            mine = times[f"{OURS}, beam {name.split()[-1]}"]
            ratio = statistics.median(a / b for a, b in zip(mine, spent, strict=False))
            pairs = zip(spoken, texts[name], strict=True)
            wer = pooled(word_errors(one.reference, text) for one, text in pairs).rate
            print(f"| {name} | {statistics.median(spent):.3f} | {first[name]:.3f} | {ratio:.3f} | {wer:.2%} |")
        for size in (32, 64):
            same = texts[f"{OURS}, beam {size}"] == texts[f"ours, numpy, beam {size}"]
            print(f"\nBeam {size}: our two write {'the same texts' if same else 'DIFFERENT TEXTS'}.")
