"""The curve of an evaluation: misses against false alarms per hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.trigger.evaluation.report import Report

LINES = ("-", "--", ":")  # of the systems
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100)  # per cent


def draw(report: Report, path: Path) -> list[Path]:
    """Draw a curve for every system and word.

    Args:
        report: of the evaluation.
        path: of the picture; whatever its ending, it is written as .svg and as .png.

    Returns:
        the two files.
    """
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams |= {"svg.hashsalt": "trigger", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(figsize=(7.5, 4.8), layout="constrained")
    words = list(dict.fromkeys(one.word for one in report.found))
    colours = dict(zip(words, pyplot.get_cmap("tab10").colors * (len(words) // 10 + 1), strict=False))
    right = 10 * max(report.targets)
    for system, line in zip(report.systems, LINES, strict=False):
        for one in report.of(system):
            rates, misses = one.curve.front()
            # A curve goes on flat to the right: more false alarms may be had, and are not needed.
            rates, misses = np.append(rates, max(right, rates[-1])), np.append(misses, misses[-1])
            label = f"{one.word}, {system}"
            axes.step(rates, 100 * misses, line, where="post", color=colours[one.word], linewidth=1.4, label=label)
    for target in report.targets:
        axes.axvline(target, color="#999999", linewidth=0.6, zorder=0)
    smallest = min(report.targets)
    axes.set_xscale("symlog", linthresh=smallest)
    axes.set_xlim(0, right)
    ticks = sorted({0, *report.targets, right})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, 105)
    axes.set_yticks((0, *TICKS), [f"{tick:g}" for tick in (0, *TICKS)])
    axes.set_xlabel("false alarms per hour")
    axes.set_ylabel("missed, % (lower is better)")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8, loc="best")
    hours = sum({id(one.stream): one.stream.hours for one in report.found}.values())
    axes.set_title(f"{report.settings['protocol']}, {hours:.1f} h, {report.settings['snr']:g} dB", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path.with_suffix(ending) for ending in (".svg", ".png")]
    drawn.savefig(written[0], metadata={"Date": None})
    drawn.savefig(written[1], dpi=110)
    pyplot.close(drawn)
    return written
