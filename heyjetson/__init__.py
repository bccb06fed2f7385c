"""Run a speech bundle with numpy and onnxruntime.

>>> from heyjetson import Bundle, Engine                     # doctest: +SKIP
>>> engine = Engine(Bundle("bundles/synthetic"))             # doctest: +SKIP
>>> engine.transcribe_file("hello.wav").text                 # doctest: +SKIP
'hello'
"""

from heyjetson.bundle import Bundle
from heyjetson.decode import Result, Word
from heyjetson.engine import Engine
from heyjetson.errors import AudioError, BundleError, HeyJetsonError

__version__ = "0.1.0"
__all__ = ["AudioError", "Bundle", "BundleError", "Engine", "HeyJetsonError", "Result", "Word", "__version__"]
