"""What a recording says, as OpenAI's clients ask for it."""

import io
import json
import threading
import time

import httpx
import numpy as np
import openai
import pytest
import soundfile

from heyjetson import Engine, Result, Word
from heyjetson.bundle import Bundle
from heyjetson.errors import BundleError
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.settings import Settings
from heyjetson.server.transcribe import recording_store
from heyjetson.server.transcribe.transcription_job import ClientDisconnectedError, Deltas, TranscriptionJob, joined
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import served

WORDS = [("ab", 0.96, 1.32), ("ba", 1.56, 1.92)]  # of `spoken`


def ask(site: str, path, **form: object) -> httpx.Response:
    return httpx.post(f"{site}/v1/audio/transcriptions", files={"file": path.open("rb")}, data=form)


def wav(samples: np.ndarray, rate: int = trigger_fake.RATE) -> bytes:
    written = io.BytesIO()
    soundfile.write(written, samples, rate, format="WAV")
    return written.getvalue()


def test_text_formats(site, spoken):
    assert ask(site, spoken).json() == {"text": "ab ba"}
    assert ask(site, spoken, response_format="text").text == "ab ba\n"
    srt = ask(site, spoken, response_format="srt")
    assert srt.text == "1\n00:00:00,960 --> 00:00:01,920\nab ba\n"
    vtt = ask(site, spoken, response_format="vtt")
    assert vtt.text == "WEBVTT\n\n00:00:00.960 --> 00:00:01.920\nab ba\n"
    assert vtt.headers["content-type"].startswith("text/vtt")


def test_words_and_segments(site, spoken):
    full = ask(site, spoken, response_format="verbose_json").json()
    assert [(word["word"], word["start"], word["end"]) for word in full["words"]] == WORDS
    assert all(0 < word["confidence"] <= 1 for word in full["words"])
    (segment,) = full["segments"]
    assert (segment["start"], segment["end"], segment["text"], segment["confidence"]) == (0.96, 1.92, "ab ba", 1.0)
    assert (full["task"], full["duration"], full["text"], full["model"]) == ("transcribe", 3.0, "ab ba", "tones")
    assert full["real_time_factor"] > 0
    form = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    assert "segments" not in ask(site, spoken, **form).json()


def test_hot_words_are_used(site, spoken):
    assert ask(site, spoken, hot_words="ab:2,ba:1").json() == {"text": "ab ba"}
    wrong = ask(site, spoken, hot_words="ab:much")
    assert wrong.status_code == 422
    assert "must be a number" in wrong.json()["error"]["message"]


def test_a_model_that_is_not_there(site, spoken):
    assert ask(site, spoken, model="tones").status_code == 200
    answer = ask(site, spoken, model="mine-9")
    assert answer.status_code == 404
    assert "Ask for 'tones'" in answer.json()["error"]["message"]
    assert "is a trigger" in ask(site, spoken, model="wake").json()["error"]["message"]


def test_translation_is_refused_with_a_sentence(site):
    answer = httpx.post(f"{site}/v1/audio/translations")
    assert answer.status_code == 404
    assert "Nothing is translated here" in answer.json()["error"]["message"]


def test_a_stream_of_events(site, spoken):
    answer = ask(site, spoken, stream="true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    deltas = [event["delta"] for event in events[:-1]]
    assert "".join(deltas) == "ab ba"
    assert events[-1] == {"type": "transcript.text.done", "text": "ab ba"}


def test_what_is_wrong_with_a_streamed_recording_is_an_answer(site, tmp_path):
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(100, np.float32), trigger_fake.RATE)
    answer = ask(site, short, stream="true")
    assert answer.status_code == 422
    assert "less than one frame" in answer.json()["error"]["message"]
    assert ask(site, short, stream="true", response_format="srt").status_code == 422


@pytest.fixture(scope="module")
def client(site):
    with openai.OpenAI(base_url=f"{site}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("name", ["json", "text", "verbose_json", "srt", "vtt"])
def test_the_openai_client(client, spoken, name):
    with spoken.open("rb") as file:
        given = client.audio.transcriptions.create(model="whisper-1", file=file, response_format=name)
    text = given if isinstance(given, str) else given.text
    assert "ab ba" in text
    if name == "verbose_json":
        assert [(word.word, word.start, word.end) for word in given.words] == WORDS
        assert given.segments[0].text == "ab ba"
        assert given.duration == 3.0


def test_the_openai_client_streams(client, spoken):
    with spoken.open("rb") as file:
        events = list(client.audio.transcriptions.create(model="whisper-1", file=file, stream=True))
    assert "".join(event.delta for event in events[:-1]) == "ab ba"
    assert (events[-1].type, events[-1].text) == ("transcript.text.done", "ab ba")


def test_the_openai_client_reads_errors_and_models(client):
    with pytest.raises(openai.UnprocessableEntityError, match="empty"):
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b""))
    with pytest.raises(openai.NotFoundError, match="There is no model"):
        client.audio.transcriptions.create(model="none", file=("a.wav", b""))
    assert [model.id for model in client.models.list()] == ["tones", "wake"]
    speech, wake = (client.models.retrieve(name).model_dump() for name in ("tones", "wake"))
    assert (speech["kind"], speech["labels"], speech["streams"]) == ("ctc_stream", ["a", "b", " "], True)
    assert (wake["kind"], wake["words"], wake["sample_rate"]) == ("trigger", ["hey jetson", "computer"], 16000)


def growing(engine: Engine, samples: np.ndarray, rate: int = trigger_fake.RATE) -> TranscriptionJob:
    return TranscriptionJob(engine, Clip(samples[:, None].astype(np.float32), rate), engine.decoder())


@pytest.mark.parametrize("kind", ["bundle", "streaming_bundle"])
def test_growing_ends_in_what_the_engine_writes(kind, request):
    engine = Engine(Bundle(request.getfixturevalue(kind)))
    samples = (0.1 * np.random.default_rng(0).standard_normal(round(7.3 * 22050))).astype(np.float32)
    assert growing(engine, samples, 22050).final() == engine.transcribe(samples, 22050)


def test_the_whole_keeps_no_partials(speech_folder):
    engine = Engine(Bundle(speech_folder))
    samples = 0.1 * np.random.default_rng(0).standard_normal(10 * trigger_fake.RATE)
    results = list(growing(engine, samples).results(partials=False))
    assert len(results) == 6
    assert {(result.text, result.final) for result in results[:-1]} == {("", False)}


@pytest.mark.parametrize("kind", ["bundle", "streaming_bundle"])
def test_growing_is_given_up(kind, request):
    engine = Engine(Bundle(request.getfixturevalue(kind)))
    work = growing(engine, 0.1 * np.random.default_rng(0).standard_normal(60 * trigger_fake.RATE))
    results = work.results()
    assert not next(results).final
    work.cancelled.set()
    with pytest.raises(ClientDisconnectedError):
        next(results)


def test_deltas_take_nothing_back():
    def heard(text: str, final: bool = False) -> Result:
        return Result(text, [Word(word, 0.0, 0.0, 1.0) for word in text.split()], 1.0, final)

    deltas = Deltas()

    def told(result: Result) -> str:
        first = deltas.told == 0
        return joined(deltas.words(result), first)

    given = [told(heard(text)) for text in ("on", "one tow", "one two thr", "one two three")]
    assert given == ["", "", "one", " two"]
    assert told(heard("one two three four", final=True)) == " three four"
    assert Deltas().words(heard("", final=True)) == []


def test_work_ends_when_the_client_leaves(speech_folder, tmp_path, monkeypatch):
    begun, ended = threading.Event(), threading.Event()
    real = TranscriptionJob.results

    def slow(self, partials=True):
        for number, result in enumerate(real(self, partials)):
            begun.set()
            if number == 0:
                yield result
            if self.cancelled.wait(0 if result.final else 30):
                ended.set()
                raise ClientDisconnectedError
            yield result

    monkeypatch.setattr(TranscriptionJob, "results", slow)
    long = wav(trigger_fake.quiet(30.0))
    with served(Settings(speech_folder, state=tmp_path)) as site:
        for stream in ("false", "true"):
            begun.clear()
            ended.clear()
            with httpx.Client(timeout=httpx.Timeout(30, read=0.3)) as client, pytest.raises(httpx.ReadTimeout):
                client.post(f"{site}/v1/audio/transcriptions", files={"file": long}, data={"stream": stream})
            assert begun.wait(30)
            assert ended.wait(30)


def test_recordings_of_users_who_agree_are_kept(speech_folder, spoken, tmp_path):
    folder = tmp_path / "kept"
    with served(Settings(speech_folder, keep=folder, state=tmp_path)) as site:
        assert ask(site, spoken).status_code == 200
        assert [path.name for path in folder.iterdir()] == ["manifest.jsonl"]
        assert ask(site, spoken, consent="true").status_code == 200
        assert ask(site, spoken, consent="true", stream="true").status_code == 200
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert [(line["duration"], line["text"], line["consent"]) for line in lines] == [(3.0, "ab ba", True)] * 2
    assert sorted(line["audio_filepath"] for line in lines) == sorted(path.name for path in folder.glob("*.wav"))
    kept, _ = soundfile.read(folder / lines[0]["audio_filepath"])
    assert np.allclose(kept, soundfile.read(spoken)[0], atol=1e-4)


def test_a_recording_that_cannot_be_kept_is_transcribed(speech_folder, spoken, tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o755)
    real = recording_store.soundfile.write

    def full(path, *given, **options):
        real(path, *given, **options)
        raise OSError(28, "No space left on device")

    with served(Settings(speech_folder, keep=folder, state=tmp_path)) as site:
        with monkeypatch.context() as disk:
            disk.setattr(recording_store.soundfile, "write", full)
            for stream in ("false", "true"):
                assert "ab ba" in ask(site, spoken, consent="true", stream=stream).text
        assert [path.name for path in folder.iterdir()] == ["manifest.jsonl"]
        assert (folder / "manifest.jsonl").read_text() == ""
        assert ask(site, spoken, consent="true").status_code == 200
    assert len(list(folder.glob("*.wav"))) == 1
    assert {oct(path.stat().st_mode)[-3:] for path in folder.iterdir()} == {"600"}


def test_a_fault_of_the_model_is_not_told(speech_folder, spoken, tmp_path, monkeypatch, caplog):
    def fails(*_):
        raise BundleError("The graph /home/secret/model.onnx fails.")

    monkeypatch.setattr(Engine, "results", fails)
    with served(Settings(speech_folder, state=tmp_path)) as site:
        for stream in ("false", "true"):
            answer = ask(site, spoken, stream=stream)
            assert answer.status_code == 500
            assert answer.json()["error"]["message"] == "The server failed on this request. Its log says why."
    assert caplog.text.count("/home/secret/model.onnx") >= 2


def test_consent_without_a_place_keeps_nothing(site, spoken):
    assert ask(site, spoken, consent="true").json() == {"text": "ab ba"}


def test_a_full_queue_is_answered_503(speech_folder, spoken, tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    real = TranscriptionJob.final

    def held(self):
        begun.set()
        go_on.wait(30)
        return real(self)

    monkeypatch.setattr(TranscriptionJob, "final", held)
    with served(Settings(speech_folder, workers=1, queue=0, state=tmp_path)) as site:
        first = threading.Thread(target=ask, args=(site, spoken))
        first.start()
        assert begun.wait(30)
        refused = ask(site, spoken)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"{site}/health/ready").status_code == 503
        go_on.set()
        first.join(30)
        deadline = time.monotonic() + 30
        while httpx.get(f"{site}/health/ready").status_code != 200 and time.monotonic() < deadline:
            pass
        assert ask(site, spoken).status_code == 200
