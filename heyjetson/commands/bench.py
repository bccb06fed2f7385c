"""`heyjetson bench`: how fast and how large is this bundle, here?"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from pathlib import Path
from typing import Any

from heyjetson.commands import add_channels_option, add_engine_options, command, hear, open_engine, open_trigger
from heyjetson.errors import OptionError


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "bench",
        "measure a bundle on this device: speed, start-up, memory, latency",
        "  heyjetson bench bundles/synthetic\n  heyjetson bench bundles/synthetic clip.wav --json",
    )
    add_engine_options(parser)
    parser.add_argument("clip", nargs="?", help="a recording (default: 3 s and 10 s of noise)")
    parser.add_argument("--repeat", type=int, default=15, help="runs a figure is the median of (default 15)")
    parser.add_argument(
        "--live", type=float, default=5.0, metavar="SECONDS",
        help="for so long a stream is fed 16-bit pieces of 80 ms in real time, as a microphone gives them, and the "
        "processor time of all threads is measured (default 5; 0: not at all)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    add_channels_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    import numpy as np

    from heyjetson import audio, measure
    from heyjetson.bundle import Bundle

    if options.repeat < 1 or options.live < 0:
        raise OptionError("--repeat must be at least 1, and --live 0 or more seconds.")
    bundle = Bundle(options.bundle)
    rate = bundle.sample_rate
    if options.clip:
        sound = hear(options.clip, options.channels)
        clips = {Path(options.clip).name: audio.resample(sound.samples, sound.rate, rate)}
    else:
        noise = 0.1 * np.random.default_rng(0).standard_normal(10 * rate).astype(np.float32)
        clips = {"3 s": noise[: 3 * rate], "10 s": noise}
    if bundle.is_trigger:
        return _show(_trigger_figures(options, bundle, clips), options.json)
    engine = open_engine(options)
    figures = _first_figures(options, bundle, engine.provider)
    for name, clip in clips.items():
        factor = measure.real_time_factor(engine, clip, options.repeat)
        figures[f"real-time factor, {name}"] = round(factor, 4)
        figures[f"milliseconds, {name}"] = round(factor * len(clip) / rate * 1000, 1)
    if bundle.streams:
        steps = measure.stepping(engine, next(reversed(clips.values())), options.repeat)
        seconds = bundle.manifest["shift_samples"] / rate
        figures[f"milliseconds a step of {seconds * 1000:.0f} ms"] = round(steps.step * 1000, 2)
        figures["the same, slowest of a hundred"] = round(steps.slowest * 1000, 2)
        figures["milliseconds from the last sample to the final text"] = round(steps.final * 1000, 2)
        figures |= _live_figures(engine.stream(), next(reversed(clips.values())), options.live)
    start = measure.start_up(Path(options.bundle), options.threads, options.provider)
    figures["seconds to import and load"] = round(start.loaded, 2)
    figures["seconds from nothing to the first result"] = round(start.first, 2)
    if math.isfinite(start.peak):  # only Linux tells
        figures["peak memory, MiB"] = round(start.peak)
    return _show(figures, options.json)


def _first_figures(options: argparse.Namespace, bundle: Any, provider: str) -> dict[str, Any]:
    return {
        "bundle": options.bundle,
        "runs on": f"{provider}, {1 if bundle.streams else options.threads} thread(s), {platform.machine()}",
        "model file, MB": round(bundle.graph.stat().st_size / 1e6, 2),
    }


def _trigger_figures(options: argparse.Namespace, bundle: Any, clips: dict[str, Any]) -> dict[str, Any]:
    """Times of a trigger that is fed clips [S] in its own steps."""
    import numpy as np

    trigger = open_trigger(options)
    figures = _first_figures(options, bundle, trigger.provider)
    size, rate = bundle.manifest["shift_samples"], bundle.sample_rate
    for name, clip in clips.items():
        passes = []
        for _ in range(options.repeat + 1):
            stream, steps = trigger.stream(), []
            for begin in range(0, len(clip), size):
                started = time.perf_counter()
                stream.feed(clip[begin : begin + size])
                steps.append(time.perf_counter() - started)
            passes.append(steps)
        times = np.array(passes[1:])  # the first pass is warm-up
        figures[f"real-time factor, {name}"] = round(float(np.median(times.sum(axis=1))) / (len(clip) / rate), 5)
        figures[f"milliseconds a step of {size / rate * 1000:.0f} ms, {name}"] = round(float(np.median(times)) * 1e3, 3)
        figures[f"the same, slowest of a hundred, {name}"] = round(float(np.percentile(times, 99)) * 1e3, 3)
    return figures | _live_figures(trigger.stream(), next(reversed(clips.values())), options.live)


def _live_figures(stream: Any, clip: Any, seconds: float) -> dict[str, float]:
    """What a stream costs when it is fed a clip [S] as it is spoken."""
    from heyjetson.pace import CHUNK, cost, feed_of

    if seconds <= 0:
        return {}
    found = cost(feed_of(stream), clip, stream.input_rate, seconds)
    return {
        "% of one core, in real time": round(found.live * 100, 2),
        "the same, back to back": round(found.back_to_back * 100, 2),
        f"the same, only waking up {1 / CHUNK:g} times a second": round(found.waiting * 100, 2),
    }


def _show(figures: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(figures))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    for key, value in figures.items():
        table.add_row(key, str(value))
    Console().print(table)
    return 0
