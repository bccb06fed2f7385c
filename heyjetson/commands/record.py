"""`heyjetson record`: positive samples of one's own word."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from heyjetson.commands import command, live_sound, source_rate
from heyjetson.errors import AudioError, OptionError
from heyjetson.letters import in_word

RATE = 16000  # hertz that recordings are written at
MARGIN = 0.25  # seconds kept before and after a word


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "record",
        "record samples of a word, each trimmed, checked and written to a file of its own; Ctrl-C ends it",
        '  heyjetson record recordings --word "hey jetson" --count 20\n'
        "  heyjetson record recordings --word alexa --device 2 --rate 48000\n"
        "  rec -t raw -r 16000 -b 16 -e signed -c 1 - | heyjetson record recordings --word alexa --stdin",
    )
    parser.add_argument("out", type=Path, help="folder to write to; a word gets a folder of its name in it")
    parser.add_argument("--word", help="what is said (default: recordings go straight into the folder)")
    parser.add_argument("--count", type=int, help="recordings to keep before it ends (default: until Ctrl-C)")
    parser.add_argument("--silence", type=float, default=0.7, help="seconds that end a recording (default 0.7)")
    parser.add_argument("--longest", type=float, default=10.0, help="seconds of a recording (default 10)")
    group = parser.add_argument_group("sound")
    group.add_argument("--device", help="microphone, as `heyjetson doctor` names it (default: the system's)")
    group.add_argument("--stdin", action="store_true", help="raw 16-bit mono samples from standard input instead")
    group.add_argument("--rate", type=source_rate, default=RATE, help=f"hertz of the source (default {RATE})")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write each recording as it ends, and say what is wrong with those that cannot be used."""
    if options.count is not None and options.count < 1:
        raise OptionError(f"--count must be at least 1, found {options.count}.")
    if options.longest <= options.silence:
        raise OptionError(f"--longest must be more than --silence, {options.silence:g} s, found {options.longest:g}.")
    word = "".join(one if one == "_" or in_word(one) else " " for one in options.word or "")
    label = "-".join(word.lower().split())
    if options.word is not None and not any(map(str.isalnum, label)):
        raise OptionError(f"--word must have a letter or a digit, found {options.word!r}.")
    folder = options.out / label
    _make(folder)
    chunks = live_sound(options, options.rate)
    if sys.stderr.isatty():
        print(f"say {options.word or 'the word'!r}, and pause; Ctrl-C ends", file=sys.stderr)
    kept = 0
    for recording in _recordings(chunks, options):
        kept += _keep(recording, folder, label or "recording", kept + 1, options)
        if kept == options.count:
            break
    if not kept:
        raise AudioError("No recording was kept. Is this the right microphone? `heyjetson doctor` lists them.")
    print(f"{kept} recording{'s' * (kept != 1)} in {folder}")
    return 0


def _recordings(chunks: Iterator[np.ndarray], options: argparse.Namespace) -> Iterator[np.ndarray]:
    """What lies between two silences [S], until the sound ends or the user says so."""
    from heyjetson.wakeword.recordings import TakeSplitter

    splitter = TakeSplitter(options.rate, options.silence, options.longest)
    try:
        for chunk in chunks:
            yield from splitter.feed(chunk)
    except KeyboardInterrupt:
        return  # what was being said is not whole
    yield from splitter.finish()


def _keep(recording: np.ndarray, folder: Path, label: str, number: int, options: argparse.Namespace) -> bool:
    """Write a recording if it can be used; whether it was."""
    from heyjetson.audio import resample
    from heyjetson.wakeword.recordings import TakeError, take, trim, words_apart

    try:
        # One that fills all the time there is was cut off, not ended by a silence.
        whole = take(recording, options.rate, options.longest - 0.02)
        if len(words := words_apart(recording, options.rate)) > 1:
            gap = min(after - end for (_, end), (after, _) in pairwise(words)) / options.rate
            raise TakeError(
                f"It holds {len(words)} words, {gap:.1f} s apart, of which only the strongest would be kept. Pause for "
                f"{options.silence:g} s (--silence) between words, and not within one."
            )
        found = trim(whole, MARGIN)
    except TakeError as error:
        print(f"left out: {error}", flush=True)
        return False
    path = write_new(folder, label, resample(found.samples, found.rate, RATE))
    shown = f"recording {number}" + (f" of {options.count}" if options.count else "")
    print(f"{shown}: {(found.end - found.start) / found.rate:.2f} s, {path}", flush=True)
    return True


def write_new(folder: Path, label: str, samples: np.ndarray) -> Path:
    """Write a 16-bit wav under a name that nothing has: the time, so that folders of two devices can be merged.

    Args:
        folder: where.
        label: how the name begins.
        samples: [S] at `RATE`.

    Raises:
        AudioError: the folder cannot be written to.
    """
    import soundfile

    encoded = io.BytesIO()
    soundfile.write(encoded, np.clip(samples, -1.0, 1.0), RATE, format="WAV", subtype="PCM_16")
    stem = f"{label}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 10_000):
        path = folder / (f"{stem}.wav" if number == 1 else f"{stem}-{number}.wav")
        try:
            with path.open("xb") as out:
                out.write(encoded.getvalue())
            return path
        except FileExistsError:
            continue
        except OSError as error:
            path.unlink(missing_ok=True)
            raise AudioError(
                f"{path} cannot be written ({error.strerror}). Make room, or give another folder."
            ) from None
    raise AudioError(f"{folder} holds ten thousand recordings of this second. Give another folder.")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"The folder {folder} cannot be made ({error.strerror}). Give another one.") from None
