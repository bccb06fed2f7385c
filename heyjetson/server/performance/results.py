"""Results of performance runs in one SQLite file: each utterance's is written at once, so that a kill loses none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heyjetson.server.errors import RequestError
from heyjetson.server.performance.database import Database

FIGURES = ("taken", "words", "word_errors", "characters", "character_errors", "cosine")
_RATE = "(CASE WHEN o.words > 0 THEN 1.0 * o.word_errors / o.words ELSE o.word_errors > 0 END)"
SORTS = {"index": "u.number", "wer": _RATE, "latency": "o.taken", "seconds": "u.seconds"}
SHOWN = {
    "all": "1",
    "wrong": "o.word_errors > 0",
    "right": "o.word_errors = 0",
    "failed": "o.error IS NOT NULL",
}


@dataclass(frozen=True)
class Outcome:
    """What an engine made of an utterance.

    Args:
        text: that it wrote, or None where it failed.
        error: why it failed.
        figures: by the names of `FIGURES`.
    """

    text: str | None = None
    error: str | None = None
    figures: Mapping[str, float] | None = None


class Results:
    """The file of all runs. Every call may block: call it from a thread.

    Args:
        folder: where it lies; made on first use.
        most: bytes that it may take; None sets no bound.
        free: bytes that are left free on its disk.
    """

    def __init__(self, folder: Path, most: int | None = None, free: int = 0):
        self._database = Database(folder, most, free)
        self.path = self._database.path
        self.lock = self._database.lock

    def close(self) -> None:
        """Let another server use the folder."""
        self._database.close()

    def create(
        self,
        dataset: str,
        model: str,
        engines: Sequence[tuple[str, str, str]],
        utterances: Iterable[tuple[int, float, str, str | None]],
        recordings: str = "",
    ) -> int:
        """Write down a run that is to be.

        Args:
            dataset: its name.
            model: name of the served bundle.
            engines: name, kind and identity of each.
            utterances: index, seconds, reference and speaker of each.
            recordings: identity of the data set.

        Returns:
            the run's id.

        Raises:
            FullError: there is no room for it.
        """
        with self._database.transaction(grows=True) as database:
            sql = "INSERT INTO runs (dataset, model, state, created, recordings) VALUES (?, ?, 'waiting', ?, ?)"
            run = database.execute(sql, (dataset, model, time.time(), recordings)).lastrowid
            assert run is not None
            rows = [(run, position, *engine) for position, engine in enumerate(engines)]
            database.executemany(
                "INSERT INTO engines (run, position, name, kind, identity) VALUES (?, ?, ?, ?, ?)", rows
            )
            database.executemany("INSERT INTO utterances VALUES (?, ?, ?, ?, ?)", ((run, *one) for one in utterances))
        return run

    def runs(self, run: int | None = None) -> list[dict[str, Any]]:
        """All runs, the newest first, or the one, with how far each engine is and its pooled errors."""
        where = "WHERE id = ?" if run is not None else ""
        given = (run,) if run is not None else ()
        sums = (
            "SELECT e.name, e.kind, e.identity, e.message, count(o.number) AS done, count(o.error) AS failed, "
            "coalesce(sum(o.words), 0) AS words, coalesce(sum(o.word_errors), 0) AS word_errors FROM engines e "
            "LEFT JOIN outcomes o ON o.run = e.run AND o.engine = e.name WHERE e.run = ? GROUP BY e.name "
            "ORDER BY e.position"
        )
        with self._database.transaction() as database:
            found = [dict(row) for row in database.execute(f"SELECT * FROM runs {where} ORDER BY id DESC", given)]
            for one in found:
                count = database.execute("SELECT count(*), sum(seconds) FROM utterances WHERE run = ?", (one["id"],))
                one["utterances"], one["seconds"] = count.fetchone()
                one["engines"] = [dict(row) for row in database.execute(sums, (one["id"],))]
        return found

    def one(self, run: int) -> dict[str, Any]:
        """A run, see `runs`.

        Raises:
            RequestError: 404, there is none.
        """
        found = self.runs(run)
        if not found:
            raise RequestError(404, f"There is no run {run}.", "not_found")
        return found[0]

    def set_state(self, run: int, state: str, message: str = "") -> None:
        """Say how a run stands."""
        with self._database.transaction() as database:
            database.execute("UPDATE runs SET state = ?, message = ? WHERE id = ?", (state, message, run))

    def finish(self, run: int, state: str, message: str, seconds: float) -> None:
        """Say how a run ended, and how many more seconds it took."""
        with self._database.transaction() as database:
            sql = "UPDATE runs SET state = ?, message = ?, worked = worked + ? WHERE id = ?"
            database.execute(sql, (state, message, seconds, run))

    def set_message(self, run: int, engine: str, message: str) -> None:
        """Say why an engine was given up."""
        with self._database.transaction() as database:
            database.execute("UPDATE engines SET message = ? WHERE run = ? AND name = ?", (message, run, engine))

    def record(self, run: int, engine: str, number: int, outcome: Outcome) -> None:
        """Write down an engine's outcome of an utterance, in place of an earlier one.

        Raises:
            FullError: there is no room for it.
        """
        figures = outcome.figures or {}
        values = (outcome.text, outcome.error, *(figures.get(name) for name in FIGURES))
        with self._database.transaction(grows=True) as database:
            if database.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone():
                database.execute(
                    f"INSERT OR REPLACE INTO outcomes (run, engine, number, text, error, {', '.join(FIGURES)}) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (run, engine, number, *values),
                )

    def forget_failures(self, run: int) -> None:
        """Take back what failed, so that it is tried again."""
        with self._database.transaction() as database:
            database.execute("DELETE FROM outcomes WHERE run = ? AND error IS NOT NULL", (run,))
            database.execute("UPDATE engines SET message = '' WHERE run = ?", (run,))

    def missing(self, run: int, engine: str) -> list[tuple[int, str]]:
        """Index and reference of the utterances that an engine has not tried."""
        sql = (
            "SELECT number, reference FROM utterances u WHERE run = ? AND NOT EXISTS (SELECT 1 FROM outcomes o "
            "WHERE o.run = u.run AND o.engine = ? AND o.number = u.number) ORDER BY number"
        )
        with self._database.transaction() as database:
            return [tuple(row) for row in database.execute(sql, (run, engine))]

    def references(self, run: int) -> dict[int, str]:
        """What was said in each utterance, by its index."""
        with self._database.transaction() as database:
            sql = "SELECT number, reference FROM utterances WHERE run = ?"
            return {row["number"]: row["reference"] for row in database.execute(sql, (run,))}

    def columns(self, run: int, engine: str) -> dict[str, np.ndarray]:
        """What an engine's successes measure: `number`, `seconds` and `FIGURES`, an array [N] each."""
        names = ("number", "seconds", *FIGURES)
        sql = (
            f"SELECT o.number, u.seconds, {', '.join('o.' + name for name in FIGURES)} FROM outcomes o "
            "JOIN utterances u ON u.run = o.run AND u.number = o.number "
            "WHERE o.run = ? AND o.engine = ? AND o.error IS NULL ORDER BY o.number"
        )
        with self._database.transaction() as database:
            rows = [tuple(row) for row in database.execute(sql, (run, engine))]
        table = np.array(rows, float).reshape(-1, len(names)).T
        return dict(zip(names, table, strict=True))

    def utterances(
        self, run: int, engine: str, sort: str, descending: bool, shown: str, search: str, offset: int, limit: int
    ) -> tuple[int, list[dict[str, Any]]]:
        """Utterances with every engine's outcome, a page at a time.

        Args:
            run: its id.
            engine: by whose outcomes they are sorted and chosen; those it has not tried come last.
            sort: a key of `SORTS`.
            descending: the largest first.
            shown: a key of `SHOWN`.
            search: what the reference or the engine's text must hold.
            offset: how many are skipped.
            limit: how many at most.

        Returns:
            how many there are, and the page: number, seconds, reference, speaker, outcomes by engine.
        """
        pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rest = (
            "FROM utterances u LEFT JOIN outcomes o ON o.run = u.run AND o.number = u.number AND o.engine = ? "
            f"WHERE u.run = ? AND {SHOWN[shown]} "
            "AND (u.reference LIKE ? ESCAPE '\\' OR coalesce(o.text, '') LIKE ? ESCAPE '\\')"
        )
        given = (engine, run, pattern, pattern)
        order = f"{SORTS[sort]} IS NULL, {SORTS[sort]} {'DESC' if descending else 'ASC'}, u.number"
        with self._database.transaction() as database:
            total = database.execute(f"SELECT count(*) {rest}", given).fetchone()[0]
            sql = f"SELECT u.number, u.seconds, u.reference, u.speaker {rest} ORDER BY {order} LIMIT ? OFFSET ?"
            page = [dict(row) for row in database.execute(sql, (*given, limit, offset))]
            marks = ", ".join("?" * len(page))
            sql = f"SELECT * FROM outcomes WHERE run = ? AND number IN ({marks})"
            outcomes = list(database.execute(sql, (run, *(one["number"] for one in page))))
        by_number: dict[int, dict[str, dict[str, Any]]] = {one["number"]: {} for one in page}
        for row in outcomes:
            by_number[row["number"]][row["engine"]] = dict(row)
        return total, [{**one, "outcomes": by_number[one["number"]]} for one in page]

    def everything(self, run: int) -> list[dict[str, Any]]:
        """A row for each outcome of a run, to take away."""
        sql = (
            f"SELECT u.number AS 'index', u.seconds, u.speaker, u.reference, o.engine, o.text, o.error, "
            f"{', '.join('o.' + name for name in FIGURES)} FROM utterances u JOIN outcomes o ON o.run = u.run "
            "AND o.number = u.number JOIN engines e ON e.run = u.run AND e.name = o.engine WHERE u.run = ? "
            "ORDER BY u.number, e.position"
        )
        with self._database.transaction() as database:
            return [dict(row) for row in database.execute(sql, (run,))]

    def forget(self, run: int) -> None:
        """Delete a run with all of its results."""
        with self._database.transaction() as database:
            database.execute("DELETE FROM runs WHERE id = ?", (run,))
