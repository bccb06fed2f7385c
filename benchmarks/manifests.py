"""How long the data door takes: converting, listing and checking recordings, `check` and `stats` of a large manifest.

    python benchmarks/manifests.py                                       # all, about two minutes on 2 cores
    python benchmarks/manifests.py --utterances 100 --lines 10000        # a glance

Makes its own inputs in a temporary folder (600 MB) and prints the rows of benchmarks/RESULTS.md. Each command runs in a
process of its own; its time holds the start of the interpreter, its memory is that process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent

RUN = """
import re, sys
from manifests.__main__ import main
status = main(sys.argv[1:])
# ru_maxrss would begin with the peak of the process that forked this one
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(f"PEAK {status} {peak}")
"""
WORDS = "the of and to in that was his he it with is for as had you not be her on at by which have or from this".split()
LINKS = 1000  # names of one file: file systems allow some ten thousand


def command(*arguments: str | Path) -> tuple[float, float]:
    """Run `python -m manifests …`.

    Returns:
        seconds, and MB of memory at its peak.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    seconds = time.perf_counter() - started
    _, status, peak = done.stdout.splitlines()[-1].split()
    if status != "0":
        raise SystemExit(f"{' '.join(map(str, arguments))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds, float(peak)


def sentence(rng: random.Random, words: int) -> str:
    """A transcript of common words."""
    return " ".join(rng.choices(WORDS, k=words))


def speech_like(rng: np.random.Generator, seconds: float, rate: int) -> np.ndarray:
    """Noise that comes and goes four times a second over a faint floor: FLAC packs it about as it packs speech."""
    at = np.arange(round(seconds * rate)) / rate
    swell = np.clip(np.sin(2 * np.pi * 4 * at + rng.uniform(0, 6)), 0, None) ** 2
    smooth = np.convolve(rng.standard_normal(len(at)), np.ones(8) / 8, "same")
    return (0.2 * smooth * swell + 0.0005 * rng.standard_normal(len(at))).astype(np.float32)


def libri_tree(folder: Path, utterances: int, rate: int) -> Path:
    """LibriSpeech's layout with FLAC utterances of 10 s, 50 of them a chapter."""
    rng, noise = random.Random(1), np.random.default_rng(1)
    for first in range(0, utterances, 50):
        speaker = 1000 + first // 50
        chapter = folder / "train-clean-100" / str(speaker) / "1"
        chapter.mkdir(parents=True)
        lines = []
        for number in range(min(50, utterances - first)):
            name = f"{speaker}-1-{number:04}"
            soundfile.write(chapter / f"{name}.flac", speech_like(noise, 10.0, rate), rate)
            lines.append(f"{name} {sentence(rng, 27).upper()}")
        (chapter / f"{speaker}-1.trans.txt").write_text("\n".join(lines) + "\n")
    return folder


def large_manifest(folder: Path, lines: int) -> Path:
    """A manifest like that of LibriSpeech's 960 hours: durations given, 2,300 speakers, every file there.

    The files are names of a few hundred short recordings, so that they need no disk.
    """
    rng, noise = random.Random(1), np.random.default_rng(1)
    manifest = folder / "large.jsonl"
    with manifest.open("w") as out:
        for number in range(lines):
            path = folder / "wavs" / str(number // LINKS) / f"{number % LINKS:04}.wav"
            if number % LINKS == 0:
                path.parent.mkdir(parents=True)
                first = path
                soundfile.write(path, speech_like(noise, 2.0, 16000), 16000, subtype="PCM_16")
            else:
                os.link(first, path)
            seconds = round(rng.uniform(2.0, 16.0), 2)
            record = {
                "audio_filepath": str(path.relative_to(folder)),
                "duration": seconds,
                "text": sentence(rng, round(2.7 * seconds)),
                "speaker": str(number % 2300),
            }
            out.write(json.dumps(record) + "\n")
    return manifest


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=1000, help="FLAC files to convert (default 1000)")
    parser.add_argument("--lines", type=int, default=280_000, help="of the large manifest (default 280000)")
    parser.add_argument("--folder", type=Path, default=None, help="for the temporary folder (default: the system's)")
    given = parser.parse_args()
    print("| what | command | s | peak MB |\n|---|---|---|---|")

    def row(what: str, shown: str, *arguments: str | Path) -> None:
        seconds, peak = command(*arguments)
        print(f"| {what} | `{shown}` | {seconds:.1f} | {peak:.0f} |", flush=True)

    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = Path(temporary)
        for rate in (16000, 44100):
            source, out = libri_tree(folder / f"in{rate}", given.utterances, rate), folder / f"out{rate}"
            arguments = ["librispeech", "--subsets", "train-clean-100", "--source", source, "--out", out]
            what = f"{given.utterances:,} FLAC utterances of 10 s, {rate / 1000:g} kHz"
            row(f"{what}: converted and listed", "librispeech", *arguments)
            row("the same again: all kept", "librispeech", *arguments)
            listed = [
                "librispeech",
                "--subsets",
                "train-clean-100",
                "--source",
                source,
                "--in-place",
                "--out",
                f"{out}l",
            ]
            row("the same listed in place", "librispeech --in-place", *listed)
            row("the wavs, read to their end", "check", "check", out / "train.jsonl")
            row("the FLACs, read to their end", "check", "check", Path(f"{out}l") / "train.jsonl")
        manifest = large_manifest(folder, given.lines)
        what = f"{given.lines:,} lines"
        row(f"{what}, durations given", "check --fast", "check", manifest, "--fast")
        row(f"{what}, 500 recordings heard", "stats", "stats", manifest)
        row(f"{what}, no sound", "stats --sound 0", "stats", manifest, "--sound", "0")


if __name__ == "__main__":
    main()
