"""Wake words beside their peers: the same clips, noise, rooms and hours, each system as its users run it, in one run.

    pip install pvporcupine==1.9.5 pymicro-wakeword==2.5.0 pyopen-wakeword==1.1.0 pyroomacoustics==0.10.1
    python benchmarks/wake_word_peers.py voices=wake --data DIR                  # six hours of speech
    python benchmarks/wake_word_peers.py voices=wake --data DIR --hours 0.5      # a glance

DIR has `wake_words/WORD/*`, `noise` (with `rooms`, or pyroomacoustics draws them), and the speech `speechocean/test`,
`ljspeech` and `commands`. Words are the recordings that the md5 of their names puts into the test part, each begun at a
drawn offset. A word is found if its event comes between its start and a second after its end; every event in the speech
is a false accept. Every system runs at its own default threshold, in a process of its own. What is not installed is
named and left out. Prints the rows of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RATE = 16000
CHUNK = 1280  # samples handed over at once, 80 ms
BEFORE, AFTER = 1.0, 1.2  # seconds around a recording
SPEECH = ("speechocean/test", "ljspeech", "commands")
CONDITIONS = ("clean", "10 dB", "5 dB", "room")
TONE = -65.0  # decibels of full scale of the quiet room under everything
OFFSETS = (
    0,
    53,
    160,
    213,
    320,
    400,
    480,
    560,
    613,
)  # samples by which a clip begins later, for the scores' differences


class System:
    """Listens to a stream: `feed` takes int16 samples [n] and gives the words that it raises."""

    install = ""

    def __init__(self, words: Sequence[str]):
        self.words = [word for word in words if word in self.known()]
        self.reset()

    def known(self) -> Sequence[str]:
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError

    def feed(self, samples: np.ndarray) -> list[str]:
        raise NotImplementedError


class Ours(System):
    """A bundle, at its calibrated thresholds."""

    def __init__(self, words: Sequence[str], folder: str):
        from heyjetson import Bundle, Trigger

        self.trigger = Trigger(Bundle(folder), threads=1)
        super().__init__(words)

    def known(self) -> Sequence[str]:
        return self.trigger.words

    def reset(self) -> None:
        self.stream = self.trigger.stream(RATE)

    def feed(self, samples: np.ndarray) -> list[str]:
        return [event.word for event in self.stream.feed(samples)]


class Porcupine(System):
    """Sensitivity 0.5."""

    install = "pip install pvporcupine==1.9.5"

    def known(self) -> Sequence[str]:
        import pvporcupine

        return sorted(pvporcupine.KEYWORDS)

    def reset(self) -> None:
        import pvporcupine

        self.engine = pvporcupine.create(keywords=self.words)
        self.left = np.zeros(0, np.int16)

    def feed(self, samples: np.ndarray) -> list[str]:
        waiting, size = np.concatenate([self.left, samples]), self.engine.frame_length
        found = [self.engine.process(waiting[at : at + size]) for at in range(0, len(waiting) - size + 1, size)]
        self.left = waiting[len(waiting) // size * size :]
        return [self.words[number] for number in found if number >= 0]


class MicroWakeWord(System):
    """Its cutoff; quiet for a second after an event."""

    install = "pip install pymicro-wakeword==2.5.0"

    def known(self) -> Sequence[str]:
        return ["alexa"]

    def reset(self) -> None:
        from pymicro_wakeword import MicroWakeWord as Word
        from pymicro_wakeword import MicroWakeWordFeatures, Model

        self.word, self.features, self.quiet = Word.from_builtin(Model.ALEXA), MicroWakeWordFeatures(), 0

    def feed(self, samples: np.ndarray) -> list[str]:
        raised = sum(
            bool(self.word.process_streaming(one)) for one in self.features.process_streaming(samples.tobytes())
        )
        self.quiet = max(self.quiet - len(samples), 0)
        if not raised or self.quiet:
            return []
        self.quiet = RATE
        return ["alexa"]


class OpenWakeWord(System):
    """Threshold 0.5; quiet for a second after an event."""

    install = "pip install pyopen-wakeword==1.1.0"

    def known(self) -> Sequence[str]:
        return ["alexa"]

    def reset(self) -> None:
        from pyopen_wakeword import Model, OpenWakeWordFeatures
        from pyopen_wakeword import OpenWakeWord as Word

        self.word, self.features, self.quiet = Word.from_builtin(Model.ALEXA), OpenWakeWordFeatures.from_builtin(), 0

    def feed(self, samples: np.ndarray) -> list[str]:
        scores = [
            score
            for one in self.features.process_streaming(samples.tobytes())
            for score in self.word.process_streaming(one)
        ]
        self.quiet = max(self.quiet - len(samples), 0)
        if self.quiet or not any(score > 0.5 for score in scores):
            return []
        self.quiet = RATE
        return ["alexa"]


PEERS: dict[str, tuple[type[System], str]] = {
    "Porcupine 1.9.5": (Porcupine, "pvporcupine"),
    "pymicro-wakeword 2.5": (MicroWakeWord, "pymicro_wakeword"),
    "pyopen-wakeword 1.1": (OpenWakeWord, "pyopen_wakeword"),
}


@dataclass(frozen=True)
class Spoken:
    """A recording of a word, and where the word is in it."""

    word: str
    samples: np.ndarray
    start: int
    end: int


def recordings(data: Path, words: Sequence[str], part: str, most: int | None) -> list[Spoken]:
    """Recordings of the words of a part, `most` of each."""
    from experiments.trigger.evaluation.sources import positives

    found, _ = positives(data / "wake_words", words, part)
    return [Spoken(word, one.read(), one.start, one.end) for word, several in found.items() for one in several[:most]]


def rooms(data: Path) -> list[np.ndarray]:
    """Drawn rooms, or the measured ones where pyroomacoustics is not installed."""
    from manifests.rooms import drawn_rooms, read_rooms

    if importlib.util.find_spec("pyroomacoustics"):
        return drawn_rooms(20, 778)
    return read_rooms(data / "noise" / "rooms")


def noises(data: Path) -> list[np.ndarray]:
    """Recorded noises of the test part, and nothing that was trained on."""
    from experiments.trigger.evaluation.sources import audio_files, of_part
    from heyjetson.audio import load

    paths = [path for path in audio_files(data / "noise") if path.parent.name != "rooms"]
    return [load(path, RATE) for path in of_part(paths, "test")]


def clip(said: Spoken, condition: str, noises: Sequence[np.ndarray], rooms: Sequence[np.ndarray], seed: int) -> tuple:
    """A recording in a condition, begun at a drawn offset.

    Returns:
        samples [S] int16, and the seconds at which the word starts and ends.
    """
    rng = np.random.default_rng([seed, CONDITIONS.index(condition)])
    before = round(BEFORE * RATE) + int(rng.integers(CHUNK))
    samples = np.zeros(before + len(said.samples) + round(AFTER * RATE), np.float32)
    speech = said.samples
    if condition == "room":
        response = rooms[int(rng.integers(len(rooms)))]
        speech = np.convolve(speech, response)[: len(speech) + RATE // 2].astype(np.float32)
    heard = speech[: len(samples) - before]
    word = heard[said.start : said.end]
    heard = heard * np.float32(0.1 / max(float(np.sqrt(np.mean(word**2))), 1e-9))
    samples[before : before + len(heard)] = heard
    samples += np.float32(10 ** (TONE / 20)) * rng.standard_normal(len(samples), dtype=np.float32)
    if condition.endswith("dB"):
        noise = np.resize(noises[int(rng.integers(len(noises)))], len(samples))
        loud = np.sort(noise[: len(noise) // 800 * 800].reshape(-1, 800).var(1))[len(noise) // 1600 :].mean()
        samples += noise * np.float32(0.1 * 10 ** (-float(condition.split()[0]) / 20) / math.sqrt(max(loud, 1e-12)))
    samples *= np.float32(min(1.0, 0.99 / np.abs(samples).max()))
    return (samples * 32767).astype(np.int16), (before + said.start) / RATE, (before + said.end) / RATE


def speech(data: Path, words: Sequence[str], hours: float) -> Iterator[np.ndarray]:
    """Speech without the words, a recording each [S] int16 and some quiet; at other levels when it comes again."""
    from experiments.trigger.evaluation.sources import backgrounds

    folders = [data / name for name in SPEECH if (data / name).exists()]
    texts = [folder for folder in folders if not (folder / "wav.scp").exists()]
    found = []
    for folder in folders:
        if folder in texts:
            found += backgrounds([folder], "test", words)[0]
            continue
        lines = (line.split() for line in (folder / "text").read_text().splitlines())
        said = {key: " ".join(rest).lower() for key, *rest in lines}
        scp = dict(line.split(maxsplit=1) for line in (folder / "wav.scp").read_text().splitlines())
        keep = [key for key in scp if not any(word in said.get(key, "") for word in words)]
        found += [folder.parent / scp[key] for key in keep]
    from heyjetson.audio import load

    rng, left, again = np.random.default_rng(778), hours * 3600 * RATE, False
    while left > 0:
        for number in rng.permutation(len(found)):
            one = found[number]
            samples = load(one, RATE) if isinstance(one, Path) else one.read() * np.float32(0.5)
            samples = samples * np.float32(10 ** (rng.uniform(-12, 0) / 20) if again else 1.0)
            quiet = np.float32(10 ** (TONE / 20)) * rng.standard_normal(RATE // 4, dtype=np.float32)
            yield (np.concatenate([samples, quiet]).clip(-1, 1) * 32767).astype(np.int16)
            left -= len(samples) + len(quiet)
            if left <= 0:
                return
        again = True


def resident() -> float:
    """MiB of this process."""
    from benchmarks.soak import resident as measured

    return measured()


def listen(
    name: str, bundle: str | None, data: Path, words: list[str], hours: float, part: str, most: int | None
) -> Any:
    """One system through everything; to be called in a process of its own.

    Returns:
        found and all recordings of each condition and word, false accepts by word, hours, share of a core, MiB.
    """
    before = resident()
    system = Ours(words, bundle) if bundle else PEERS[name][0](words)
    for _ in range(125):  # ten seconds; what it imports and keeps, and nothing of this benchmark
        system.feed(np.zeros(CHUNK, np.int16))
    memory = resident() - before
    said = [one for one in recordings(data, words, part, most) if one.word in system.words]
    noise, room = noises(data), rooms(data)
    counts: dict[str, dict[str, list[int]]] = {}
    for condition in CONDITIONS:
        for number, one in enumerate(said):
            samples, start, end = clip(one, condition, noise, room, number)
            system.reset()
            hit = False
            for at in range(0, len(samples), CHUNK):
                for word in system.feed(samples[at : at + CHUNK]):
                    hit |= word == one.word and start <= (at + CHUNK) / RATE <= end + 1.0
            tally = counts.setdefault(condition, {}).setdefault(one.word, [0, 0])
            tally[0] += hit
            tally[1] += 1
    system.reset()
    accepts: dict[str, int] = dict.fromkeys(system.words, 0)
    busy, heard, left = 0.0, 0, np.zeros(0, np.int16)
    for piece in speech(data, words, hours):
        left = np.concatenate([left, piece])
        whole = len(left) // CHUNK * CHUNK
        began = time.process_time()
        for at in range(0, whole, CHUNK):
            for word in system.feed(left[at : at + CHUNK]):
                accepts[word] += 1
        busy += time.process_time() - began
        heard += whole
        left = left[whole:]
    return counts, accepts, heard / RATE / 3600, busy / (heard / RATE), memory


def offsets(bundle: str, data: Path, words: list[str], most: int) -> float:
    """Largest difference between the best scores of a clip that begins at several offsets."""
    from heyjetson import Bundle, Trigger

    trigger = Trigger(Bundle(bundle), threads=1)
    worst = 0.0
    for one in recordings(data, words, "test", most):
        samples, *_ = clip(one, "clean", [], [], 1)
        scores = [trigger.scores(np.pad(samples, (offset, 0)), RATE) for offset in OFFSETS]
        smooth = [np.apply_along_axis(lambda s: np.convolve(s, np.ones(3) / 3), 0, score).max(0) for score in scores]
        worst = max(worst, float(np.ptp(np.stack(smooth), axis=0).max()))
    return worst


def surprises(bundle: str, data: Path, words: list[str], most: int) -> dict[str, str]:
    """What a bundle makes of real words where streams surprise."""
    import soxr

    from heyjetson import Bundle, Trigger

    trigger = Trigger(Bundle(bundle), threads=1)
    stream = trigger.stream(RATE)
    rng = np.random.default_rng(1)
    tally: dict[str, list[int]] = {}

    def hear(name: str, word: str, wanted: int, samples: np.ndarray, rate: int = RATE) -> None:
        listening = stream if rate == RATE else trigger.stream(rate)
        listening.reset()
        samples = samples + np.float32(10 ** (TONE / 20)) * rng.standard_normal(len(samples), dtype=np.float32)
        # Never finished: a stream that is not closed has raised its words by then.
        events = listening.feed(np.concatenate([samples, np.zeros(2 * rate, np.float32)]))
        right = sum(event.word == word for event in events)
        counts = tally.setdefault(name, [0, 0, 0])
        counts[0] += min(right, wanted)
        counts[1] += wanted
        counts[2] += len(events) - min(right, wanted)

    for one in recordings(data, words, "test", most):
        margin = round(0.1 * RATE)
        said = one.samples[max(one.start - margin, 0) : one.end + margin] * np.float32(0.3)
        room, second = np.zeros(RATE, np.float32), np.zeros(2 * RATE, np.float32)
        plain = np.concatenate([room, said])
        hear("alone", one.word, 1, plain)
        echo = np.concatenate([plain, second])
        for late, gain in ((0.6, 0.35), (1.2, 0.2)):
            at = RATE + round(late * RATE)
            echo[at : at + len(said)] += np.float32(gain) * said
        hear("two echoes within 1.2 s", one.word, 1, echo)
        twice = np.concatenate([plain, second, second])
        at = RATE + max(round(1.5 * RATE), len(said))
        twice[at : at + len(said)] += said
        hear("twice, 1.5 s apart", one.word, 2, twice)
        hear("drawn out by half", one.word, 1, np.concatenate([room, soxr.resample(said, 2, 3)]))
        hear("at the very beginning, after reset", one.word, 1, said)
        hear("8 kHz", one.word, 1, soxr.resample(plain, RATE, 8000).astype(np.float32), 8000)
    told = {
        name: f"{found} of {wanted} events, {wrong} of something else or too many"
        for name, (found, wanted, wrong) in tally.items()
    }
    silence = trigger.scores(np.zeros(60 * RATE, np.float32), RATE).max()
    return told | {"digital silence": f"scores at most {silence:.4f}"}


def main() -> None:
    """Listen with each, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", metavar="[NAME=]BUNDLE")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--words", default="alexa,computer,jarvis,snowboy")
    parser.add_argument("--hours", type=float, default=6.0, help="of speech without the words (default 6)")
    parser.add_argument("--part", default="test", help="of the recordings of the words; all where none was trained on")
    parser.add_argument("--most", type=int, default=None, help="recordings of each word (default: all of the part)")
    parser.add_argument("--only", nargs="*", default=list(PEERS), help=f"peers, of {', '.join(PEERS)}")
    given = parser.parse_args()
    words = given.words.split(",")
    systems: list[tuple[str, str | None]] = []
    for text in given.bundles:
        name, _, path = text.partition("=")
        systems.append((name, path or name))
    for name in given.only:
        if importlib.util.find_spec(PEERS[name][1]):
            systems.append((name, None))
        else:
            print(f"left out: {name} is not installed: {PEERS[name][0].install}")
    heads = ["heard by", *(f"missed, {one}" for one in CONDITIONS), "each word at 10 dB"]
    heads += ["false accepts, all words", "hours", "share of a core", "MiB"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for name, bundle in systems:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            work = pool.submit(listen, name, bundle, given.data, words, given.hours, given.part, given.most)
            counts, accepts, hours, share, memory = work.result()
        missed = {
            condition: {word: 1 - found / total for word, (found, total) in by_word.items()}
            for condition, by_word in counts.items()
        }
        cells = [f"{np.mean(list(by_word.values())):.1%}" for by_word in missed.values()]
        cells.append(", ".join(f"{word} {miss:.1%}" for word, miss in missed["10 dB"].items()))
        cells.append(f"{sum(accepts.values())} ({', '.join(f'{word} {count}' for word, count in accepts.items())})")
        print(f"| {name} | {' | '.join(cells)} | {hours:.2f} | {share:.2%} | {memory:.0f} |", flush=True)
    for name, bundle in systems:
        if bundle:
            differ = offsets(bundle, given.data, words, 5)
            print(f"\n{name}: the best scores of a clip differ by {differ:.3f} at most by where it begins")
            for what, found in surprises(bundle, given.data, words, given.most or 10).items():
                print(f"- {what}: {found}")


if __name__ == "__main__":
    main()
