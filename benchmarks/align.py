"""How well `python -m experiments.align` finds the utterances of a recording, where their borders are known.

    python benchmarks/align.py MODEL data/synthetic/test.jsonl                         # MODEL: a bundle or a .nemo
    python benchmarks/align.py MODEL MANIFEST --count 1400 --only plain                # an hour, for the time it takes

Joins the clips of a manifest, with pauses of 0.1 to 0.4 s and a faint room tone over all of it, and prints the rows of
benchmarks/RESULTS.md. The borders that are known are those of the speech in each clip: from the first to the last
sample above a hundredth of the clip's peak. That needs clips without noise of their own: the digits' recordings, or
a synthetic corpus made with `--snr-low 70 --snr-high 70 --room-probability 0`.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from experiments.align.acoustic import Acoustic, open_acoustic  # noqa: E402
from experiments.align.lattice import Costs  # noqa: E402
from experiments.align.segments import Aligned, segment  # noqa: E402
from experiments.align.texts import Utterance  # noqa: E402
from heyjetson.audio import load  # noqa: E402
from manifests import read_manifest  # noqa: E402
from manifests.sentences import RARE_WORDS, draw_sentence  # noqa: E402

SPEECH = 0.01  # of a clip's peak
EDGE = 0.05  # seconds into a pause at which the recording is cut
PARAGRAPH = slice(0.4, 0.5)  # of the utterances


@dataclass(frozen=True)
class Spoken:
    """An utterance of the text: its borders in the recording in seconds, None where it is not spoken there."""

    text: str
    borders: tuple[float, float] | None
    right: bool = True  # the text is what is spoken


def joined(manifest: Path, count: int, rate: int, tone: float, seed: int) -> tuple[np.ndarray, list[Spoken]]:
    """Clips of a manifest, again from its beginning where it is too short, as one recording [S]."""
    rng = np.random.default_rng(seed)
    utterances = read_manifest(manifest)
    parts, spoken, position = [np.zeros(rate // 2, np.float32)], [], rate // 2
    for number in range(count):
        utterance = utterances[number % len(utterances)]
        offset, duration = utterance.segment
        clip = load(utterance.audio, rate, offset=offset, duration=duration)
        loud = np.flatnonzero(np.abs(clip) > SPEECH * np.abs(clip).max())
        begin, end = (position + loud[0]) / rate, (position + loud[-1] + 1) / rate
        spoken.append(Spoken(utterance.text, (float(begin), float(end))))
        pause = np.zeros(round(rng.uniform(0.1, 0.4) * rate), np.float32)
        parts += [clip, pause]
        position += len(clip) + len(pause)
    samples = np.concatenate(parts)
    return samples + rng.standard_normal(len(samples)).astype(np.float32) * np.float32(10 ** (tone / 20)), spoken


def drawn_texts(count: int, spoken: list[Spoken], seed: int) -> list[str]:
    """Other sentences: of the same kind, or for digits the texts of other utterances."""
    import random

    rng = random.Random(seed)
    words = {word for one in spoken for word in one.text.split()}
    if len(words) > 20:
        return [draw_sentence(rng, RARE_WORDS)[0] for _ in range(count)]
    return [" ".join(rng.choices(sorted(words), k=rng.randint(2, 6))) for _ in range(count)]


def shifted(spoken: list[Spoken], seconds: float) -> list[Spoken]:
    """The same, later."""
    return [
        replace(one, borders=one.borders and (one.borders[0] + seconds, one.borders[1] + seconds)) for one in spoken
    ]


def cases(
    samples: np.ndarray, spoken: list[Spoken], rate: int, seed: int
) -> dict[str, tuple[np.ndarray, list[Spoken]]]:
    """Recordings and texts that go together, and some that do not."""
    rng = np.random.default_rng(seed)
    first, last = (int(len(spoken) * share) for share in (PARAGRAPH.start, PARAGRAPH.stop))
    begin, end = ((spoken[at - 1].borders[1] + EDGE) for at in (first, last))  # type: ignore[index]
    cut = slice(round(begin * rate), round(end * rate))
    without = np.concatenate([samples[: cut.start], samples[cut.stop :]])
    ten_minutes = np.zeros(600 * rate, np.float32)
    noise = (0.03 * rng.standard_normal(len(ten_minutes))).astype(np.float32)
    moved = [*spoken[:first], *shifted(spoken[first:], 600)]
    others = drawn_texts(len(spoken), spoken, seed)
    extra, other, dropped = [], [], []
    for number, one in enumerate(spoken):
        words = one.text.split()
        tenth = number % 10 == 5
        extra += [one, Spoken(others[number], None, False)] if tenth else [one]
        other.append(Spoken(others[number], None, False) if tenth else one)
        middle = len(words) // 2
        short = Spoken(" ".join([*words[:middle], *words[middle + 1 :]]), one.borders, False)
        dropped.append(short if tenth and len(words) > 2 else one)
    gone = [replace(one, borders=None, right=False) for one in spoken[first:last]]
    return {
        "plain": (samples, spoken),
        "a tenth of the text missing": (samples, spoken[:first] + spoken[last:]),
        "a tenth of the sound missing": (without, [*spoken[:first], *gone, *shifted(spoken[last:], begin - end)]),
        "10 min of noise within": (np.concatenate([samples[: cut.start], noise, samples[cut.start :]]), moved),
        "10 min of zeros within": (np.concatenate([samples[: cut.start], ten_minutes, samples[cut.start :]]), moved),
        "a sentence more after every tenth": (samples, extra),
        "every tenth another sentence": (samples, other),
        "every tenth lacks a word": (samples, dropped),
    }


def shown(name: str, found: Aligned, spoken: list[Spoken], min_score: float) -> str:
    """A row."""
    by_number = {int(one.utterance.where): one for one in found.segments}
    right = [number for number, one in enumerate(spoken) if one.right]
    sure = [number for number in right if number in by_number and by_number[number].score >= min_score]
    starts = np.array([by_number[number].begin - spoken[number].borders[0] for number in sure])  # type: ignore[index]
    ends = np.array([by_number[number].end - spoken[number].borders[1] for number in sure])  # type: ignore[index]
    wrong = [number for number, one in enumerate(spoken) if not one.right]
    passed = sum(number in by_number and by_number[number].score >= min_score for number in wrong)
    listed = sum(number in by_number for number in wrong)

    def quantiles(errors: np.ndarray) -> str:
        low, middle, high = np.quantile(errors, [0.1, 0.5, 0.9]) * 1000
        beyond = [f"{np.mean(np.abs(errors) > limit):.1%}" for limit in (0.1, 0.2)]
        return f"{low:.0f}, {middle:.0f}, {high:.0f} | {', '.join(beyond)}"

    wrongs = f"{passed}, {listed - passed}, {len(wrong) - listed}" if wrong else "–"
    doubted = sum(number in by_number for number in right) - len(sure)
    rights = f"{len(sure)}, {doubted}, {len(right) - len(sure) - doubted}"
    return f"| {name} | {rights} | {wrongs} | {quantiles(starts)} | {quantiles(ends)} |"


def peak() -> float:
    """Most memory of this process so far, MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


def timed(acoustic: Acoustic, spent: list[float]) -> Acoustic:
    """The same model, its CPU seconds counted."""

    def run(samples: np.ndarray) -> np.ndarray:
        started = time.process_time()
        log_probs = acoustic.run(samples)
        spent.append(time.process_time() - started)
        return log_probs

    return replace(acoustic, run=run)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a bundle, a run's folder or a .nemo")
    parser.add_argument("manifest", type=Path, help="of clips without noise of their own")
    parser.add_argument("--count", type=int, default=300, help="clips to join (default 300)")
    parser.add_argument("--tone", type=float, default=-60.0, help="dB of the room tone (default -60)")
    parser.add_argument("--padding", type=float, default=0.0, help="seconds kept around the speech (default 0)")
    parser.add_argument("--min-score", type=float, default=-1.0, help="of segments that are not doubtful (default -1)")
    parser.add_argument("--only", help="one of the rows")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    given = parser.parse_args()
    acoustic = open_acoustic(given.model, 1)
    samples, spoken = joined(given.manifest, given.count, acoustic.sample_rate, given.tone, given.seed)
    print(
        "| recording and text | right lines: sure, doubtful, not found | wrong lines | start, ms: 10, 50, 90 % "
        "| beyond 100, 200 ms | end, ms | beyond |\n|---|---|---|---|---|---|---|"
    )
    times = []
    for name, (sound, text) in cases(samples, spoken, acoustic.sample_rate, given.seed).items():
        if given.only not in (None, name):
            continue
        spent: list[float] = []
        started = time.process_time()
        utterances = [Utterance(str(number), one.text, one.text) for number, one in enumerate(text)]
        found = segment(timed(acoustic, spent), sound, utterances, Costs(), given.padding)
        seconds = time.process_time() - started
        times.append(
            f"{name}: {found.seconds:.0f} s of sound, model {sum(spent):.1f} s, path {seconds - sum(spent):.1f} s CPU"
        )
        print(shown(name, found, text, given.min_score), flush=True)
    print("\n" + "\n".join(times) + f"\npeak {peak():.0f} MB")


if __name__ == "__main__":
    main()
