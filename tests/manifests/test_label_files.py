"""Subtitles and labels of long recordings: what was written is read, to the millisecond, or refused with its line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manifests import ManifestError
from manifests.segments.audacity import audacity
from manifests.segments.nist import ctm, stm
from manifests.segments.segment import Segment
from manifests.segments.subtitles import subrip, vtt
from manifests.segments.textgrid import textgrid
from manifests.segments.words import utterances

Rows = list[tuple[int, int, str]]  # start and end in milliseconds, text

word = st.text(st.sampled_from("abcdefgzäé'’?!\"<&;{}[]/"), min_size=1, max_size=8)
plain = st.text(st.sampled_from("abcdefgzäé'’?!\""), min_size=1, max_size=8)


@st.composite
def rows(draw, texts=plain):
    """Segments that follow each other."""
    found, at = [], draw(st.integers(0, 5_000_000))
    for _ in range(draw(st.integers(1, 5))):
        at += draw(st.integers(0, 3000))
        end = at + draw(st.integers(1, 20_000))
        found.append((at, end, " ".join(draw(st.lists(texts, min_size=1, max_size=4)))))
        at = end
    return found


def clock(ms: int, point: str) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"


def as_srt(given: Rows) -> str:
    cues = [f"{n}\n{clock(a, ',')} --> {clock(b, ',')}\n{text}\n" for n, (a, b, text) in enumerate(given, 1)]
    return "\n".join(cues)


def as_vtt(given: Rows) -> str:
    escaped = [(a, b, text.replace("&", "&amp;").replace("<", "&lt;")) for a, b, text in given]
    return "WEBVTT\n\n" + "\n".join(f"{clock(a, '.')} --> {clock(b, '.')}\n{text}\n" for a, b, text in escaped)


def as_audacity(given: Rows) -> str:
    return "".join(f"{a / 1000:.6f}\t{b / 1000:.6f}\t{text}\n" for a, b, text in given)


def as_stm(given: Rows) -> str:
    return "".join(f"talk 1 anna {a / 1000} {b / 1000} <o,f0,female> {text}\n" for a, b, text in given)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def intervals(given: Rows) -> list[tuple[float, float, str]]:
    """With the pauses between, as Praat has them."""
    found, at = [], 0.0
    for a, b, text in given:
        found += [(at, a / 1000, "")] * (at < a / 1000) + [(a / 1000, b / 1000, text)]
        at = b / 1000
    return found


def as_textgrid(given: Rows, name: str = "utterances") -> str:
    parts = intervals(given)
    end = parts[-1][1]
    lines = [
        'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {end} ", "tiers? <exists> ",
        "size = 2 ", "item []: ", "    item [1]:", '        class = "TextTier" ', '        name = "events" ',
        "        xmin = 0 ", f"        xmax = {end} ", "        points: size = 1 ", "        points [1]:",
        "            number = 0.5 ", '            mark = "click" ', "    item [2]:", '        class = "IntervalTier" ',
        f"        name = {quoted(name)} ", "        xmin = 0 ", f"        xmax = {end} ",
        f"        intervals: size = {len(parts)} ",
    ]  # fmt: skip
    for n, (a, b, text) in enumerate(parts, 1):
        lines += [f"        intervals [{n}]:", f"            xmin = {a} ", f"            xmax = {b} "]
        lines += [f"            text = {quoted(text)} "]
    return "\n".join(lines) + "\n"


def as_short_textgrid(given: Rows, name: str = "utterances") -> str:
    parts = intervals(given)
    end = parts[-1][1]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", f"{end}", "<exists>", "1"]
    lines += ['"IntervalTier"', quoted(name), "0", f"{end}", f"{len(parts)}"]
    for a, b, text in parts:
        lines += [f"{a}", f"{b}", quoted(text)]
    return "\n".join(lines)


Writer = Callable[[Rows], str]
WRITERS: dict[str, tuple[Writer, Callable]] = {
    "srt": (as_srt, subrip),
    "vtt": (as_vtt, vtt),
    "txt": (as_audacity, audacity),
    "stm": (as_stm, stm),
    "TextGrid": (as_textgrid, textgrid),
    "short TextGrid": (as_short_textgrid, textgrid),
}


def read(path: Path, reader: Callable, text: str | bytes, **given) -> list[Segment]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (segments,) = reader(path, **given).segments.values()
    return segments


@settings(deadline=None, max_examples=40)
@given(
    given_rows=rows(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@pytest.mark.parametrize("kind", WRITERS)
@example(given_rows=[(0, 1, "no"), (1, 2, "no"), (2, 3, "no")], end="\n", encoding="utf-8")
def test_what_was_written_is_read(tmp_path_factory, kind, given_rows, end, encoding):
    write, reader = WRITERS[kind]
    content = write(given_rows).replace("\n", end).encode(encoding)
    found = read(tmp_path_factory.mktemp("s") / f"a.{kind}", reader, content)
    assert [(one.text, not one.passed_over) for one in found] == [(text, True) for *_, text in given_rows]
    for one, (a, b, _) in zip(found, given_rows, strict=True):
        assert (one.start, one.end) == pytest.approx((a / 1000, b / 1000), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(given_rows=rows(word))
def test_signs_that_mean_something_elsewhere(tmp_path_factory, given_rows):
    folder = tmp_path_factory.mktemp("s")
    for kind in ("txt", "TextGrid", "short TextGrid"):
        write, reader = WRITERS[kind]
        assert [one.text for one in read(folder / "a", reader, write(given_rows))] == [text for *_, text in given_rows]


# ---- subtitles


def said(tmp_path: Path, text: str, reader: Callable = subrip) -> list[str]:
    return [one.text for one in read(tmp_path / "a.srt", reader, text)]


def test_srt_as_programs_write_it(tmp_path):
    text = (
        '1\n00:00:01,5 --> 00:00:02,25 X1:100 X2:200\n<i>Hello</i> {\\an8}there\n<font color="#fff">friend</font>\n\n'
        "2\n00:03.000 --> 00:04.000\nin\n\ntwo pieces &amp; more\n\n"  # hours missing, points, an empty line within
        "00:00:05,000 --> 00:00:06,000\nthe year was\n1984\n"  # no number, none after it either
        "7\n00:00:07,000 -> 00:00:08,000\nlast"
    )
    found = read(tmp_path / "a.srt", subrip, text)
    assert [(one.start, one.end) for one in found] == [(1.5, 2.25), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0)]
    assert [one.text for one in found] == ["Hello there friend", "in two pieces & more", "the year was 1984", "last"]
    assert [one.where.rpartition(":")[2] for one in found] == ["2", "7", "12", "16"]


def test_vtt_as_programs_write_it(tmp_path):
    text = (
        "WEBVTT - a title\nKind: captions\n\nNOTE\nnot said --> neither\n\nSTYLE\n::cue { color: red }\n\n"
        "REGION\nid:a\n\nintro\n00:01.050 --> 00:02.500 align:start position:0%\n<v Anna Lee>Hi &amp; <c.red>hello</c> "
        "<00:00:02.000>you</v>\n\nNOTE one line\n\n1984\n01:00:00.000 --> 01:00:01.000\n"
        "<v.loud Ben>Yes.\n<v Anna>No.\n\n"
        "00:00.000 --> 00:00.500\nthe year is\n1984\n"
    )
    found = read(tmp_path / "a.vtt", vtt, text)
    assert [(one.start, one.end) for one in found] == [(1.05, 2.5), (3600.0, 3601.0), (0.0, 0.5)]
    assert [one.text for one in found] == ["Hi & hello you", "Yes. No.", "the year is 1984"]
    assert [one.speaker for one in found] == ["Anna Lee", None, None]
    assert found[0].where.endswith(":14")


@pytest.mark.parametrize(
    ("content", "text", "passed_over"),
    [
        ("- Hello.\n- Hi.", "Hello. Hi.", ""),
        ("–Hello", "Hello", ""),
        ("-40 degrees - no, -50", "-40 degrees - no, -50", ""),
        (">> ANNA: What's that?", "What's that?", ""),
        ("ANNA: What's that?", "What's that?", ""),
        ("HE SAID: COME HERE", "HE SAID: COME HERE", ""),
        ("He said: come", "He said: come", ""),
        ("[door slams]\nWho's there?", "Who's there?", ""),
        ("<i>[music]</i>", "", "sounds without speech"),
        ("(APPLAUSE)", "", "sounds without speech"),
        ("- [noise] hi", "[noise] hi", ""),
        ("♪ la la ♪", "♪ la la ♪", "songs"),
        ("<unk> 3 < 4 &lt;i&gt;", "<unk> 3 < 4 <i>", ""),
        ("<ruby>漢<rt>kan</rt></ruby> {\\i1\\b0}x", "漢 x", ""),
        ("", "", ""),
    ],
)
def test_markup(tmp_path, content, text, passed_over):
    cue = f"00:00:01{{}}000 --> 00:00:02{{}}000\n{content}\n"
    for reader, head, point in ((subrip, "1\n", ","), (vtt, "WEBVTT\n\n", ".")):
        (one,) = read(tmp_path / "a", reader, head + cue.format(point, point) if "{" not in content else
                      head + cue.replace("01{}", f"01{point}").replace("02{}", f"02{point}"))  # fmt: skip
        assert (one.text, one.passed_over) == (text, passed_over)


def test_markup_is_counted(tmp_path):
    (tmp_path / "a.srt").write_text(
        as_srt([(0, 1000, "<i>a</i>"), (2000, 3000, "<b>b</b> {\\an8}"), (4000, 5000, "c")])
    )
    assert dict(subrip(tmp_path / "a.srt").notes) == {"tags taken off": 2, "style codes taken off": 1}


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (subrip, "1\n00:00:01,000 --> 00:00:02\n\n2\n00:00:xx --> 00:00:03,000\nb\n", "a:5: not two times such as"),
        (subrip, "1\n00:00:01,000 --> 00:00:02,0000\na\n", "a:2: not two times such as 00:01:02,500 --> "),
        (subrip, "1\n00:00:01,000 --> 00:00:02,000\n\nstray\n\nnobody's\n", None),
        (subrip, "stray\n\n1\n00:00:01,000 --> 00:00:02,000\na\n", "a:1: belongs to no cue: 'stray'"),
        (subrip, "nothing\n", "a: no cue with its times"),
        (subrip, "", "a: no cue"),
        (subrip, b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n", "a:3: not UTF-8 text .* Save it as UTF-8"),
        (vtt, "00:01.000 --> 00:02.000\na\n", "a:1: not WebVTT"),
        (vtt, "WEBVTT\n\n00:01.000 --> later\na\n", "a:3: not two times such as 00:01:02.500 --> "),
        (vtt, "WEBVTT\n\n00:01.000 --> 00:02.000\n00:03.000 --> 00:04.000\na\n", None),
    ],
)
def test_subtitles_that_are_broken(tmp_path, reader, content, message):
    if message is None:  # mended without a loss
        texts = [one.text for one in read(tmp_path / "a", reader, content)]
        assert texts in (["stray nobody's"], ["", "a"])
        return
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "a", reader, content)


# ---- TextGrid


def tiers(tmp_path: Path, *named: tuple[str, Rows]) -> Path:
    """A short TextGrid with several tiers of intervals."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "100", "<exists>", str(len(named))]
    for name, given_rows in named:
        lines += ['"IntervalTier"', quoted(name), "0", "100", str(len(given_rows))]
        for a, b, text in given_rows:
            lines += [f"{a / 1000}", f"{b / 1000}", quoted(text)]
    path = tmp_path / "a.TextGrid"
    path.write_text("\n".join(lines) + "\n")
    return path


HI = [(0, 400, "hi"), (400, 900, "there"), (2000, 2500, "you")]


def test_tiers(tmp_path):
    path = tiers(tmp_path, ("phones", [(0, 100, "h")]), ("empty", [(0, 9000, "")]), ("anna", HI), ("ben", HI[:1]))
    labels = textgrid(path)
    assert [(one.text, one.speaker) for one in labels.segments[""]] == [(text, "anna") for *_, text in HI]
    assert list(labels.notes) == ["tier anna (there are also phones, ben: --tier)"]
    both = textgrid(path, "ben, anna").segments[""]
    assert [one.speaker for one in both] == ["ben", "anna", "anna", "anna"]
    assert "tier anna, 2.00 s" in both[-1].where
    with pytest.raises(ManifestError, match="there is no tier 'carl'; there are 'phones', 'empty', 'anna', 'ben'"):
        textgrid(path, "carl")
    with pytest.raises(ManifestError, match="no tier of intervals holds words; there are 'phones', 'sentences'"):
        textgrid(tiers(tmp_path, ("phones", HI), ("sentences", [(0, 1, " ")])))
    (tmp_path / "b").write_text(as_textgrid(HI))
    with pytest.raises(ManifestError, match="the tier events holds points, not intervals"):
        textgrid(tmp_path / "b", "events")


def test_tiers_of_words_are_joined(tmp_path):
    path = tiers(tmp_path, ("anna - words", HI), ("anna - phones", HI))
    labels = textgrid(path)
    assert [(one.start, one.end, one.text, one.speaker) for one in labels.segments[""]] == [
        (0, 0.9, "hi there", "anna"), (2, 2.5, "you", "anna"),
    ]  # fmt: skip
    assert "words joined at pauses of 0.5 s" in next(iter(labels.notes))
    assert [one.text for one in textgrid(path, pause=2).segments[""]] == ["hi there you"]
    assert [one.speaker for one in textgrid(tiers(tmp_path, ("Words", HI))).segments[""]] == [None, None]


def test_what_aligners_write_for_silence_is_no_word(tmp_path):
    given = [(0, 100, "sp"), (100, 400, "hi"), (400, 500, "<p:>"), (500, 900, "there"), (3000, 3500, "spn")]
    labels = textgrid(tiers(tmp_path, ("MAU", HI), ("ORT-MAU", given)))
    assert [(one.start, one.text) for one in labels.segments[""]] == [(0.1, "hi there"), (3.0, "<unk>")]
    assert labels.notes["intervals for silence passed over"] == 2


def test_times_as_praat_writes_them(tmp_path):
    text = as_textgrid([(0, 1000, "a"), (1000, 2000, "b")])
    odd = text.replace("xmin = 0.0 \n            xmax", "xmin = 5e-05 \n            xmax")
    odd = odd.replace("xmin = 1.0 ", "xmin = 0.999999 ")  # overlaps by a millionth
    assert odd.count("5e-05") == 1 and odd.count("0.999999") == 1
    found = read(tmp_path / "a", textgrid, odd)
    assert [(one.start, one.end, one.text) for one in found] == [(5e-05, 1.0, "a"), (0.999999, 2.0, "b")]


def test_text_grids_that_are_broken(tmp_path):
    whole = as_textgrid([(0, 1000, "one"), (1000, 2000, "two")])
    for text, message in (
        (whole[: whole.index("intervals [2]") - 1], "the tier utterances has 1 of 2 intervals: the file was cut"),
        (
            whole.replace("xmax = 2.0 \n            text", "xmax = two \n            text"),
            "cannot be read as a TextGrid",
        ),
        ("1\n00:00:01,000 --> 00:00:02,000\na\n", "a: cannot be read as a TextGrid of Praat"),
        ("", "cannot be read as a TextGrid"),
        (whole.encode().replace(b"one", b"caf\xe9"), "a:27: not UTF-8 text"),
        (whole.replace('"events"', '"utterances"'), "several tiers are named utterances"),
    ):
        with pytest.raises(ManifestError, match=message):
            read(tmp_path / "a", textgrid, text)
    short = as_short_textgrid([(0, 1000, "one"), (1000, 2000, "two")])
    with pytest.raises(ManifestError, match="has 1 of 2 intervals"):
        read(tmp_path / "a", textgrid, short[: short.index('"two"')])


# ---- rolling captions

ROLLED = st.lists(st.sampled_from(["yes", "no", "to the <c>show</c>", "[Music]", "a &amp; b"]), min_size=4, max_size=12)


@given(said=ROLLED, held=st.booleans())
def test_rolling_captions_give_each_line_once(tmp_path_factory, said, held):
    cues, at = [], 0
    for number, line in enumerate(said):
        above = said[number - 1] if number else " "
        cues.append((at, at + 2000 - 10 * held, f"{above}\n<00:00:01.000>{line}"))
        if held:  # YouTube shows each line alone for 10 ms
            cues.append((at + 1990, at + 2000, f"{line}\n "))
        at += 2000
    text = "WEBVTT\n\n" + "\n".join(f"{clock(a, '.')} --> {clock(b, '.')}\n{text}\n" for a, b, text in cues)
    path = tmp_path_factory.mktemp("r") / "a.vtt"
    path.write_text(text)
    found = vtt(path)
    kept = {one.start: one for one in found.segments[""]}
    for number, line in enumerate(said):
        one = kept.pop(2.0 * number)
        repeats = number > 1 and not held and said[number - 2 : number + 1] == [line] * 3
        assert repeats == bool("rolling" in one.passed_over)  # shown again, or said once more? Left out
        assert repeats or one.text == {"to the <c>show</c>": "to the show", "a &amp; b": "a & b", "[Music]": ""}.get(
            line, line
        )
    assert not kept
    assert found.notes["lines that rolling captions show again taken off"] >= len(said) - 1


def test_what_does_not_roll_stays(tmp_path):
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nno\n\n00:01.000 --> 00:02.000\nno\nI won't\n\n"
    rows = [*("yes", "no", "well", "maybe")]
    text += "".join(f"00:0{2 + n}.000 --> 00:0{3 + n}.000\n{line}\n\n" for n, line in enumerate(rows))
    assert [one.text for one in read(tmp_path / "a.vtt", vtt, text)] == ["no", "no I won't", *rows]
    rolls = "WEBVTT\n\n" + "".join(
        f"00:0{n}.000 --> 00:0{n + 1}.000\n{line}\n\n" for n, line in enumerate(["a", "a\nb", "b\nc"])
    )
    again = rolls + "00:05.000 --> 00:06.000\nc\n"  # alone after a pause: said again
    assert [one.text for one in read(tmp_path / "a.vtt", vtt, again)] == ["a", "b", "c", "c"]
    doubtful = rolls + "00:05.000 --> 00:06.000\nc\nd\n"
    assert read(tmp_path / "a.vtt", vtt, doubtful)[-1].passed_over


# ---- Audacity


def test_audacity_as_it_exports(tmp_path):
    text = "1,500000\t2,250000\tone  two\n\\\t100.0\t200.0\n3.0\t3.0\tmark\n4\t5\n\n"
    found = read(tmp_path / "a", audacity, text)
    assert [(one.start, one.end, one.text, one.passed_over) for one in found] == [
        (1.5, 2.25, "one two", ""), (3.0, 3.0, "mark", "labels of a point"), (4.0, 5.0, "", ""),
    ]  # fmt: skip
    for text, message in (("1.0 2.0 one\n", "a:1: expected `START<tab>END<tab>TEXT`"), ("\n", "a holds no labels"),
                          ("1\t2\tx\n1\t1e999\ty\n", "a:2: a time must be a number")):  # fmt: skip
        with pytest.raises(ManifestError, match=message):
            read(tmp_path / "a", audacity, text)


# ---- NIST


@settings(deadline=None)
@given(given_rows=rows(), pause=st.sampled_from([0.1, 0.5, 3.5]))
@example(given_rows=[(0, 2, "a"), (102, 103, "b")], pause=0.1)  # 0.102 - 0.002 is less than 0.1
def test_words_lose_nothing_and_are_parted_at_pauses(given_rows, pause):
    words = [Segment(a / 1000, b / 1000, text, "") for a, b, text in given_rows]
    joined = utterances(words[::-1], pause, 1e9)
    assert " ".join(one.text for one in joined) == " ".join(one.text for one in words)
    gaps = [round(after.start - before.end, 6) >= pause for before, after in zip(words, words[1:], strict=False)]
    assert len(joined) == 1 + sum(gaps)
    assert (joined[0].start, joined[-1].end) == (words[0].start, words[-1].end)
    short = utterances(words, pause, 25.0)
    assert " ".join(one.text for one in short) == " ".join(one.text for one in words)
    assert all(one.end - one.start <= 25.0 or one.text in [word.text for word in words] for one in short)


def test_long_utterances_are_parted_at_their_longest_pauses():
    words = [Segment(n + (0.2 if n >= 4 else 0), n + 0.9, f"w{n}", "") for n in range(9)]
    assert [one.text for one in utterances(words, 0.5, 6.0)] == ["w0 w1 w2 w3", "w4 w5 w6 w7 w8"]
    alike = [Segment(n, n + 1, f"w{n}", "") for n in range(8)]
    assert [one.text for one in utterances(alike, 0.5, 4.0)] == ["w0 w1 w2 w3", "w4 w5 w6 w7"]
    assert utterances([], 0.5, 4.0) == []


def test_ctm(tmp_path):
    text = (
        ";; comment\n\ntalk 1 11.34 0.2 YES 0.9\r\ntalk 1 11.54 0.2 <eps> 1.0\ntalk 1 11.60 0.30 YOU 0.8 lex anna\n"
        "talk 1 0.5 0.5 first\ntalk 1 12.4 0.3 uh 0.5 noise null\ntalk 1 12.8 0.3 sp\nother A 1 1 word -6.76\n"
    )
    (tmp_path / "a.ctm").write_bytes(text.encode())
    labels = ctm(tmp_path / "a.ctm", pause=0.5)
    assert {name: [(one.start, one.end, one.text, one.speaker) for one in found]
            for name, found in labels.segments.items()} == {
        "talk": [(0.5, 1.0, "first", None), (11.34, 11.54, "YES", None), (11.6, 11.9, "YOU", "anna")],
        "other": [(1.0, 2.0, "word", None)],
    }  # fmt: skip
    assert labels.notes["entries for silence or noise passed over"] == 3
    assert labels.segments["talk"][1].where.endswith("a.ctm:3")


def test_stm(tmp_path):
    text = (
        ';; CATEGORY "0" "" ""\ntalk 1 anna 0.5 2.0 <o,f0,female> hello  there\ntalk 1 ben 3 4 <unk> yes\n'
        "talk 1 inter_segment_gap 4 5 <o,,>\ntalk 1 ben 5 6 ignore_time_segment_in_scoring\n"
        "talk 1 ben 6 7 i { do / don't } know\ntalk 1 ben 7 8\ntalk 1 ben 8 9 <NA> i 'm here\n"
    )
    found = read(tmp_path / "a.stm", stm, text)
    assert [(one.text, one.speaker, one.passed_over) for one in found] == [
        ("hello  there", "anna", ""), ("<unk> yes", "ben", ""), ("", "inter_segment_gap", "segments not to be scored"),
        ("ignore_time_segment_in_scoring", "ben", "segments not to be scored"),
        ("i { do / don't } know", "ben", "segments with alternatives"), ("", "ben", ""),
        ("i 'm here", "ben", ""),
    ]  # fmt: skip
    assert (found[0].start, found[0].end, found[0].where) == (0.5, 2.0, f"{tmp_path}/a.stm:2")


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (ctm, "talk 1 0.5 0.5\n", "a:1: expected `RECORDING CHANNEL START DURATION WORD`, found 'talk 1 0.5 0.5'"),
        (ctm, "talk 1 0.5 x hi\n", "a:1: the duration must be a number of seconds such as 3.25, found 'x'"),
        (ctm, ";;\ntalk 1 * * <ALT_BEGIN>\n", "a:2: alternatives .<ALT_BEGIN>.: which is said"),
        (ctm, "talk A 0 1 hi\ntalk B 0 1 ho\n", "a:2: channel B of talk, but .*a:1 has channel A. Write each channel"),
        (ctm, ";; nothing\n", "a holds no lines but comments"),
        (stm, "talk 1 anna 0.5\n", "a:1: expected `RECORDING CHANNEL SPEAKER START END TEXT`"),
        (stm, "talk 1 anna 0.5 later hi\n", "a:1: the end must be a number of seconds"),
        (stm, "talk A x 0 1 hi\ntalk B y 0 1 ho\n", "a:2: channel B of talk"),
    ],
)
def test_nist_files_that_are_broken(tmp_path, reader, text, message):
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "a", reader, text)
