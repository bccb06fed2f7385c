"""`heyjetson transcribe`: what do these recordings say?"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heyjetson import formats
from heyjetson.audio import AUDIO, Sound, is_recording, named
from heyjetson.calibration import describe
from heyjetson.commands import (
    STDIN,
    add_channels_option,
    add_decoder_options,
    add_engine_options,
    command,
    decoder_options,
    hear,
    incomplete,
    open_engine,
    refuse_unused,
    source,
    status,
)
from heyjetson.errors import AudioError, OptionError
from heyjetson.printing import quoted

CHUNK = 0.1  # seconds fed at once with --stream


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "transcribe",
        "print what recordings say",
        "  heyjetson transcribe bundles/synthetic hello.wav\n"
        "  heyjetson transcribe bundles/synthetic recordings/ --format json > results.jsonl\n"
        "  heyjetson transcribe bundles/synthetic talk.flac --format srt --out subtitles/\n"
        "  sox talk.mp3 -t wav - | heyjetson transcribe bundles/synthetic -\n"
        '  heyjetson transcribe bundles/synthetic a.wav --lm --hot-words "jetson:3" --n-best 3 --format json',
    )
    add_engine_options(parser)
    parser.add_argument("files", nargs="+", help="wav, flac, ogg, mp3, …; folders; - for standard input")
    parser.add_argument("--format", choices=formats.FORMATS, default="text", help="json has word times")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write NAME.txt (.json, .srt, .vtt) here, not to print")
    parser.add_argument("--stream", action="store_true", help="feed each recording bit by bit and show the text grow")
    parser.add_argument("--n-best", type=int, default=1, metavar="N", help="alternatives as well, in json")
    add_channels_option(parser)
    add_decoder_options(parser)
    parser.set_defaults(run=run, default_of=parser.get_default)


def recordings(names: list[str]) -> list[str]:
    """Files named, and those of known kinds in folders named, in order; a folder that has none is named itself.

    Raises:
        AudioError: all that is named is a folder that has none.
        OptionError: a name is empty.
    """
    found: list[str] = []
    for name in names:
        if not name:  # it would be the working folder, and all that lies in it
            raise OptionError("A file's name is empty, as where a variable of the shell has no value. Name a file.")
        if name == STDIN or not Path(name).is_dir():
            found.append(name)
            continue
        inside = sorted(str(path) for path in Path(name).rglob("*") if is_recording(path))
        if not inside and len(names) == 1:
            raise AudioError(f"The folder {name} holds no recording ({', '.join(AUDIO)}).")
        found += inside or [name]
    return found


def run(options: argparse.Namespace) -> int:
    """Print what each file says; a bad file is named and the others go on."""
    files = recordings(options.files)
    if options.format != "json":
        refuse_unused(options, ["n_best"], "alternatives stand in JSON alone. Add --format json.")
    if options.out:
        names = Counter(_name(path) for path in files)
        if twice := [name for name, count in names.items() if count > 1]:
            raise OptionError(
                f"Several recordings are called {twice[0]}, and --out would keep the last one only. Transcribe their "
                "folders one by one, or use --format json without --out."
            )
        options.out.mkdir(parents=True, exist_ok=True)
        for path in files:
            beside = path != STDIN and Path(path).exists() and options.out.samefile(Path(path).parent)
            if beside and _target(path, options).exists():
                raise OptionError(
                    f"{quoted(str(_target(path, options)))} lies beside its recording already, may be what people "
                    "wrote of it, and would be overwritten. Give --out another folder, or move it away."
                )
    elif options.format in ("srt", "vtt") and len(files) > 1:
        raise OptionError("Subtitles of several recordings need a folder: add --out DIR.")
    engine = open_engine(options)
    if options.format in ("srt", "vtt") and engine.bundle.calibration is None:
        print(f"heyjetson: word times are {describe(None)}", file=sys.stderr)
    decode = decoder_options(options, options.n_best)
    decoder = None if options.stream else engine.decoder(**decode)
    failed = cut = 0
    bar = len(files) > 1 and sys.stderr.isatty()
    for path in _tracked(files) if bar else files:
        try:
            sound = hear(path, options.channels)
            result = _transcribed(engine, sound, decoder, decode)
        except AudioError as error:
            failed += 1
            print(f"heyjetson: {named(error, source(path))}", file=sys.stderr)
            continue
        cut += sound.missing > 0
        if options.format == "json":
            text = formats.as_json(result, file=path, **incomplete(sound))
        elif options.format == "text":
            text = result.text if len(files) == 1 or options.out else f"{quoted(path)}\t{result.text}"
        else:
            text = formats.subtitles(result, options.format)
        if options.out:
            _target(path, options).write_text(text + "\n", "utf-8")
        else:
            print(text, flush=True)
    return status(failed, cut, len(files), "transcribed")


def _tracked(files: list[str]) -> Iterator[str]:
    from rich.console import Console
    from rich.progress import track

    yield from track(files, "transcribing", console=Console(stderr=True), transient=True)


def _name(path: str) -> str:
    return "stdin" if path == STDIN else Path(path).stem


def _target(path: str, options: argparse.Namespace) -> Path:
    """Where --out writes what a recording says."""
    suffix = "txt" if options.format == "text" else options.format
    return options.out / f"{_name(path)}.{suffix}"


def _transcribed(engine: Any, sound: Sound, decoder: Any, decode: dict[str, Any]) -> Any:
    """What a recording says; without a decoder it is fed bit by bit, and shown as it grows on a terminal."""
    samples, rate = sound.samples, sound.rate
    if decoder:
        return engine.transcribe(samples, rate, decoder)
    from heyjetson.commands.live import LiveText

    engine.require_frame(len(samples), rate)
    stream = engine.stream(rate, **decode)
    size = max(round(CHUNK * rate), 1)
    with LiveText() as live:
        for start in range(0, len(samples), size):
            stream.feed(samples[start : start + size])
            live.show(stream.partial().text)
        return stream.finish()
