"""The models of a server, and the threads that run them: what live streams and performance runs work with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from heyjetson.bundle import name_of
from heyjetson.engine import Engine
from heyjetson.server.audio.datasets import Dataset
from heyjetson.server.engines.base import Engine as EngineLike
from heyjetson.server.errors import RequestError
from heyjetson.server.live.batches import Batches
from heyjetson.server.settings import Settings
from heyjetson.server.workers import Workers
from heyjetson.together import Together
from heyjetson.wakeword.trigger import Trigger

OPENAI = re.compile(r"(whisper|gpt|chatgpt)-[\w.:-]+", re.ASCII)  # its models of today, and of later


@dataclass
class Models:
    """What is loaded, once for all requests.

    Args:
        settings: the operator's choices.
        engine: the speech model.
        trigger: the trigger model, or None.
        files: work on whole recordings: bounded, refuses when full.
        live: work of live streams, a few milliseconds each: never refused, its number is bounded by the streams.
        datasets: what there is to look at, by name.
        engines: what can be compared, by name; the served model is `model`.

    Attributes:
        batches: hears for the live streams.
    """

    settings: Settings
    engine: Engine
    trigger: Trigger | None
    files: Workers
    live: Workers
    datasets: dict[str, Dataset] = field(default_factory=dict)
    engines: dict[str, EngineLike] = field(default_factory=dict)
    batches: Batches = field(init=False)

    def __post_init__(self) -> None:
        self.batches = Batches(Together(self.engine.bundle, self.engine.session), self.live)

    @property
    def model_name(self) -> str:
        """What the speech model is called."""
        return name_of(self.engine.bundle)

    def require_model(self, name: str) -> None:
        """Refuse the name of a model that is not loaded.

        Raises:
            RequestError: 404.
        """
        wrong = f"There is no model {name!r} here"
        if self.trigger and name == name_of(self.trigger.bundle):
            wrong = f"{name!r} is a trigger: it raises words on /v1/listen and writes no text"
        elif name == self.model_name or is_any(name):
            return
        asked = f"{wrong}. Ask for {self.model_name!r}, or for 'default'."
        raise RequestError(404, asked, "model_not_found")


def is_any(name: str) -> bool:
    """Whether a model's name means the speech model whatever it is called: clients have to name one.

    >>> is_any("default"), is_any("gpt-transcribe"), is_any("whisper-1"), is_any("mine")
    (True, True, True, False)
    """
    return name == "default" or bool(OPENAI.fullmatch(name))
