"""Models of heed-wakeword for benchmarks/wake_word_peers.py, by its own `heed train`, from the voices of our training.

    pip install heed-wakeword==0.1.4
    python benchmarks/wake_word_heed.py heed --backgrounds DIR other.jsonl       # writes heed/WORD/model.pt

It is given takes of the word, and as negatives near-misses by the same voices and seconds of the backgrounds' training
part. It adds rooms, noise and speed itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from experiments.trigger.evaluation.sources import backgrounds  # noqa: E402
from manifests.trigger.spoken import SpokenOptions, spoken_near_misses, spoken_word  # noqa: E402

RATE = 16000


def write(folder: Path, sounds: list[np.ndarray]) -> None:
    """Number sounds [S] at 16 kHz in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, samples in enumerate(sounds):
        soundfile.write(folder / f"{number:04d}.wav", samples, RATE)


def main() -> None:
    """Write heed's projects and train them, a word after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the projects")
    parser.add_argument("--words", default="alexa,computer,jarvis,snowboy")
    parser.add_argument("--only", help="words of them to train, with commas (default: all)")
    parser.add_argument("--voices", default="installed", help="as voices=[…] of conf/trigger.yaml, with commas")
    parser.add_argument("--takes", type=int, default=160, help="of each word (default 160)")
    parser.add_argument("--near-misses", type=int, default=30, help="for each word (default 30)")
    parser.add_argument("--texts", type=int, default=40, help="different near-misses of each word (default 40)")
    parser.add_argument("--backgrounds", nargs="+", type=Path, required=True, help="folders or manifests of speech")
    parser.add_argument("--pieces", type=int, default=300, help="of them, a second each (default 300)")
    parser.add_argument("--copies", type=int, default=20, help="augmented ones of each sound (default 20)")
    parser.add_argument("--cache", type=Path, default=Path("data/trigger"), help="of what voices have said")
    given = parser.parse_args()
    words = given.words.split(",")
    options = SpokenOptions(given.takes, given.near_misses, given.texts, voices=tuple(given.voices.split(",")))
    near = [one.samples for one in spoken_near_misses(words, given.cache, options)]
    found = backgrounds(given.backgrounds, "train", words)[0]
    rng = np.random.default_rng(1)
    pieces = []
    for number in rng.choice(len(found), given.pieces):
        samples = found[number].read()
        start = int(rng.integers(max(len(samples) - RATE, 0) + 1))
        pieces.append(samples[start : start + RATE])
    for word in given.only.split(",") if given.only else words:
        project = given.out / word
        write(project / "positive", [one.samples for one in spoken_word(word, given.cache, options)])
        write(project / "negative", near + pieces)
        (project / "config.json").write_text(json.dumps({"phrase": word}))
        copies = ["--aug-pos", str(given.copies), "--aug-neg", str(given.copies)]
        heed = [sys.executable, "-m", "heed.cli", "train", str(project), *copies, "--model-size", "large"]
        subprocess.run(heed, check=True)


if __name__ == "__main__":
    main()
