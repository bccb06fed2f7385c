"""The messages of `WS /v1/listen`."""

from __future__ import annotations

from collections.abc import Mapping

from heyjetson.server.live.options import ListenOptions, command_of
from heyjetson.server.live.session import Event, LiveSession
from heyjetson.server.models import Models


class Listening:
    """See `connection.Talk`: sound is binary, commands are JSON.

    Args:
        here: the server.
        query: of the address, see `ListenOptions.of_query`.

    Raises:
        OptionError: what is asked for cannot work.
        DecoderError: a hot word cannot be written.
        RequestError: the model is not here.
    """

    def __init__(self, here: Models, query: Mapping[str, str]):
        options = ListenOptions.of_query(query)
        here.require_model(query.get("model", here.model_name))
        self.here, self.rate = here, options.rate
        self.session = LiveSession(here.engine, here.trigger, here.settings.scorer, options)
        self.hear, self.flush = self.session.hear, self.session.flush

    def ready(self) -> list[Event]:
        """See `Talk`, like what follows."""
        bundle, trigger = self.here.engine.bundle, self.here.trigger
        return [
            {
                "type": "ready",
                "model": self.here.model_name,
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
