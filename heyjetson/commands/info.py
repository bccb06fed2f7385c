"""`heyjetson info`: what is this bundle?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from heyjetson.commands import command


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(subparsers, "info", "say what a bundle is", "  heyjetson info bundles/synthetic")
    parser.add_argument("bundle", help="folder written by export.py")
    parser.add_argument("--json", action="store_true", help="the whole manifest")
    parser.set_defaults(run=run)


def _trigger_rows(rules: dict[str, Any]) -> dict[str, str]:
    """When a trigger detects a word."""
    rows = {"smoothing": f"{rules['smoothing'] * 1000:.0f} ms", "debounce": f"{rules['debounce']:g} s"}
    if "hours" in rules:
        rows["calibrated on"] = f"{rules['hours']:g} h without the words"
    if verifier := rules.get("verifier"):
        said = ", ".join(f"{word} as {sounds!r}" for word, sounds in verifier["words"].items())
        rows["checked by sounds"] = f"{said}; weight {verifier['weight']:g}, tolerance {verifier['tolerance']:g}"
    for word, table in rules.get("calibration", {}).items():
        rows[f"calibration, {word}"] = "\n".join(
            f"≤ {entry['false_alarms_per_hour']:g} false alarms an hour: threshold {entry['threshold']:.3f}, "
            f"{entry['miss_rate']:.1%} missed"
            for entry in table
        )
    return rows


def _interval(measured: dict[str, Any]) -> str:
    if not {"wer_low", "wer_high"} <= measured.keys():
        return ""
    return f" (95 % interval {measured['wer_low'] * 100:.2f}–{measured['wer_high'] * 100:.2f})"


def _of(measured: dict[str, Any]) -> str:
    """On which data and which machine, as far as a bundle says."""
    said = f" of {measured['manifest']}" if "manifest" in measured else ""
    machine = measured.get("processor")
    return said + (f", {machine['name']}" if isinstance(machine, dict) and "name" in machine else "")


def run(options: argparse.Namespace) -> int:
    """Print what a bundle is."""
    from rich.console import Console
    from rich.table import Table

    from heyjetson.bundle import Bundle
    from heyjetson.calibration import describe

    bundle = Bundle(options.bundle)
    manifest = bundle.manifest
    if options.json:
        print(json.dumps(manifest, indent=1))
        return 0
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    frame = bundle.frame_seconds * 1000
    rows = {
        "kind": f"{manifest['kind']} ({'a stream' if bundle.streams else 'whole recordings'})",
        "precision": manifest.get("precision", "?"),
        "parameters": f"{manifest.get('parameters', 0) / 1e6:.2f} M",
        "size": f"{size / 1e6:.1f} MB",
        "sample rate": f"{bundle.sample_rate} Hz",
        "one output every": f"{frame:.0f} ms",
        **({"words": ", ".join(bundle.labels)} if bundle.is_trigger else {"labels": "".join(bundle.labels).strip()}),
        "licence": manifest.get("licence", "?"),
        "trained": str(manifest.get("training", {}).get("name", "?")),
    }
    if not bundle.is_trigger:
        rows["word times"] = describe(bundle.calibration)
    if bundle.streams:
        rows["lookahead"] = f"{manifest['lookahead_frames'] * frame:.0f} ms"
        rows["step"] = f"{manifest['chunk_frames'] * frame:.0f} ms"
    if scorer := manifest.get("scorer"):
        rows["language model"] = ", ".join(f"{key} {value}" for key, value in scorer.items())
    if bundle.is_trigger:
        rows |= _trigger_rows(manifest["trigger"])
    for name, measured in manifest.get("measured", {}).items():
        rows[f"measured, {name}"] = (
            f"WER {measured['wer']:.2%}{_interval(measured)}, CER {measured['cer']:.2%}, "
            f"real-time factor {measured['real_time_factor']:.4f} on {measured['utterances']} utterances"
            f"{_of(measured)}"
            if "wer" in measured
            else ", ".join(f"{key} {value}" for key, value in measured.items())
        )
    table = Table(show_header=False, title=str(bundle.folder))
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)
    return 0
