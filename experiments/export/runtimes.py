"""The runtimes of other projects that models are exported for, in the versions that the tests run.

Beside the exports themselves, for who only wants to know the version: those load NeMo.
"""

from __future__ import annotations

VERSIONS = {"sherpa-onnx": "2.0.1", "onnx-asr": "0.12.0"}
