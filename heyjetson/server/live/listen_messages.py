"""The messages of `WS /v1/listen`."""

from __future__ import annotations

from collections.abc import Mapping

from heyjetson.server.live.options import ListenOptions, command_of
from heyjetson.server.live.session import Event, LiveSession
from heyjetson.server.models import Models


class Listening:
    """See `connection.Talk`: sound is binary, commands are JSON.

    Args:
        models: of the server.
        query: of the address, see `ListenOptions.of_query`.

    Raises:
        OptionError: what is asked for cannot work.
        DecoderError: a hot word cannot be written.
        RequestError: the model is not here.
    """

    def __init__(self, models: Models, query: Mapping[str, str]):
        options = ListenOptions.of_query(query)
        models.require_model(query.get("model", models.model_name))
        self.models, self.rate = models, options.rate
        self.session = LiveSession(models.engine, models.trigger, models.settings.scorer, options)
        self.hearing, self.flush = self.session.hearing, self.session.flush

    @property
    def missing(self) -> int:
        """See `Talk`."""
        return self.session.missing

    def ready(self) -> list[Event]:
        """See `Talk`, like what follows."""
        bundle, trigger = self.models.engine.bundle, self.models.trigger
        return [
            {
                "type": "ready",
                "model": self.models.model_name,
                "rate": self.rate,
                "frame_seconds": bundle.frame_seconds,
                "streams": bundle.streams,
                "trigger": list(trigger.words) if trigger else None,
            }
        ]

    @staticmethod
    def item(message: bytes | str) -> bytes | str:
        """A message is what it holds."""
        return message

    def obey(self, command: str) -> list[Event]:
        """Flush, reset or configure."""
        asked = command_of(command)
        if asked["type"] == "configure":
            return self.session.configure(asked)
        return self.session.flush() if asked["type"] == "flush" else self.session.reset()

    @staticmethod
    def fault(status: int, code: str, message: str, item: bytes | str = b"") -> Event:
        """An error."""
        return {"type": "error", "message": message, "code": code}
