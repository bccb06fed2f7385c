"""Clients that mean a server no good, harmless each: idle sockets, bodies that halt, floods of text.

    python benchmarks/hostile.py http://127.0.0.1:8000 --seconds 120

`benchmarks/serve.py --hostile` runs it beside good clients. Each kind comes from loopback addresses of its own, and
whoever is cut off comes again, at most once a second. Says `ready` when all have come, and at the end what became of
them as a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

IDLE, STUCK, FLOODS = 2000, 50, 20
ADDRESSES = 20  # of each kind
AGAIN = 1.0  # seconds until one that was cut off comes again
TEXT = "I really love this very good day, but the weather is not so bad, is it! " * 1000
Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Counter[str]], Awaitable[None]]


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Counter[str]) -> None:
    """Say nothing until the server ends it."""
    await reader.read(1)
    seen["idle sockets cut"] += 1


async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Counter[str]) -> None:
    """Begin an upload, and say no more."""
    writer.write(
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    await reader.read()
    seen["stuck bodies cut"] += 1


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Counter[str]) -> None:
    """Ask for the tone of much text, over and over."""
    body = json.dumps({"text": TEXT}).encode()
    head = "POST /v1/sentiment HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    while True:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        seen[f"sentiment answered {answer.split()[1].decode()}"] += 1
        length = next(line for line in answer.splitlines() if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))


async def ever(client: Client, host: str, port: int, source: str, came: asyncio.Semaphore, seen: Counter[str]) -> None:
    """Come, and come again; `came` is released at the first time."""
    first = True
    while True:
        writer = None
        try:
            reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
            if first:
                first = False
                came.release()
            await client(reader, writer, seen)
        except (OSError, asyncio.IncompleteReadError, StopIteration):
            seen["connections refused or reset"] += 1
        finally:
            if writer:
                writer.transport.abort()
        await asyncio.sleep(AGAIN)


async def run(address: str, seconds: float, counts: tuple[int, int, int]) -> Counter[str]:
    """So many of each kind at once, for so long."""
    parts = urlsplit(address)
    came, seen = asyncio.Semaphore(0), Counter[str]()
    kinds: list[tuple[Client, int]] = list(zip((idle, stuck, flood), counts, strict=True))
    clients = []
    for network, (client, count) in enumerate(kinds, start=1):
        for number in range(count):
            source = f"127.0.{network}.{1 + number % ADDRESSES}"
            clients.append(
                asyncio.create_task(ever(client, parts.hostname or "", parts.port or 80, source, came, seen))
            )
        for _ in range(count):
            await came.acquire()
    print("ready", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(min(1.0, max(end - time.monotonic(), 0)))
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return seen


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of the server, on this machine")
    parser.add_argument("--seconds", type=float, default=120, help="of attack (default 120)")
    parser.add_argument("--idle", type=int, default=IDLE, help=f"sockets that say nothing (default {IDLE})")
    parser.add_argument("--stuck", type=int, default=STUCK, help=f"bodies that halt (default {STUCK})")
    parser.add_argument("--floods", type=int, default=FLOODS, help=f"of text (default {FLOODS})")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(10)  # hostile clients have machines of their own: here they take what server and good ones leave
    counts = options.idle, options.stuck, options.floods
    print(json.dumps(asyncio.run(run(options.address, options.seconds, counts))))


if __name__ == "__main__":
    main()
