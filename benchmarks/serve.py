"""What does `heyjetson serve` bear? Start, live streams, a long file, thousands of requests, too many at once.

    python benchmarks/serve.py bundles/streaming data/digits/test.jsonl
    python benchmarks/serve.py bundles/streaming recordings/ --streams 40 --seconds 60 --requests 1000
    python benchmarks/serve.py bundles/streaming recordings/ --only live,long --json

The server is a process of its own on loopback; the load comes from this one, on the same cores. Partial latency is the
time from sending the last chunk that a partial has heard to receiving it.
"""

from __future__ import annotations

import argparse
import asyncio
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
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402

from heyjetson.audio import load  # noqa: E402

RATE = 16000
CHUNK = 0.04  # seconds a live client sends at a time
PARTS = ("start", "live", "long", "memory", "overload")
ROUTE = "/v1/audio/transcriptions"
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
    command = [sys.executable, "-m", "heyjetson", "serve", str(load.bundle), "--port", str(port)]
    command += ["--state", tempfile.mkdtemp(), *load.options.serve]
    began = time.perf_counter()
    load.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            if httpx.get(f"{load.address}/health/ready", timeout=5).status_code == 200:
                return time.perf_counter() - began
        except httpx.TransportError:
            if load.process.poll() is not None:
                sys.exit(f"serve.py: the server ended with status {load.process.returncode}: {' '.join(command)}")
        time.sleep(0.005)


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


def processor_seconds(load: Load) -> float:
    """Processor time of the server so far."""
    assert load.process
    fields = Path(f"/proc/{load.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def one_stream(load: Load, number: int, latencies: list[float], begin: float) -> int:
    """Speak into a live stream as fast as one speaks; how many finals came."""
    clip = (load.clip(load.options.seconds, number) * 32767).astype("<i2")
    size = round(CHUNK * RATE)
    sent: list[float] = []
    finals = 0

    async def hear(connection: Any) -> None:
        nonlocal finals
        async for text in connection:
            now = time.perf_counter()
            message = json.loads(text)
            if message["type"] == "partial":
                last = min(max(round(message["seconds"] / CHUNK) - 1, 0), len(sent) - 1)
                latencies.append(now - sent[last])
            finals += message["type"] == "final"
            if message["type"] == "flushed":
                return

    address = load.address.replace("http", "ws") + f"/v1/listen?rate={RATE}"
    async with connect(address, subprotocols=["heyjetson"]) as connection:  # type: ignore[list-item]
        json.loads(await connection.recv())
        hearing = asyncio.create_task(hear(connection))
        due = begin + number * CHUNK / load.options.streams  # clients do not speak in step
        for start in range(0, len(clip), size):
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            sent.append(time.perf_counter())
            await connection.send(clip[start : start + size].tobytes())
            due += CHUNK
        await connection.send(json.dumps({"type": "flush"}))
        await asyncio.wait_for(hearing, 30)
    return finals


async def live(load: Load) -> Figures:
    """Streams at once in real time."""
    latencies: list[float] = []
    before, began = processor_seconds(load), time.perf_counter()
    count = load.options.streams
    done = await asyncio.gather(*(one_stream(load, number, latencies, began + 0.5) for number in range(count)))
    took = time.perf_counter() - began
    half, most, worst = np.percentile(np.array(latencies) * 1000, [50, 95, 100])
    return {
        "live streams": count,
        "seconds each": load.options.seconds,
        "partials": len(latencies),
        "finals": sum(done),
        "partial latency, median, ms": round(float(half), 1),
        "partial latency, 95 %, ms": round(float(most), 1),
        "partial latency, worst, ms": round(float(worst), 1),
        "cores in use by the server": round((processor_seconds(load) - before) / took, 2),
    }


async def send(client: httpx.AsyncClient, sound: bytes) -> httpx.Response:
    """Have a file transcribed."""
    return await client.post(ROUTE, files={"file": ("speech.wav", sound)}, data={"model": "default"})


async def long(load: Load) -> Figures:
    """One long file, best of three."""
    sound = load.wav(load.options.minutes * 60)
    times = []
    async with httpx.AsyncClient(base_url=load.address, timeout=600) as client:
        for _ in range(3):
            began = time.perf_counter()
            (await send(client, sound)).raise_for_status()
            times.append(time.perf_counter() - began)
    return {
        f"{load.options.minutes:g}-minute file, s": round(min(times), 2),
        "slowest of three, s": round(max(times), 2),
    }


async def many(load: Load, count: int, at_once: int, sounds: list[bytes]) -> list[httpx.Response]:
    """Send files, so many at once."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    answers: list[httpx.Response] = []
    numbers = iter(range(count))
    async with httpx.AsyncClient(base_url=load.address, timeout=120, limits=limits) as client:

        async def worker() -> None:
            for number in numbers:
                answers.append(await send(client, sounds[number % len(sounds)]))

        await asyncio.gather(*(worker() for _ in range(at_once)))
    return answers


async def memory(load: Load) -> Figures:
    """Thousands of short files, and whether memory grows."""
    sounds = [load.wav(1.0, seed) for seed in range(50)]
    warm = max(load.options.requests // 10, 1)
    await many(load, warm, 4, sounds)
    before, began = mebibytes(load), time.perf_counter()
    answers = await many(load, load.options.requests - warm, 4, sounds)
    took = time.perf_counter() - began
    return {
        "requests, 4 at once": load.options.requests,
        "failed": sum(answer.status_code != 200 for answer in answers),
        "a second": round(len(answers) / took, 1),
        f"MiB after {warm}": round(before, 1),
        "MiB at the end": round(mebibytes(load), 1),
    }


async def overload(load: Load) -> Figures:
    """Far more at once than the queue holds."""
    answers = await many(load, 400, 100, [load.wav(20.0, seed) for seed in range(4)])
    statuses = Counter(answer.status_code for answer in answers)
    told = all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    after = (await many(load, 1, 1, [load.wav(1.0)]))[0].status_code
    return {
        "requests, 100 at once": len(answers),
        **{f"answered {status}": count for status, count in sorted(statuses.items())},
        "every 503 says when to retry": "yes" if told else "no",
        "the request after it": after,
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder written by export.py; streaming, for the live part")
    parser.add_argument("recordings", type=Path, help="folder or manifest of speech")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to run (default {','.join(PARTS)})")
    parser.add_argument("--streams", type=int, default=20, help="live streams at once (default 20)")
    parser.add_argument("--seconds", type=float, default=30, help="each speaks (default 30)")
    parser.add_argument("--minutes", type=float, default=10, help="of the long file (default 10)")
    parser.add_argument("--requests", type=int, default=10000, help="short ones (default 10000)")
    parser.add_argument("--serve", nargs=argparse.REMAINDER, default=[], help="what follows goes to `heyjetson serve`")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    return parser.parse_args()


def main() -> None:
    """Run the parts on one server, after it was started three times."""
    options = arguments()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        sys.exit(f"serve.py: there is no part {', '.join(sorted(unknown))}; --only takes {', '.join(PARTS)}.")
    load = Load(options.bundle, speech(options.recordings), options)
    figures: Figures = {}
    starts = [start(load)]
    try:
        if "start" in chosen:
            for _ in range(2):
                stop(load)
                starts.append(start(load))
            figures["start to ready, s, best of three"] = round(min(starts), 2)
            figures["MiB when ready"] = round(mebibytes(load), 1)
        parts: dict[str, Callable[[Load], Awaitable[Figures]]] = {
            "live": live, "long": long, "memory": memory, "overload": overload,
        }  # fmt: skip
        for name, part in parts.items():
            if name in chosen:
                if not options.json:
                    print(f"{name} …", file=sys.stderr)
                figures |= asyncio.run(part(load))  # type: ignore[arg-type]
    finally:
        stop(load)
    if options.json:
        print(json.dumps(figures))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"heyjetson serve {options.bundle}, {os.cpu_count()} cores")
    table.add_column("figure")
    table.add_column("", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
