"""What decoding costs and brings, on outputs made up from transcripts: no acoustic model is needed.

python -m experiments.lm.benchmark data/synthetic/test.jsonl --lm lm.arpa --lm letters.arpa
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.lm import LmError
from experiments.lm.pack import open_model, pack
from experiments.lm.tune import Emissions, rates
from heyjetson.decoding.beam import BeamOptions
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.decoding.hypothesis import Decoder
from heyjetson.errors import HeyJetsonError
from manifests import ManifestError, read_manifest
from manifests.text import LABELS

FRAME = 0.04  # seconds
CHUNK = 4  # frames


def blurred(text: str, seconds: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Log-probabilities [T, V + 1] that say a text, more or less clearly."""
    blank = len(LABELS)
    frames = max(int(seconds / FRAME), 2 * len(text) + 2)
    columns = np.full(frames, blank)
    columns[np.sort(rng.choice(np.arange(1, frames - 1, 2), len(text), replace=False))] = [*map(LABELS.index, text)]
    logits = rng.normal(0, noise, (frames, blank + 1))
    logits[np.arange(frames), columns] += rng.gamma(6, 1.6, frames)
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def streamed(decoder: Decoder, spoken: Sequence[Emissions]) -> float:
    """Processor seconds to decode utterances in chunks, with a partial result after each."""
    started = time.process_time()
    for utterance in spoken:
        decoder.reset()
        for piece in np.split(utterance.pieces[0], range(CHUNK, len(utterance.pieces[0]), CHUNK)):
            decoder.feed(piece)
            decoder.words()
        decoder.finish()
    return time.process_time() - started


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of decoders."""
    parser = argparse.ArgumentParser(prog="python -m experiments.lm.benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--lm", type=Path, action="append", default=[], help="ARPA file; may be given again")
    parser.add_argument("--noise", type=float, default=1.3, help="deviation of the made-up outputs (default 1.3)")
    given = parser.parse_args(arguments)
    try:
        utterances, rng = read_manifest(given.manifest), np.random.default_rng(0)
        spoken = [Emissions(line.text, [blurred(line.text, line.duration, given.noise, rng)]) for line in utterances]
        seconds = FRAME * sum(len(utterance.pieces[0]) for utterance in spoken)
        output = (list(LABELS), len(LABELS), FRAME)
        decoders: dict[str, Decoder] = {"greedy": GreedyDecoder(*output)}
        with tempfile.TemporaryDirectory() as folder:
            for size in (32, 100):
                options = BeamOptions(beam_size=size)
                hot_words = {"turn on": 2.0, "january": 2.0}
                decoders[f"beam {size}, hot words"] = make_decoder(*output, hot_words=hot_words, options=options)
                for path in given.lm:
                    model = open_model(path, output[0])
                    scorer = pack(model, output[0], Path(folder) / path.name, 0.6, 1.0, size)
                    name = f"beam {size}, {model.unit} model of order {model.order}"
                    decoders[name] = make_decoder(*output, scorer=scorer, options=options)
    except (LmError, ManifestError, HeyJetsonError, ValueError) as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    table = Table("decoder", "WER", "CER", "real-time factor", title=f"{seconds:.0f} s, {CHUNK * FRAME:.2f} s a chunk")
    for name, decoder in decoders.items():
        found = rates(decoder, spoken)
        cost = streamed(decoder, spoken) / seconds
        table.add_row(name, f"{found.words.rate:.2%}", f"{found.characters.rate:.2%}", f"{cost:.4f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
