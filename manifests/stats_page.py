"""One HTML file with the figures of `manifests.stats` and their charts; it loads nothing from anywhere."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

from manifests.distribution import Distribution
from manifests.hearing import LISTENED, Sound
from manifests.show import short, sign, span, visible
from manifests.stats import Stats, speed

INK, BAR, GRID = "#26323d", "#3f7cac", "#dfe5ea"
CHARACTERS_DRAWN = 60
STYLE = """
:root { color-scheme: light }
body { margin: 0; background: #f4f6f8; color: #26323d; font: 15px/1.5 system-ui, Helvetica, Arial, sans-serif }
main { max-width: 1040px; margin: 0 auto; padding: 28px 24px 48px }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 18px; margin: 32px 0 10px }
h3 { font-size: 15px; margin: 0 0 8px }
p { margin: 4px 0 12px; max-width: 760px }
.note { color: #5b6974 }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(124px, 1fr)); gap: 12px; margin: 18px 0 }
.tile, .card { background: #fff; border: 1px solid #dfe5ea; border-radius: 8px; padding: 12px 16px }
.tile b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums }
.tile span { color: #5b6974; font-size: 13px }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 12px }
.pair { margin: 0 0 12px }
.card { margin: 0 0 12px; overflow-x: auto }
.pair .card { margin: 0 }
.card svg { width: 100%; height: auto; display: block }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 600; font-size: 13px; color: #5b6974; white-space: nowrap }
th, td { padding: 3px 14px 3px 0; border-bottom: 1px solid #eef1f4; vertical-align: top }
.number { text-align: right; white-space: nowrap }
.odd .number { width: 1% }
td.text { overflow-wrap: anywhere; min-width: 130px }
.counts { column-width: 170px; column-gap: 28px; font-variant-numeric: tabular-nums }
.counts div { display: flex; justify-content: space-between; border-bottom: 1px solid #eef1f4; break-inside: avoid }
.counts span { overflow-wrap: anywhere; margin-right: 10px }
.counts code { font-size: 15px }
.counts small { color: #5b6974 }
ul { margin: 4px 0; padding-left: 20px; overflow-wrap: anywhere }
"""


def page(stats: Stats, path: str | os.PathLike[str]) -> None:
    """Write the page; all or nothing.

    Args:
        stats: of `measure`.
        path: the HTML file; its folder is made.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".part")
    temporary.write_text(_document(stats), encoding="utf-8")
    temporary.replace(target)


def _document(stats: Stats) -> str:
    name = escape(visible(stats.manifest))
    sections = [_tiles(stats), _durations(stats), _text(stats), _speakers(stats), _sound(stats.sound)]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _tiles(stats: Stats) -> str:
    tiles = [
        (f"{stats.utterances:,}", "utterances"),
        (f"{stats.hours:,.2f}", "hours"),
        (f"{stats.words:,}", "words"),
        (f"{stats.distinct_words:,}", "distinct words"),
        (f"{len(stats.character_counts):,}", "distinct characters"),
        (f"{stats.speakers:,}" if stats.speakers else "–", "speakers"),
    ]
    if stats.sound and stats.sound.snr:
        tiles.append((f"{stats.sound.snr.median:.0f} dB", "median SNR, estimated"))
    shown = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in tiles)
    return f'<div class="tiles">{shown}</div>'


def _durations(stats: Stats) -> str:
    chart = _card("Duration", _histogram(stats.durations, "seconds", "utterances"))
    spread = _spreads([("seconds", stats.durations, 2), ("characters a second", stats.rates, 1)])
    rates = _card("Speaking rate", _histogram(stats.rates, "characters a second", "utterances"))
    note = '<p class="note">The outermost bars also hold what lies beyond the 0.5th and the 99.5th percentile.</p>'
    return f'<h2>Duration and speaking rate</h2><div class="pair">{chart}{rates}</div>{_card("", spread)}{note}'


def _text(stats: Stats) -> str:
    words = "".join(
        _card(title, _counts((escape(short(word, 32)), count) for word, count in counted))
        for title, counted in (("Most frequent words", stats.common_words), ("Rarest words", stats.rare_words))
    )
    odd = "".join(
        _card(title, _rows(["line", "a second", "seconds", "text"], [_example(one) for one in found], text=3))
        for title, found in (("Slowest", stats.slowest), ("Fastest", stats.fastest))
    )
    empty = f" {stats.empty:,} utterances have no text." if stats.empty else ""
    return (
        '<h2>Do transcript and sound belong together?</h2><p class="note">Utterances with the fewest and the most '
        f"characters a second. A transcript that belongs to another recording is found here first.{empty}</p>"
        f'<div class="pair odd">{odd}</div><h2>Characters</h2>{_characters(stats)}<h2>Words</h2>'
        f'<p class="note">{stats.words_once:,} of {stats.distinct_words:,} words are said once only.</p>'
        f'<div class="pair">{words}</div>'
    )


def _example(utterance: Any) -> tuple[str, str, str, str]:
    return f"{utterance.line:,}", f"{speed(utterance):.1f}", f"{utterance.duration:.2f}", short(utterance.text, 200)


def _characters(stats: Stats) -> str:
    counts = list(stats.character_counts.items())
    if not counts:
        return "<p>No utterance has text.</p>"
    drawn = counts[:CHARACTERS_DRAWN]
    left_out = f" The chart shows the {CHARACTERS_DRAWN} most frequent." if len(counts) > len(drawn) else ""
    listed = _counts(
        (f"<code>{escape(sign(one))}</code> <small>U+{ord(one):04X}</small>", count) for one, count in counts
    )
    chart = _columns([sign(one) for one, _ in drawn], [count for _, count in drawn])
    return (
        f'<p class="note">Every one must be among the labels of the model, ␣ being the space.{left_out}</p>'
        f"{_card('', chart)}{_card('', listed)}"
    )


def _counts(pairs: Iterable[tuple[str, int]]) -> str:
    """Marked-up names with their counts, in as many columns as fit."""
    rows = (f"<div><span>{name}</span>{count:,}</div>" for name, count in pairs)
    return f'<div class="counts">{"".join(rows)}</div>'


def _speakers(stats: Stats) -> str:
    if not stats.smallest_speaker:
        return '<h2>Speakers</h2><p class="note">No line has the key "speaker".</p>'
    least, fewest = stats.smallest_speaker
    unnamed = f" {stats.unnamed:,} utterances name none." if stats.unnamed else ""
    chart = _bars([short(name, 28) for name, _ in stats.speaker_hours], [hours for _, hours in stats.speaker_hours])
    title = (
        f"The {len(stats.speaker_hours)} heard longest" if stats.speakers > len(stats.speaker_hours) else "All of them"
    )
    return (
        f'<h2>Speakers</h2><p class="note">{stats.speakers:,} are named. The one heard least is '
        f"{escape(short(least, 28))} with {span(fewest)}.{unnamed}</p>{_card(title, chart)}"
    )


def _sound(sound: Sound | None) -> str:
    if sound is None:
        return '<h2>Sound</h2><p class="note">No recording was listened to.</p>'
    read = sound.sampled - sound.unreadable
    rates = ", ".join(f"{rate:,} Hz ({count:,})" for rate, count in sound.sample_rates.items())
    channels = ", ".join(f"{number} ({count:,})" for number, count in sound.channels.items())
    facts = [
        ("recordings sampled", f"{sound.sampled:,}"),
        ("could not be read", f"{sound.unreadable:,}"),
        ("sample rate", rates or "–"),
        ("channels", channels or "–"),
        ("clipped", f"{sound.clipped:,} ({sound.clipped / read:.1%})" if read else "–"),
        ("silent", f"{sound.silent:,}"),
        ("quiet: peak below −40 dB", f"{sound.quiet:,}"),
    ]
    faults = "".join(f"<li>{escape(visible(fault))}</li>" for fault in sound.faults)
    cards = _card("Format and level", _rows(["", ""], facts))
    if sound.snr:
        cards = _card("Signal-to-noise ratio", _histogram(sound.snr, "dB, estimated", "recordings")) + cards
    spread = _card("", _spreads([("SNR, dB", sound.snr, 1)])) if sound.snr else ""
    return (
        '<h2>Sound</h2><p class="note">Of a sample, the same each time; of each recording the first '
        f'{LISTENED} seconds.</p><div class="pair">{cards}</div>{spread}'
        + (_card("Unreadable", f"<ul>{faults}</ul>") if faults else "")
    )


def _card(title: str, content: str) -> str:
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f'<div class="card">{heading}{content}</div>'


def _spreads(of: Sequence[tuple[str, Distribution, int]]) -> str:
    names = ["", "least", "1 %", "5 %", "median", "mean", "95 %", "99 %", "most"]
    rows = []
    for name, one, digits in of:
        values = (one.min, one.p1, one.p5, one.median, one.mean, one.p95, one.p99, one.max)
        rows.append([name, *(f"{value:,.{digits}f}" for value in values)])
    return _rows(names, rows)


def _rows(names: Sequence[str], rows: Iterable[Sequence[str]], text: int = 0) -> str:
    """A table; all columns but `text` are numbers."""

    def cell(tag: str, at: int, value: str) -> str:
        return f'<{tag} class="{"text" if at == text else "number"}">{escape(visible(value))}</{tag}>'

    head = "".join(cell("th", at, name) for at, name in enumerate(names)) if any(names) else ""
    body = "".join("<tr>" + "".join(cell("td", at, value) for at, value in enumerate(row)) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>" if head else f"<table>{body}</table>"


def _histogram(of: Distribution, unit: str, counted: str) -> str:
    def draw(axes: Any) -> None:
        axes.bar(of.edges[:-1], of.counts, width=of.edges[1] - of.edges[0], align="edge", color=BAR, edgecolor="white")
        axes.axvline(of.median, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.margins(y=0.14)
        axes.yaxis.get_major_locator().set_params(integer=True)
        right = of.median - of.edges[0] > 0.75 * (of.edges[-1] - of.edges[0])
        axes.annotate(
            f"median {of.median:.1f}",
            (of.median, 1),
            (-5 if right else 5, -9),
            axes.get_xaxis_transform(),
            "offset points",
            ha="right" if right else "left",
            fontsize=9,
        )
        axes.set_xlabel(unit)
        axes.set_ylabel(counted)

    return _svg(draw, 5.2, 2.9, "y")


def _columns(names: list[str], counts: list[int]) -> str:
    def draw(axes: Any) -> None:
        axes.bar(range(len(names)), counts, color=BAR)
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.7, max(len(names), 12) - 0.3)
        axes.set_ylabel("times")

    return _svg(draw, 10.4, 2.8, "y")


def _bars(names: list[str], hours: list[float]) -> str:
    most = max(hours)
    scale, unit = (1, "hours") if most >= 1 else (60, "minutes") if most * 60 >= 1 else (3600, "seconds")

    def draw(axes: Any) -> None:
        bars = axes.barh(range(len(names)), [value * scale for value in hours], color=BAR)
        axes.bar_label(bars, [f"{value * scale:,.1f}" for value in hours], padding=4, fontsize=9)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(unit)

    return _svg(draw, 10.4, 0.9 + 0.24 * len(names), "x")


def _svg(draw: Callable[[Any], None], width: float, height: float, grid: Literal["x", "y"]) -> str:
    """Draw axes as inline SVG, `width` by `height` inches; its text stays text."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    # Names are data: a dollar sign in one must not start a formula.
    style = {"svg.fonttype": "none", "svg.hashsalt": "manifests", "text.parse_math": False, "font.size": 10}
    colours = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), INK)
    with matplotlib.rc_context({**style, **colours}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser has fonts that matplotlib lacks
        figure = Figure((width, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.grid(axis=grid, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left" if grid == "y" else "bottom"]].set_visible(False)
        (axes.yaxis if grid == "y" else axes.xaxis).set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.tick_params(length=0)
        written = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    drawn = written.getvalue()
    return drawn[drawn.index("<svg") :]
