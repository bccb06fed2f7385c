"""The process that analyses texts: a request as it came, or what was heard in a recording, as JSON in and JSON out.

`processes.Analysts` starts it; see `child_process`. Out goes A the answer, or what is wrong: F with the faults of a
request's form, X another error. All of it is done here, reading and writing JSON too: each would hold the server up.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Annotated, Any, BinaryIO

from pydantic import BaseModel, Field, ValidationError

from heyjetson.server.child_process import RefusedError, limit, send
from heyjetson.server.sentiment.analysis import analyse, analyser, words_of
from heyjetson.server.sentiment.timed_word import TimedWord

WORDS = 50_000
NICENESS = 10  # live streams come first
Seconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]


class SpokenWord(BaseModel):
    """A word with its times, as verbose_json has them."""

    word: Annotated[str, Field(max_length=200)]
    start: Seconds
    end: Seconds
    channel: Annotated[int | None, Field(ge=0, le=7)] = None


class SentimentRequest(BaseModel):
    """What is to be analysed: one of the two."""

    text: Annotated[str | None, Field(max_length=200_000)] = None
    words: Annotated[list[SpokenWord] | None, Field(max_length=WORDS)] = None


def schema() -> dict[str, Any]:
    """The request's, in one piece."""
    whole = SentimentRequest.model_json_schema()
    word = whole.pop("$defs")["SpokenWord"]
    whole["properties"]["words"]["anyOf"][0]["items"] = word
    return whole


def requested(body: bytes) -> list[TimedWord]:
    """The words of a request.

    Raises:
        RefusedError: there are none, or too many.
        ValidationError: it is no `SentimentRequest`.
    """
    request = SentimentRequest.model_validate_json(body)
    if (request.text is None) == (request.words is None):
        raise RefusedError(422, "invalid", "Send either text or words: one of the two.")
    if request.text is not None:
        words = words_of(request.text)
    else:
        words = []
        for word in request.words or ():
            words += words_of(word.word, word.start, max(word.start, word.end), word.channel)
            if len(words) > WORDS:
                break
    if len(words) > WORDS:
        raise RefusedError(422, "too_long", f"There are more than {WORDS} words in it: send it in parts.")
    if not words:
        raise RefusedError(422, "empty", "There is no word in it: nothing to analyse.")
    return words


def answer(task: dict[str, Any], body: bytes) -> bytes:
    """Analyse.

    Args:
        task: with `seconds` where it is a recording.
        body: the request, or that of `conversation.heard`.

    Returns:
        that of `analyse`, with what was heard before it.
    """
    if "seconds" not in task:
        found = analyse(requested(body))
    else:
        heard = json.loads(body)
        words = [TimedWord(word["word"], word["start"], word["end"], word["channel"]) for word in heard["words"]]
        found = heard | analyse(words, task["seconds"])
    return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Do tasks until the server closes the pipe."""
    while line := source.readline():
        task = json.loads(line)
        try:
            send(target, b"A", answer(task, source.read(task["bytes"])))
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            send(target, b"F", [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults])
        except RefusedError as error:
            send(target, b"X", error.args)
        except MemoryError:
            send(target, b"X", (413, "too_large", "Analysing it takes too much memory: send it in parts."))
            target.flush()
            return
        target.flush()


if __name__ == "__main__":
    with suppress(OSError):  # a sandbox that forbids it
        os.nice(NICENESS)
    analyser()
    limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
