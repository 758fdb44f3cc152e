"""The campaign's journal: what was planned, sent and measured, on disk before the world can know of it.

One SQLite file in write-ahead mode, every change synced. The intent to send an order, with its unique tag, is
durable before the request leaves; so whatever moment the process dies at, tags tell what was sent.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from qexp.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FILE = "journal.db"
FORMAT = "qexp-journal/1"


class State(StrEnum):
    """Where a task is.

    PLANNED: nothing was sent. SUBMITTING, UNKNOWN: it may have been sent. SUBMITTED: the executor named the
    job. The others: the executor's word.
    """

    PLANNED = "planned"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """A task in this state is over."""
        return self in FINAL


FINAL = (State.DONE, State.FAILED, State.CANCELLED)
UNSETTLED = (State.SUBMITTING, State.UNKNOWN)
UNDER_WAY = (State.SUBMITTED, State.QUEUED, State.RUNNING)


@dataclass
class Task:
    """One task of a campaign and all that is known of it; a row of the journal.

    Times are seconds on the campaign's clock, None until they are known.

    Attributes:
        id: Position in the journal, in the order in which tasks are to be placed.
        segment: Tasks of one segment, of one scheduler in one block, share the machines' queues.
        block: Tasks of one block are the same circuits and arrivals for all schedulers.
        position: Index in the workload: which tasks of several schedulers are the same.
        offset: Arrival after the segment's begin, seconds.
        attempt: 1 at first; one more each time it is placed again.
        decided: When a machine was chosen.
        decision_seconds: How long the choice took, features included, seconds of real time.
        predicted_wait: What the scheduler expected of the machine's queue, seconds.
        predicted_service: What the service-time model says, seconds.
        esp: Estimated success probability.
        estimated_quantum_seconds: What the spend guard expects, seconds.
        created: When the executor accepted the job.
        quantum_seconds: What was charged, seconds.
        spent: What was charged, or may have been, for attempts before this one, seconds.
        excused: Attempts that `deploy.retries` does not count.
    """

    id: int
    segment: int
    block: int
    scheduler: str
    position: int
    circuit: str
    width: int
    depth: int
    shots: int
    offset: float
    state: State = State.PLANNED
    attempt: int = 1
    tag: str | None = None
    node: str | None = None
    job: str | None = None
    arrival: float | None = None
    decided: float | None = None
    decision_seconds: float | None = None
    predicted_wait: float | None = None
    predicted_service: float | None = None
    esp: float | None = None
    estimated_quantum_seconds: float | None = None
    created: float | None = None
    running: float | None = None
    finished: float | None = None
    quantum_seconds: float | None = None
    spent: float = 0.0
    excused: int = 0
    counts: dict[str, int] | None = None
    error: str | None = None


COLUMNS = tuple(field.name for field in fields(Task))
_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE task ({", ".join(COLUMNS)}, PRIMARY KEY (id), UNIQUE (tag));
CREATE TABLE segment (id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL);
CREATE TABLE event (
    number INTEGER PRIMARY KEY, task INTEGER, time REAL, at TEXT NOT NULL, state TEXT NOT NULL, detail TEXT
);
CREATE TABLE shadow (
    task INTEGER NOT NULL, scheduler TEXT NOT NULL, node TEXT NOT NULL, PRIMARY KEY (task, scheduler)
);
"""
_INSERT = f"INSERT INTO task VALUES ({', '.join(f':{name}' for name in COLUMNS)})"  # noqa: S608 no text of a user's
_UPDATE = f"UPDATE task SET {', '.join(f'{name} = :{name}' for name in COLUMNS)} WHERE id = :id"  # noqa: S608


class Event(NamedTuple):
    """Something that happened, to a task or to none: when by the campaign's clock (seconds), and in UTC."""

    task: int | None
    time: float
    at: str
    state: str
    detail: str


class Journal:
    """The journal of one campaign, in a file that exists; raises `InputError` if that is no journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = _connect(path)
            # Also of a journal that nobody closes, so that its file is let go of with it.
            self._closed = weakref.finalize(self, self._db.close)
            if (verdict := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise InputError(f"{path}: damaged: {' '.join(str(verdict).split())}")
            columns = {row[1] for row in self._db.execute("PRAGMA table_info(task)")}
            if columns and "excused" not in columns:  # in the journal of an earlier version
                self._db.execute("ALTER TABLE task ADD COLUMN excused DEFAULT 0")
            rows = self._db.execute("SELECT key, value FROM meta")
            self.meta: dict[str, Any] = {key: json.loads(value) for key, value in rows}
        except sqlite3.Error as error:
            raise InputError(f"{path}: not a campaign's journal: {error}") from error
        if self.meta.get("format") != FORMAT:
            raise InputError(f"{path}: not a {FORMAT} journal")

    @classmethod
    def create(cls, path: Path, tasks: Sequence[Task], meta: Mapping[str, Any]) -> Self:
        """Write a new journal, whole or not at all.

        Args:
            path: Where to; must not exist.
            tasks: All tasks of the campaign, PLANNED.
            meta: What else to keep, by name; JSON.
        """
        scratch = path.with_name(f".{path.name}.new")
        for suffix in ("", "-wal", "-shm"):  # SQLite keeps files beside a database in use
            scratch.with_name(scratch.name + suffix).unlink(missing_ok=True)
        # Closing the last connection folds the write-ahead log into the file.
        with closing(_connect(scratch)) as db:
            db.executescript(_TABLES)
            with db:
                rows = {"format": FORMAT, "begun": _utc(), **meta}.items()
                db.executemany(
                    "INSERT INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in rows]
                )
                db.executemany(_INSERT, map(_row, tasks))
        scratch.rename(path)
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._closed()

    def tasks(self) -> list[Task]:
        """Return all tasks, by id."""
        rows = self._db.execute(f"SELECT {', '.join(COLUMNS)} FROM task ORDER BY id")  # noqa: S608
        return [_task(dict(zip(COLUMNS, row, strict=True))) for row in rows]

    def frame(self) -> pd.DataFrame:
        """Return the tasks as a table with a column for each attribute of `Task`."""
        import pandas as pd

        return pd.DataFrame([vars(task) for task in self.tasks()], columns=list(COLUMNS))

    def save(self, task: Task, time: float, detail: str = "") -> None:
        """Write a task as it is now, and what happened; durable when this returns.

        Args:
            task: Whose row it is.
            time: On the campaign's clock, seconds.
            detail: What happened, if the state does not say it.
        """
        with self._db:
            self._db.execute(_UPDATE, _row(task))
            self._event(task.id, time, task.state, detail)

    def note(self, state: str, time: float, detail: str = "") -> None:
        """Write down something that happened to no task in particular.

        Args:
            state: What happened, in a word.
            time: On the campaign's clock, seconds.
            detail: More of it, for people.
        """
        with self._db:
            self._event(None, time, state, detail)

    def events(self) -> list[Event]:
        """Return what happened, in order."""
        columns = ", ".join(Event._fields)
        return [Event(*row) for row in self._db.execute(f"SELECT {columns} FROM event ORDER BY number")]  # noqa: S608

    @property
    def last_time(self) -> float:
        """The campaign's clock when the last event was written, seconds."""
        return float(self._db.execute("SELECT coalesce(max(time), 0) FROM event").fetchone()[0])

    def begin_segment(self, segment: int, time: float) -> float:
        """Write down when a segment began, unless that is known, and return it, seconds.

        Args:
            segment: Its number.
            time: On the campaign's clock, seconds.
        """
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO segment (id, started) VALUES (?, ?)", (segment, time))
        return self.segments()[segment][0]

    def end_segment(self, segment: int, time: float) -> None:
        """Write down when the last task of a segment was over.

        Args:
            segment: Its number.
            time: On the campaign's clock, seconds.
        """
        with self._db:
            self._db.execute("UPDATE segment SET finished = ? WHERE id = ?", (time, segment))

    def segments(self) -> dict[int, tuple[float, float | None]]:
        """Return when each segment that has begun began and ended."""
        rows = self._db.execute("SELECT id, started, finished FROM segment ORDER BY id")
        return {segment: (started, finished) for segment, started, finished in rows}

    def add_shadow(self, task: Task, choices: Mapping[str, str]) -> None:
        """Write down what other schedulers would have chosen for a task, by their names.

        Args:
            task: The task that was placed.
            choices: Name of the machine by scheduler.
        """
        with self._db:
            rows = [(task.id, scheduler, node) for scheduler, node in choices.items()]
            self._db.executemany("INSERT OR REPLACE INTO shadow VALUES (?, ?, ?)", rows)

    def shadows(self) -> list[tuple[int, str, str]]:
        """Return (task, scheduler, node) of every choice that was logged and not acted on."""
        return list(self._db.execute("SELECT task, scheduler, node FROM shadow ORDER BY task, scheduler"))

    def _event(self, task: int | None, time: float, state: str, detail: str) -> None:
        row = (None, task, time, _utc(), str(state), detail)
        self._db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", row)


def _connect(path: Path) -> sqlite3.Connection:
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    # One thread uses it; whichever collects the garbage may close it.
    db = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        # FULL: a committed change survives a power cut, not only the end of this process.
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _row(task: Task) -> dict[str, Any]:
    counts = None if task.counts is None else json.dumps(task.counts)
    return vars(task) | {"state": str(task.state), "counts": counts}


def _task(row: dict[str, Any]) -> Task:
    counts = None if row["counts"] is None else json.loads(row["counts"])
    return Task(**row | {"state": State(row["state"]), "counts": counts})
