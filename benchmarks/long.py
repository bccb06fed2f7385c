"""What it costs in errors and time that a recording is longer than a model takes at once.

    python benchmarks/long.py bundles/synthetic --manifest data/synthetic/test.jsonl
    python benchmarks/long.py bundles/synthetic --manifest data/synthetic/test.jsonl --uncut

Clips are cut to their words (what is over -30 dB of their loudest), joined without a pause to recordings of five
minutes, and transcribed whole; beside it the same samples cut by hand, between two clips, into pieces of at most what
the bundle takes at once. Prints the row of benchmarks/RESULTS.md: the WER of both, their difference, and the processor
time of the whole as a multiple of that of the pieces, in pairs, the median of five of each recording. With --uncut the
graph is given the five minutes at once, though it was not made for them: what is lost there is not lost at seams. A
graph of gated recurrences refuses them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from experiments.evaluation.report import word_errors  # noqa: E402
from heyjetson import Bundle, BundleError, Engine  # noqa: E402
from manifests import read_manifest  # noqa: E402
from manifests.convert import sound_of  # noqa: E402

LOUD = 10 ** (-30 / 20)  # of the loudest sample of a clip: where its words begin and end
ROUNDS = 5
Clip = tuple[np.ndarray, str]  # [S] float32, and what is said


def words_of(samples: np.ndarray) -> np.ndarray:
    """A clip without the quiet around its words."""
    loud = np.flatnonzero(np.abs(samples) > LOUD * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


def grouped(clips: list[Clip], longest: int) -> list[list[Clip]]:
    """Clips in their order, in groups of at most so many samples."""
    groups: list[list[Clip]] = [[]]
    for clip in clips:
        if groups[-1] and sum(len(samples) for samples, _ in groups[-1]) + len(clip[0]) > longest:
            groups.append([])
        groups[-1].append(clip)
    return groups


def joined(group: list[Clip]) -> Clip:
    """Clips without a pause between them."""
    return np.concatenate([samples for samples, _ in group]), " ".join(text for _, text in group)


def uncut(engine: Engine, sound: np.ndarray) -> str | None:
    """What the graph makes of a recording [S] in one run; None where it takes none that is so long."""
    decoder = engine.decoder()
    try:
        decoder.feed(engine.log_probs(sound[None])[0][0])
    except BundleError:
        return None
    return decoder.finish()[0].text


def transcribed(engine: Engine, recordings: list[np.ndarray]) -> tuple[str, float]:
    """The texts of some recordings, joined, and seconds of processor time."""
    begin = time.process_time()
    text = " ".join(engine.transcribe(samples, engine.bundle.sample_rate).text for samples in recordings)
    return text, time.process_time() - begin


def shuffled(clips: list[Clip], samples: int, seed: int) -> list[Clip]:
    """Random clips, each once, of at least so many samples together or all of them."""
    order = np.random.default_rng(seed).permutation(len(clips))
    lengths = np.cumsum([len(clips[index][0]) for index in order])
    return [clips[index] for index in order[: int(np.searchsorted(lengths, samples)) + 1]]


def row(bundle: Path, clips: list[Clip], minutes: float, recordings: int, at_once: bool) -> str:
    """A row of Markdown for a bundle."""
    engine = Engine(Bundle(bundle))
    rate = engine.bundle.sample_rate
    piece_samples = round((engine.bundle.manifest["longest_seconds"] - 1) * rate)
    words, errors, by_hand, without, times = 0, 0, 0, 0, []
    takes_all = at_once
    for seed in range(recordings):
        group = shuffled(clips, round(minutes * 60 * rate), seed)
        sound, said = joined(group)
        pieces = [joined(piece)[0] for piece in grouped(group, piece_samples)]
        for _ in range(ROUNDS):
            text, seconds = transcribed(engine, [sound])
            cut, beside = transcribed(engine, pieces)
            times.append(seconds / beside)
        found = word_errors(said, text)
        words, errors, by_hand = words + found.total, errors + found.count, by_hand + word_errors(said, cut).count
        whole = uncut(engine, sound) if takes_all else None
        takes_all = whole is not None
        without += word_errors(said, whole).count if whole is not None else 0
    in_one_run = f" {without / words:.2%} |" if takes_all else " – |" if at_once else ""
    return (
        f"| {bundle.name} | {words} | {errors / words:.2%} | {by_hand / words:.2%} | "
        f"{(errors - by_hand) / words * 100:+.2f} points | {np.median(times):.2f} |{in_one_run}"
    )


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, help="folders that export.py made")
    parser.add_argument("--manifest", type=Path, required=True, help="a test set")
    parser.add_argument("--minutes", type=float, default=5.0, help="of a recording (default 5)")
    parser.add_argument("--recordings", type=int, default=6, help="each of random clips (default 6)")
    parser.add_argument("--uncut", action="store_true", help="also in one run of the graph")
    given = parser.parse_args()
    more = " in one run |" if given.uncut else ""
    print(f"| bundle | words | WER whole | cut by hand | difference | times the time |{more}")
    print("|---" * (7 if given.uncut else 6) + "|")
    for bundle in given.bundles:
        rate = Bundle(bundle).sample_rate
        clips = [(words_of(sound_of(one, rate)), one.text) for one in read_manifest(given.manifest)]
        print(row(bundle, clips, given.minutes, given.recordings, given.uncut), flush=True)


if __name__ == "__main__":
    main()
