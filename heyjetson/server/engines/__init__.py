"""Engines to compare with: the served model, further bundles, and servers that the operator names. None but the model
is there unless it is named."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from heyjetson.bundle import Bundle
from heyjetson.engine import Engine as Model
from heyjetson.errors import OptionError
from heyjetson.server.engines.base import Engine
from heyjetson.server.engines.local import BundleEngine

if TYPE_CHECKING:
    from heyjetson.server.settings import Settings
    from heyjetson.server.workers import Workers

MODEL = "model"  # name of the served bundle among the engines
FORMS = "name=bundles/other, name=openai:https://host/v1#model or name=azure:region"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def open_engines(settings: Settings, model: Model, files: Workers) -> dict[str, Engine]:
    """The engines of a server, by name, the served model first.

    Args:
        settings: with the definitions.
        model: the served one.
        files: threads for the models of this device.

    Raises:
        OptionError: a definition cannot be used.
        BundleError: a bundle cannot be loaded.
        ProviderError: what shall run it is not on this device.
    """
    engines: dict[str, Engine] = {MODEL: BundleEngine(MODEL, "model", model, files, settings.scorer)}
    for name, what in _definitions(settings.engines):
        engines[name] = _open(name, what, settings, files)
    return engines


def _definitions(given: Iterable[str]) -> Iterable[tuple[str, str]]:
    taken = {MODEL}
    for definition in given:
        name, _, what = definition.partition("=")
        if not what:
            raise OptionError(f"The engine {definition!r} cannot be understood. Write it as {FORMS}.")
        if not _NAME.fullmatch(name):
            raise OptionError(
                f"An engine cannot be called {name!r}: use up to 32 letters, digits, hyphens and underscores."
            )
        if name in taken:
            raise OptionError(f"There are two engines called {name!r} ({MODEL!r} is the served bundle). Rename one.")
        taken.add(name)
        yield name, what


def _open(name: str, what: str, settings: Settings, files: Workers) -> Engine:
    kind, colon, rest = what.partition(":")
    if colon and kind == "openai":
        from heyjetson.server.engines.openai import OpenAIEngine

        return OpenAIEngine.of(name, rest)
    if colon and kind == "azure":
        from heyjetson.server.engines.azure import AzureEngine

        return AzureEngine.of(name, rest)
    if what.startswith(("http:", "https:")):
        raise OptionError(f"The engine {name!r} is an address: write {name}=openai:{kind}://host/v1#model.")
    return BundleEngine(name, "bundle", Model(Bundle(what), settings.threads, settings.provider), files, None)
