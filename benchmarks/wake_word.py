"""How good is a trigger word, and what does it cost? Bundles beside PocketSphinx, on the same streams, in one run.

    python benchmarks/wake_word.py recordings=wake voices=wake_voices --data DIR      # an hour, most of it PocketSphinx
    python benchmarks/wake_word.py wake --data DIR --hours 0.5 --no-peer              # a glance: five minutes

Beside Porcupine, microWakeWord and openWakeWord: benchmarks/wake_word_peers.py.

DIR has `wake_words/WORD/*` and the backgrounds `commands`, `ljspeech` and `fsdd`; of all of it, what the md5 of the
names puts into the test part. Prints the rows of benchmarks/RESULTS.md, then every false alarm with its time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from experiments.trigger.evaluation.report import Report

RATE = 16000
BACKGROUNDS = ("commands", "ljspeech", "fsdd")
TARGET = 0.5  # false alarms per hour that decide
CHUNK = 0.08  # seconds fed at once
SOAK = 60  # minutes


@dataclass(frozen=True)
class Cost:
    """What a bundle costs on one core.

    Args:
        size: of the graph, MB.
        real_time_factor: seconds of one core for a second of sound.
        slowest: feed of a chunk, ms.
        settled: MiB in memory after a tenth.
        end: MiB in memory at the end.
    """

    size: float
    real_time_factor: float
    slowest: float
    settled: float
    end: float


def cost(folder: Path, minutes: float) -> Cost:
    """Feed noise with bursts in it to a stream; to be called in a process of its own, whose memory is its own."""
    from benchmarks.soak import resident
    from heyjetson import Bundle
    from heyjetson.wakeword.trigger import Trigger

    bundle = Bundle(folder)
    stream = Trigger(bundle, threads=1).stream(RATE)
    rng = np.random.default_rng(0)
    minute = (0.02 * rng.standard_normal(60 * RATE)).astype(np.float32)
    minute *= 1 + 9 * (np.arange(len(minute)) // RATE % 5 == 0)
    chunk, busy, slowest, readings = round(CHUNK * RATE), 0.0, 0.0, []
    for _ in range(max(round(minutes), 1)):
        # The process's own time: others may want the core. By the minute: reading the clock takes a tenth of a step.
        worked = time.process_time()
        for start in range(0, len(minute), chunk):
            began = time.perf_counter()
            stream.feed(minute[start : start + chunk])
            slowest = max(slowest, time.perf_counter() - began)
        busy += time.process_time() - worked
        readings.append(resident())
    settled = readings[len(readings) // 10]
    size = bundle.graph.stat().st_size / 1e6
    return Cost(size, busy / stream.seconds, slowest * 1000, settled, readings[-1])


def configured(data: Path, model: Path, hours: float, negative_hours: float | None, peers: list[str]) -> Any:
    """conf/evaluate_trigger.yaml for one model."""
    from hydra import compose, initialize_config_dir
    from omegaconf import open_dict

    from experiments.paths import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("evaluate_trigger")
    with open_dict(cfg):
        cfg.model, cfg.hours, cfg.negative_hours, cfg.peers = str(model), hours, negative_hours, peers
        cfg.data.positives = str(data / "wake_words")
        cfg.data.backgrounds = [str(data / name) for name in BACKGROUNDS]
    return cfg


def rows(name: str, report: Report, system: str) -> None:
    """The rows of a system: misses at every target, then each word at the one that decides."""
    record = report.record()
    means = [row for row in record["mean"] if row["system"] == system]
    shown = []
    for mean in means:
        low, high = (end * 100 for end in mean["pooled_miss_interval"])
        shown.append(f"{mean['miss_rate']:.1%} ({low:.1f}–{high:.1f})")
    at = [row for row in record["results"] if row["system"] == system and row["target"] == TARGET]
    shown += [", ".join(f"{row['word']} {row['miss_rate']:.1%}" for row in at)]
    shown += [", ".join(f"{row['false_alarms']}" for row in at)]
    late = [(row["latency_median"], row["latency_95"]) for row in at if row["latency_median"] is not None]
    shown.append("–" if not late else " / ".join(f"{max(column) * 1000:.0f}" for column in zip(*late, strict=True)))
    shown.append(f"{record['real_time_factor'][system]:.4f}")
    print(f"| {' | '.join([name, *shown])} |", flush=True)


def false_alarms(name: str, report: Report, system: str) -> list[str]:
    """Lines that list what a system heard in the stream without the words; prints its row."""
    found = report.negatives["systems"][system]
    lists = {word: targets[f"{TARGET:g}"] for word, targets in found.items()}
    counts = ", ".join(f"{word} {len(events)}" for word, events in lists.items())
    print(
        f"| {name} | {report.negatives['hours']:.2f} | {report.negatives['distinct_hours']:.2f} | "
        f"{sum(map(len, lists.values()))} | {counts} |"
    )
    return [
        f"{name}: {event['time']:9.2f} s  {word}  {event['file']}" for word, events in lists.items() for event in events
    ]


def main() -> None:
    """Evaluate, measure, print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", metavar="[NAME=]BUNDLE", help="bundles of triggers, or .nemo files")
    parser.add_argument("--data", type=Path, required=True, help="folder with wake_words, commands, ljspeech and fsdd")
    parser.add_argument("--hours", type=float, default=2.0, help="of background between the words (default 2)")
    parser.add_argument("--negative-hours", type=float, default=2.0, help="without the words (default 2)")
    parser.add_argument("--no-peer", action="store_true", help="leave PocketSphinx out: it takes most of the time")
    parser.add_argument("--out", type=Path, help="folder for the reports and the curves")
    given = parser.parse_args()
    models = {name: Path(path or name) for name, _, path in (text.partition("=") for text in given.bundles)}

    from experiments.cli.guarded import quiet

    quiet()
    from experiments.trigger.evaluation import recipe
    from experiments.trigger.evaluation.plot import draw

    reports: dict[str, tuple[Report, str]] = {}
    for name, path in models.items():
        peers = ["pocketsphinx"] if not reports and not given.no_peer else []
        cfg = configured(given.data, path, given.hours, given.negative_hours, peers)
        report = recipe.run(cfg, recipe.scorer_of(path))
        reports[name] = (report, "model")
        if peers:
            reports["PocketSphinx 5"] = (report, "pocketsphinx")
        if given.out:
            report.write(given.out / f"{Path(name).name}.json")
            draw(report, given.out / f"{Path(name).name}.svg")
    first = next(iter(reports.values()))[0]
    record = first.record()
    words = ", ".join(f"{count} × {word}" for word, count in record["words"].items())
    print(
        f"\n{record['hours']:.2f} h ({record['distinct_background_hours']:.2f} h of distinct backgrounds), {words}; "
        f"{record['snr']:g} dB over noise ({record['noise']}); at most so many false alarms per hour and word:\n"
    )
    heads = [f"missed at {target:g} FA/h (95 %)" for target in first.targets]
    heads += [f"each word at {TARGET:g}", "false alarms", "latency, ms, median / 95 %", "real-time factor"]
    print(f"| heard by | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for name, (report, system) in reports.items():
        rows(name, report, system)
    print(f"\nWithout the words, thresholds of {TARGET:g} FA/h above:\n")
    print(f"| heard by | hours | of them distinct | false alarms | of each word |\n|{'---|' * 5}")
    lists = [line for name, (report, system) in reports.items() for line in false_alarms(name, report, system)]
    print("\n" + "\n".join(lists))
    heads = [
        "graph, MB",
        "real-time factor",
        f"slowest {CHUNK * 1000:.0f} ms, ms",
        "MiB after a tenth",
        "MiB at the end",
    ]
    print(f"\n| bundle, one core, {SOAK} minutes | {' | '.join(heads)} |\n|{'---|' * 6}")
    for name, path in models.items():
        if path.is_dir():
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(cost, path, SOAK).result()
            print(
                f"| {name} | {found.size:.2f} | {found.real_time_factor:.4f} | {found.slowest:.1f} | "
                f"{found.settled:.1f} | {found.end:.1f} |"
            )


if __name__ == "__main__":
    main()
