"""The command `heyjetson`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from heyjetson.errors import AudioError, HeyJetsonError


def transcribe(options: argparse.Namespace) -> int:
    """Print what each file says; a bad file is named and the others go on."""
    from heyjetson.bundle import Bundle
    from heyjetson.engine import Engine

    engine = Engine(Bundle(options.bundle), options.threads)
    failed = 0
    for number, path in enumerate(options.files, 1):
        if len(options.files) > 1 and sys.stderr.isatty():
            print(f"\r{number}/{len(options.files)}", end="\r", file=sys.stderr, flush=True)
        try:
            result = engine.transcribe_file(path)
        except AudioError as error:
            failed += 1
            print(f"heyjetson: {error}", file=sys.stderr)
            continue
        if options.format == "json":
            print(json.dumps({"file": path, **asdict(result)}))
        else:
            print(result.text if len(options.files) == 1 else f"{path}\t{result.text}", flush=True)
    if failed:
        print(f"heyjetson: {failed} of {len(options.files)} files could not be transcribed.", file=sys.stderr)
    return 1 if failed else 0


def info(options: argparse.Namespace) -> int:
    """Print what a bundle is."""
    from rich.console import Console
    from rich.table import Table

    from heyjetson.bundle import Bundle

    bundle = Bundle(options.bundle)
    manifest = bundle.manifest
    table = Table(show_header=False, title=str(bundle.folder))
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    rows = {
        "kind": manifest["kind"],
        "precision": manifest.get("precision", "?"),
        "parameters": f"{manifest.get('parameters', 0) / 1e6:.2f} M",
        "size": f"{size / 1e6:.1f} MB",
        "sample rate": f"{bundle.sample_rate} Hz",
        "one output every": f"{bundle.frame_seconds * 1000:.0f} ms",
        "labels": "".join(bundle.labels).strip(),
        "licence": manifest.get("licence", "?"),
        "trained": str(manifest.get("training", {}).get("name", "?")),
    }
    for name, measured in manifest.get("measured", {}).items():
        rows[f"measured, {name}"] = (
            f"WER {measured['wer']:.2%}, CER {measured['cer']:.2%}, "
            f"real-time factor {measured['real_time_factor']:.4f} on {measured['utterances']} utterances"
        )
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(
        prog="heyjetson",
        description="Run a speech bundle on this device.",
        epilog="examples:\n  heyjetson transcribe bundles/synthetic hello.wav\n  heyjetson info bundles/synthetic",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(dest="command", required=True)
    one = commands.add_parser(
        "transcribe",
        help="print what recordings say",
        epilog="example:\n  heyjetson transcribe bundles/synthetic *.wav --format json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("bundle", help="folder written by export.py")
    one.add_argument("files", nargs="+", help="wav, flac, ogg, mp3; any rate, any number of channels")
    one.add_argument("--format", choices=("text", "json"), default="text", help="json adds words with times")
    one.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    one.set_defaults(run=transcribe)
    two = commands.add_parser("info", help="say what a bundle is")
    two.add_argument("bundle", help="folder written by export.py")
    two.set_defaults(run=info)
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 all good, 1 a file or bundle failed, 2 wrong usage."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except HeyJetsonError as error:
        print(f"heyjetson: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
