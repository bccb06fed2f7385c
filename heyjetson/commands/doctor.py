"""`heyjetson doctor`: what is on this device, and what will be used."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from heyjetson.commands import command
from heyjetson.errors import HeyJetsonError
from heyjetson.processor import processor


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "doctor",
        "say what is on this device and what will be used",
        "  heyjetson doctor\n  heyjetson doctor bundles/synthetic",
    )
    parser.add_argument("bundle", nargs="?", help="try to load this one as well")
    parser.set_defaults(run=run)


def version(package: str) -> str | None:
    """Installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


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


def _onnxruntime() -> str:
    try:
        import onnxruntime
    except ImportError as error:
        return f"not usable ({error}); run pip install onnxruntime"
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if version(name)]
    doubt = "; both packages are installed, which hides the GPU: remove onnxruntime" if len(found) > 1 else ""
    return f"{onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}{doubt}"


def _tensorrt() -> str:
    from heyjetson.tensorrt.build import find_trtexec, tensorrt_module
    from heyjetson.tensorrt.errors import TensorRTError

    try:
        if module := tensorrt_module():
            return f"{module.__version__}, Python package"
    except TensorRTError as error:
        return str(error)
    found = find_trtexec()
    return f"no Python package; {found} can build engines" if found else "not installed"


def _language_model() -> str:
    found = version("flashlight-text")
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


def run(options: argparse.Namespace) -> int:
    """Print what is here; 1 when the bundle given cannot be run."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    board = _first_line("/proc/device-tree/model")
    rows = {
        "heyjetson": version("heyjetson") or "?",
        "Python": f"{sys.version.split()[0]}, {platform.platform()}",
        "board": board or "not a Jetson",
        "L4T": _first_line("/etc/nv_tegra_release") or "–",
        "CPU": f"{os.cpu_count()} × {processor()}, {_memory()} memory",
        "onnxruntime": _onnxruntime(),
        "TensorRT": _tensorrt(),
        "language model": _language_model(),
        "microphones": "\n".join(microphones()),
    }
    status = 0
    if options.bundle:
        from heyjetson.bundle import Bundle
        from heyjetson.engine import Engine
        from heyjetson.trigger import Trigger

        try:
            bundle = Bundle(options.bundle)
            loaded = Trigger(bundle) if bundle.is_trigger else Engine(bundle)
            rows["bundle"] = f"{options.bundle}: loads, runs on {loaded.provider}"
        except HeyJetsonError as error:
            rows["bundle"] = str(error)
            status = 1
    table = Table(show_header=False, title="this device")
    for key, value in rows.items():
        table.add_row(key, escape(value))  # "heyjetson[lm]" is not markup
    Console().print(table)
    return status
