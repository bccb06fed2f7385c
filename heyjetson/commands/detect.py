"""`heyjetson detect`: where in these recordings is a word said?"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from heyjetson.audio import named
from heyjetson.commands import (
    add_channels_option,
    add_engine_options,
    command,
    hear,
    incomplete,
    open_trigger,
    source,
    status,
)
from heyjetson.commands.transcribe import recordings
from heyjetson.commands.two_stage import add_trigger_options, as_line, rules_of
from heyjetson.errors import AudioError
from heyjetson.printing import json_line, quoted


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "detect",
        "find the words of a trigger bundle in recordings: file, seconds, word and score of each",
        "  heyjetson detect wake/ meeting.wav\n"
        "  heyjetson detect wake/ recordings/ --false-alarms 2 --format json > events.jsonl\n"
        "  sox talk.mp3 -t wav - | heyjetson detect wake/ -",
    )
    add_engine_options(parser)
    parser.add_argument("files", nargs="+", help="wav, flac, ogg, mp3, …; folders; - for standard input")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json has one line for each file")
    add_channels_option(parser)
    add_trigger_options(parser, files=True)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what each file holds; a bad file is named and the others go on."""
    files = recordings(options.files)
    trigger = open_trigger(options)
    rules = rules_of(options)
    rules.detector(trigger.bundle)  # an option that cannot work is said before the first file
    failed = cut = 0
    for path in files:
        try:
            sound = hear(path, options.channels)
            found = trigger.detect(sound.samples, sound.rate, rules)
        except AudioError as error:
            failed += 1
            print(f"heyjetson: {named(error, source(path))}", file=sys.stderr)
            continue
        cut += sound.missing > 0
        if options.format == "json":
            record = {"file": path, "seconds": sound.seconds, "detections": [asdict(event) for event in found]}
            record |= incomplete(sound)
            print(json_line(record), flush=True)
        else:
            for event in found:
                print(f"{quoted(path)}\t{as_line(event, 'text')}", flush=True)
    return status(failed, cut, len(files), "searched")
