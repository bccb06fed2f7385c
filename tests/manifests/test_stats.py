"""Every figure is the one that was put in: durations, text, speakers, noise, clipping, and what cannot be read."""

import io
import json
import re
from collections import Counter
from dataclasses import asdict
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from manifests import ManifestError
from manifests.distribution import BINS, Distribution
from manifests.show import short
from manifests.stats import measure, table
from manifests.stats_page import page
from tests.manifests.test_hearing import RATE, speech

IN_TMP_PATH = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder, records, name="m.jsonl"):
    """Write a manifest; a record's `sound` is written to its wav."""
    for number, record in enumerate(records):
        record.setdefault("audio_filepath", f"{number}.wav")
        record.setdefault("duration", 1.0)
        record.setdefault("text", "hello")
        sound = record.pop("sound", None)
        if sound is not None:
            soundfile.write(folder / record["audio_filepath"], sound, record.pop("rate", RATE))
    path = folder / name
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n", encoding="utf-8")
    return path


LINES = st.lists(
    st.tuples(
        st.floats(0.05, 100),
        st.text(st.sampled_from("abé \u00a0'"), max_size=12),
        st.sampled_from([None, "x", "y", 3]),
    ),
    min_size=1,
    max_size=30,
)


@given(LINES)
@IN_TMP_PATH
def test_figures_of_the_lines(tmp_path, lines):
    records = [
        {"duration": duration, "text": text} | ({} if speaker is None else {"speaker": speaker})
        for duration, text, speaker in lines
    ]
    stats = measure(write(tmp_path, records), sound=0)
    assert stats.sound is None
    assert stats.utterances == len(lines) == sum(stats.durations.counts) == sum(stats.rates.counts)
    durations = [duration for duration, _, _ in lines]
    assert stats.hours * 3600 == pytest.approx(sum(durations))
    assert (stats.durations.min, stats.durations.max) == (min(durations), max(durations))
    texts = [text for _, text, _ in lines]
    words = Counter(word for text in texts for word in text.split())
    assert stats.words == sum(words.values())
    assert stats.distinct_words == len(words)
    assert stats.words_once == sum(count == 1 for count in words.values())
    assert [count for _, count in stats.common_words] == sorted(words.values(), reverse=True)[:20]
    assert [count for _, count in stats.rare_words] == sorted(words.values())[:20]
    assert all(words[word] == count for word, count in stats.common_words + stats.rare_words)
    assert stats.character_counts == Counter("".join(texts))
    assert stats.characters == sum(len(text) for text in texts)
    assert stats.empty == sum(not text.strip() for text in texts)
    rates = sorted(len(text) / duration for duration, text, _ in lines)
    assert [len(one.text) / one.duration for one in stats.slowest] == rates[:5]
    assert [len(one.text) / one.duration for one in stats.fastest] == rates[::-1][:5]
    assert all(lines[one.line - 1][:2] == (one.duration, one.text) for one in stats.slowest + stats.fastest)
    spoken = Counter()
    for duration, _, speaker in lines:
        if speaker is not None:
            spoken[str(speaker)] += duration / 3600
    assert dict(stats.speaker_hours) == pytest.approx(dict(spoken))
    assert stats.speakers == len(spoken)
    assert stats.unnamed == sum(speaker is None for _, _, speaker in lines)
    assert (stats.smallest_speaker or ("", 0))[1] == pytest.approx(min(spoken.values(), default=0))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_a_distribution_holds_every_value(values):
    of = Distribution.of(np.array(values))
    assert of.count == len(values) == sum(of.counts)
    assert len(of.counts) == BINS == len(of.edges) - 1
    assert np.allclose(np.diff(of.edges), (of.edges[-1] - of.edges[0]) / BINS, rtol=1e-3)
    assert (of.min, of.max) == (min(values), max(values))
    rising = [of.min, of.p1, of.p5, of.median, of.p95, of.p99, of.max]
    assert (np.diff(rising) >= -1e-9).all()
    assert of.median == pytest.approx(float(np.median(values)))
    assert of.mean == pytest.approx(float(np.mean(values)))


def test_one_far_value_does_not_flatten_the_histogram():
    of = Distribution.of(np.array([*np.linspace(1, 2, 999), 1e6]))
    assert of.edges[-1] < 3
    assert of.max == 1e6
    assert of.counts[-1] < 50


def test_what_a_blank_line_and_an_error_do(tmp_path):
    path = tmp_path / "m.jsonl"
    line = '{"audio_filepath": "a.wav", "duration": 2, "text": "hi"}'
    path.write_text(f"{line}\n\n{line}\n")
    assert [one.line for one in measure(path, sound=0).fastest] == [1, 3]
    path.write_text(f"{line}\nnothing\n")
    with pytest.raises(ManifestError, match=r"m\.jsonl:2: not JSON"):
        measure(path)
    path.write_text("\n")
    with pytest.raises(ManifestError, match="is empty"):
        measure(path)
    with pytest.raises(ManifestError, match="does not exist"):
        measure(tmp_path / "other.jsonl")
    with pytest.raises(ManifestError, match="0 or more, found -1"):
        measure(path, sound=-1)


def sounds():
    clean = speech(1.0)
    return [
        {"sound": clean},
        {"sound": np.clip(clean * 6, -0.7, 0.7)},
        {"sound": 2.0**-15 * np.sign(np.sin(np.arange(RATE) ** 2))},
        {"sound": clean * 0.01},
        {"sound": np.stack([clean, clean], 1), "rate": 8000},
        {"audio_filepath": "missing.wav"},
        {"audio_filepath": "broken.wav"},
        {"sound": np.zeros(0)},
    ]


def test_what_is_heard(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF but not really")
    sound = measure(write(tmp_path, sounds()), workers=2).sound
    assert (sound.sampled, sound.unreadable) == (8, 3)
    assert (sound.clipped, sound.silent, sound.quiet) == (1, 1, 1)
    assert sound.sample_rates == {RATE: 4, 8000: 1}
    assert sound.channels == {1: 4, 2: 1}
    assert sound.snr.count == 4  # silence has none
    missing, broken, nothing = sound.faults
    assert missing.startswith("line 6: ") and "does not exist" in missing
    assert broken.startswith("line 7: ") and "cannot be decoded" in broken
    assert nothing.startswith("line 8: ") and "no samples" in nothing


def test_no_sample_can_be_read(tmp_path):
    stats = measure(write(tmp_path, [{}, {}]))
    assert (stats.sound.sampled, stats.sound.unreadable, stats.sound.snr) == (2, 2, None)
    shown = printed(stats)
    assert "of 2 recordings, 2 unreadable" in shown and "does not exist" in " ".join(shown.split())
    assert not any(word in shown for word in ("format", "SNR", "level"))  # of nothing there is nothing to say


def sampled(path, size):
    """The lines of the sample: their recordings do not exist, and are named."""
    faults = measure(path, sound=size).sound.faults
    return {re.search(r"(\d+)\.wav", fault)[1] for fault in faults}


def test_the_sample_is_the_same_each_time_and_anywhere(tmp_path):
    records = [{"audio_filepath": f"wavs/{number}.wav"} for number in range(300)]
    first = sampled(write(tmp_path, records), 5)
    assert len(first) == 5
    (tmp_path / "moved").mkdir()
    moved = write(tmp_path / "moved", records[::-1])
    assert sampled(moved, 5) == first
    assert sampled(moved, 3) < first
    numbers = sorted(int(number) for number in first)
    assert numbers[0] < 150 < numbers[-1]
    assert measure(moved, sound=299).sound.sampled == 299
    assert measure(moved, sound=9999).sound.sampled == 300


NASTY = '<script>alert("1")</script> & [bold]x[/bold] $a_b$ \x07 \ud800 é'


def nasty(folder):
    records = [
        *({"text": NASTY, "speaker": f'<b onclick="x">{number} $x^2$ [red]'} for number in range(30)),
        {"text": ""},
        {"text": "x" * 5000, "duration": 20.0, "sound": speech(20.0)},
    ]
    return measure(write(folder, records, "m<i>&[red].jsonl"), sound=40)


def printed(stats, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(table(stats))
    return console.file.getvalue()


def test_the_table_fits_a_screen_and_shows_what_is_there(tmp_path):
    stats = nasty(tmp_path)
    shown = printed(stats)
    assert len(shown.splitlines()) <= 45
    assert "[bold]x[/bold] 30" in shown and "[red]" in shown.replace("\n", "") and "\\x07" in shown
    assert "\x1b" not in shown and "\x07" not in shown
    assert "32 utterances, 51.0 s" in shown
    assert "30; most <b onclick=" in shown
    assert "2 utterances name none" in shown
    json.dumps(asdict(stats), default=str)


class Page(HTMLParser):
    """Collects the elements, their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = Counter(), [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.attributes += attributes
        if tag not in ("meta", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta", "use"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_stands_alone_and_escapes_what_it_shows(tmp_path):
    stats = nasty(tmp_path)
    page(stats, tmp_path / "new" / "stats.html")
    html = (tmp_path / "new" / "stats.html").read_text(encoding="utf-8")
    parsed = Page(html)
    assert not parsed.open
    assert parsed.tags["svg"] == 5
    assert not {"script", "link", "img", "iframe", "b onclick"} & set(parsed.tags)
    for name, value in parsed.attributes:
        assert not name.startswith("on") and name not in ("src", "data")
        assert not name.endswith("href") or value.startswith("#")
    assert not re.search(r"@import|url\((?!#)", html)
    text = "".join(parsed.text)
    assert '<script>alert("1")</script> & [bold]x[/bold] $a_b$ \\x07 \\ud800' in text
    assert '<b onclick="x">0 $x^2$ [red]' in text
    assert "m<i>&[red].jsonl" in text
    for character in stats.character_counts:
        assert f"U+{ord(character):04X}" in text
    assert short("x" * 5000, 200) in text and "x" * 201 not in text
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "stats.html"]


def test_a_page_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "stats.html"
    target.write_text("old")
    stats = measure(write(tmp_path, [{}]))  # its recording cannot be read, so there is no SNR to draw

    drawn = []

    def refuse(_, text, **__):
        drawn.append(text)
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_text", refuse)
        with pytest.raises(OSError, match="disk full"):
            page(stats, target)
    assert target.read_text() == "old"
    page(stats, target)
    assert [target.read_text()] == drawn  # nothing in it depends on when it was drawn
    assert Page(drawn[0]).tags["svg"] == 3
    assert "0.wav does not exist" in drawn[0]
