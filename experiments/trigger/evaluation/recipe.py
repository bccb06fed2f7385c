"""Evaluate a trigger word: build streams, listen once, try every threshold, report."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from experiments.cli.overrides import require_keys
from experiments.errors import ConfigError
from experiments.tracking.artifacts import is_reference, local_model
from experiments.trigger.evaluation import picovoice, strict
from experiments.trigger.evaluation.curve import NEVER, Curve, model_curves
from experiments.trigger.evaluation.events import Judge, judge, judge_frames
from experiments.trigger.evaluation.peers import PocketSphinx, peer_curve
from experiments.trigger.evaluation.report import MODEL, Found, Report, listed, show
from experiments.trigger.evaluation.sources import RATE, Noise, Recording, backgrounds, positives
from experiments.trigger.evaluation.streams import Scorer, Stream, score

LOG = logging.getLogger(__name__)

PROTOCOLS = ("strict", "picovoice")
PEERS = ("pocketsphinx",)


@dataclass
class BundleScorer:
    """A trigger bundle, run as the device runs it.

    Args:
        folder: of the bundle.
    """

    folder: Path

    def __post_init__(self) -> None:
        from heyjetson import Bundle
        from heyjetson.wakeword.trigger import Trigger

        bundle = Bundle(self.folder)
        self._trigger = Trigger(bundle)
        self.words: Sequence[str] = bundle.labels
        self.frame_seconds: float = bundle.frame_seconds
        self.detector: dict[str, float] = {key: bundle.manifest["trigger"][key] for key in ("smoothing", "debounce")}
        self.split: str | None = bundle.manifest.get("training", {}).get("sounds", {}).get("split")

    def scores(self, samples: np.ndarray) -> np.ndarray:
        """Samples [S] at 16 kHz → scores [T, W]."""
        return self._trigger.scores(samples, RATE)

    def listen(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks [S] of one stream → its scores [T, W], piece by piece."""
        stream = self._trigger.stream(RATE)
        for block in blocks:
            yield from stream.feed_scores(block)
        yield from stream.finish_scores()


def scorer_of(path: Path) -> Scorer:
    """The model in a `.nemo` or in a bundle.

    Raises:
        ConfigError: there is neither.
    """
    if path.is_dir():
        return BundleScorer(path)
    if not path.is_file():
        raise ConfigError(f"There is no model {path}. Give a .nemo of a trigger, or a bundle of one.")
    from experiments.trigger.scoring import nemo_scores

    return nemo_scores(path)


@dataclass(frozen=True)
class Counting:
    """How scores become events, and events hits.

    Args:
        detector: smoothing, debounce and release of the detector.
        tolerance: seconds after a word within which its event must come.
        judged_by: how events are matched with labels.
    """

    detector: dict[str, float]
    tolerance: float
    judged_by: Judge


def check(cfg: DictConfig) -> None:
    """Refuse choices that cannot work, before anything long.

    Raises:
        ConfigError: says which and why.
    """
    require_keys(cfg, "model", "data.positives")
    if cfg.protocol not in PROTOCOLS:
        raise ConfigError(f"protocol={cfg.protocol}: there are {', '.join(PROTOCOLS)}.")
    if unknown := [peer for peer in cfg.peers if peer not in PEERS]:
        raise ConfigError(f"peers: {unknown[0]} cannot be run. There is {', '.join(PEERS)}.")
    for key in ("hours", "negative_hours"):
        if (value := cfg[key]) is not None and not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"{key}={value}: must be a number of hours above 0, or null.")
    if not cfg.targets or min(cfg.targets) < 0:
        raise ConfigError("targets: give false alarms per hour, 0 or more: targets=[0.5].")


def streams_of(
    cfg: DictConfig, words: dict[str, list[Recording]], between: Sequence[Recording], left_out: list[str]
) -> list[tuple[list[str], Stream]]:
    """The streams of a protocol, each with the words that are looked for in it."""
    folder = Path(cfg.data.noise) if cfg.data.noise else None
    if cfg.protocol == "strict":
        noise = Noise(folder, cfg.seed)
        options: dict[str, Any] = {"hours": cfg.hours, "snr": cfg.snr, "seed": cfg.seed, "left_out": left_out}
        return [(list(words), strict.word_stream(words, between, noise, **options))]
    hours = cfg.hours or strict.distinct_hours(between)
    options = {"hours": hours, "snr": cfg.snr, "seed": cfg.seed, "left_out": left_out}
    return [
        ([word], picovoice.word_stream(recordings, between, Noise(folder, cfg.seed), **options))
        for word, recordings in words.items()
    ]


def evaluate(cfg: DictConfig) -> Report:
    """Run the evaluation that conf/evaluate_trigger.yaml describes; write, draw and print what it found.

    Raises:
        ConfigError: a choice that cannot work.
    """
    check(cfg)
    path = local_model(cfg.model)
    scorer = scorer_of(path)
    report = run(cfg, scorer)
    beside = Path() if is_reference(cfg.model) else path.parent
    out = Path(cfg.out or beside / f"{path.stem}-{cfg.protocol}.json")
    report.write(out)
    show(report)
    print(f"report  {out}")
    if cfg.plot:
        from experiments.trigger.evaluation.plot import draw

        drawn = draw(report, out.with_suffix(".svg"))
        print(f"curve   {', '.join(map(str, drawn))}")
    return report


def run(cfg: DictConfig, scorer: Scorer) -> Report:
    """Evaluate a model and the peers on the same streams.

    Args:
        cfg: conf/evaluate_trigger.yaml.
        scorer: the model.
    """
    names = list(scorer.words)
    if getattr(scorer, "split", None) == "all" and cfg.data.part != "all":
        LOG.warning(
            f"The model was trained on all recordings that it was given (data.split=all): where {cfg.data.positives} "
            "and the backgrounds are these, it has heard what follows. Evaluate on others, with data.part=all."
        )
    peer = PocketSphinx(names, cfg.pronunciations) if cfg.peers else None
    said, left_out = positives(Path(cfg.data.positives), names, cfg.data.part)
    folders = [Path(folder) for folder in cfg.data.backgrounds]
    without = names if cfg.protocol == "strict" else ()
    between, more = backgrounds(folders, cfg.data.part, without)
    own = {key: value for key, value in cfg.detector.items() if value is not None}
    counting = Counting(
        {**getattr(scorer, "detector", {}), **own},
        cfg.tolerance,
        judge_frames if cfg.protocol == "picovoice" else functools.partial(judge, tolerance=cfg.tolerance),
    )
    settings: dict[str, Any] = {
        "protocol": cfg.protocol,
        "model": str(cfg.model),
        "seed": cfg.seed,
        "snr": cfg.snr,
        "part": cfg.data.part,
        "tolerance": cfg.tolerance,
        "detector": counting.detector,
        "data": OmegaConf.to_container(cfg.data),
    }
    report = Report(settings, list(cfg.targets))
    for words, stream in streams_of(cfg, said, between, left_out + more):
        if cfg.keep:
            stream.write(Path(cfg.keep), "_".join(words).replace(" ", "_"))
        curves = {MODEL: hear(report, scorer, stream, words, counting)}
        if peer:
            curves["pocketsphinx"] = hear_peer(report, peer, stream, words, counting)
        for system, by_word in curves.items():
            report.found += [Found(system, word, by_word[word], stream) for word in words]
    if cfg.negative_hours:
        options: dict[str, Any] = {"snr": cfg.snr, "seed": cfg.seed + 1}
        folder = Path(cfg.data.noise) if cfg.data.noise else None
        if not without:
            between, _ = backgrounds(folders, cfg.data.part, names)
        stream = strict.negative_stream(between, Noise(folder, cfg.seed + 1), cfg.negative_hours, **options)
        hear_without(report, scorer, peer, counting, stream)
    return report


def _timed(report: Report, system: str, stream: Stream, task: Callable[[], Any]) -> Any:
    """Run a task and add its time and the stream's hours to the system's."""
    began = time.perf_counter()
    result = task()
    spent, hours = report.seconds.get(system, (0.0, 0.0))
    report.seconds[system] = (spent + time.perf_counter() - began, hours + stream.hours)
    return result


def hear(report: Report, scorer: Scorer, stream: Stream, words: Sequence[str], counting: Counting) -> dict[str, Curve]:
    """Curves of the model on a stream, for some of its words."""
    scores = _timed(report, MODEL, stream, lambda: score(scorer, stream))
    columns = [list(scorer.words).index(word) for word in words]
    return model_curves(
        scores[:, columns],
        words,
        scorer.frame_seconds,
        stream.labels,
        tolerance=counting.tolerance,
        judged_by=counting.judged_by,
        **counting.detector,  # type: ignore[arg-type]
    )


def hear_peer(
    report: Report, peer: PocketSphinx, stream: Stream, words: Sequence[str], counting: Counting
) -> dict[str, Curve]:
    """Curves of the peer on a stream."""
    heard = peer.listen(stream)
    spent, hours = report.seconds.get("pocketsphinx", (0.0, 0.0))
    report.seconds["pocketsphinx"] = (spent + heard.seconds, hours + stream.hours)
    apart = counting.detector.get("debounce", 1.0)
    return {word: peer_curve(heard, word, stream, apart, counting.judged_by) for word in words}


def hear_without(report: Report, scorer: Scorer, peer: PocketSphinx | None, counting: Counting, stream: Stream) -> None:
    """Count and list the events in a stream without the words, at the thresholds the targets had in the others."""
    names = list(scorer.words)
    curves = {MODEL: hear(report, scorer, stream, names, counting)}
    if peer:
        curves["pocketsphinx"] = hear_peer(report, peer, stream, names, counting)
    systems: dict[str, dict[str, dict[str, Any]]] = {}
    for one in report.found:
        by_target = systems.setdefault(one.system, {}).setdefault(one.word, {})
        for target in report.targets:
            threshold = one.curve.at(target).threshold
            events = listed(curves[one.system][one.word].judged(threshold), stream) if threshold < NEVER else []
            by_target[f"{target:g}"] = events
    report.negatives = {
        "hours": round(stream.hours, 4),
        "distinct_hours": round(stream.distinct_hours, 4),
        "noise": stream.noise,
        "systems": systems,
    }
