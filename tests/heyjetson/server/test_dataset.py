"""Data sets: read at the start, their sound when it is asked for, and nothing that is not in them."""

import io
import json
import threading
from urllib.parse import quote

import httpx
import numpy as np
import pytest
import soundfile

from heyjetson.server.audio.datasets import Dataset, DatasetError, open_datasets
from heyjetson.server.errors import RequestError
from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import served

RATE = trigger_fake.RATE


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def record(**changes):
    return {"audio_filepath": "a.wav", "duration": 1.0, "text": "ab"} | changes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two manifests over two recordings; one line's recording is missing, one is broken."""
    folder = tmp_path_factory.mktemp("data")
    quiet = trigger_fake.quiet(0.5)
    spoken = np.concatenate([quiet, trigger_fake.say("ab"), quiet, trigger_fake.say("ba"), quiet])
    soundfile.write(folder / "one.wav", spoken, RATE)
    soundfile.write(folder / "stereo.flac", np.stack([spoken, -spoken], axis=1), 48000)
    (folder / "broken.wav").write_bytes(b"RIFF nothing")
    write(
        folder / "pairs.jsonl",
        {"audio_filepath": "one.wav", "duration": 1.4, "text": "ab", "offset": 0.0, "speaker": "Ada"},
        {"audio_filepath": "one.wav", "duration": 1.4, "text": "ba", "offset": 0.9, "speaker": "Bob"},
        {"audio_filepath": "missing.wav", "duration": 1.0, "text": "a b"},
        {"audio_filepath": "broken.wav", "duration": 1.0, "text": "b"},
        {"audio_filepath": "one.wav", "duration": 1.0, "text": "late", "offset": 99},
        {"audio_filepath": "stereo.flac", "duration": 0.5, "text": "stereo", "offset": 0.25},
    )
    write(folder / "many.jsonl", *(record(audio_filepath="one.wav", text=f"number {n}") for n in range(120)))
    return folder


@pytest.fixture(scope="module")
def here(folder, speech_folder, tmp_path_factory):
    with served(Settings(speech_folder, data=(folder,), state=tmp_path_factory.mktemp("state"))) as address:
        yield f"{address}/v1/dataset"


def test_a_duration_alone_cuts_nothing(folder):
    """As in training and evaluation: a segment has an offset. What the manifest says wrongly is told."""
    lasts = soundfile.info(folder / "one.wav").duration
    lines = [record(audio_filepath="one.wav", duration=seconds) for seconds in (1.0, lasts - 0.004, 99.0)]
    dataset = Dataset("whole", write(folder / "whole.txt", *lines))
    wrong, right, long = (dataset.load(index) for index in range(3))
    assert wrong.seconds == right.seconds == long.seconds == lasts
    assert wrong.notes == (f"The manifest says 1.00 s, the recording lasts {lasts:.2f} s: all of it was read.",)
    assert right.notes == () and long.notes != ()


# -- manifests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "expected a JSON object"),
        ('{"duration": 1, "text": "a"}', '"audio_filepath" must be a text'),
        ('{"audio_filepath": "a.wav", "duration": 1}', '"text" must be a text'),
        (json.dumps(record(duration="1")), '"duration" must be seconds'),
        (json.dumps(record(duration=True)), '"duration" must be seconds'),
        (json.dumps(record(duration=-1)), '"duration" must be seconds'),
        (json.dumps(record(duration=0)), "more than 0"),
        (json.dumps(record(duration=float("nan"))), '"duration" must be seconds'),
        ('{"audio_filepath": "a.wav", "duration": 1' + "0" * 400 + ', "text": "a"}', '"duration" must be seconds'),
        ('{"audio_filepath": "a.wav", "duration": 1' + "0" * 5000 + ', "text": "a"}', "not JSON"),
        (json.dumps(record(offset=-0.1)), '"offset" must be seconds'),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, said):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(record()) + "\n\n" + line + "\n")
    with pytest.raises(DatasetError, match="bad.jsonl:3") as error:
        Dataset("bad", path)
    assert said in str(error.value)


def test_manifests_that_are_none_are_refused(tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(record(), ensure_ascii=False).encode() + b"\n\xe4\n")
    with pytest.raises(DatasetError, match=r"latin.jsonl:2: not UTF-8"):
        Dataset("latin", tmp_path / "latin.jsonl")
    with pytest.raises(DatasetError, match="cannot be read"):
        open_datasets([tmp_path / "missing.jsonl"])
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DatasetError, match="at least one"):
        open_datasets([tmp_path / "empty.jsonl"])
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match="holds no manifest"):
        open_datasets([tmp_path / "none"])


def test_names_are_unique_and_no_manifest_is_opened_twice(tmp_path):
    for folder in ("a", "b", "b/a"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "test.jsonl", record())
    found = open_datasets([tmp_path / "a", tmp_path / "a/test.jsonl", tmp_path / "b", tmp_path / "b/a"])
    assert list(found) == ["test", "b-test", "a-test"]


def test_a_byte_order_mark_and_half_a_surrogate_pair_do_no_harm(tmp_path):
    path = tmp_path / "odd.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(record(text="a\ud800", speaker=7)).encode())
    utterance = Dataset("odd", path).utterances[0]
    assert (utterance.text, utterance.speaker) == ("a?", "7")


def test_only_the_utterance_is_read(folder):
    dataset = open_datasets([folder / "pairs.jsonl"])["pairs"]
    whole, _ = soundfile.read(folder / "one.wav", dtype="float32")
    clip = dataset.load(1)
    assert clip.rate == RATE
    np.testing.assert_array_equal(clip.samples[:, 0], whole[round(0.9 * RATE) : round(2.3 * RATE)])
    stereo = dataset.load(5)
    assert stereo.samples.shape == (24000, 2)
    for index, said in ((2, "is missing"), (3, "cannot be decoded"), (4, "ends before"), (6, "none of number 6")):
        with pytest.raises(RequestError, match=said) as error:
            dataset.load(index)
        assert error.value.status == 404
        assert str(folder) not in str(error.value)


# -- routes -----------------------------------------------------------------------------------------------------------


def test_sets_and_utterances_are_listed(here):
    sets = httpx.get(here).json()
    assert [(one["name"], one["utterances"]) for one in sets] == [("many", 120), ("pairs", 6)]
    page = httpx.get(f"{here}/many", params={"offset": 100, "limit": 50}).json()
    assert page["total"] == 120
    assert [one["index"] for one in page["utterances"]] == list(range(100, 120))
    assert httpx.get(f"{here}/many", params={"offset": 10**15}).json()["utterances"] == []
    assert httpx.get(f"{here}/pairs/1").json() == {"index": 1, "text": "ba", "seconds": 1.4, "speaker": "Bob"}


def test_words_are_searched_in_text_and_speaker(here):
    found = httpx.get(f"{here}/pairs", params={"search": " ADA  a"}).json()
    assert [one["index"] for one in found["utterances"]] == [0]
    assert httpx.get(f"{here}/many", params={"search": "number 11"}).json()["total"] == 11
    assert httpx.get(f"{here}/pairs", params={"search": "nobody"}).json() == {"total": 0, "utterances": []}


@pytest.mark.parametrize("index", ["-1", "6", "99999999999999999999999", "1" * 4000])
def test_an_index_that_is_none_is_answered_with_a_sentence(here, index):
    for path in (f"{here}/pairs/{index}", f"{here}/pairs/{index}/audio"):
        answer = httpx.get(path)
        assert answer.status_code in (404, 422)
        assert len(answer.json()["error"]["message"]) > 20


@pytest.mark.parametrize(
    "name", ["x", "..", "../pairs", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "pairs.jsonl", "\0", "é" * 50]
)
def test_a_name_is_never_a_path(here, name):
    answer = httpx.get(f"{here}/{quote(name, safe='')}")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


def test_the_event_loop_searches_nothing(here, monkeypatch):
    """A large manifest would hold live streams up."""
    searching = []
    real = Dataset.search

    def search(self, words):
        searching.append(threading.current_thread().name)
        return real(self, words)

    monkeypatch.setattr(Dataset, "search", search)
    assert httpx.get(f"{here}/many", params={"search": "number 11"}).json()["total"] == 11
    assert searching[0].startswith("reads")


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"offset": -1}, {"limit": "x"}, {"search": "a" * 201}])
def test_a_page_that_cannot_be_is_refused(here, query):
    assert httpx.get(f"{here}/pairs", params=query).status_code == 422


def test_the_sound_is_a_wav_of_the_utterance(here):
    answer = httpx.get(f"{here}/pairs/0/audio")
    assert answer.headers["content-type"] == "audio/wav"
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert (len(samples), rate) == (round(1.4 * RATE), RATE)


def test_ranges_of_the_sound(here):
    path = f"{here}/pairs/0/audio"
    whole = httpx.get(path)
    size = len(whole.content)
    assert whole.headers["accept-ranges"] == "bytes"
    for wanted, part in (
        ("0-99", slice(0, 100)),
        ("100-", slice(100, None)),
        ("-10", slice(-10, None)),
        (f"5-{size * 9}", slice(5, None)),
    ):
        answer = httpx.get(path, headers={"Range": f"bytes={wanted}"})
        assert answer.status_code == 206
        assert answer.content == whole.content[part]
        start = range(size)[part][0]
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.content) - 1}/{size}"
    for wanted in ("bytes=-", "bytes=9-3", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=" + "9" * 99):
        answer = httpx.get(path, headers={"Range": wanted})
        assert answer.status_code == 200, wanted
        assert answer.content == whole.content
    for wanted in (f"bytes={size}-", "bytes=-0"):
        answer = httpx.get(path, headers={"Range": wanted})
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{size}"


def test_missing_sound_is_told_and_the_next_request_works(here):
    for index, said in ((2, "is missing"), (3, "cannot be decoded"), (4, "ends before")):
        answer = httpx.get(f"{here}/pairs/{index}/audio")
        assert answer.status_code == 404
        assert said in answer.json()["error"]["message"]
    assert httpx.get(f"{here}/pairs/0/audio").status_code == 200


def test_a_server_without_data_says_so(site):
    assert httpx.get(f"{site}/v1/dataset").json() == []
    assert "--data" in httpx.get(f"{site}/v1/dataset/x").json()["error"]["message"]
