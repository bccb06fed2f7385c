"""Wake words beside their peers: the same clips, noise, rooms and hours, each system as its users run it, in one run.

    pip install pvporcupine==1.9.5 pymicro-wakeword==2.5.0 pyopen-wakeword==1.1.0 openwakeword==0.4.0 \\
        heed-wakeword==0.1.4 pocketsphinx pyroomacoustics==0.10.1
    python benchmarks/wake_word_heed.py heed --backgrounds DIR/commands       # trains heed's models on the same voices
    python benchmarks/wake_word_peers.py voices=wake --data DIR --heed heed --more other_speakers.jsonl
    python benchmarks/wake_word_peers.py voices=wake --data DIR --hours 0.5   # a glance

DIR has `wake_words/WORD/*`, `noise` (with `rooms`, or pyroomacoustics draws them), and the speech `speechocean/test`,
`ljspeech` and `commands`; --more adds others. Words are the recordings that the md5 of their names puts into the test
part, each begun at a drawn offset. A word is found if its event comes between its start and a second after its end;
every event in the speech, of which nothing comes twice, and in noise and quiet is a false accept. Every system runs at
its own default threshold, in a process of its own. What is not installed is named and left out. Prints the rows of
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.wake_word_sound import CONDITIONS, clip, noises, recordings, rooms, speech  # noqa: E402
from benchmarks.wake_word_streams import offsets, surprises  # noqa: E402
from benchmarks.wake_word_systems import CHUNK, PEERS, RATE, Heed, Ours, System  # noqa: E402

LATE = 1.0  # seconds after a word's end in which its event may come
HEADS = (
    "heard by", *(f"missed, {one}" for one in CONDITIONS), "each word at 10 dB", "false accepts, all words", "hours",
    "an hour and word", "share of a core", "MiB",
)  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """What a system is to hear.

    Args:
        data: folder of everything.
        words: to listen for.
        part: of their recordings.
        most: recordings of each word; None for all.
        hours: of speech without them, at most.
        more: further speech.
    """

    data: Path
    words: Sequence[str]
    part: str
    most: int | None
    hours: float
    more: Sequence[Path]


@dataclass(frozen=True)
class Heard:
    """What a system made of it.

    Args:
        counts: condition → word → recordings found, and all.
        accepts: false ones of each word.
        hours: of speech.
        share: of a core, in real time.
        memory: MiB.
    """

    counts: dict[str, dict[str, list[int]]]
    accepts: dict[str, int]
    hours: float
    share: float
    memory: float

    def row(self, name: str) -> str:
        """Of the table."""
        missed = {
            condition: {word: 1 - found / total for word, (found, total) in by_word.items()}
            for condition, by_word in self.counts.items()
        }
        cells = [f"{np.mean(list(by_word.values())):.1%}" for by_word in missed.values()]
        cells.append(", ".join(f"{word} {miss:.1%}" for word, miss in missed["10 dB"].items()))
        total = sum(self.accepts.values())
        cells.append(f"{total} ({', '.join(f'{word} {count}' for word, count in self.accepts.items())})")
        rate = total / self.hours / len(self.accepts)
        return (
            f"| {' | '.join([name, *cells])} | {self.hours:.2f} | {rate:.2f} | {self.share:.2%} | {self.memory:.0f} |"
        )


def listen(kind: type[System], path: str, ask: Ask) -> Heard:
    """One system through everything; to be called in a process of its own."""
    from benchmarks.soak import resident

    before = resident()
    system = kind(ask.words, path)
    for _ in range(125):  # ten seconds; what it imports and keeps, and nothing of this benchmark
        system.feed(np.zeros(CHUNK, np.int16))
    memory = resident() - before
    said = [one for one in recordings(ask.data, ask.words, ask.part, ask.most) if one.word in system.words]
    noise, room = noises(ask.data), rooms(ask.data)
    counts: dict[str, dict[str, list[int]]] = {}
    for condition in CONDITIONS:
        for number, one in enumerate(said):
            samples, start, end = clip(one, condition, noise, room, number)
            system.reset()
            hit = False
            for at in range(0, len(samples), CHUNK):
                for word in system.feed(samples[at : at + CHUNK]):
                    hit |= word == one.word and start <= (at + CHUNK) / RATE <= end + LATE
            tally = counts.setdefault(condition, {}).setdefault(one.word, [0, 0])
            tally[0] += hit
            tally[1] += 1
    system.reset()
    accepts: dict[str, int] = dict.fromkeys(system.words, 0)
    busy, heard, left = 0.0, 0, np.zeros(0, np.int16)
    for piece in speech(ask.data, ask.words, ask.hours, ask.more):
        left = np.concatenate([left, piece])
        whole = len(left) // CHUNK * CHUNK
        began = time.process_time()
        for at in range(0, whole, CHUNK):
            for word in system.feed(left[at : at + CHUNK]):
                accepts[word] += 1
        busy += time.process_time() - began
        heard += whole
        left = left[whole:]
    return Heard(counts, accepts, heard / RATE / 3600, busy / (heard / RATE), memory)


def systems(given: argparse.Namespace) -> list[tuple[str, type[System], str]]:
    """Those that are to be compared: name, class and path; those that are not installed are named."""
    found: list[tuple[str, type[System], str]] = []
    for text in given.bundles:
        name, _, path = text.partition("=")
        found.append((name, Ours, path or name))
    for name in given.only:
        kind, module = PEERS[name]
        if not importlib.util.find_spec(module):
            print(f"left out: {name} is not installed: {kind.install}")
        elif kind is Heed and not given.heed:
            print(f"left out: {name} has no models: make them with benchmarks/wake_word_heed.py, and give --heed")
        else:
            found.append((name, kind, given.heed or ""))
    return found


def main() -> None:
    """Listen with each, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", metavar="[NAME=]BUNDLE", help="of ours; NAME stands in the table")
    parser.add_argument("--data", type=Path, required=True, help="folder with wake_words, noise and speech, see above")
    parser.add_argument("--words", default="alexa,computer,jarvis,snowboy", help="default %(default)s")
    parser.add_argument("--hours", type=float, default=24.0, help="of speech at most (default: all, once)")
    parser.add_argument(
        "--more",
        nargs="*",
        type=Path,
        default=[],
        help="folders or manifests of further speech, that nobody trained on",
    )
    parser.add_argument("--part", default="test", help="of the recordings of the words; all where none was trained on")
    parser.add_argument("--most", type=int, default=None, help="recordings of each word (default: all of the part)")
    parser.add_argument("--heed", help="folder of heed's models, WORD/model.pt")
    names = f"of {', '.join(PEERS)}"
    parser.add_argument("--only", nargs="*", default=list(PEERS), choices=PEERS, metavar="PEER", help=names)
    given = parser.parse_args()
    words = given.words.split(",")
    ask = Ask(given.data, words, given.part, given.most, given.hours, given.more)
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}", flush=True)
    compared = systems(given)
    for name, kind, path in compared:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            print(pool.submit(listen, kind, path, ask).result().row(name), flush=True)
    for name, kind, path in compared:
        if kind is Ours:
            differ = offsets(path, given.data, words, 5)
            print(f"\n{name}: the best scores of a clip differ by {differ:.3f} at most by where it begins")
            for what, found in surprises(path, given.data, words, given.most or 10).items():
                print(f"- {what}: {found}")


if __name__ == "__main__":
    main()
