"""What OpenAI's clients ask for beside the recording: used, refused by a sentence, or said to be unused."""

import math

import httpx
import openai
import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
)

from heyjetson.decoding.hotwords import spelled
from heyjetson.decoding.hypothesis import Result, Word
from heyjetson.errors import OptionError
from heyjetson.languages import checked, require
from heyjetson.server.live.options import keywords_of
from heyjetson.server.transcribe.form import FIELDS, NESTED
from heyjetson.server.transcribe.verbose_json import log_probs, verbose


@pytest.fixture(scope="module")
def client(site):
    with openai.OpenAI(base_url=f"{site}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def create(client, spoken):
    """Transcribe `ab ba` as OpenAI's client does, and give what came over the wire."""

    def created(**options):
        return client.audio.transcriptions.with_raw_response.create(
            **{"model": "gpt-transcribe", "file": spoken, **options}
        )

    return created


def refused(create, **options) -> str:
    with pytest.raises(openai.UnprocessableEntityError) as error:
        create(**options)
    return error.value.body["message"]


@pytest.mark.parametrize("name", ["gpt-transcribe", "whisper-1", "gpt-4o-transcribe-diarize", "gpt-9-hears:2030"])
def test_any_of_openais_names_means_the_model_that_is_here(create, client, name):
    answer = create(model=name)
    assert (answer.http_response.json(), answer.headers["x-heyjetson-model"]) == ({"text": "ab ba"}, "tones")
    assert client.models.retrieve(name).id == "tones"


def test_verbose_json_has_every_field_of_typed_clients(create):
    answer = create(response_format="verbose_json", timestamp_granularities=["word", "segment"]).http_response
    found = TranscriptionVerbose.model_validate_json(answer.content, strict=True)
    (segment,) = found.segments
    assert (segment.seek, segment.tokens, segment.temperature) == (96, [0, 1, 2, 1, 0], 0.0)
    assert -1 < segment.avg_logprob <= 0 <= segment.no_speech_prob < 0.01
    assert 0 < segment.compression_ratio < 1
    assert [word.word for word in found.words] == ["ab", "ba"]
    assert (found.language, found.usage.seconds) == ("english", 3.0)


def test_segments_are_as_sure_as_their_words():
    words = [Word("ab", 0.5, 1.0, 0.5), Word("b", 1.1, 1.2, 0.25), Word("a", 9.0, 9.1, 0.0)]
    first, second = verbose(Result("ab b a", words, 10.0), 10.0, ["segment"], "english", ["b", "a"])["segments"]
    assert first["avg_logprob"] == pytest.approx((2 * math.log(0.5) + math.log(0.25)) / 3, abs=1e-4)
    assert first["no_speech_prob"] == pytest.approx(0.5 * 0.75)
    assert first["tokens"] == [1, 0, 0]  # the space is no label of this model
    assert (second["no_speech_prob"], second["seek"]) == (1.0, 900)
    tokens = log_probs(words)
    assert "".join(token["token"] for token in tokens) == "ab b a"
    assert tokens[1] == {"token": " b", "bytes": [32, 98], "logprob": round(math.log(0.25), 4)}


def test_log_probabilities_of_the_words(create):
    answer = create(include=["logprobs"]).http_response
    found = Transcription.model_validate_json(answer.content, strict=True)
    assert [(token.token, bytes(map(int, token.bytes))) for token in found.logprobs] == [("ab", b"ab"), (" ba", b" ba")]
    assert all(-1 < token.logprob <= 0 for token in found.logprobs)
    assert "response_format json" in refused(create, include=["logprobs"], response_format="verbose_json")


def test_log_probabilities_of_a_stream(client, spoken):
    events = list(
        client.audio.transcriptions.create(model="gpt-transcribe", file=spoken, include=["logprobs"], stream=True)
    )
    *deltas, done = events
    assert all(isinstance(delta, TranscriptionTextDeltaEvent) for delta in deltas)
    assert isinstance(done, TranscriptionTextDoneEvent)
    for told in (done.logprobs, [token for delta in deltas for token in delta.logprobs]):
        assert [token.token for token in told] == ["ab", " ba"]


def test_keywords_are_hot_words(create):
    assert create(keywords=["AB", "Ba"]).http_response.json() == {"text": "ab ba"}
    assert "characters that the model cannot write: 'x'" in refused(create, keywords=["ax"])
    assert spelled(" Hey\tJETSON ", "ehjnosty ") == "hey jetson"
    assert spelled("hey", "HEY") == "HEY"
    assert keywords_of(["AB", " ", "b"], str.lower, {"b": 1.0}) == {"ab": 3.0, "b": 1.0}
    assert keywords_of([], str, None) is None
    with pytest.raises(OptionError, match="100 hot words"):
        keywords_of(map(str, range(101)), str, None)


def test_a_language_that_the_model_does_not_write_is_refused(create):
    for given in ({"language": "en"}, {"language": "English"}, {"languages": ["de", "en-US"]}):
        assert create(**given).http_response.json() == {"text": "ab ba"}
    assert "writes english (en), not de" in refused(create, language="de")
    assert "not de, fr" in refused(create, languages=["de", "fr"])
    require(["", " "], "en")
    require(["de_AT"], "de")
    assert checked("pt-BR") == "pt-BR"
    with pytest.raises(OptionError, match="by its code"):
        checked("German")


@pytest.mark.parametrize("name", sorted(FIELDS - {"file"}))
def test_an_empty_field_is_one_that_is_not_there(site, spoken, name):
    route = f"{site}/v1/audio/transcriptions"
    answer = httpx.post(route, files={"file": spoken.read_bytes()}, data={name: ""})
    assert (answer.status_code, answer.json()) == (200, {"text": "ab ba"})


def test_the_fields_that_are_known_are_those_of_the_form(site):
    document = httpx.get(f"{site}/openapi.json").json()
    form = document["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]["multipart/form-data"]
    name = form["schema"]["$ref"].rsplit("/", 1)[1]
    assert set(document["components"]["schemas"][name]["properties"]) == FIELDS


def test_nothing_is_unused_without_a_word(create):
    answer = create(prompt="Call me Al.", temperature=0.4, timestamp_granularities=["word"]).http_response
    notes = answer.json()["notes"]
    assert [note.partition(" was not used")[0] for note in notes] == [
        "The prompt", "The temperature", "timestamp_granularities[]"
    ]  # fmt: skip
    assert answer.headers["x-heyjetson-notes"] == " ".join(notes)
    answer = create(extra_body={"vad_filter": "true", "beam": "5"}, chunking_strategy="auto").http_response
    assert answer.json()["notes"] == ["Fields that this server does not know were not used: vad_filter, beam."]
    vad = {"type": "server_vad", "threshold": 0.5}
    assert create(chunking_strategy=vad).http_response.json()["notes"] == ["chunking_strategy was taken as auto."]
    assert NESTED == "chunking_strategy["


def test_speakers_are_not_told_apart(create):
    assert "Speakers are not told apart" in refused(create, response_format="diarized_json")
    assert "Speakers are not told apart" in refused(create, known_speaker_names=["Al"])
