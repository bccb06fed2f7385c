"""The project's own NeMo modules: front-ends, encoders, perturbation, and the model that holds them.

Importing this package registers it with NeMo: NeMo 3 builds a `_target_` only when its prefix is on an allow-list, and
restoring a `.nemo` builds the same targets. Every entry point therefore imports it before it touches a model.
"""

import os as _os

_os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # NeMo imports onnxruntime, which would report to its maker

from nemo.core.classes import common as _nemo

_PREFIX = f"{__name__}."
if _PREFIX not in _nemo.ALLOWED_TARGET_PREFIXES:
    _nemo.ALLOWED_TARGET_PREFIXES.append(_PREFIX)
