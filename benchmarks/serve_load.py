"""What the parts of `serve.py` share: speech, servers that are processes of their own, and what they take."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import soundfile

from heyjetson.audio import load

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
CHUNK = 0.04  # seconds a live client sends at a time
Figures = dict[str, str | float]


@dataclass
class Load:
    """What the parts of the benchmark need.

    Args:
        bundle: folder of the bundle.
        speech: [S] float32 at 16 kHz, recordings one after the other.
        options: of the command line.
        address: of the running server.
        process: the running server.
    """

    bundle: Path
    speech: np.ndarray
    options: argparse.Namespace
    address: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None)
    log: Path = field(default_factory=lambda: Path(tempfile.mkdtemp()) / "log")

    def clip(self, seconds: float, seed: int = 0) -> np.ndarray:
        """A stretch of speech [S], from a drawn place, around the end where it is too short."""
        begin = int(np.random.default_rng(seed).integers(len(self.speech)))
        return np.take(self.speech, np.arange(begin, begin + round(seconds * RATE)), mode="wrap")

    def wav(self, seconds: float, seed: int = 0) -> bytes:
        """A stretch of speech as a file."""
        file = io.BytesIO()
        soundfile.write(file, self.clip(seconds, seed), RATE, "PCM_16", format="WAV")
        return file.getvalue()


def speech(source: Path, seconds: float = 300.0) -> np.ndarray:
    """Recordings of a folder or a manifest, one after the other, [S] float32 at 16 kHz."""
    if source.suffix == ".jsonl":
        records = [json.loads(line) for line in source.read_text().splitlines() if line.strip()]
        files = [source.parent / record["audio_filepath"] for record in records]
    else:
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".wav", ".flac", ".ogg", ".mp3"))
    pieces: list[np.ndarray] = []
    for path in files:
        if sum(map(len, pieces)) > seconds * RATE:
            break
        pieces.append(load(path, RATE))
    if not pieces:
        sys.exit(f"serve.py: {source} holds no recording.")
    return np.concatenate(pieces)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(load: Load) -> float:
    """Start a server; seconds until it is ready."""
    port = free_port()
    load.address = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    _begin(load, ["serve", str(load.bundle), "--port", str(port), "--state", tempfile.mkdtemp(), *load.options.serve])
    while True:
        try:
            if httpx.get(f"{load.address}/health/ready", timeout=5).status_code == 200:
                return time.perf_counter() - began
        except httpx.TransportError:
            _require_life(load)
        time.sleep(0.005)


def start_wyoming(load: Load) -> Load:
    """Start the service of Home Assistant; what the parts need with it."""
    port = free_port()
    other = replace(load, address=f"tcp://127.0.0.1:{port}", log=load.log.with_name("wyoming"))
    _begin(other, ["wyoming", str(load.bundle), "--uri", other.address])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return other
        except OSError:
            _require_life(other)
        time.sleep(0.005)


def _begin(load: Load, arguments: list[str]) -> None:
    with load.log.open("wb") as log:
        command = [sys.executable, "-m", "heyjetson", *arguments]
        load.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)


def _require_life(load: Load) -> None:
    assert load.process
    if load.process.poll() is not None:
        sys.exit(f"serve.py: the server ended with status {load.process.returncode}: {load.log.read_text()}")


def stop(load: Load) -> None:
    """End the server as an operator does."""
    assert load.process
    load.process.send_signal(signal.SIGTERM)
    load.process.wait(60)


def mebibytes(load: Load) -> float:
    """Memory of the server and of its decoders."""
    assert load.process
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.search(r"^PPid:\s+(\d+)", (folder / "status").read_text(), re.MULTILINE)[1])  # type: ignore[index]
            if load.process.pid in (int(folder.name), parent):
                text = (folder / "smaps_rollup").read_text()
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1024  # type: ignore[index]
        except (OSError, TypeError):
            continue
    return total


def processor_seconds(load: Load, children: bool = False) -> float:
    """Processor time of the server so far, or of its children, those that have ended among them."""
    assert load.process
    total = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(file.parent.name) == load.process.pid:
            total += sum(map(int, fields[13:15] if children else fields[11:13]))
        elif children and int(fields[1]) == load.process.pid:
            total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")
