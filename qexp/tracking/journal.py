"""What a run told its tracker, kept in the run folder so that it can be delivered later, or somewhere else.

A journal is a text file of one JSON object a line, only ever appended to. Its lines are of three kinds:
`run` (the MLflow run that what follows is for), `delivered` (how many contents a run's store has by now) and
contents: `params`, `tags`, `metrics`, `artifacts`, `policy` and `end`, in the order in which they were told.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qexp.config.option import NAME, TARGET
from qexp.errors import InputError, interrupt_behind
from qexp.tracking.tracker import WATCHER, StoppedEarly, Tracker

if TYPE_CHECKING:
    from qexp.tracking.tracker import Arrays

Record = dict[str, Any]

JOURNAL = "tracking.jsonl"

_KINDS = {
    "params": "parameters",
    "tags": "tags",
    "metrics": "metric values",
    "artifacts": "artifacts",
    "policy": "the policy model",
    "end": "the end of the run",
}


@dataclass
class Journal:
    """The journal of one run folder.

    Attributes:
        folder: The run folder; without one nothing is kept.
        runs: The `run` lines, oldest first.
        contents: What was told.
        delivered: How many of the contents have arrived, by id of an MLflow run.
    """

    folder: Path | None
    runs: list[Record] = field(default_factory=list)
    contents: list[Record] = field(default_factory=list)
    delivered: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: Path | None) -> Journal:
        """Start the journal of a run, forgetting that of an earlier run in the same folder."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / JOURNAL).unlink(missing_ok=True)
        return cls(folder)

    @classmethod
    def resume(cls, folder: Path | None) -> Journal:
        """Go on with the journal of a run that is continued."""
        kept = folder is not None and (folder / JOURNAL).exists()
        return cls.read(folder) if kept and folder is not None else cls.begin(folder)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Read the journal of a run folder.

        A line that was only half written, by a run that was killed, is left out.

        Raises:
            InputError: If there is none.
        """
        journal = cls(folder)
        try:
            lines = (folder / JOURNAL).read_bytes().split(b"\n")
        except OSError as error:
            raise InputError(f"{folder}: not the folder of a run: it has no {JOURNAL}") from error
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                journal._take(record)
        return journal

    def pending(self, run_id: str) -> list[Record]:
        """Return the contents that an MLflow run does not have yet."""
        return self.contents[self.delivered.get(run_id, 0) :]

    def add(self, record: Record) -> None:
        """Take a line in, and write it to the file."""
        self._take(record)
        if self.folder is None or not self.folder.is_dir():
            return
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with (self.folder / JOURNAL).open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line  # the line before was cut short, and must not spoil this one
            file.write(line)

    def _take(self, record: Record) -> None:
        if "run" in record:
            self.runs.append(record["run"])
        elif "delivered" in record:
            self.delivered[record["to"]] = max(self.delivered.get(record["to"], 0), record["delivered"])
        elif record.keys() & _KINDS.keys():
            self.contents.append(record)


class Recorder(Tracker):
    """Writes down what it is told.

    Args:
        journal: Where to.
        register_as: Name of the registered model that a policy becomes a version of; None for none.
    """

    def __init__(self, journal: Journal, register_as: str | None = None) -> None:
        self._journal = journal
        self._register_as = register_as

    @contextmanager
    def until_end(self) -> Iterator[None]:
        """End the run: as `outcome`, KILLED if it was interrupted or stopped early, or FAILED by an error."""
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, StoppedEarly) or interrupt_behind(error) is not None
            self.end("KILLED" if stopped else "FAILED")
            raise
        self.end(self.outcome)

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Record a configuration, see `Tracker.log_params`."""
        self._record({"params": _flatten(config)})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Record tags, see `Tracker.set_tags`."""
        self._record({"tags": {key: str(value) for key, value in tags.items() if value is not None}})

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Record figures, see `Tracker.log_metrics`."""
        defined = {
            key: float(value) for key, value in metrics.items() if value is not None and math.isfinite(value)
        }
        if defined:
            self._record({"metrics": defined, "step": step, "time": now()})
        if (watch := WATCHER.get()) is not None:
            watch(metrics, step)

    def log_artifacts(self, path: Path, folder: str | None = None) -> None:
        """Copy files to the run, see `Tracker.log_artifacts`."""
        self._record({"artifacts": self._named(path), "to": folder})

    def log_policy(self, bundle: Path, example: Arrays) -> None:
        """Record the policy as a model, see `Tracker.log_policy`."""
        values = {key: {"dtype": str(v.dtype), "values": v.tolist()} for key, v in example.items()}
        self._record({"policy": self._named(bundle), "example": values, "register_as": self._register_as})

    def end(self, status: str) -> None:
        """Record how the run ended.

        Args:
            status: FINISHED, FAILED or KILLED.
        """
        self._record({"end": status, "time": now()})

    def _record(self, record: Record) -> None:
        self._journal.add(record)

    def _named(self, path: Path) -> str:
        """Return a path as the journal has it: relative to the run folder, which may move."""
        folder = self._journal.folder
        if folder is not None and path.absolute().is_relative_to(folder.absolute()):
            return path.absolute().relative_to(folder.absolute()).as_posix()
        return str(path.absolute())


def example_of(record: Record) -> Arrays:
    """Return the batch of observations that was recorded with a policy."""
    return {key: np.array(v["values"], dtype=v["dtype"]) for key, v in record["example"].items()}


def in_words(records: Iterable[Record]) -> str:
    """Say how much of what there is, in a line."""
    counts: Counter[str] = Counter()
    for record in records:
        kind = next(kind for kind in _KINDS if kind in record)
        counts[kind] += len(record[kind]) if kind in {"params", "tags", "metrics"} else 1
    single = {"policy", "end"}
    return ", ".join(_KINDS[k] if k in single else f"{counts[k]} {_KINDS[k]}" for k in _KINDS if counts[k])


def values_in(records: Sequence[Record]) -> int:
    """Return how many metric values there are."""
    return sum(len(record.get("metrics", ())) for record in records)


def now() -> int:
    """Return the time as MLflow counts it, in milliseconds."""
    return time.time_ns() // 1_000_000


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return dotted keys and the values as the command line takes them.

    The class behind an option is left out: the option's name says the same in a word.
    """
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        elif key not in {NAME, TARGET}:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat
