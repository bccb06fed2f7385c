"""Performance runs: start, watch, look at, take away, forget."""

from __future__ import annotations

import csv
import io
import json
import time
from itertools import combinations
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.engines import MODEL
from heyjetson.server.errors import RequestError
from heyjetson.server.performance import accuracy, intervals
from heyjetson.server.performance.jobs import LONGEST
from heyjetson.server.routes.dataset import chosen
from heyjetson.server.routes.engines import chosen_engines

router = APIRouter(prefix="/v1/performance", tags=["performance"])
Here = Annotated[AppState, Depends(app_state)]
Id = Annotated[int, Path(ge=1, le=2**53)]
CALM = 20  # times what the figures of a running run took to make, before they are made again
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one
CACHED = 16


class Wanted(BaseModel):
    """A run to start."""

    dataset: str = Field(max_length=200)
    engines: list[Annotated[str, Field(max_length=60)]] = Field([MODEL], min_length=1, max_length=10)
    limit: int | None = Field(
        None,
        ge=1,
        le=LONGEST,
        description="utterances, taken from all of the data set at even distances; all without it",
    )


class Started(BaseModel):
    """Where to ask for a run."""

    id: int


class Stopped(BaseModel):
    """What became of a run."""

    id: int
    state: Literal["cancelled", "forgotten"]


def _found(state: AppState, run: int) -> dict[str, Any]:
    return state.jobs.results.one(run)


def _summary(state: AppState, run: dict[str, Any]) -> dict[str, Any]:
    """A run as clients see it."""
    total = sum(one["done"] if one["message"] else run["utterances"] for one in run["engines"])
    left = state.jobs.left_seconds(run)
    progress = {
        "done": sum(one["done"] for one in run["engines"]),
        "total": total,
        "left_seconds": None if left is None else round(left, 1),
    }
    engines = [
        {key: one[key] for key in ("name", "kind", "message", "done", "failed", "words", "word_errors")}
        | {"wer": one["word_errors"] / one["words"] if one["words"] else None}
        for one in run["engines"]
    ]
    kept = {key: run[key] for key in ("id", "dataset", "model", "message", "created", "utterances")}
    times = {"seconds": round(run["seconds"] or 0, 3), "worked": round(run["worked"], 3)}
    times["playable"] = state.jobs.same_recordings(run)
    return {**kept, **times, "state": state.jobs.state(run), "progress": progress, "engines": engines}


@router.post("", status_code=202)
async def start(state: Here, wanted: Wanted) -> Started:
    """Start a run, or let it wait behind others: each utterance of a data set through each engine."""
    engines = chosen_engines(state, wanted.engines)
    return Started(id=await state.jobs.start(chosen(state, wanted.dataset), engines, wanted.limit))


@router.get("")
async def list_runs(state: Here) -> list[dict[str, Any]]:
    """All runs, the newest first, with progress and word error rates."""
    return await state.reads.run(lambda: [_summary(state, run) for run in state.jobs.results.runs()])


@router.get("/{run}.json", response_class=Response, responses={200: {"content": {"application/json": {}}}})
async def as_json(state: Here, run: Id) -> Response:
    """A run with every result, to keep."""

    def written() -> str:
        body = {**_report(state, run), "results": state.jobs.results.everything(run)}
        return json.dumps(body, ensure_ascii=False, indent=1)

    return _file(await state.reads.run(written), f"performance-{run}.json", "application/json")


@router.get("/{run}.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
async def as_csv(state: Here, run: Id) -> Response:
    """Every result of a run as a table: a line for each utterance and engine."""
    return _file(await state.reads.run(_csv, state, run), f"performance-{run}.csv", "text/csv; charset=utf-8")


def _csv(state: AppState, run: int) -> str:
    _found(state, run)
    rows = state.jobs.results.everything(run)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(rows[0] if rows else ("index",))
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would compute is quoted: what engines write is not to be trusted."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _file(text: str, name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), media_type=media_type, headers=headers)


@router.get("/{run}")
async def one_run(state: Here, run: Id) -> dict[str, Any]:
    """A run with its figures: pooled WER, CER and mean cosine with 95 % intervals, latency percentiles, real-time
    factor and distributions of each engine, and the difference of each pair of them."""
    return await state.reads.run(_report, state, run)


def _report(state: AppState, run: int) -> dict[str, Any]:
    summary = _summary(state, _found(state, run))
    details, differences = _details(state, summary)
    engines = [one | details.get(one["name"], {}) for one in summary["engines"]]
    return {**summary, "engines": engines, "differences": differences}


# What the last runs that were looked at came to, by results file and run: how far they were, when, how long it took.
_cache: dict[tuple[str, int], tuple[list[Any], float, float, tuple[Any, Any]]] = {}


def _details(state: AppState, summary: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Figures by engine, and of pairs; not made anew at each look while a run goes on."""
    key = (str(state.jobs.results.path), summary["id"])
    done, began = [(one["done"], one["failed"]) for one in summary["engines"]], time.monotonic()
    if cached := _cache.get(key):
        known, made, took, details = cached
        if known == done or (summary["state"] == "running" and began - made < CALM * took):
            return details
    names = [one["name"] for one in summary["engines"]]
    columns = {name: state.jobs.results.columns(summary["id"], name) for name in names}
    by_name = {
        name: {
            **intervals.accuracy(columns[name]),
            **intervals.speed(columns[name]),
            "distributions": intervals.distributions(columns[name]),
        }
        for name in names
    }
    differences = [
        {"first": first, "second": second, **found}
        for first, second in combinations(names, 2)
        if (found := intervals.difference(columns[first], columns[second]))
    ]
    while len(_cache) >= CACHED:
        _cache.pop(next(iter(_cache)), None)
    _cache[key] = (done, time.monotonic(), time.monotonic() - began, (by_name, differences))
    return by_name, differences


@router.get("/{run}/utterances")
async def list_utterances(
    state: Here,
    run: Id,
    engine: Annotated[str, Query(max_length=60, description="by whose results to sort and choose")] = "",
    sort: Literal["index", "wer", "latency", "seconds"] = "wer",
    order: Literal["ascending", "descending"] = "descending",
    shown: Literal["all", "wrong", "right", "failed"] = "all",
    search: Annotated[str, Query(max_length=200, description="what truth or transcript must hold")] = "",
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 25,
) -> dict[str, Any]:
    """Utterances of a run with what each engine wrote, word by word against the truth; the worst first."""
    asked = (sort, order == "descending", shown, search.strip(), offset, limit)
    return await state.reads.run(_page, state, run, engine, asked)


def _page(state: AppState, run: int, engine: str, asked: tuple[str, bool, str, str, int, int]) -> dict[str, Any]:
    names = [one["name"] for one in _found(state, run)["engines"]]
    if engine and engine not in names:
        raise RequestError(404, f"The run has no engine {engine[:60]!r}, it has {', '.join(names)}.", "not_found")
    total, page = state.jobs.results.utterances(run, engine or names[0], *asked)
    return {"total": total, "utterances": [_utterance(one, names) for one in page]}


def _utterance(one: dict[str, Any], names: list[str]) -> dict[str, Any]:
    said = accuracy.plain(one["reference"])
    results = {name: _outcome(said, one["outcomes"][name]) for name in names if name in one["outcomes"]}
    kept = {key: one[key] for key in ("reference", "speaker")}
    return {"index": one["number"], "seconds": round(one["seconds"], 3), **kept, "results": results}


def _outcome(said: str, outcome: dict[str, Any]) -> dict[str, Any]:
    if outcome["error"]:
        return {"error": outcome["error"]}
    counts = {key: outcome[key] for key in ("words", "word_errors", "characters", "character_errors", "cosine")}
    return {
        "text": outcome["text"],
        "seconds": outcome["taken"],
        "wer": _rate(outcome["word_errors"], outcome["words"]),
        "cer": _rate(outcome["character_errors"], outcome["characters"]),
        **counts,
        "alignment": accuracy.align(said, accuracy.plain(outcome["text"])),
    }


def _rate(errors: int, units: int) -> float:
    return errors / units if units else float(errors > 0)


@router.post("/{run}/continue", status_code=202)
async def resume(state: Here, run: Id) -> Started:
    """Go on with a run that was interrupted or cancelled, where it was; what failed is tried again."""
    await state.jobs.resume(run)
    return Started(id=run)


@router.post("/{run}/cancel")
async def cancel(state: Here, run: Id) -> Stopped:
    """Stop a run that runs or waits; its results so far stay. 409 where it has come to another end."""
    await state.jobs.cancel(run)
    return Stopped(id=run, state="cancelled")


@router.delete("/{run}")
async def delete(state: Here, run: Id) -> Stopped:
    """Forget a run that is over, with all of its results. 409 while it runs or waits."""
    await state.jobs.forget(run)
    _cache.pop((str(state.jobs.results.path), run), None)
    return Stopped(id=run, state="forgotten")
