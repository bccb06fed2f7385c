"""What runs a graph: TensorRT where an engine was built, else onnxruntime on the GPU or on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heyjetson.bundle import Bundle
from heyjetson.errors import BundleError, ProviderError
from heyjetson.installed import load_onnxruntime

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
CHOICES = ("auto", "tensorrt", *PROVIDERS)
_log = logging.getLogger("heyjetson")


@dataclass(frozen=True)
class Runtime:
    """A loaded graph.

    Args:
        session: has onnxruntime's `run(outputs, feed)` and `get_inputs()`.
        name: `tensorrt`, `cuda` or `cpu`.
    """

    session: Any
    name: str


def open_runtime(bundle: Bundle, threads: int = 1, provider: str = "auto") -> Runtime:
    """Load a bundle's graph.

    Args:
        bundle: whose graph it is.
        threads: within an operator on the CPU, for whole recordings; 1 leaves the other cores to others. A step of a
            stream runs on one: what there is to share costs less than waking the others.
        provider: `auto`, `tensorrt`, `cuda` or `cpu`. `auto` takes the best there is and says what it took.

    Raises:
        ProviderError: what was asked for is not on this device, or onnxruntime cannot be imported.
        BundleError: onnxruntime refuses the graph.
    """
    if provider not in CHOICES:
        raise ProviderError(f"There is no provider {provider!r}; choose one of {', '.join(CHOICES)}.")
    if provider in ("auto", "tensorrt"):
        session = _tensorrt(bundle, required=provider == "tensorrt")
        if session is not None:
            return Runtime(session, "tensorrt")
    onnxruntime = load_onnxruntime()
    available = onnxruntime.get_available_providers()
    if provider == "auto":
        provider = "cuda" if PROVIDERS["cuda"] in available else "cpu"
    if PROVIDERS[provider] not in available:
        raise ProviderError(
            f"onnxruntime on this device has no {PROVIDERS[provider]} (it has {', '.join(available)}). Choose "
            "provider cpu, or install onnxruntime-gpu in place of onnxruntime: pip uninstall -y onnxruntime "
            "onnxruntime-gpu && pip install onnxruntime-gpu. `heyjetson doctor` shows what is here."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if bundle.streams else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that look for work within a recording do not go on looking for it after.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    chosen = list(dict.fromkeys([PROVIDERS[provider], PROVIDERS["cpu"]]))
    try:
        session = onnxruntime.InferenceSession(str(bundle.graph), options, providers=chosen)
    except Exception as error:  # onnxruntime's own exceptions share no base class of theirs
        raise BundleError(f"onnxruntime cannot load {bundle.graph}: {error}") from error
    if session.get_providers()[0] != PROVIDERS[provider]:
        _log.warning("onnxruntime could not use %s and runs on %s.", PROVIDERS[provider], session.get_providers()[0])
        provider = "cpu"
    _require_fit(bundle, session)
    return Runtime(session, provider)


def _require_fit(bundle: Bundle, session: Any) -> None:
    """Refuse a graph that takes or gives something else than the manifest says."""
    takes = {value.name: for_one(value.shape) if bundle.streams else value.shape for value in session.get_inputs()}
    gives = {value.name for value in session.get_outputs()}
    wanted_outputs = {bundle.output, "frames"}
    expected = {"samples": takes.get("samples"), "length": takes.get("length")}
    if bundle.streams:
        states = bundle.manifest["states"]
        expected = {"samples": [1, bundle.manifest["chunk_samples"]], "length": [1]}
        expected |= {state["name"]: state["shape"] for state in states}
        wanted_outputs = {bundle.output, "valid", *(state["output"] for state in states)}
    # An encoder that does not look at the length exports without it.
    wrong = [name for name, shape in takes.items() if name not in expected or list(expected[name] or []) != list(shape)]
    wrong += [value.name for value in session.get_outputs() if bundle.is_trigger and _other_words(bundle, value)]
    missing = sorted((set(expected) - set(takes) - {"length"}) | (wanted_outputs - gives))
    if wrong or missing:
        raise BundleError(
            f"{bundle.graph} and the manifest do not fit each other ({', '.join([*wrong, *missing])}): they are of "
            "different exports. Copy the bundle again, or export the model again."
        )


def for_one(shape: Sequence[int | str | None]) -> list[int | str | None]:
    """The shape of a stream's input or output for one stream, where the graph steps any number of them at once."""
    return [1 if place == 0 and not isinstance(size, int) else size for place, size in enumerate(shape)]


def _other_words(bundle: Bundle, value: Any) -> bool:
    """Whether a graph's output has scores of another number of words than the bundle, or of other sounds."""
    return value.name == bundle.output and value.shape[-1] != bundle.columns


def _tensorrt(bundle: Bundle, required: bool) -> Any:
    """A session of the engine that `heyjetson build-engine` made, or None where there is none and none is required."""
    from heyjetson.tensorrt.cache import has_engine

    reasons: list[str] = []
    session = None
    if has_engine(bundle):
        from heyjetson.tensorrt.session import open_session

        session = open_session(bundle, reasons.append)
    if session is None and required:
        why = " ".join(reasons) or f"none was built: run `heyjetson build-engine {bundle.folder}` on this device."
        raise ProviderError(f"There is no TensorRT engine to use. {why}")
    for reason in reasons:
        _log.warning("%s", reason)
    return session
