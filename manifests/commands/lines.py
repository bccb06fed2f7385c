"""Commands that read manifests and write others: check, stats, split, merge, filter, sample."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from manifests import select
from manifests.check import Report, Requirements, check, fix
from manifests.commands import STEPS_LISTED, add, add_channels, add_text, refuse_sources, text_options
from manifests.lines import ManifestError, Utterance, read_manifest, write_manifest
from manifests.overlap import Set, compare, without
from manifests.show import span
from manifests.text import TextOptions


def _check(given: argparse.Namespace) -> int:
    needs = Requirements(labels=given.labels, longest=given.longest, decode=not given.fast, channels=given.channels)
    if given.fix:
        if len(given.manifests) > 1:
            raise ManifestError("--fix takes one manifest at a time. Give one.")
        return _fix(given.manifests[0], given.fix, needs, text_options(given))
    reports, bad = [], 0
    for manifest in given.manifests:
        reports.append(report := check(manifest, needs))
        bad += (faulty := _show(report))
        counts = ", ".join(f"{count:,} {kind}" for kind, count in report.kinds.most_common())
        which = f"{manifest}: " if len(given.manifests) > 1 else ""
        print(f"{which}{len(report.good):,} good utterances, {faulty:,} bad{f': {counts}' if faulty else ''}")
    found = compare([Set(str(one.manifest), one.manifest, one.utterances) for one in reports])
    for note in found.notes():
        print(f"Warning: {note}")
    for pair in found.shared:
        print(pair.information())
    for fault in found.faults():
        print(fault)
    if found.faults() and not given.allow_shared:
        print(
            "Take them out of one (python -m manifests filter ONE.jsonl --not-in OTHER.jsonl --out NEW.jsonl), divide "
            "all anew (python -m manifests split ALL.jsonl), or say that it is meant: --allow-shared."
        )
        return 1
    return 1 if bad else 0


def _fix(manifest: Path, out: Path, needs: Requirements, text: TextOptions) -> int:
    refuse_sources([out], [manifest])
    fixed = fix(manifest, needs, text)
    for line in fixed.changes:
        print(line)
    bad = _show(fixed.report)
    if not fixed.report.good:
        raise ManifestError("No good utterance is left; nothing was written.")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(out, fixed.report.good)
    print(f"{out} holds {len(fixed.report.good):,} good utterances; {bad:,} were left out")
    return 0


def _show(report: Report) -> int:
    """Print every fault, and what was noted of the sound; how many faults there are."""
    for fault in report.faults:
        print(fault)
    for note in report.notes.lines():
        print(f"sound: {note}")
    return len(report.faults)


def _stats(given: argparse.Namespace) -> int:
    from manifests.stats import measure, table

    stats = measure(given.manifest, given.sound)
    Console().print(table(stats))
    if given.html:
        from manifests.stats_page import page

        page(stats, given.html)
        print(f"page    {given.html}")
    if given.json:
        given.json.write_text(json.dumps(asdict(stats), indent=1, default=str))
        print(f"figures {given.json}")
    return 0


def _wrote(path: Path, utterances: list[Utterance], *sources: Path) -> None:
    refuse_sources([path], sources)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(path, utterances)
    hours = sum(utterance.duration for utterance in utterances) / 3600
    print(f"{path}: {len(utterances):,} utterances, {span(hours)}")


def _parts(text: str) -> dict[str, float]:
    try:
        return {name.strip(): float(part) for name, part in (piece.split("=") for piece in text.split(","))}
    except ValueError:
        raise ManifestError(f"--parts: expected NAME=SHARE,NAME=SHARE, found {text!r}.") from None


def _split(given: argparse.Namespace) -> int:
    parts = _parts(given.parts)
    divided, again = select.split(read_manifest(given.manifest), parts, given.by, given.seed)
    targets = {name: (given.out or given.manifest.parent) / f"{name}.jsonl" for name in divided}
    refuse_sources(targets.values(), [given.manifest])
    for name, utterances in divided.items():
        _wrote(targets[name], utterances)
    if again:
        print(f"{again:,} lines are recordings that others have already; kept in one part")
    return 0


def _merge(given: argparse.Namespace) -> int:
    utterances, again = select.merge(given.manifests)
    _wrote(given.out, utterances, *given.manifests)
    if again:
        print(f"{again} lines named a recording a second time and were left out")
    return 0


def _filter(given: argparse.Namespace) -> int:
    where = []
    for pair in given.where:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ManifestError(f"--where: expected KEY=VALUE, found {pair!r}.")
        where.append((key, value))
    condition = select.Condition(
        given.min_duration, given.max_duration, given.text, given.not_text, tuple(where), given.invert
    )
    utterances = read_manifest(given.manifest)
    kept = condition.keep(utterances)
    if given.not_in and kept:
        refuse_sources([given.out], given.not_in)
        kept = without(kept, [other for manifest in given.not_in for other in read_manifest(manifest)])
    if not kept:
        raise ManifestError(f"None of the {len(utterances)} utterances satisfies the condition; nothing was written.")
    _wrote(given.out, kept, given.manifest)
    print(f"{len(utterances) - len(kept):,} were left out")
    return 0


def _sample(given: argparse.Namespace) -> int:
    drawn = select.sample(read_manifest(given.manifest), count=given.count, hours=given.hours, seed=given.seed)
    _wrote(given.out, drawn, given.manifest)
    return 0


def _phones(given: argparse.Namespace) -> int:
    from manifests.phones import as_sounds

    left_out: list[str] = []
    kept = list(as_sounds(read_manifest(given.manifest), left_out))
    for line in left_out:
        print(f"left out: {line}")
    if not kept:
        raise ManifestError(f"Nothing in {given.manifest} can be written as sounds.")
    _wrote(given.out, kept, given.manifest)
    return 0


def register(commands: Any) -> None:
    """Add these commands to the command line."""
    one = add(commands, "check", _check, "name every bad utterance, as training does before its first step",
              ["data/an4/train.jsonl", "big.jsonl --fast", "mine.jsonl --fix fixed.jsonl",
               "train.jsonl validation.jsonl test.jsonl"])  # fmt: skip
    one.add_argument("manifests", type=Path, nargs="+", help="several are also compared: no recording may be in two")
    one.add_argument("--longest", type=float, default=20.0, help="seconds (default 20)")
    one.add_argument("--fast", action="store_true", help="trust the durations, do not decode the sound")
    add_channels(one)
    one.add_argument("--fix", type=Path, metavar="OUT", help="write what is good, with texts and durations fixed")
    one.add_argument("--allow-shared", action="store_true", help="recordings in two manifests are no fault")
    add_text(one.add_argument_group("text", f"All but --labels is for --fix. {STEPS_LISTED}"))
    one = add(commands, "stats", _stats, "hours, durations, words, characters, speakers, noise and clipping",
              ["data/an4/train.jsonl", "data/an4/train.jsonl --html stats.html"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument("--html", type=Path, help="also write a page with charts")
    one.add_argument("--json", type=Path, help="also write the figures")
    one.add_argument("--sound", type=int, default=500, help="recordings to listen to; 0 for none (default 500)")
    one = add(commands, "split", _split, "divide a manifest by speaker, another key, or a hash",
              ["all.jsonl", "all.jsonl --by hash --parts train=0.8,test=0.2 --out splits"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument(
        "--parts", default="train=0.9,validation=0.05,test=0.05", help="their names and shares (default %(default)s)"
    )
    one.add_argument(
        "--by", default="speaker", help="a key, whose lines of one value stay together, or hash (default %(default)s)"
    )
    one.add_argument("--seed", default="", help="another seed, another division")
    one.add_argument("--out", type=Path, default=None, help="folder (default: the manifest's own)")
    one = add(commands, "merge", _merge, "join manifests, each recording once", ["a.jsonl b.jsonl --out all.jsonl"])
    one.add_argument("manifests", type=Path, nargs="+", help="JSON lines")
    one.add_argument("--out", type=Path, required=True, help="manifest to write")
    one = add(commands, "filter", _filter, "keep the utterances that satisfy a condition",
              ["all.jsonl --out short.jsonl --max-duration 10", "all.jsonl --out clean.jsonl --not-text '\\buh\\b'",
               "all.jsonl --out anna.jsonl --where speaker=anna",
               "all.jsonl --out train.jsonl --not-in test.jsonl"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument("--out", type=Path, required=True, help="manifest to write")
    one.add_argument("--min-duration", type=float, default=0.0, help="seconds")
    one.add_argument("--max-duration", type=float, default=float("inf"), help="seconds")
    one.add_argument("--text", default=None, help="regular expression that the transcript must hold")
    one.add_argument("--not-text", default=None, help="regular expression that it must not hold")
    one.add_argument("--where", action="append", default=[], metavar="KEY=VALUE", help="may be given several times")
    one.add_argument(
        "--not-in", type=Path, action="append", default=[], metavar="MANIFEST",
        help="leave out its recordings, under whatever name; may be given several times",
    )  # fmt: skip
    one.add_argument("--invert", action="store_true", help="keep the others (but none of --not-in)")
    one = add(commands, "sample", _sample, "draw a part; a larger one of the same seed holds the smaller",
              ["all.jsonl --hours 10 --out ten.jsonl", "all.jsonl --count 500 --out some.jsonl"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument("--count", type=int, default=None, help="utterances")
    one.add_argument("--hours", type=float, default=None, help="of sound")
    one.add_argument("--seed", default="", help="another seed, another sample")
    one.add_argument("--out", type=Path, required=True, help="manifest to write")
    one = add(commands, "phones", _phones, "write English transcripts as sounds, for models that learn these",
              ["people.jsonl --out sounds.jsonl"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument("--out", type=Path, required=True, help="manifest to write")
