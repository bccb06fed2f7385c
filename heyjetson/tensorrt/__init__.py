"""Build and run TensorRT engines of a bundle; onnxruntime stays the fallback.

Importing this package imports no TensorRT and no CUDA: both are looked for when something is built or run.

>>> from heyjetson import Bundle                                           # doctest: +SKIP
>>> from heyjetson.tensorrt import BuildOptions, build_engine, open_session   # doctest: +SKIP
>>> build_engine(Bundle("bundles/digits"), BuildOptions(precision="fp16"), print)   # doctest: +SKIP
>>> session = open_session(Bundle("bundles/digits"), print)                # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heyjetson.tensorrt.build import build_engine
    from heyjetson.tensorrt.errors import TensorRTError
    from heyjetson.tensorrt.plan import BuildOptions, Plan, make_plan
    from heyjetson.tensorrt.session import TensorRTSession, open_session

_PLACES = {
    "build_engine": "build",
    "TensorRTError": "errors",
    "BuildOptions": "plan",
    "Plan": "plan",
    "make_plan": "plan",
    "TensorRTSession": "session",
    "open_session": "session",
}

__all__ = ["BuildOptions", "Plan", "TensorRTError", "TensorRTSession", "build_engine", "make_plan", "open_session"]


def __getattr__(name: str) -> Any:
    """What the package offers, imported when first used: most bundles have no engine."""
    if name not in _PLACES:
        raise AttributeError(f"module 'heyjetson.tensorrt' has no attribute {name!r}")
    return getattr(importlib.import_module(f"heyjetson.tensorrt.{_PLACES[name]}"), name)
