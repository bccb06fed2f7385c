"""Performance runs: a data set through engines, in the background, one run at a time, behind what people ask for."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from heyjetson.server.audio.datasets import Dataset, Utterance
from heyjetson.server.engines.base import Engine, EngineError, TranscriptionResult
from heyjetson.server.errors import BusyError, RequestError, public_error
from heyjetson.server.models import Models
from heyjetson.server.performance import accuracy
from heyjetson.server.performance.results import Outcome, Results
from heyjetson.server.workers import Workers

T = TypeVar("T")
LONGEST = 20_000  # utterances of a run
WAITING = 4  # runs
TRIES = 3  # of an utterance, where another may help
FAILURES = 5  # one after another, then an engine is given up
ASK_LATER = (429, 503)  # of HTTP
PAUSE = 0.02  # seconds between looks whether people need the device


@dataclass
class _Pace:
    """How fast an engine is in the running run."""

    began: float
    done: int = 0


@dataclass
class _Current:
    run: int
    task: asyncio.Task[None]
    paces: dict[str, _Pace] = field(default_factory=dict)


def spread(dataset: Dataset, limit: int | None) -> list[Utterance]:
    """Utterances of a data set, all or so many of them at even distances: manifests are sorted by speaker, often.

    Raises:
        RequestError: 422, there are too many.
    """
    count = min(limit or len(dataset), len(dataset))
    if count > LONGEST:
        raise RequestError(422, f"A run has at most {LONGEST} utterances: give a limit.", "too_many")
    return [dataset.utterances[place * len(dataset) // count] for place in range(count)]


class Jobs:
    """All runs of a server. Its methods belong to the event loop.

    Args:
        models: data sets, engines and threads.
    """

    def __init__(self, models: Models):
        self.models = models
        settings = models.settings
        self.results = Results(settings.state, settings.results_bytes, settings.free_bytes)
        self._queue: deque[int] = deque()
        self._current: _Current | None = None
        self._worker: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()  # of which runs there are and wait: one request after the other
        self._device = asyncio.Lock()  # a run's own engines take turns, so that none slows the other
        # One, so that what is written stays in order; its queue is as long as those who wait for it are many.
        self._writer = Workers(1, None, "results", settings.work_seconds)
        self._hands = Workers(4, None, "runs", settings.work_seconds)  # recordings are read, and transcripts scored
        self._closing = False

    async def write(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a method of the results that writes, to its end, also where the caller is cancelled meanwhile."""
        return await asyncio.shield(self._writer.run(function, *arguments))

    @property
    def workers(self) -> tuple[Workers, Workers]:
        """The threads of runs alone."""
        return self._writer, self._hands

    async def start(self, dataset: Dataset, engines: Sequence[Engine], limit: int | None) -> int:
        """Queue a new run; returns its id.

        Raises:
            RequestError: 422, too many utterances; 503, too many runs wait.
        """
        chosen = spread(dataset, limit)
        async with self._changing:
            self._require_room()
            run = await self.write(
                self.results.create,
                dataset.name,
                self.models.model_name,
                [(engine.name, engine.kind, engine.identity) for engine in engines],
                [(one.index, one.seconds, one.text, one.speaker) for one in chosen],
                dataset.identity,
            )
            self._enqueue(run)
        return run

    async def resume(self, run: int) -> None:
        """Queue a run that was interrupted or cancelled, to go on where it was; what failed is tried again.

        Raises:
            RequestError: 404, there is none; 409, it is not over, or what it ran on has changed; 503, too many wait.
        """
        async with self._changing:
            record = await self._hands.run(self.results.one, run)
            if self.state(record) in ("waiting", "running"):
                raise RequestError(409, "The run is not over: there is nothing to continue.", "not_over")
            self._require_room()
            await self._require_ground(record)
            await self.write(self.results.forget_failures, run)
            await self.write(self.results.set_state, run, "waiting")
            self._enqueue(run)

    async def _require_ground(self, run: dict[str, Any]) -> None:
        """What a run ran on must be what it was.

        Raises:
            RequestError: 409, it is not.
        """
        again = "Start a new run instead."
        dataset = self.models.datasets.get(run["dataset"])
        if dataset is None:
            raise RequestError(409, f"This server has no data set {run['dataset']!r} any more. {again}", "changed")
        if not self.same_recordings(run):
            raise RequestError(409, f"The data set {dataset.name!r} is not what it was. {again}", "changed")
        for number, reference in (await self._hands.run(self.results.references, run["id"])).items():
            if number >= len(dataset) or dataset.utterances[number].text != reference:
                raise RequestError(409, f"The data set {dataset.name!r} is not what it was. {again}", "changed")
        for one in run["engines"]:
            engine = self.models.engines.get(one["name"])
            if engine is None or engine.identity != one["identity"]:
                raise RequestError(409, f"The engine {one['name']!r} is not what it was. {again}", "changed")

    def same_recordings(self, run: dict[str, Any]) -> bool:
        """Whether the data set of a run of `Results.runs` is still there; of earlier versions' runs the name counts."""
        dataset = self.models.datasets.get(run["dataset"])
        return dataset is not None and run["recordings"] in ("", dataset.identity)

    def _require_room(self) -> None:
        if self._closing or len(self._queue) >= WAITING:
            raise BusyError(60)

    def _enqueue(self, run: int) -> None:
        self._queue.append(run)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="performance")

    def state(self, run: dict[str, Any]) -> str:
        """How a run of `Results.runs` stands: `waiting`, `running`, `done`, `cancelled`, `failed`, or `interrupted`:
        the server ended while it ran or waited."""
        current = self._current  # other threads ask, too
        active = run["id"] in self._queue or (current is not None and current.run == run["id"])
        return "interrupted" if run["state"] in ("waiting", "running") and not active else run["state"]

    def left_seconds(self, run: dict[str, Any]) -> float | None:
        """Seconds that a running run will take yet, or None where nobody knows."""
        current = self._current
        if current is None or current.run != run["id"]:
            return None
        left = 0.0
        for engine in run["engines"]:
            rest = run["utterances"] - engine["done"]
            pace = current.paces.get(engine["name"])
            if rest and not engine["message"] and (not engine["done"] or engine["done"] > engine["failed"]):
                if pace is None or not pace.done:
                    return None
                left = max(left, rest * (time.monotonic() - pace.began) / pace.done)
        return left

    async def cancel(self, run: int) -> None:
        """Stop a run that runs or waits; its results so far stay.

        Raises:
            RequestError: 404, there is none; 409, it has come to another end.
        """
        async with self._changing:
            if run in self._queue:
                self._queue.remove(run)
                await self.write(self.results.set_state, run, "cancelled")
            elif self._current is not None and self._current.run == run:
                task = self._current.task
                task.cancel()
                await asyncio.wait([task])
            if self.state(await self._hands.run(self.results.one, run)) != "cancelled":
                raise RequestError(409, "The run is over: there is nothing to cancel.", "over")

    async def forget(self, run: int) -> None:
        """Delete a run that is over, with all of its results.

        Raises:
            RequestError: 404, there is none; 409, it is not over.
        """
        async with self._changing:
            if self.state(await self._hands.run(self.results.one, run)) in ("waiting", "running"):
                raise RequestError(409, "The run is not over: cancel it first.", "not_over")
            await self.write(self.results.forget, run)

    async def close(self) -> None:
        """Stop the running run; it can be continued later."""
        self._closing = True
        self._queue.clear()
        if self._current:
            self._current.task.cancel()
        if self._worker:
            await asyncio.wait([self._worker])
        for workers in self.workers:
            await asyncio.to_thread(workers.close)
        self.results.close()

    async def _work(self) -> None:
        while self._queue:
            run = self._queue.popleft()
            self._current = _Current(run, asyncio.create_task(self._run(run)))
            await asyncio.wait([self._current.task])
            self._current = None

    async def _run(self, run: int) -> None:
        """One run from where it is to its end; what happens to it is written down, never raised."""
        began = time.monotonic()
        state, message = "done", ""
        try:
            await self.write(self.results.set_state, run, "running")
            record = await self._hands.run(self.results.one, run)
            dataset = self.models.datasets[record["dataset"]]
            tasks = [
                asyncio.create_task(self._engine(run, dataset, self.models.engines[one["name"]]))
                for one in record["engines"]
            ]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        except asyncio.CancelledError:
            state = "interrupted" if self._closing else "cancelled"
        except Exception as error:
            state, message = "failed", public_error(error)[2]
        with suppress(RequestError):  # it has been logged; the run will be shown as interrupted
            await self.write(self.results.finish, run, state, message, time.monotonic() - began)

    async def _engine(self, run: int, dataset: Dataset, engine: Engine) -> None:
        """All utterances that an engine has not tried."""
        missing = await self._hands.run(self.results.missing, run, engine.name)
        assert self._current
        pace = self._current.paces[engine.name] = _Pace(time.monotonic())
        failures = 0
        for number, reference in missing:
            outcome = await self._outcome(dataset, engine, number, reference, failures)
            await self.write(self.results.record, run, engine.name, number, outcome)
            pace.done += 1
            failures = failures + 1 if outcome.error and engine.kind not in ("model", "bundle") else 0
            if failures == FAILURES:
                message = f"Given up after {FAILURES} failures, one after another. The last: {outcome.error}"
                await self.write(self.results.set_message, run, engine.name, message)
                return

    async def _outcome(self, dataset: Dataset, engine: Engine, number: int, reference: str, failures: int) -> Outcome:
        try:
            clip = await self._hands.run(dataset.load, number)
        except Exception as error:
            return Outcome(error=public_error(error)[2])
        for attempt in range(TRIES):
            try:
                heard = await self._transcribe(engine, clip)
                return await self._hands.run(_scored, reference, heard)
            except EngineError as error:
                # After a failure the next utterance is try enough, unless the engine only wants to be asked later.
                tries = 1 if failures and error.status not in ASK_LATER else TRIES
                if error.retry is None or attempt + 1 >= tries:
                    return Outcome(error=str(error))
                await asyncio.sleep(error.retry)
            except Exception as error:
                return Outcome(error=public_error(error)[2])
        raise AssertionError

    async def _transcribe(self, engine: Engine, clip: Any) -> TranscriptionResult:
        if not engine.local or engine.kind not in ("model", "bundle"):
            return await self._patiently(engine, clip)
        async with self._device:
            files = self.models.files
            while files.held >= files.threads:
                await asyncio.sleep(PAUSE)
            return await self._patiently(engine, clip)

    async def _patiently(self, engine: Engine, clip: Any) -> TranscriptionResult:
        while True:
            try:
                return await engine.transcribe(clip)
            except BusyError:
                await asyncio.sleep(10 * PAUSE)


def _scored(reference: str, heard: TranscriptionResult) -> Outcome:
    said, written = accuracy.plain(reference), accuracy.plain(heard.text)
    if not accuracy.comparable(said, written):
        return Outcome(error=f"The transcript has {len(written)} characters, too many to be compared.")
    return Outcome(heard.text, None, {"taken": heard.seconds_taken, **accuracy.score(said, written)})
