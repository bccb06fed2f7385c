"""What a race gave: the figures of each entry, the table, the picture."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heyjetson.significance import Interval, difference, wer_interval

MARKS = ("<!-- race: written by benchmarks/race.py -->", "<!-- race ends -->")
# By what an entry is called in conf/experiment/ladder.
FAMILIES = {"nemo": "NeMo's", "model": "the original's", "improved": "mended original", "ours": "this project's"}
TICKS = (0, 1, 2, 5, 10, 20, 50, 100)  # per cent
COLOURS = {"nemo": "#b35806", "model": "#888888", "improved": "#7b6bb2", "ours": "#0b7a75"}


def family(name: str) -> str:
    """Which of `FAMILIES` an entry is of."""
    if name.endswith("_improved"):
        return "improved"
    return next((kind for kind in ("nemo", "model") if name.startswith(kind + "_")), "ours")


@dataclass(frozen=True)
class Training:
    """A complete run.

    Args:
        name: of the entry.
        seed: of the run.
        folder: of the run.
    """

    name: str
    seed: int
    folder: Path

    def metrics(self) -> dict[str, Any]:
        """What the run wrote of itself."""
        return json.loads((self.folder / "metrics.json").read_text())

    def rates(self) -> dict[str, float]:
        """WER of each test set."""
        return {name: totals["wer"] for name, totals in self.metrics()["test"].items()}

    def errors(self, test: str) -> np.ndarray:
        """Word errors and words of each utterance of a test set [2, N]."""
        rows = json.loads((self.folder / f"test_{test}.json").read_text())["utterance_results"]
        return np.array([[row[key] for row in rows] for key in ("word_errors", "words")])


@dataclass(frozen=True)
class Result:
    """An entry's figures, of all its trainings together.

    Args:
        name: of the entry.
        parameters: of the model.
        steps: mean of the trainings.
        minutes: of training, mean.
        real_time_factor: of the bundle on one core.
        size: of the graph, bytes.
        tests: interval of the pooled WER of each test set.
        errors: word errors and words of each utterance [2, N], summed over the trainings.
        runs: of each training, its WER on each test set.
    """

    name: str
    parameters: int
    steps: float
    minutes: float
    real_time_factor: float
    size: int
    tests: dict[str, Interval]
    errors: dict[str, np.ndarray] = field(repr=False)
    runs: list[dict[str, float]] = field(repr=False)

    @property
    def last(self) -> str:
        """The test set that decides: the hardest comes last in conf/data."""
        return list(self.tests)[-1]


def result(trainings: list[Training], clip_seconds: float) -> Result:
    """Figures of an entry; the bundle is timed here, alone, on one core.

    Args:
        trainings: of one entry.
        clip_seconds: of noise that the bundle is timed with.
    """
    from heyjetson import Bundle, Engine
    from heyjetson.measure import real_time_factor

    metrics = [training.metrics() for training in trainings]
    errors = {test: sum(training.errors(test) for training in trainings) for test in metrics[0]["test"]}
    engine = Engine(Bundle(trainings[0].folder / "bundle"), threads=1)
    rate = engine.bundle.sample_rate
    clip = (0.1 * np.random.default_rng(0).standard_normal(round(clip_seconds * rate))).astype(np.float32)
    return Result(
        trainings[0].name,
        metrics[0]["parameters"],
        float(np.mean([one["steps"] for one in metrics])),
        float(np.mean([one["seconds"] for one in metrics])) / 60,
        real_time_factor(engine, clip, 7),
        engine.bundle.graph.stat().st_size,
        {test: wer_interval(*pair) for test, pair in errors.items()},
        errors,
        [training.rates() for training in trainings],
    )


def best_of(results: list[Result], families: tuple[str, ...]) -> Result | None:
    """The entry of some families with the lowest WER on the deciding test set."""
    some = [one for one in results if family(one.name) in families]
    return min(some, key=lambda one: one.tests[one.last].rate) if some else None


def verdict(results: list[Result]) -> str:
    """A sentence: the best of this project's encoders against the best of NeMo's."""
    ours, theirs = best_of(results, ("ours",)), best_of(results, ("nemo",))
    if ours is None or theirs is None:
        return ""
    test = ours.last
    (mine, words), (other, _) = ours.errors[test], theirs.errors[test]
    # As if both had been trained as often as both together: errors stay whole numbers.
    gap = difference(other * len(ours.runs), mine * len(theirs.runs), words * len(theirs.runs))
    sure = "significant" if gap.significant else "not significant"
    return (
        f"On {test}, {ours.name} has {ours.tests[test].rate:.1%} and the best of NeMo's encoders, {theirs.name}, "
        f"{theirs.tests[test].rate:.1%}: a difference of {gap.delta * 100:+.1f} points "
        f"({gap.low * 100:+.1f} to {gap.high * 100:+.1f}, 95 %, same utterances; {sure}, p = {gap.p_value:.2g})."
    )


def table(results: list[Result], command: str) -> str:
    """The race as Markdown, best first."""
    tests = list(results[0].tests)
    spread = [f"{tests[-1]}, each seed"] if any(len(one.runs) > 1 for one in results) else []
    heads = ["entry", "of", *(f"WER, {test} (95 %)" for test in tests), *spread]
    heads += ["steps", "minutes", "parameters, M", "RTF, one core", "graph, MB"]
    lines = [f"`{command}`", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for one in sorted(results, key=lambda one: one.tests[tests[-1]].rate):
        rates = [f"{i.rate:.1%} ({i.low * 100:.1f}–{i.high * 100:.1f})" for i in one.tests.values()]
        each = [", ".join(f"{run[tests[-1]]:.1%}" for run in one.runs)] if spread else []
        figures = [f"{one.steps:,.0f}", f"{one.minutes:.1f}", f"{one.parameters / 1e6:.2f}"]
        figures += [f"{one.real_time_factor:.4f}", f"{one.size / 1e6:.1f}"]
        lines.append(f"| {' | '.join([one.name, FAMILIES[family(one.name)], *rates, *each, *figures])} |")
    if said := verdict(results):
        lines += ["", said]
    return "\n".join(lines)


def figure(results: list[Result], folder: Path) -> Path:
    """Draw the errors of each entry, and errors against time on the device.

    Returns:
        the picture, `race.svg` in `folder`.
    """
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams |= {"svg.hashsalt": "race", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot

    tests = list(results[0].tests)
    rows = sorted(results, key=lambda one: -one.tests[tests[-1]].rate)
    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(11, 1.4 + 0.27 * len(rows)), layout="constrained")
    for y, one in enumerate(rows):
        colour = COLOURS[family(one.name)]
        for test, marker in zip(reversed(tests), "os^v", strict=False):
            found = one.tests[test]
            left.plot([found.low * 100, found.high * 100], [y, y], color=colour, linewidth=1.5, alpha=0.7)
            face = colour if test == tests[-1] else "white"
            left.plot(found.rate * 100, y, marker, color=colour, markerfacecolor=face, markersize=5)
        x, rate = one.real_time_factor, one.tests[tests[-1]].rate * 100
        right.plot(x, rate, "o", color=colour, markersize=6)
        # Neighbours in the ranking get their names on different sides.
        place, side = ((5, 4), "left") if y % 2 else ((-5, -9), "right")
        right.annotate(one.name, (x, rate), place, textcoords="offset points", fontsize=6.5, ha=side, color=colour)
    left.set_yticks(range(len(rows)), [one.name for one in rows])
    left.set_xlabel(f"WER, %, with 95 % intervals (filled: {tests[-1]}; hollow: {', '.join(tests[:-1]) or 'none'})")
    left.set_xscale("symlog", linthresh=1)
    left.set_xticks(TICKS, map(str, TICKS))
    left.set_xlim(0, 120)
    left.grid(axis="x", alpha=0.3)
    best = np.inf
    front = []
    for one in sorted(results, key=lambda one: one.real_time_factor):
        if (rate := one.tests[tests[-1]].rate * 100) < best:
            best = rate
            front.append((one.real_time_factor, rate))
    label = "nothing is both faster and better"
    right.plot(*zip(*front, strict=True), color="#444444", linewidth=0.8, linestyle="--", zorder=0, label=label)
    right.set_xscale("log")
    right.margins(x=0.3)
    right.set_yscale("symlog", linthresh=1)
    right.set_yticks(TICKS, map(str, TICKS))
    right.set_ylim(max(min(one.tests[tests[-1]].rate for one in results) * 100, 0.4) / 2.5, 150)
    right.set_xlabel("real-time factor of the bundle, one core (left is faster)")
    right.set_ylabel(f"WER on {tests[-1]}, % (lower is better)")
    right.grid(alpha=0.3)
    for kind in FAMILIES:
        if any(family(one.name) == kind for one in results):
            right.plot([], [], "o", color=COLOURS[kind], label=FAMILIES[kind])
    right.legend(frameon=False, loc="lower right")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "race.svg"
    drawn.savefig(path, metadata={"Date": None})
    pyplot.close(drawn)
    return path


def write(text: str, path: Path) -> None:
    """Put the race between its marks in a Markdown file, keeping what stands around them.

    Raises:
        ValueError: the file has no such marks.
    """
    whole = path.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise ValueError(f"{path} has no lines {MARKS[0]} and {MARKS[1]} to write the race between.")
    body = f"{text}\n\n![Errors of each entry, and errors against speed](race.svg)"
    path.write_text(f"{before}{MARKS[0]}\n{body}\n{MARKS[1]}{after}", encoding="utf-8")
