"""What does `heyjetson serve` bear? Start, live streams, a long file, thousands of requests, too many at once; and
`heyjetson wyoming`, on the same cores.

    python benchmarks/serve.py bundles/streaming data/digits/test.jsonl
    python benchmarks/serve.py bundles/streaming recordings/ --streams 40 --seconds 60 --requests 1000
    python benchmarks/serve.py bundles/streaming recordings/ --only live,long --json
    python benchmarks/serve.py bundles/streaming recordings/ --hostile          rows for RESULTS.md, two minutes

The server is a process of its own on loopback; the load comes from this one, on the same cores. Partial latency is the
time from sending the last chunk that a partial has heard to receiving it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
from websockets.asyncio.client import connect

from benchmarks.hostile import FLOODS, IDLE
from benchmarks.serve_load import (
    CHUNK,
    RATE,
    ROOT,
    Figures,
    Load,
    mebibytes,
    processor_seconds,
    speech,
    start,
    stop,
)
from benchmarks.serve_streams import realtime, sessions, wyoming

PARTS = ("start", "live", "wyoming", "realtime", "long", "memory", "sessions", "overload")
PATIENCE = 5  # times a good client sends a file while it is answered 503
ROUTE = "/v1/audio/transcriptions"


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


async def hostile(load: Load) -> Figures:
    """Good clients beside hostile ones: live streams, health once in half a second, a file a second."""
    seconds = load.options.seconds
    command = [sys.executable, str(ROOT / "benchmarks" / "hostile.py"), load.address, "--seconds", str(seconds + 5)]
    command += ["--idle", str(load.options.idle), "--floods", str(load.options.floods)]
    before, memory = mebibytes(load), [0.0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as enemies:
        try:
            assert enemies.stdout
            if (await asyncio.to_thread(enemies.stdout.readline)).strip() != "ready":
                sys.exit("serve.py: benchmarks/hostile.py did not begin: it says why above.")
            latencies: list[float] = []
            begin = time.perf_counter() + 0.5
            used, since = processor_seconds(load), time.perf_counter()
            texts = processor_seconds(load, children=True)
            streams = [one_stream(load, number, latencies, begin) for number in range(load.options.streams)]
            health: list[float] = []
            failures: Counter[str] = Counter()
            sound = load.wav(1.0)

            async def every(pause: float, what: str, ask: Callable[[], Awaitable[None]]) -> None:
                while time.perf_counter() < begin + seconds:
                    try:
                        await ask()
                    except (httpx.HTTPError, OSError) as error:
                        failures[f"{what}: {type(error).__name__} {error}"[:100]] += 1
                    await asyncio.sleep(pause)

            # Each has a connection of its own. Unverified: reading certificates would hold up the streams' clients.
            async def ask_health() -> None:
                began = time.perf_counter()
                async with httpx.AsyncClient(base_url=load.address, timeout=30, verify=False) as client:
                    (await client.get("/health/ready")).raise_for_status()
                health.append(time.perf_counter() - began)

            async def ask_file() -> None:
                async with httpx.AsyncClient(base_url=load.address, timeout=60, verify=False) as client:
                    for _ in range(PATIENCE):  # as OpenAI's clients do
                        answer = await send(client, sound)
                        if answer.status_code != 503:
                            break
                        retries.append(1)
                        await asyncio.sleep(float(answer.headers["Retry-After"]))
                    answer.raise_for_status()
                    files.append(1)

            async def watch() -> None:
                memory.append(await asyncio.to_thread(mebibytes, load))

            files: list[int] = []
            retries: list[int] = []
            others = [every(0.5, "health", ask_health), every(1.0, "file", ask_file), every(5.0, "memory", watch)]
            done = await asyncio.gather(*streams, *others, return_exceptions=True)
            took = time.perf_counter() - since
            used = (processor_seconds(load) - used) / took
            texts = (processor_seconds(load, children=True) - texts) / took
            failures.update(f"stream: {error!r}"[:100] for error in done if isinstance(error, BaseException))
            seen = json.loads(await asyncio.to_thread(enemies.stdout.read))
        finally:
            enemies.kill()
    for what, count in failures.items():
        print(f"failed {count} times: {what}", file=sys.stderr)
    half, most, worst = np.percentile(np.array(latencies or [np.inf]) * 1000, [50, 95, 100])
    return {
        "hostile for, s": seconds,
        "live streams beside them": load.options.streams,
        "partial latency, median, ms": round(float(half), 1),
        "partial latency, 95 %, ms": round(float(most), 1),
        "partial latency, worst, ms": round(float(worst), 1),
        "cores in use by the server, by its children": f"{used:.2f}, {texts:.2f}",
        "health, slowest of " + str(len(health)) + ", s": round(max(health, default=float("inf")), 2),
        "files transcribed": len(files),
        "times they were answered 503 and sent again": len(retries),
        "requests and streams of good clients that failed": sum(failures.values()),
        "MiB before, most": f"{before:.0f}, {max(memory):.0f}",
        "log, KiB": round(load.log.stat().st_size / 1024),
        "what became of them": ", ".join(f"{what} {count}" for what, count in sorted(seen.items())),
    }


GOALS = {
    "partial latency, 95 %, ms": "150",
    "requests and streams of good clients that failed": "0",
}  # of --hostile; health has one second


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder written by export.py; streaming, for the live part")
    parser.add_argument("recordings", type=Path, help="folder or manifest of speech")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to run (default {','.join(PARTS)})")
    parser.add_argument("--streams", type=int, default=20, help="live streams at once (default 20)")
    parser.add_argument("--satellites", type=int, default=10, help="of wyoming and realtime, at once (default 10)")
    parser.add_argument("--seconds", type=float, help="each speaks (default 30; 120 with --hostile)")
    parser.add_argument("--minutes", type=float, default=10, help="of the long file (default 10)")
    parser.add_argument(
        "--requests", type=int, default=10000, help="short ones, of memory and of sessions (default 10000)"
    )
    parser.add_argument("--hostile", action="store_true", help="instead: good clients beside hostile ones")
    parser.add_argument("--idle", type=int, default=IDLE, help=f"sockets beside them (default {IDLE})")
    parser.add_argument("--floods", type=int, default=FLOODS, help=f"of text beside them (default {FLOODS})")
    parser.add_argument("--serve", nargs=argparse.REMAINDER, default=[], help="what follows goes to `heyjetson serve`")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 120.0 if options.hostile else 30.0
    return options


def main() -> None:
    """Run the parts on one server, after it was started three times."""
    options = arguments()
    chosen = ["hostile"] if options.hostile else options.only.split(",")
    if unknown := set(chosen) - {*PARTS, "hostile"}:
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
            "live": live, "wyoming": wyoming, "realtime": realtime, "long": long, "memory": memory,
            "sessions": sessions, "overload": overload, "hostile": hostile,
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
    if options.hostile:
        print("| figure | measured | goal |\n|---|---|---|")
        for name, value in figures.items():
            goal = GOALS.get(name, "1" if name.startswith("health") else "")
            print(f"| {name} | {value} | {goal} |")
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
