"""The parts of `serve.py` that speak as others' clients do: Home Assistant's satellites, OpenAI's realtime sessions.

Their events do not say what sound they have heard. What the model writes after each chunk is computed here before, on
the same sound, so that an event's latency is counted from the chunk that made it possible.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable

import numpy as np
import openai
import soxr
from wyoming.asr import Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient

from benchmarks.serve_load import CHUNK, RATE, Figures, Load, mebibytes, processor_seconds, start_wyoming, stop
from heyjetson import Bundle, Engine

AT_ONCE = 4  # short sessions
REALTIME = 24000  # hertz
DELTA = "conversation.item.input_audio_transcription.delta"
DONE = "conversation.item.input_audio_transcription.completed"


def pcm(samples: np.ndarray) -> np.ndarray:
    """Samples [S] as int16."""
    return (samples.clip(-1, 1) * 32767).astype("<i2")


def lengths(engine: Engine, samples: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """Characters of the text after each chunk, and the seconds at which its first word ends (infinite without any)."""
    stream = engine.stream(rate)
    size = round(CHUNK * rate)
    written = []
    for begin in range(0, len(samples), size):
        stream.feed(samples[begin : begin + size])
        written.append(len(stream.partial().text))
    words = stream.finish().words
    return np.array(written), words[0].end if words else float("inf")


class Times:
    """When chunks were sent, one after the other as one speaks.

    Args:
        begin: by `time.perf_counter`.
    """

    def __init__(self, begin: float):
        self.due = begin
        self.sent: list[float] = []

    async def wait(self) -> None:
        """Until the next chunk is due, which is sent then."""
        await asyncio.sleep(max(self.due - time.perf_counter(), 0))
        self.sent.append(time.perf_counter())
        self.due += CHUNK


async def satellite(load: Load, samples: np.ndarray, written: np.ndarray, begin: float, late: list[float]) -> None:
    """Speak to the service of Home Assistant."""
    size, times, told = round(CHUNK * RATE), Times(begin), 0
    async with AsyncClient.from_uri(load.address) as client:
        await client.write_event(AudioStart(RATE, 2, 1).event())

        async def hear() -> None:
            nonlocal told
            while (event := await client.read_event()) is not None and not Transcript.is_type(event.type):
                now = time.perf_counter()
                if TranscriptChunk.is_type(event.type) and told < written[-1]:
                    told += len(TranscriptChunk.from_event(event).text)
                    late.append(now - times.sent[min(int(np.searchsorted(written, told)), len(times.sent) - 1)])

        hearing = asyncio.create_task(hear())
        for start in range(0, len(samples), size):
            await times.wait()
            await client.write_event(AudioChunk(RATE, 2, 1, samples[start : start + size].tobytes()).event())
        await client.write_event(AudioStop().event())
        await asyncio.wait_for(hearing, 30)


async def wyoming(load: Load) -> Figures:
    """Satellites that stream at once."""
    count = load.options.satellites
    engine = Engine(Bundle(load.bundle))
    clips = [pcm(load.clip(load.options.seconds, number)) for number in range(count)]
    written = [lengths(engine, clip, RATE)[0] for clip in clips]
    there = start_wyoming(load)
    try:
        late: list[float] = []
        before, began = processor_seconds(there), time.perf_counter() + 0.5
        begins = [began + number * CHUNK / count for number in range(count)]  # satellites do not speak in step
        await asyncio.gather(*(satellite(there, *one, late) for one in zip(clips, written, begins, strict=True)))
        took = time.perf_counter() - began
        cores = (processor_seconds(there) - before) / took
    finally:
        stop(there)
    half, most, worst = np.percentile(np.array(late or [np.inf]) * 1000, [50, 95, 100])
    return {
        "satellites": count,
        "their transcript-chunks": len(late),
        "their latency, median, ms": round(float(half), 1),
        "their latency, 95 %, ms": round(float(most), 1),
        "their latency, worst, ms": round(float(worst), 1),
        "cores in use by heyjetson wyoming": round(cores, 2),
    }


def opened(load: Load) -> openai.AsyncOpenAI:
    """A client, which is slow to make: one does for all sessions."""
    return openai.AsyncOpenAI(base_url=f"{load.address}/v1", api_key="none")


async def session(
    client: openai.AsyncOpenAI, samples: np.ndarray, begin: float | None
) -> tuple[list[float], float | None]:
    """A realtime session that commits at its end.

    Args:
        client: of the server.
        samples: [S] int16 at 24 kHz.
        begin: speaks from then on; all at once where None.

    Returns:
        when each chunk was sent, and when the first delta came.
    """
    size, times = round(CHUNK * REALTIME), Times(begin or 0.0)
    first: float | None = None
    async with client.realtime.connect(model="gpt-realtime-whisper") as connection:
        update = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
        await connection.session.update(session=update)  # type: ignore[arg-type]

        async def hear() -> None:
            nonlocal first
            async for event in connection:
                if event.type == DELTA and first is None:
                    first = time.perf_counter()
                elif event.type == DONE:
                    return
                elif event.type == "error":
                    raise RuntimeError(event.error.message)

        hearing = asyncio.create_task(hear())
        for start in range(0, len(samples), size):
            if begin is not None:
                await times.wait()
            piece = base64.b64encode(samples[start : start + size].tobytes()).decode()
            await connection.input_audio_buffer.append(audio=piece)
        await connection.input_audio_buffer.commit()
        await asyncio.wait_for(hearing, 30)
    return times.sent, first


async def realtime(load: Load) -> Figures:
    """Sessions at once, and how long after the first word's end the first delta comes."""
    count, rounds = load.options.satellites, 3
    bundle = Bundle(load.bundle)
    engine = Engine(bundle)
    seconds = min(load.options.seconds, 5.0)
    late: list[float] = []
    client = opened(load)
    for turn in range(rounds):
        clips = [load.clip(seconds, turn * count + number) for number in range(count)]
        sounds = [pcm(soxr.resample(clip, RATE, REALTIME)) for clip in clips]
        ends = [lengths(engine, sound, REALTIME)[1] for sound in sounds]
        begin = time.perf_counter() + 1.0
        begins = [begin + number * CHUNK / count for number in range(count)]
        done = await asyncio.gather(*(session(client, *one) for one in zip(sounds, begins, strict=True)))
        for (sent, first), end in zip(done, ends, strict=True):
            if first is not None and end < seconds:
                late.append(first - sent[min(int(end / CHUNK), len(sent) - 1)])
    half, most, worst = np.percentile(np.array(late or [np.inf]) * 1000, [50, 95, 100])
    manifest = bundle.manifest
    own = (manifest["lookahead_frames"] + manifest["chunk_frames"]) * bundle.frame_seconds
    return {
        "realtime sessions, at once": f"{len(late)}, {count}",
        "first delta after the first word's end, median, ms": round(float(half), 1),
        "first delta after the first word's end, 95 %, ms": round(float(most), 1),
        "first delta after the first word's end, worst, ms": round(float(worst), 1),
        "of it the model's lookahead and step, ms": round(own * 1000),
    }


async def utterance(load: Load, samples: np.ndarray) -> None:
    """A short command of a satellite, all at once."""
    async with AsyncClient.from_uri(load.address) as client:
        await client.write_event(AudioStart(RATE, 2, 1).event())
        await client.write_event(AudioChunk(RATE, 2, 1, samples.tobytes()).event())
        await client.write_event(AudioStop().event())
        while (event := await client.read_event()) is not None:
            if Transcript.is_type(event.type):
                return
        raise RuntimeError("The service gave no transcript.")


async def repeated(count: int, one: Callable[[int], Awaitable[object]]) -> int:
    """Do something so often, a few at once; how often it failed."""
    numbers, failed = iter(range(count)), 0

    async def worker() -> None:
        nonlocal failed
        for number in numbers:
            try:
                await one(number)
            except (OSError, RuntimeError, openai.OpenAIError, asyncio.TimeoutError):
                failed += 1

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return failed


async def sessions(load: Load) -> Figures:
    """Thousands of short ones over both protocols, and whether memory grows."""
    clips = [load.clip(1.0, seed) for seed in range(20)]
    commands = [pcm(clip) for clip in clips]
    sounds = [pcm(soxr.resample(clip, RATE, REALTIME)) for clip in clips]
    there = start_wyoming(load)

    async def command(number: int) -> None:
        await utterance(there, commands[number % len(commands)])

    client = opened(load)

    async def spoken(number: int) -> None:
        await session(client, sounds[number % len(sounds)], None)

    figures: Figures = {}
    try:
        for name, server, one in (("wyoming", there, command), ("realtime", load, spoken)):
            warm = max(load.options.requests // 10, 1)
            failed = await repeated(warm, one)
            before, began = mebibytes(server), time.perf_counter()
            failed += await repeated(load.options.requests - warm, one)
            took = time.perf_counter() - began
            figures |= {
                f"{name}: sessions, failed": f"{load.options.requests}, {failed}",
                f"{name}: sessions a second": round((load.options.requests - warm) / took, 1),
                f"{name}: MiB after {warm}, at the end": f"{before:.1f}, {mebibytes(server):.1f}",
            }
    finally:
        stop(there)
    return figures
