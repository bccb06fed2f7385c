"""`heyjetson listen`: words as they are spoken."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from heyjetson.commands import add_decoder_options, add_engine_options, command, decoder_options, open_engine


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "listen",
        "write down what is said into the microphone, as it is said; Ctrl-C ends it",
        "  heyjetson listen bundles/streaming\n"
        "  heyjetson listen bundles/streaming --silence 1.2 --format json\n"
        "  rec -t raw -r 16000 -b 16 -e signed -c 1 - | heyjetson listen bundles/streaming --stdin --rate 16000",
    )
    add_engine_options(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json has word times")
    group = parser.add_argument_group("sound")
    group.add_argument("--device", help="microphone, as `heyjetson doctor` names it (default: the system's)")
    group.add_argument("--stdin", action="store_true", help="raw 16-bit mono samples from standard input instead")
    group.add_argument("--rate", type=int, help="hertz of the source (default: the bundle's)")
    group = parser.add_argument_group("where an utterance ends")
    group.add_argument("--silence", type=float, default=0.8, help="seconds without a word (default 0.8)")
    group.add_argument("--longest", type=float, default=20.0, help="seconds (default 20)")
    group.add_argument(
        "--gate", type=float, default=None, metavar="DB", help="compute nothing in silence this far below speech"
    )
    add_decoder_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print each utterance as it ends, and what is understood so far below it."""
    from heyjetson import formats, microphone
    from heyjetson.commands.live import LiveText
    from heyjetson.endpoint import EndpointRules

    engine = open_engine(options)
    rate = options.rate or engine.bundle.sample_rate
    onset = min(0.3, options.silence)
    rules = EndpointRules(silence=options.silence, longest=options.longest, onset=onset, gate=options.gate)
    stream = engine.stream(rate, rules=rules, **decoder_options(options))
    device = int(options.device) if options.device and options.device.isdigit() else options.device
    chunks = microphone.from_pipe(sys.stdin.buffer, rate) if options.stdin else microphone.from_microphone(rate, device)

    def show(result: Any) -> None:
        if result.text:
            live.clear()
            print(formats.as_json(result) if options.format == "json" else result.text, flush=True)

    with LiveText() as live:
        if sys.stderr.isatty():
            print(f"listening at {rate} Hz on {engine.provider}; Ctrl-C ends", file=sys.stderr)
        try:
            for chunk in chunks:
                for result in stream.feed(chunk):
                    show(result)
                live.show(stream.partial().text)
        except KeyboardInterrupt:
            pass
        show(stream.finish())
    return 0
