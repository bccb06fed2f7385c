"""Run speech and trigger bundles with numpy and onnxruntime.

engine = Engine(Bundle("bundles/streaming"))             # shared by any number of streams
engine.transcribe_file("hello.wav").text
stream = engine.stream(hot_words={"jetson": 3.0})        # cheap, independent, bounded memory
stream.feed(samples); stream.partial(); stream.finish()

trigger = Trigger(Bundle("wake"))                        # hears single words, always
trigger.stream(sample_rate=48000).feed(samples)          # the words detected, at once
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from heyjetson import privacy as _privacy  # noqa: F401  (before onnxruntime is imported)

if TYPE_CHECKING:
    from heyjetson.bundle import Bundle
    from heyjetson.decoding.hypothesis import Hypothesis, Result, Word
    from heyjetson.endpoint import EndpointRules
    from heyjetson.engine import Engine
    from heyjetson.errors import (
        AudioError,
        BundleError,
        DecoderError,
        HeyJetsonError,
        OptionError,
        ProviderError,
        ScorerError,
        StreamError,
    )
    from heyjetson.stream import Stream
    from heyjetson.wakeword.detector import Detection
    from heyjetson.wakeword.trigger import Trigger, TriggerRules, TriggerStream

__version__ = "0.1.0"
__all__ = [
    "AudioError",
    "Bundle",
    "BundleError",
    "DecoderError",
    "Detection",
    "EndpointRules",
    "Engine",
    "HeyJetsonError",
    "Hypothesis",
    "OptionError",
    "ProviderError",
    "Result",
    "ScorerError",
    "Stream",
    "StreamError",
    "Trigger",
    "TriggerRules",
    "TriggerStream",
    "Word",
    "__version__",
]
_PLACES = {
    "bundle": ("Bundle",),
    "decoding.hypothesis": ("Hypothesis", "Result", "Word",),
    "endpoint": ("EndpointRules",),
    "engine": ("Engine",),
    "errors": (
        "AudioError", "BundleError", "DecoderError", "HeyJetsonError", "OptionError", "ProviderError", "ScorerError",
        "StreamError",
    ),
    "stream": ("Stream",),
    "wakeword.detector": ("Detection",),
    "wakeword.trigger": ("Trigger", "TriggerRules", "TriggerStream",),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What the package offers, imported when first used: where a library is broken, commands can say so."""
    for module, names in _PLACES.items():
        if name in names:
            globals()[name] = found = getattr(importlib.import_module(f"heyjetson.{module}"), name)
            return found
    raise AttributeError(f"module 'heyjetson' has no attribute {name!r}")
