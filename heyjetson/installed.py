"""What is installed: onnxruntime in one of its packages, and why an import fails, in a sentence with its cure."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from heyjetson.errors import ProviderError

CPU, GPU = "onnxruntime", "onnxruntime-gpu"
NUMPY_2 = (1, 19)  # the first onnxruntime that works with numpy 2
_NEEDED = ("InferenceSession", "SessionOptions", "get_available_providers", "__version__")


def version(package: str) -> str | None:
    """Installed version of a package, or None."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages() -> list[str]:
    """Those of onnxruntime's packages that are installed, or that were and left their record."""
    return [name for name in (CPU, GPU) if version(name)]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def doubt() -> str | None:
    """What is wrong with the packages that are installed, though they may work for now; None where nothing is."""
    if len(packages()) < 2:
        return None
    return (
        "onnxruntime and onnxruntime-gpu are both installed: they hold the same files, the one installed last is used, "
        f"and removing one breaks the other. Remove both, then install the one you want: {_again(GPU)}, or {CPU} for "
        "processors"
    )


def _again(package: str) -> str:
    return f"pip uninstall -y {CPU} {GPU} && pip install {package}"


def load_onnxruntime() -> Any:
    """The module onnxruntime.

    Raises:
        ProviderError: it is not installed, only half of it is, or it does not fit numpy; the message has the cure.
    """
    try:
        with _quiet():
            module = importlib.import_module("onnxruntime")
        missing = [name for name in _NEEDED if not hasattr(module, name)]
        if not missing:
            return module
        reason = f"it has no {missing[0]}"
    except (ImportError, AttributeError, OSError, SystemError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
    raise ProviderError(_cure(reason))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what a failing import writes: numpy prints a page of its own for what was built for another numpy."""
    if "onnxruntime" in sys.modules:
        yield
        return
    import tempfile

    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error to write to
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if not failed:
                held.seek(0)
                os.write(2, held.read())


def _cure(reason: str) -> str:
    found = packages()
    if not found:
        return (
            'onnxruntime is not installed. For processors: pip install "heyjetson[cpu]"; for an NVIDIA GPU: pip '
            'install "heyjetson[gpu]", and on a Jetson as docs/jetson.md has it.'
        )
    mine, numpy = version(found[-1]) or "", version("numpy") or ""
    if len(found) == 1 and _numbers(numpy) >= (2,) and _numbers(mine) < NUMPY_2:
        return (
            f"{found[0]} {mine} was built for numpy 1, and numpy {numpy} is installed ({reason}): pip install "
            f'"numpy<2", or pip install --upgrade {found[0]}.'
        )
    why = f"{found[0]} {mine} is not whole, as after its sister package was removed, which has the same files"
    if len(found) > 1:
        why = "onnxruntime and onnxruntime-gpu are both installed, which have the same files, and one spoilt the other"
    return f"onnxruntime cannot be used ({reason}): {why}. Install it again: {_again(found[-1])}"


def sentence(error: BaseException) -> str | None:
    """Why an import failed, in a sentence; None where the error is not of an import."""
    if isinstance(error, OSError) and "sndfile" in str(error):
        return (
            f"libsndfile, which soundfile needs, is not on this device ({error}): pip install --force-reinstall "
            "soundfile, or apt install libsndfile1."
        )
    if not isinstance(error, ImportError):
        return None
    name = (error.name or "").partition(".")[0]
    reason = str(error).strip().partition("\n")[0]
    if isinstance(error, ModuleNotFoundError) and name and name != "heyjetson":
        return f"The package {name} is missing: pip install {name}."
    again = f"pip install --force-reinstall {name or 'heyjetson'}"
    return f"{name or 'A package'} cannot be imported ({reason}). Install it again: {again}"
