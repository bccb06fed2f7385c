"""Run a speech bundle with numpy and onnxruntime.

engine = Engine(Bundle("bundles/streaming"))             # shared by any number of streams
engine.transcribe_file("hello.wav").text
stream = engine.stream(hot_words={"jetson": 3.0})        # cheap, independent, bounded memory
stream.feed(samples); stream.partial(); stream.finish()
"""

from heyjetson.bundle import Bundle
from heyjetson.decode import Hypothesis, Result, Word
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

__version__ = "0.1.0"
__all__ = [
    "AudioError",
    "Bundle",
    "BundleError",
    "DecoderError",
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
    "Word",
    "__version__",
]
