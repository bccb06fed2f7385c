"""Tables that cut recordings: a row is its segment, or refused with its line; a length alone cuts nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import ManifestError
from manifests.cuts import cut_name, segment
from manifests.prepared import _listing
from manifests.tables import from_table

times = st.floats(0, 1e5).map(lambda value: round(value, 3))
lengths = st.floats(0.001, 1e4).map(lambda value: round(value, 3))


@given(start=times, length=lengths, kind=st.sampled_from(["end", "duration", "both", "ms"]))
def test_what_was_written_is_read(start, length, kind):
    row = {"path": "a.wav", "text": "one", "start": repr(start)}
    if kind in ("end", "both"):
        row["end"] = repr(round(start + length, 3))
    if kind in ("duration", "both"):
        row["duration"] = repr(length)
    if kind == "ms":
        row = {"start_ms": repr(start * 1000), "stop_ms": repr((start + length) * 1000)}
    assert segment(row, "t.csv:2") == pytest.approx((start, length), abs=1e-6)


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("start", "end"), (3, 6)), (("Begin", "Stop"), (3, 6)), (("start_time", "end_time"), (3, 6)),
        (("offset", "duration"), (3, 3)), (("start", "duration"), (3, 3)), (("tmin", "tmax"), (3, 6)),
        (("onset", "offset"), (3, 6)), (("xmin", "xmax"), (3, 6)), (("start_seconds", "end_seconds"), (3, 6)),
        (("begin_ms", "end_ms"), (3000, 6000)), (("start", "end", "duration"), (3, 6, 60)),
    ],
)  # fmt: skip
def test_usual_names(names, values):
    assert segment(dict(zip(names, map(str, values), strict=True)), "t:2") == (3.0, 3.0)


def test_named_columns(tmp_path):
    row = {"start": "1", "end": "2", "from": "3", "to": "6"}
    assert segment(row, "t:2", "from", "to") == (3.0, 3.0)
    (tmp_path / "t.csv").write_text("path,text,from,to\na.wav,one,3,6\n")
    (one,) = from_table(tmp_path / "t.csv", start="from", end="to")
    assert (one.offset, one.duration) == (3.0, 3.0)
    with pytest.raises(ManifestError, match="t.csv:2: there is no column 'since'; there are path, text, from, to"):
        from_table(tmp_path / "t.csv", start="since")


def test_what_is_no_segment():
    for row in ({}, {"start": "", "end": " "}, {"start_frame": "7", "ending": "x"}):
        assert segment(row, "t:2") == (None, None)
    assert segment({"offset": "3.0"}, "t:2") == (3.0, None)
    assert segment({"offset": "", "duration": "9"}, "t:2") == (None, 9.0)  # null in JSON


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"start": "3", "end": "2"}, "t.csv:7: the segment ends at 2 s, before it starts at 3 s"),
        ({"start": "3", "end": "3"}, "before it starts"),
        ({"start": "0:03", "end": "6"}, "the column 'start' must be a number of seconds such as 3.25, found '0:03'"),
        ({"start": "3,5", "end": "6"}, "found '3,5'"),
        ({"start": "-1", "end": "6"}, "found '-1'"),
        ({"start": "nan", "end": "6"}, "found 'nan'"),
        ({"start": "1", "end": "inf"}, "the column 'end' must be"),
        ({"end": "6"}, "an end and no start"),
        ({"start": "", "end": "6"}, "an end and no start"),
        ({"start": "1", "duration": "0"}, "has no length"),
        ({"start": "1", "begin": "2", "end": "6"}, "'start' and 'begin' disagree: 1 and 2 s"),
        ({"start": "3", "end": "6", "duration": "2"}, "from 3 to 6 s are 3 s, but 'duration' says 2"),
    ],
)
def test_what_cannot_be(row, message):
    with pytest.raises(ManifestError, match=message):
        segment(row, "t.csv:7")


def test_segments_of_one_file_have_names_that_last(tmp_path):
    rows = [
        {"audio_filepath": "a.flac", "offset": 0.0, "duration": 3.0, "text": "one", "split": "dev", "speaker": "x"},
        {"audio_filepath": "a.flac", "offset": 3, "duration": 3.0, "text": "two"},
        {"audio_filepath": "a.flac", "offset": 6.5, "text": "three"},
        {"audio_filepath": "a.flac", "duration": 9.0, "text": "all"},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = from_table(tmp_path / "t.jsonl")
    assert [(one.offset, one.duration) for one in found] == [(0.0, 3.0), (3.0, 3.0), (6.5, None), (None, None)]
    assert [one.name for one in found] == ["a-0000000-0003000", "a-0003000-0006000", "a-0006500-end", "a"]
    assert (found[0].splits, found[0].extra) == (("validation",), {"speaker": "x"})
    assert [one.lasts for one in found] == [None, None, None, 9.0]
    # Of the same name and text, but cut elsewhere: another corpus.
    (tmp_path / "t.jsonl").write_text(json.dumps(rows[1] | {"duration": 3.0004}))
    (moved,) = from_table(tmp_path / "t.jsonl")
    assert moved.name == found[1].name and _listing([moved]) != _listing(found[1:2])


@given(start=times, length=lengths, other=times)
def test_other_segments_have_other_names(start, length, other):
    if round(start * 1000) != round(other * 1000):
        assert cut_name("a", start, length) != cut_name("a", other, length)
