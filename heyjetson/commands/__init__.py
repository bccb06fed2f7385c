"""The commands of `heyjetson`, one module each: `add(subparsers)` and what it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from heyjetson.errors import HeyJetsonError, OptionError
from heyjetson.printing import quoted

if TYPE_CHECKING:
    import numpy as np

    from heyjetson.audio import Sound

STDIN = "-"
Value = TypeVar("Value")


def command(subparsers: Any, name: str, help: str, example: str) -> argparse.ArgumentParser:
    """A command with an example below its options."""
    return subparsers.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


class OldName(argparse.Action):
    """An option by the name that it had in the version before, with a message."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        new = "--" + self.dest.replace("_", "-")
        print(
            f"heyjetson: {option_string} is now called {new}; the old name works for one more version.", file=sys.stderr
        )
        setattr(namespace, self.dest, values)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """The bundle, and what runs it."""
    parser.add_argument("bundle", help="folder written by export.py")
    parser.add_argument("--threads", type=int, default=1, help="for whole recordings; a stream uses one (default 1)")
    parser.add_argument(
        "--provider", default="auto", help="auto, tensorrt, cuda or cpu (default auto: the best there is)"
    )


def add_decoder_options(parser: argparse.ArgumentParser) -> None:
    """What turns probabilities into text."""
    group = parser.add_argument_group("decoding")
    group.add_argument(
        "--lm",
        nargs="?",
        const="bundle",
        metavar="SCORER",
        help="use a language model: a scorer file, or without a value the one in the bundle",
    )
    group.add_argument(
        "--hot-words",
        type=hot_words,
        metavar="WORDS",
        help='hot words with the boost of each, in natural logarithms (default 3): "jetson:3,turn on:2"',
    )
    group.add_argument("--beam", type=int, metavar="N", help="beam width: texts kept after each frame")


def hot_words(text: str) -> dict[str, float]:
    """The hot words of an option; see `parse_hot_words`."""
    from heyjetson.decoding.hotwords import parse_hot_words

    return refused_as_argument(parse_hot_words, text)


def add_channels_option(parser: argparse.ArgumentParser) -> None:
    """Which channel of a recording is heard."""
    parser.add_argument(
        "--channels",
        type=_channels,
        default="mix",
        metavar="WHICH",
        help="of a recording of several: mix (default), first, second, or the number of one",
    )


def _channels(text: str) -> str:
    from heyjetson.audio.channels import channel_number

    refused_as_argument(channel_number, text)
    return text


def source_rate(text: str) -> int:
    """The hertz of a live source, of an option."""
    from heyjetson.audio.rates import rate_fault

    rate = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if told := rate_fault(rate, text):
        raise argparse.ArgumentTypeError(told)
    return rate


def live_sound(
    options: argparse.Namespace, rate: int, channels: int = 1, wanted: Callable[[], int] | None = None
) -> Iterator[np.ndarray]:
    """Chunks of standard input (`--stdin`) or of the microphone (`--device`); see `heyjetson.microphone`.

    Args:
        options: of the command.
        rate: hertz.
        channels: of the sound.
        wanted: samples that are worth waking up for; None takes what comes.
    """
    from heyjetson import microphone

    if options.stdin:
        return microphone.from_pipe(sys.stdin.buffer, rate, channels, wanted)
    device = int(options.device) if options.device and options.device.isdigit() else options.device
    return microphone.from_microphone(rate, device, channels, wanted)


def refuse_unused(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuse options that were given and say nothing here.

    Args:
        options: of a command whose parser has set `default_of` to its `get_default`.
        names: of those options.
        why: they say nothing, and the cure.

    Raises:
        OptionError: one was given.
    """
    if given := [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) != options.default_of(name)]:
        raise OptionError(f"{', '.join(given)}: {why}")


def refused_as_argument(read: Callable[[str], Value], text: str) -> Value:
    """Read an option's value; what is wrong with it is said as argparse says it."""
    try:
        return read(text)
    except HeyJetsonError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def hear(path: str, channels: str) -> Sound:
    """Read a recording, or standard input, as mono; what is to be known of it is printed to standard error.

    Raises:
        AudioError: it cannot be read.
    """
    from heyjetson.audio import read_sound
    from heyjetson.audio.files import name_of

    recording = source(path)
    sound = read_sound(recording, channels=channels)
    for note in sound.notes:
        print(f"heyjetson: {name_of(recording)}: {note}", file=sys.stderr)
    return sound


def source(path: str) -> Any:
    """What is read of a recording that was named: its path, or standard input."""
    return sys.stdin.buffer if path == STDIN else path


def incomplete(sound: Sound) -> dict[str, Any]:
    """What JSON says of a recording that is not as it should be: nothing of one that is."""
    more: dict[str, Any] = {"missing_seconds": round(sound.missing, 3)} if sound.missing else {}
    return more | ({"notes": list(sound.notes)} if sound.notes else {})


def status(failed: int, cut: int, files: int, verb: str) -> int:
    """Exit status of a command that went through files; what was wrong is printed to standard error.

    Args:
        failed: files that could not be used.
        cut: files of which sound is missing.
        files: how many there were.
        verb: what could not be done with those that failed.
    """
    if failed:
        print(f"heyjetson: {failed} of {files} files could not be {verb}.", file=sys.stderr)
    if cut and files > 1:
        print(f"heyjetson: cut short: {cut} of {files} files; what is there of them was {verb}.", file=sys.stderr)
    return 1 if failed or cut else 0


def open_engine(options: argparse.Namespace) -> Any:
    """The engine that the options describe."""
    from heyjetson.bundle import Bundle
    from heyjetson.engine import Engine

    return Engine(Bundle(options.bundle), _threads(options), options.provider)


def open_trigger(options: argparse.Namespace) -> Any:
    """The trigger that the options describe."""
    from heyjetson.bundle import Bundle
    from heyjetson.wakeword.trigger import Trigger

    return Trigger(Bundle(options.bundle), _threads(options), options.provider)


def _threads(options: argparse.Namespace) -> int:
    if options.threads < 1:
        raise OptionError(f"--threads must be at least 1, found {options.threads}.")
    return options.threads


def decoder_options(options: argparse.Namespace, n_best: int = 1) -> dict[str, Any]:
    """Arguments of `Engine.decoder` and `Engine.stream` from the options."""
    from heyjetson.audio.suffixes import is_recording

    if options.lm and is_recording(options.lm):
        raise OptionError(
            f"--lm takes what follows it for a scorer, and {quoted(options.lm)} is a recording: write --lm behind the "
            "recordings, or --lm=SCORER."
        )
    chosen: dict[str, Any] = {"scorer": options.lm, "hot_words": options.hot_words, "n_best": n_best}
    if options.beam is not None:
        if options.beam < 1:
            raise OptionError(f"--beam must be at least 1, found {options.beam}.")
        from heyjetson.decoding.beam import BeamOptions

        chosen["options"] = BeamOptions(beam_size=options.beam)
    return chosen
