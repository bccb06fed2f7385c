"""The form of `POST /v1/audio/transcriptions`: each field is used, refused by a sentence, or said to be unused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, Form, Request
from pydantic import BeforeValidator

from heyjetson import languages
from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.errors import RequestError
from heyjetson.server.live.options import PHRASE_CHARACTERS, PHRASES, hot_words_of, keywords_of

Format = Literal["json", "text", "verbose_json", "srt", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]
FIELDS = {
    "file",
    "model",
    "response_format",
    "timestamp_granularities[]",
    "stream",
    "hot_words",
    "keywords[]",
    "include[]",
}
FIELDS |= {"consent", "language", "languages[]", "prompt", "temperature", "chunking_strategy"}
FIELDS |= {"known_speaker_names[]", "known_speaker_references[]"}
NESTED = "chunking_strategy["  # how OpenAI's clients send a table
TOLD_FIELDS = 5  # of those that are not known


def _filled(value: Any) -> Any:
    """A list without its empty fields, which clients send for lists that have nothing."""
    return [item for item in value if item != ""] if isinstance(value, list) else value


def _list(alias: str, description: str, length: int) -> Any:
    return Form(alias=alias, max_length=length, description=description)


Short = Annotated[str, Form(max_length=100)]


@dataclass
class Asked:
    """What a client wants of a transcription.

    Args:
        response_format: of the answer.
        granularities: `word` and `segment`, which verbose_json has.
        stream: answer as the text grows.
        hot_words: phrases and what each adds to the score.
        log_probs: tell the words' log-probabilities.
        consent: the recording may be kept.
        notes: what was asked for and is not done, a sentence each.
    """

    response_format: Format = "json"
    granularities: Sequence[Granularity] = ("word", "segment")
    stream: bool = False
    hot_words: dict[str, float] | None = None
    log_probs: bool = False
    consent: bool = False
    notes: list[str] = field(default_factory=list)


async def asked(
    request: Request,
    state: Annotated[AppState, Depends(app_state)],
    model: Annotated[
        str, Form(max_length=200, description="as in /v1/models, `default`, or any of OpenAI's")
    ] = "default",
    response_format: Annotated[Format, Form()] = "json",
    granularities: Annotated[
        list[Granularity],
        BeforeValidator(_filled),
        _list("timestamp_granularities[]", "of verbose_json; both where none is given", 2),
    ] = [],  # noqa: B006 (FastAPI copies it)
    stream: Annotated[bool, Form(description="answer by server-sent events, text as it is understood")] = False,
    hot_words: Annotated[str, Form(max_length=8192, description="`phrase:boost,phrase:boost`")] = "",
    keywords: Annotated[
        list[Annotated[str, Form(max_length=PHRASE_CHARACTERS)]],
        BeforeValidator(_filled),
        _list("keywords[]", "words and phrases to listen for: hot words without a number", PHRASES),
    ] = [],  # noqa: B006
    include: Annotated[
        list[Literal["logprobs"]],
        BeforeValidator(_filled),
        _list("include[]", "`logprobs`: of each word, in json", 4),
    ] = [],  # noqa: B006
    consent: Annotated[bool, Form(description="the recording may be kept for training")] = False,
    language: Annotated[str, Form(max_length=100, description="of the recording: the model's own, or refused")] = "",
    possible: Annotated[
        list[Short], BeforeValidator(_filled), _list("languages[]", "as language; one of them must be it", 100)
    ] = [],  # noqa: B006
    prompt: Annotated[str, Form(max_length=8192, description="not used, and a note says so: see keywords[]")] = "",
    temperature: Annotated[float, Form(ge=0, le=1, description="not used: nothing is sampled")] = 0.0,
    chunking_strategy: Annotated[str, Form(max_length=1024, description="`auto`, whatever is asked for")] = "",
    speaker_names: Annotated[
        list[Short],
        BeforeValidator(_filled),
        _list("known_speaker_names[]", "refused: speakers are not told apart", 16),
    ] = [],  # noqa: B006
    speaker_references: Annotated[
        list[str], BeforeValidator(_filled), _list("known_speaker_references[]", "refused, too", 16)
    ] = [],  # noqa: B006
) -> Asked:
    """Read the form.

    Raises:
        RequestError: what is asked for is not done here.
        OptionError: a value cannot be used.
    """
    state.require_model(model)
    languages.require([language, *possible], state.settings.language)
    words = keywords_of(keywords, partial(state.engine.spelled, scorer=state.settings.scorer), hot_words_of(hot_words))
    if response_format == "diarized_json" or speaker_names or speaker_references:
        told = "Speakers are not told apart here: leave known_speaker_names[] out and choose verbose_json."
        raise RequestError(422, told, "invalid")
    if stream and response_format not in ("json", "text"):
        raise RequestError(422, "A stream has the text alone: choose response_format json or text.", "invalid")
    if include and response_format != "json":
        told = "include[]=logprobs is for response_format json: verbose_json has avg_logprob and confidence."
        raise RequestError(422, told, "invalid")
    sent = list(await request.form())
    nested = any(name.startswith(NESTED) for name in sent)
    unknown = [name for name in sent if name not in FIELDS and not name.startswith(NESTED)]
    unused = {
        "The prompt was not used, no model here reads one: send words to listen for as keywords[].": prompt.strip(),
        "The temperature was not used: nothing is sampled.": temperature,
        "chunking_strategy was taken as auto.": nested or chunking_strategy not in ("", "auto"),
        "timestamp_granularities[] was not used: verbose_json alone has times.": granularities
        and response_format != "verbose_json",
        f"Fields that this server does not know were not used: {_told(unknown)}.": unknown,
    }
    notes = [note for note, applies in unused.items() if applies]
    both: Sequence[Granularity] = ("word", "segment")
    return Asked(response_format, granularities or both, stream, words, bool(include), consent, notes)


def _told(names: Sequence[str]) -> str:
    shown = [name[:40] for name in names[:TOLD_FIELDS]]
    return ", ".join(shown) + (" and others" if len(names) > TOLD_FIELDS else "")
