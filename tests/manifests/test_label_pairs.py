"""Recordings and their labels: who belongs to whom, and which segments can be utterances."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError
from manifests.__main__ import main
from manifests.found import Found
from manifests.segments import recordings as paired
from manifests.segments.recordings import SegmentOptions, _overlapping, recordings
from manifests.segments.segment import Segment
from tests.manifests.test_label_files import HI, as_audacity, as_srt, as_textgrid, as_vtt

FOUR = [(0, 1000, "one"), (1500, 2500, "two"), (2600, 3000, "three"), (3500, 4000, "four")]


def sound(path: Path, seconds: float = 4.0) -> Path:
    """Of which each sample says where it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (np.arange(round(seconds * 8000)) % 20000).astype(np.int16), 8000)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def cuts(found: Found) -> list[tuple[str, float, float]]:
    return [(one.text, one.offset, round(one.offset + one.duration, 4)) for one in found.recordings]


def made(tmp_path: Path, rows: list, **given) -> Found:
    return recordings(sound(tmp_path / "a.wav"), write(tmp_path / "a.txt", as_audacity(rows)), SegmentOptions(**given))


# ---- which segments


def test_all_that_is_right(tmp_path):
    found = made(tmp_path, FOUR)
    assert cuts(found) == [(text, a / 1000, b / 1000) for a, b, text in FOUR] and not found.faults
    assert [one.name for one in found.recordings][:2] == ["a-0000000-0001000", "a-0001500-0002500"]
    assert {one.splits for one in found.recordings} == {("train",)}
    assert {one.splits for one in made(tmp_path, FOUR, split="test").recordings} == {("test",)}


def test_what_cannot_be_is_named(tmp_path):
    rows = [
        (0, 1000, "fine"), (1200, 1200, "point"), (1600, 1400, "backwards"), (1700, 1800, ""),
        (3500, 4400, "ends late"), (3000, 9000, "ends much later"), (5000, 6000, "beyond"), (2000, 2050, "blink"),
    ]  # fmt: skip
    found = made(tmp_path, rows, longest=0.9)
    assert cuts(found) == [("ends late", 3.5, 4.0)]
    assert dict(found.kinds) == {
        "labels of a point": 1, "backward segments": 1, "segments without text": 1,
        "segments outside their recording": 2, "segments shorter than 0.1 s": 1, "segments longer than 0.9 s": 1,
    }  # fmt: skip
    assert found.notes == [f"{tmp_path}/a.wav: 1 of 8 segments end up to 0.5 s after the sound, and are cut there"]
    assert f"{tmp_path}/a.txt:3: 1.60 to 1.40 s ends before it starts: backwards" in found.faults
    assert f"{tmp_path}/a.txt:6: 3.00 to 9.00 s is outside a.wav, which lasts 4.00 s: ends much later" in found.faults


def test_labels_before_the_sound(tmp_path):
    rows = [(-3000, -2000, "before"), (-800, 500, "much before"), (-200, 900, "cut"), (-400, 0, "at its edge")]
    found = made(tmp_path, rows)
    assert cuts(found) == [("cut", 0.0, 0.9)]
    assert dict(found.kinds) == {"segments outside their recording": 3}
    assert found.notes == [f"{tmp_path}/a.wav: 1 of 4 segments begin up to 0.5 s before the sound, and are cut there"]


def test_overlaps(tmp_path):
    rows = [(0, 1000, "a"), (900, 2000, "b"), (2000, 4000, "c"), (2500, 2700, "d"), (3000, 3800, "e")]
    found = made(tmp_path, rows)
    assert [text for text, *_ in cuts(found)] == ["a", "b"]
    assert dict(found.kinds) == {"overlapping segments": 3}
    assert [text for text, *_ in cuts(made(tmp_path, rows, overlap=0.0))] == []
    assert len(made(tmp_path, rows, overlap=1.0).recordings) == 5


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12).map(
        lambda rows: [Segment(a, a + n, "x", "") for a, n in sorted(rows)]
    ),
    st.integers(0, 4),
)
def test_overlapping_is_what_it_says(segments, allowed):
    def shared(a: Segment, b: Segment) -> float:
        return min(a.end, b.end) - max(a.start, b.start)

    assert _overlapping(sorted(segments, key=lambda one: (one.start, one.end)), allowed) == {
        n
        for n, one in enumerate(segments)
        if any(shared(one, other) > allowed for m, other in enumerate(segments) if m != n)
    }


@settings(deadline=None, max_examples=30)
@given(pad=st.floats(0, 2).map(lambda value: round(value, 2)))
def test_pads_reach_no_neighbour(tmp_path_factory, pad):
    found = made(tmp_path_factory.mktemp("p"), FOUR, pad=pad)
    edges = [0.0, *(end / 1000 for _, end, _ in FOUR[:-1])], [*(start / 1000 for start, *_ in FOUR[1:]), 4.0]
    for (_, start, end), (a, b, _), before, after in zip(cuts(found), FOUR, *edges, strict=True):
        assert start == pytest.approx(max(a / 1000 - pad, min(before, a / 1000)), abs=1e-3)
        assert end == pytest.approx(min(b / 1000 + pad, after), abs=1e-3)


def test_padded_words_are_not_too_long(tmp_path):
    lines = "".join(f"a 1 {n / 2} 0.4 w{n}\n" for n in range(8))
    found = recordings(
        sound(tmp_path / "a.wav"), write(tmp_path / "a.ctm", lines), SegmentOptions(longest=2.0, pad=0.1, pause=0.2)
    )
    assert " ".join(one.text for one in found.recordings) == " ".join(f"w{n}" for n in range(8)) and not found.faults
    assert max(one.duration for one in found.recordings) <= 2.0


@pytest.mark.parametrize("given", [{"pad": -1}, {"longest": 0.05}, {"shortest": -1}, {"overlap": -0.1}])
def test_options_that_cannot_be(tmp_path, given):
    with pytest.raises(ManifestError, match="must be 0 s or more, --longest more than --shortest"):
        made(tmp_path, FOUR, **given)


# ---- which labels


def test_a_folder_pairs_by_name(tmp_path):
    for name in ("train/a", "Test/b", "c", "d", "x.y", "none"):
        sound(tmp_path / f"{name}.wav")
    write(tmp_path / "train" / "a.srt", as_srt(FOUR))
    write(tmp_path / "Test" / "b.en.vtt", as_vtt(FOUR[:1]))
    write(tmp_path / "c.TextGrid", as_textgrid(HI, "anna"))
    write(tmp_path / "d.txt", as_audacity(FOUR[:2]))
    write(tmp_path / "x.y.stm", "x.y 1 ben 0 1 hello\n")
    write(tmp_path / "none.txt", "a plain transcript")
    write(tmp_path / "alone.srt", as_srt(FOUR))
    found = recordings(tmp_path, None, SegmentOptions())
    assert sorted((one.name, one.splits[0]) for one in found.recordings if one.offset == 0) == [
        ("Test/b-0000000-0001000", "test"), ("c-0000000-0000400", "train"), ("d-0000000-0001000", "train"),
        ("train/a-0000000-0001000", "train"), ("x.y-0000000-0001000", "train"),
    ]  # fmt: skip
    assert len(found.recordings) == 1 + 3 + 2 + 1 + 4
    assert {one.extra.get("speaker") for one in found.recordings if one.name.startswith("c-")} == {"anna"}
    assert found.faults == [
        f"{tmp_path}/alone.srt: no recording in {tmp_path} is named after it.",
        f"{tmp_path}/none.wav: no labels are named after it.",
    ]
    assert found.notes == ["labels: tier anna in 1 files"]


def test_labels_in_a_folder_of_their_own(tmp_path):
    sound(tmp_path / "wav" / "x" / "a.flac")
    write(tmp_path / "srt" / "x" / "a.srt", as_srt(FOUR))
    found = recordings(tmp_path / "wav", tmp_path / "srt", SegmentOptions())
    assert len(found.recordings) == 4 and found.recordings[0].audio == tmp_path / "wav" / "x" / "a.flac"


def test_a_file_of_nist_names_its_recordings(tmp_path):
    for name in ("train/a", "b", "c"):
        sound(tmp_path / f"{name}.wav")
    labels = write(tmp_path / "all.stm", "a 1 x 0 1 one\nb 1 y 0 1 two\nb 1 y 1 2 three\ngone 1 z 0 1 four\n")
    found = recordings(tmp_path, labels, SegmentOptions())
    assert [(one.audio.stem, one.text) for one in found.recordings] == [("a", "one"), ("b", "two"), ("b", "three")]
    assert found.faults == [f"{labels}:4: {tmp_path} has no gone."]
    (one,) = recordings(tmp_path / "train" / "a.wav", labels, SegmentOptions()).recordings
    assert one.text == "one"
    with pytest.raises(ManifestError, match="all.stm has labels of a, b, gone, but none of c. Rename the recording"):
        recordings(tmp_path / "c.wav", labels, SegmentOptions())
    sound(tmp_path / "b" / "a.wav")
    with pytest.raises(ManifestError, match="have one name: which is a"):
        recordings(tmp_path, labels, SegmentOptions())


def test_it_is_asked_which(tmp_path):
    sound(tmp_path / "a.wav")
    with pytest.raises(ManifestError, match="Which labels of .*a.wav. none lie beside it. Give the file after it"):
        recordings(tmp_path / "a.wav", None, SegmentOptions())
    write(tmp_path / "a.srt", as_srt(FOUR))
    assert len(recordings(tmp_path / "a.wav", None, SegmentOptions()).recordings) == 4
    write(tmp_path / "a.vtt", as_vtt(FOUR))
    with pytest.raises(ManifestError, match="there are a.srt and a.vtt"):
        recordings(tmp_path / "a.wav", None, SegmentOptions())
    with pytest.raises(ManifestError, match="a.srt and .*a.vtt are both labels of a.wav: which is meant. .*--format"):
        recordings(tmp_path, None, SegmentOptions())
    assert len(recordings(tmp_path, None, SegmentOptions(format="vtt")).recordings) == 4
    labels = write(tmp_path / "a.labels.dat", as_audacity(FOUR))
    with pytest.raises(ManifestError, match="a.labels.dat: what kind of labels. Give --format srt|vtt"):
        recordings(tmp_path / "a.wav", labels, SegmentOptions())
    assert len(recordings(tmp_path / "a.wav", labels, SegmentOptions(format="audacity")).recordings) == 4
    sound(tmp_path / "a.flac")
    with pytest.raises(ManifestError, match="a.flac and .*a.wav have one name"):
        recordings(tmp_path, None, SegmentOptions())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/none.wav", "{}/a.srt"], "none.wav does not exist. Correct the path"),
        (["{}/none.wav"], "none.wav does not exist"),
        (["{}/a.wav", "{}/none.srt"], "none.srt does not exist. Correct the path"),
        (["{}/a.wav", "{}/none"], "none does not exist"),
        (["{}/empty", "{}/a.srt"], "empty holds no recordings"),
        (["{}/empty"], "empty holds no recordings"),
        (["{}/bare"], "bare holds no labels (.srt, .vtt, .TextGrid, .ctm, .stm or Audacity's .txt) named after"),
        (["{}/a.wav", "{}/late.srt"], "Nothing is left of the dataset; 4 entries were left out"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(tmp_path, arguments, message, capsys):
    sound(tmp_path / "a.wav")
    sound(tmp_path / "bare" / "a.wav")
    write(tmp_path / "a.srt", as_srt(FOUR))
    write(tmp_path / "late.srt", as_srt([(a + 90_000, b + 90_000, text) for a, b, text in FOUR]))
    (tmp_path / "empty").mkdir()
    given = [argument.format(tmp_path) for argument in arguments]
    assert main(["segments", *given, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_unreadable_sound_is_named(tmp_path):
    write(tmp_path / "b.wav", "no sound")
    sound(tmp_path / "a.wav")
    for name in "ab":
        write(tmp_path / f"{name}.srt", as_srt(FOUR))
    found = recordings(tmp_path, None, SegmentOptions())
    assert len(found.recordings) == 4 and dict(found.kinds) == {"unreadable recordings": 1}
    assert "b.wav" in found.faults[0]


def test_every_format_has_its_reader():
    assert set(paired.FORMATS) == {"srt", "vtt", "textgrid", "audacity", "ctm", "stm"}


def test_the_command_says_what_it_did(tmp_path, capsys):
    sound(tmp_path / "a.wav")
    write(tmp_path / "a.srt", as_srt([*FOUR[:3], (3500, 4000, "<i>♪ four</i>")]))
    out = tmp_path / "out"
    command = [
        "segments",
        str(tmp_path / "a.wav"),
        "--out",
        str(out),
        "--pad",
        "0.1",
        "--validation",
        "0",
        "--test",
        "0",
    ]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "recordings left out: 1 (songs: 1); all are listed in" in shown
    assert (
        f"{tmp_path}/a.srt:14: 3.50 to 4.00 s is left out (songs): <i>♪ four</i>" in (out / "skipped.txt").read_text()
    )
