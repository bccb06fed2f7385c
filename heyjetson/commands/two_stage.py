"""`heyjetson listen` with a trigger bundle: wait for a word, and with `--transcribe-with` transcribe what follows."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.commands import OldName, decoder_options, open_trigger
from heyjetson.commands.live import LiveText
from heyjetson.decoding.hypothesis import Result
from heyjetson.endpoint import EndpointRules
from heyjetson.engine import Engine
from heyjetson.wakeword.detector import Detection
from heyjetson.wakeword.trigger import TriggerRules, TriggerStream
from heyjetson.wakeword.two_stage import TwoStageListener


def add_trigger_options(parser: argparse.ArgumentParser, files: bool = False) -> None:
    """Options of commands that take a trigger bundle.

    Args:
        parser: gets them.
        files: leave out what only live sound needs.
    """
    group = parser.add_argument_group("trigger bundles")
    group.add_argument("--threshold", type=float, help="score of a word, 0 to 1 (default: the bundle's own)")
    group.add_argument(
        "--false-alarms", type=float, metavar="PER_HOUR", help="take the threshold calibrated for so many (default 0.5)"
    )
    if files:
        return
    group.add_argument(
        "--transcribe-with", metavar="BUNDLE", help="a streaming bundle that transcribes what follows the word"
    )
    group.add_argument("--then", dest="transcribe_with", action=OldName, help=argparse.SUPPRESS)
    group.add_argument(
        "--lead", type=float, default=0.1, help="seconds before the event at which that begins (default 0.1)"
    )
    group.add_argument("--patience", type=float, default=5.0, help="seconds to wait for its first word (default 5)")
    group.add_argument(
        "--mix", choices=("best", "mean"), default="best", help="the best channel's score, or that of their mean"
    )


def rules_of(options: argparse.Namespace) -> TriggerRules:
    """The rules that the options describe."""
    return TriggerRules(threshold=options.threshold, false_alarms_per_hour=options.false_alarms)


def as_line(event: Detection | Result, format: str) -> str:
    """A word or what followed it, for a person or as JSON."""
    if format == "json":
        return json.dumps(asdict(event), ensure_ascii=False)
    if isinstance(event, Detection):
        return f"{event.time:.2f}\t{event.word}\t{event.score:.2f}"
    return event.text


class _Alone:
    """A trigger with nothing to follow, with the verbs of `TwoStageListener`."""

    def __init__(self, trigger: TriggerStream):
        self.trigger = trigger
        self.feed, self.finish = trigger.feed, trigger.finish

    @property
    def missing(self) -> int:
        return self.trigger.missing

    def partial(self) -> str:
        return ""


Listener = TwoStageListener | _Alone


def make_listener(options: argparse.Namespace, rate: int, rules: EndpointRules) -> Listener:
    """What waits for a word, and with `--transcribe-with` writes down what follows it; a terminal is told.

    Args:
        options: of the command.
        rate: of the sound, hertz.
        rules: where what follows a word ends.
    """
    trigger = open_trigger(options)
    stream = trigger.stream(rate, options.channels, options.mix, rules_of(options))
    if sys.stderr.isatty():
        words = ", ".join(trigger.words)
        print(f"listening for {words} at {rate} Hz on {trigger.provider}; Ctrl-C ends", file=sys.stderr)
    if not options.transcribe_with:
        return _Alone(stream)
    engine = Engine(Bundle(options.transcribe_with), options.threads, options.provider)
    speech = engine.stream(rate, rules=rules, **decoder_options(options))
    return TwoStageListener(stream, speech, options.lead, options.patience)


def listen(options: argparse.Namespace, listener: Listener, chunks: Iterator[np.ndarray]) -> int:
    """Print each word as it is detected, and with `--transcribe-with` what follows it.

    Args:
        options: of the command.
        listener: made by `make_listener`.
        chunks: of the sound.
    """

    def show(events: Iterable[Detection | Result]) -> None:
        for event in events:
            live.clear()
            print(as_line(event, options.format), flush=True)

    with LiveText() as live:
        try:
            for chunk in chunks:
                show(listener.feed(chunk))
                live.show(listener.partial())
        except KeyboardInterrupt:
            pass
        show(listener.finish())
    return 0
