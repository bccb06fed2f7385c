"""How true word times are, and what becomes of the last word where the sound ends with it.

    python benchmarks/times.py RECORDINGS bundles/digits bundles/digits_streaming
    python benchmarks/times.py RECORDINGS bundles/digits --speakers yweweler --tone -40
    python benchmarks/times.py RECORDINGS bundles/mel --sherpa bundles/mel-sherpa      the same weights in sherpa-onnx
    python benchmarks/times.py RECORDINGS bundles/mel --onnx-asr bundles/mel-onnx-asr  and in onnx-asr

RECORDINGS is the folder of the Free Spoken Digit Dataset, from which clips of four digits with known borders are made
(`benchmarks/spoken_digits.py`). The speakers are those whom a bundle's calibration did not hear: calibrate the bundles
of the table on the others, as RESULTS.md says. Prints the rows of RESULTS.md: errors of the times of words in clips
that are understood rightly, and errors of the text where the sound is cut behind the last word. Of a model in another
runtime it says how many texts are those of its bundle, beside which export.py wrote it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.spoken_digits import ROOM_TONE, Clip, Spoken, cut, make_clips  # noqa: E402
from benchmarks.times_peers import Peer, peers  # noqa: E402
from heyjetson import Bundle, Engine, Word  # noqa: E402
from heyjetson.calibration import KEY  # noqa: E402
from heyjetson.metrics import pooled, word_errors  # noqa: E402

Words = Sequence[Spoken | Word]
Transcriber = Callable[[np.ndarray], Words]
SPEAKERS = ["lucas", "nicolas", "yweweler"]
STEP = 0.1  # seconds that a stream is fed at once
SPOKEN = 0.02  # the same, where it is measured when a word is there
TAILS = (0.5, 0.1, 0.0)  # seconds behind the last word
RAW = "{}, raw"  # row of a bundle without its calibration, as other runtimes use its weights


@dataclass(frozen=True)
class Times:
    """Errors of the words of all clips that were understood rightly, in milliseconds: start - onset, end - end [N]."""

    starts: np.ndarray
    ends: np.ndarray
    right: int
    overlapping: int

    def row(self) -> str:
        """Of the table."""
        if not self.right:
            return f"| – | – | – | – | – | {self.right} |"
        shares = [f"{np.mean(np.abs(errors) > 100):.1%}" for errors in (self.starts, self.ends)]
        ninetieth = [f"{np.percentile(np.abs(errors), 90):.0f}" for errors in (self.starts, self.ends)]
        spans = [" / ".join(f"{np.percentile(errors, share):.0f}" for share in (10, 50, 90)) for errors in self._both()]
        return (
            f"| {spans[0]} | {spans[1]} | {ninetieth[0]}, {ninetieth[1]} | {shares[0]}, {shares[1]} | "
            f"{self.overlapping} | {self.right} |"
        )

    def _both(self) -> tuple[np.ndarray, np.ndarray]:
        return self.starts, self.ends


def times(clips: Sequence[Clip], heard: Sequence[Words]) -> Times:
    """How true the times of the words are that were heard in each clip."""
    starts, ends, right, overlapping = [], [], 0, 0
    for clip, words in zip(clips, heard, strict=True):
        if [word.text for word in words] != clip.text.split():
            continue
        right += 1
        starts += [word.start - spoken.start for word, spoken in zip(words, clip.words, strict=True)]
        ends += [word.end - spoken.end for word, spoken in zip(words, clip.words, strict=True)]
        overlapping += sum(word.end > after.start for word, after in zip(words, words[1:], strict=False))
    return Times(np.array(starts) * 1000, np.array(ends) * 1000, right, overlapping)


def texts(heard: Sequence[Words]) -> list[str]:
    """What was understood of each clip."""
    return [" ".join(word.text for word in words) for words in heard]


def tail(clips: Sequence[Clip], heard: Sequence[Words]) -> str:
    """WER and how often the last word is wrong."""
    found = texts(heard)
    wer = pooled(word_errors(clip.text, text) for clip, text in zip(clips, found, strict=True)).rate
    last = sum(clip.words[-1].text not in text.split()[-1:] for clip, text in zip(clips, found, strict=True))
    return f"{wer:.1%}, {last} of {len(clips)}"


def whole(engine: Engine, rate: int) -> Transcriber:
    """A recording at once."""
    decoder = engine.decoder()
    return lambda samples: engine.transcribe(samples, rate, decoder).words


def stream(engine: Engine, rate: int) -> Transcriber:
    """A recording piece by piece."""
    size = round(STEP * rate)

    def transcribe(samples: np.ndarray) -> Sequence[Word]:
        running = engine.stream(rate)
        for start in range(0, len(samples), size):
            running.feed(samples[start : start + size])
        return running.finish().words

    return transcribe


def beam(engine: Engine, rate: int) -> Transcriber:
    """A recording at once, by a beam search."""
    decoder = engine.decoder(n_best=2)
    return lambda samples: engine.transcribe(samples, rate, decoder).words


def shown(engine: Engine, clips: Sequence[Clip], rate: int) -> np.ndarray:
    """When the words of a stream are shown, less when they have been said, in milliseconds [N, 2].

    Of each word in clips that are understood rightly: the first partial result in which all of it stands in its place,
    and the first from which on it stays there. Sound is fed as it would be spoken, `SPOKEN` seconds at a time, so that
    the wait for a step to be full is part of it.
    """
    size = round(SPOKEN * rate)
    delays = []
    for clip in clips:
        running, history = engine.stream(rate), []
        for start in range(0, len(clip.samples), size):
            running.feed(clip.samples[start : start + size])
            history.append((min(start + size, len(clip.samples)) / rate, running.partial().text.split()))
        said = clip.text.split()
        final = running.finish().text.split()
        if final != said:
            continue
        history.append((len(clip.samples) / rate, final))
        for number, word in enumerate(clip.words):
            there = [words[number : number + 1] == [word.text] for _, words in history]
            settled = len(there) - there[::-1].index(False) if False in there else 0
            delays.append([history[turn][0] - word.end for turn in (there.index(True), settled)])
    return np.array(delays).reshape(-1, 2) * 1000


def uncalibrated(bundle: Bundle) -> Bundle:
    """The same bundle, as if its times had never been measured."""
    raw = Bundle(bundle.folder)
    raw.manifest.pop(KEY, None)
    return raw


def ours(folders: Sequence[Path], rate: int) -> dict[str, Transcriber]:
    """All ways in which the bundles are used."""
    found: dict[str, Transcriber] = {}
    for folder in folders:
        bundle = Bundle(folder)
        engine, raw = Engine(bundle), Engine(uncalibrated(bundle))
        found[RAW.format(folder.name)] = whole(raw, rate)
        if bundle.calibration is None:
            continue
        found[folder.name] = whole(engine, rate)
        found[f"{folder.name}, beam search"] = beam(engine, rate)
        if bundle.streams:
            found[f"{folder.name}, fed by {STEP:g} s"] = stream(engine, rate)
    return found


def compared(peer: Peer, bundles: Sequence[Path], heard: Mapping[str, Sequence[Words]]) -> str | None:
    """How many texts of our weights in another runtime are those of their bundle; None for a peer with its own.

    Args:
        peer: who runs them.
        bundles: that were heard.
        heard: what was understood of each clip, by row.
    """
    if peer.bundle is None:
        return None
    own = next((folder for folder in bundles if folder.resolve() == peer.bundle.resolve()), None)
    if own is None:
        return f"{peer.name}: give {peer.bundle}, the bundle of the same export, to have the texts compared."
    pairs = list(zip(texts(heard[RAW.format(own.name)]), texts(heard[peer.name]), strict=True))
    same = sum(mine == theirs for mine, theirs in pairs)
    return f"{peer.runtime} writes the text of {own.name} for {same} of {len(pairs)}."


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("bundles", type=Path, nargs="*", help="folders written by export.py")
    parser.add_argument("--speakers", nargs="+", default=SPEAKERS, help="whose takes the clips are made of")
    parser.add_argument("--clips", type=int, default=120, help="strings of digits (default 120)")
    parser.add_argument("--tone", type=float, default=ROOM_TONE, help="room tone, decibels of full scale")
    parser.add_argument("--sherpa", type=Path, nargs="*", default=[], help="folders written by export.py target=sherpa")
    parser.add_argument("--onnx-asr", type=Path, nargs="*", default=[], help="the same, of target=onnx-asr")
    parser.add_argument("--no-peers", action="store_true", help="only our own bundles")
    options = parser.parse_args()
    rate = 16000
    clips = make_clips(options.recordings, options.speakers, options.clips, rate, options.tone)
    clips = [cut(clip, TAILS[0]) for clip in clips]
    own = ours(options.bundles, rate)
    others = [] if options.no_peers else peers(rate, {"sherpa": options.sherpa, "onnx-asr": options.onnx_asr})
    print(f"{len(clips)} clips of {', '.join(options.speakers)}, room tone {options.tone:g} dB\n")
    print(
        "| words by | start - onset, ms, 10 / 50 / 90 % | end - end, ms | 90 % of either are off by less than, ms "
        "| more than 100 ms off | ends after the next start | clips understood rightly |\n|---|---|---|---|---|---|---|"
    )
    heard: dict[str, list[Words]] = {}
    for name, transcribe in (own | {peer.name: peer.transcribe for peer in others}).items():
        heard[name] = [transcribe(clip.samples) for clip in clips]
        print(f"| {name} {times(clips, heard[name]).row()}", flush=True)
    for peer in others:
        if said := compared(peer, options.bundles, heard):
            print(f"\n{said}")
    print("\n| sound after the last word: WER, last word wrong | " + " | ".join(f"{t:g} s" for t in TAILS) + " |")
    print("|---" * (len(TAILS) + 1) + "|")
    for name, transcribe in own.items():
        if "beam" not in name:
            shorter = [[transcribe(cut(clip, behind).samples) for clip in clips] for behind in TAILS[1:]]
            print(f"| {name} | {' | '.join(tail(clips, found) for found in [heard[name], *shorter])} |", flush=True)
    print("\n| a stream's words are shown, after they were said, ms, 50 / 95 % | first | for good |\n|---|---|---|")
    for folder in options.bundles:
        if (bundle := Bundle(folder)).streams:
            delays = shown(Engine(bundle), clips, rate)
            spans = [
                " / ".join(f"{value:.0f}" for value in np.percentile(row, [50, 95])) for row in delays.T if len(row)
            ]
            print(f"| {folder.name} | {' | '.join(spans)} |", flush=True)


if __name__ == "__main__":
    main()
