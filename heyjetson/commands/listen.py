"""`heyjetson listen`: words as they are spoken, of all speech or after a trigger word."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from heyjetson.commands import (
    add_decoder_options,
    add_engine_options,
    command,
    decoder_options,
    live_sound,
    open_engine,
    refuse_unused,
    source_rate,
)
from heyjetson.commands.two_stage import add_trigger_options
from heyjetson.endpoint import EndpointRules
from heyjetson.errors import OptionError

OF_SPEECH = ("silence", "longest", "gate", "lm", "hot_words", "beam", "lead", "patience")
OF_TRIGGERS = ("threshold", "false_alarms", "lead", "patience", "mix")


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "listen",
        "write down what is said into the microphone, or wait for a trigger word; Ctrl-C ends it",
        "  heyjetson listen bundles/streaming\n"
        "  heyjetson listen bundles/streaming --silence 1.2 --format json\n"
        "  heyjetson listen wake/                                    time, word and score of each event\n"
        "  heyjetson listen wake/ --transcribe-with bundles/streaming    after the word, what follows it\n"
        "  rec -t raw -r 16000 -b 16 -e signed -c 1 - | heyjetson listen bundles/streaming --stdin --rate 16000",
    )
    add_engine_options(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json has word times")
    group = parser.add_argument_group("sound")
    group.add_argument("--device", help="microphone, as `heyjetson doctor` names it (default: the system's)")
    group.add_argument("--stdin", action="store_true", help="raw 16-bit samples from standard input instead")
    group.add_argument("--rate", type=source_rate, help="hertz of the source (default: the bundle's)")
    group.add_argument("--channels", type=int, default=1, help="of the microphone or of --stdin (default 1)")
    group = parser.add_argument_group("where an utterance ends")
    group.add_argument("--silence", type=float, default=0.8, help="seconds without a word (default 0.8)")
    group.add_argument("--longest", type=float, default=20.0, help="seconds (default 20)")
    group.add_argument(
        "--gate",
        type=float,
        default=None,
        metavar="DB",
        help="between utterances compute only what is so far over the background",
    )
    add_decoder_options(parser)
    add_trigger_options(parser)
    parser.set_defaults(run=run, default_of=parser.get_default)


def endpoint_rules(options: argparse.Namespace) -> EndpointRules:
    """Where an utterance ends, from the options."""
    onset = min(0.3, options.silence)
    return EndpointRules(silence=options.silence, longest=options.longest, onset=onset, gate=options.gate)


def run(options: argparse.Namespace) -> int:
    """Print each utterance as it ends, and what is understood so far below it."""
    from heyjetson import formats
    from heyjetson.bundle import Bundle
    from heyjetson.commands import two_stage
    from heyjetson.commands.live import LiveText

    bundle = Bundle(options.bundle)
    if bundle.is_trigger:
        if not options.transcribe_with:
            refuse_unused(options, OF_SPEECH, "no speech is written down. Add --transcribe-with, or leave it out.")
        rate = options.rate or bundle.sample_rate
        listener = two_stage.make_listener(options, rate, endpoint_rules(options))
        return two_stage.listen(
            options, listener, live_sound(options, rate, options.channels, lambda: listener.missing)
        )
    if options.transcribe_with:
        raise OptionError(
            f"--transcribe-with needs a trigger bundle first, {bundle.folder} transcribes: "
            "`heyjetson listen wake/ --transcribe-with asr/`."
        )
    refuse_unused(options, OF_TRIGGERS, f"for triggers alone, {bundle.folder} transcribes. Leave it out.")
    if options.channels < 1:
        raise OptionError(f"There must be at least one channel, found {options.channels}.")
    engine = open_engine(options)
    rate = options.rate or engine.bundle.sample_rate
    stream = engine.stream(rate, rules=endpoint_rules(options), **decoder_options(options))

    def show(result: Any) -> None:
        if result.text:
            live.clear()
            print(formats.as_json(result) if options.format == "json" else result.text, flush=True)

    with LiveText() as live:
        if sys.stderr.isatty():
            print(f"listening at {rate} Hz on {engine.provider}; Ctrl-C ends", file=sys.stderr)
        try:
            for chunk in live_sound(options, rate, options.channels, lambda: stream.missing):
                for result in stream.feed(chunk):
                    show(result)
                live.show(stream.partial().text)
        except KeyboardInterrupt:
            pass
        show(stream.finish())
    return 0
