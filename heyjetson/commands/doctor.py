"""`heyjetson doctor`: what is on this device, and what will be used."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from heyjetson.commands import command
from heyjetson.decoding import core
from heyjetson.errors import HeyJetsonError, ProviderError
from heyjetson.installed import doubt, load_onnxruntime, sentence, version
from heyjetson.processor import processor


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "doctor",
        "say what is on this device and what will be used",
        "  heyjetson doctor\n  heyjetson doctor bundles/synthetic",
    )
    parser.add_argument("bundle", nargs="?", help="run its own recording here, and compare with what it should give")
    parser.add_argument("--provider", default="auto", help="what runs the bundle: auto, tensorrt, cuda or cpu")
    parser.set_defaults(run=run)


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip("\0\n ").splitlines()[0]
    except (OSError, IndexError):
        return ""


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return f"{pages * size / 1e9:.1f} GB"
    except (ValueError, OSError):
        return "?"


def _onnxruntime() -> tuple[bool, str]:
    """Whether it can be used, and what is to be said of it."""
    try:
        onnxruntime = load_onnxruntime()
    except ProviderError as error:
        return False, str(error)
    found = f"{onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"
    return True, f"{found}\n{doubt()}" if doubt() else found


def _sound() -> str:
    try:
        import soundfile
        import soxr
    except (ImportError, OSError) as error:
        return sentence(error) or str(error)
    return (
        f"soundfile {soundfile.__version__} with libsndfile {soundfile.__libsndfile_version__}, soxr {soxr.__version__}"
    )


def _tensorrt() -> tuple[bool, str]:
    """Whether engines can be run, and what is to be said of it."""
    from heyjetson.tensorrt.build import find_trtexec, tensorrt_module
    from heyjetson.tensorrt.errors import TensorRTError

    try:
        if module := tensorrt_module():
            return True, f"{module.__version__}, Python package"
    except TensorRTError as error:
        return False, str(error)
    found = find_trtexec()
    return False, f"no Python package; {found} can build engines" if found else "not installed"


def _language_model() -> str:
    found = version("flashlight-text")
    if core.library():
        return f"built in; KenLM's tries by {f'flashlight-text {found}' if found else 'flashlight-text, not installed'}"
    return f"flashlight-text {found}" if found else 'flashlight-text is not installed: pip install "heyjetson[lm]"'


def microphones() -> list[str]:
    """The devices that record, by number and name; one line that says why where there are none."""
    try:
        import sounddevice

        devices = sounddevice.query_devices()
    except (ImportError, OSError) as error:
        recorder = next((name for name in ("rec", "arecord") if shutil.which(name)), None)
        cure = "run apt install libportaudio2" if isinstance(error, OSError) else 'pip install "heyjetson[microphone]"'
        return [f"sounddevice is not usable ({error}); {f'{recorder} will be used' if recorder else cure}"]
    inputs = [f"{device['index']}: {device['name']}" for device in devices if device["max_input_channels"] > 0]
    return inputs or ["none found"]


def _bundle(folder: str, provider: str) -> tuple[bool, str]:
    """Whether a bundle runs here as it should, and what is to be said of it."""
    try:
        from heyjetson.bundle import Bundle
        from heyjetson.check import report
        from heyjetson.engine import Engine
        from heyjetson.wakeword.trigger import Trigger

        bundle = Bundle(folder)
        kind: Any = Trigger if bundle.is_trigger else Engine
        loaded = kind(bundle, provider=provider)
        finding = report(loaded, lambda: kind(bundle, provider="cpu"))
    except HeyJetsonError as error:
        return False, str(error)
    except (ImportError, OSError) as error:
        if said := sentence(error):
            return False, said
        raise
    return finding.good, f"{folder}: loads, runs on {loaded.provider}\n{finding.said}"


def run(options: argparse.Namespace) -> int:
    """Print what is here; 1 when nothing can be run here, or the bundle gives something else than it should."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    (runs, onnxruntime), (engines, tensorrt) = _onnxruntime(), _tensorrt()
    good = runs or engines
    board = _first_line("/proc/device-tree/model")
    rows = {
        "heyjetson": version("heyjetson") or "?",
        "Python": f"{sys.version.split()[0]}, {platform.platform()}",
        "board": board or "not a Jetson",
        "L4T": _first_line("/etc/nv_tegra_release") or "–",
        "CPU": f"{os.cpu_count()} × {processor()}, {_memory()} memory",
        "onnxruntime": onnxruntime,
        "TensorRT": tensorrt,
        "sound": _sound(),
        "language model": _language_model(),
        "beam search": core.describe(),
        "microphones": "\n".join(microphones()),
    }
    if options.bundle:
        good, rows["bundle"] = _bundle(options.bundle, options.provider)
    table = Table(show_header=False, title="this device")
    for key, value in rows.items():
        table.add_row(key, escape(value))  # "heyjetson[lm]" is not markup
    Console().print(table)
    return 0 if good else 1
