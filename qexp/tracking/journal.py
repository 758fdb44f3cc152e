"""The journal of a run: it reports there, and need not know where it is recorded.

From there it is delivered, at once, later, or somewhere else.

A journal is a text file of one JSON object a line, only ever appended to. Its lines are of three kinds:
`run` (the MLflow run that what follows is for), `delivered` (how many contents a run's store has by now) and
contents, in the order in which they were reported: `params`, `tags`, `metrics`, `artifacts`, `policy`, `end`.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from qexp.config.identity import flat
from qexp.config.option import NAME, TARGET
from qexp.errors import InputError, interrupt_behind

Record = dict[str, Any]
Arrays = Mapping[str, npt.NDArray[Any]]

JOURNAL = "tracking.jsonl"

_KINDS = {
    "params": "{} parameters",
    "tags": "{} tags",
    "metrics": "{} metric values",
    "artifacts": "{} artifacts",
    "policy": "the policy model",
    "end": "the end of the run",
}


@dataclass
class Journal:
    """The journal of one run folder.

    Attributes:
        folder: The run folder; without one nothing is written.
        runs: The `run` lines, oldest first.
        contents: All that was reported.
        delivered: How many of the contents have arrived, by id of an MLflow run.
    """

    folder: Path | None = None
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
    def read(cls, folder: Path) -> Journal:
        """Read the journal of a run folder, without a line that a run that was killed wrote in part.

        Raises:
            InputError: There is none.
        """
        journal = cls(folder)
        try:
            lines = (folder / JOURNAL).read_bytes().split(b"\n")
        except OSError as error:
            raise InputError(f"{folder}: not the folder of a run: it has no {JOURNAL}") from error
        for line in lines:
            try:
                journal._take(json.loads(line))
            except ValueError:
                continue
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

    def _take(self, record: Any) -> None:
        if not isinstance(record, dict):
            return
        if "run" in record:
            self.runs.append(record["run"])
        elif "delivered" in record:
            self.delivered[record["to"]] = max(self.delivered.get(record["to"], 0), record["delivered"])
        elif record.keys() & _KINDS.keys():
            self.contents.append(record)


def in_words(records: Iterable[Record]) -> str:
    """Say how much of what there is, in a line."""
    counts: Counter[str] = Counter()
    for record in records:
        kind = next(kind for kind in _KINDS if kind in record)
        counts[kind] += len(record[kind]) if kind in {"params", "tags", "metrics"} else 1
    return ", ".join(words.format(counts[kind]) for kind, words in _KINDS.items() if counts[kind])


class StoppedEarly(Exception):  # noqa: N818 -- nothing went wrong
    """A training has been seen enough of: it does worse than others did."""


WATCHER: ContextVar[Callable[[Mapping[str, float | None], int], None] | None] = ContextVar(
    "WATCHER", default=None
)
"""Called with the figures of the run in this context, once they are recorded; may raise `StoppedEarly`."""


class Tracker:
    """Writes what a run reports into a journal.

    Args:
        journal: Without a folder, where an untracked run reports to, it keeps nothing.
        register_as: Name of the registered model that a policy becomes a version of; None for none.

    Attributes:
        run_id: MLflow's id of the run, None if it is not tracked.
        outcome: How the run will be recorded to have ended, if nothing is raised: FINISHED or FAILED.
    """

    run_id: str | None = None

    def __init__(self, journal: Journal, register_as: str | None = None) -> None:
        self.outcome = "FINISHED"
        self._journal = journal
        self._register_as = register_as

    @contextmanager
    def until_end(self) -> Iterator[None]:
        """End the run: as `outcome`, KILLED if it was interrupted or stopped early, or FAILED by an error."""
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, StoppedEarly) or interrupt_behind(error) is not None
            self._end("KILLED" if stopped else "FAILED")
            raise
        self._end(self.outcome)

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Record a resolved configuration as the command line takes it, nested keys joined by dots.

        The class behind an option is left out: the option's name says the same in a word.
        """
        params = {
            key: value if isinstance(value, str) else json.dumps(value, default=str)
            for key, value in flat(config).items()
            if key.rpartition(".")[2] not in {NAME, TARGET}
        }
        self._record({"params": params})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Record what to find the run by; None values are left out."""
        self._record({"tags": {key: str(value) for key, value in tags.items() if value is not None}})

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Record figures named `<group>/<name>`; None and what is not finite are left out.

        Args:
            metrics: Value by name.
            step: Position on the metrics' axis: the iteration, in training.
        """
        defined = {
            key: float(value) for key, value in metrics.items() if value is not None and math.isfinite(value)
        }
        if defined:
            self._record({"metrics": defined, "step": step, "time": now()})
        if (watch := WATCHER.get()) is not None:
            watch(metrics, step)

    def log_artifacts(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what is in a folder, to the run's artifacts.

        Args:
            path: File or folder.
            folder: Where among the artifacts; by default at their top.
        """
        self._record({"artifacts": self._relative(path), "to": folder})

    def log_policy(self, bundle: Path, example: Arrays) -> None:
        """Record a policy bundle as a model with signature and input example; register it if so configured.

        Args:
            bundle: The bundle's folder.
            example: A batch of observations: `task` [B, F_task], `nodes` [B, N, F_node] and
                `action_mask` [B, N].
        """
        values = {key: {"dtype": str(v.dtype), "values": v.tolist()} for key, v in example.items()}
        self._record({"policy": self._relative(bundle), "example": values, "register_as": self._register_as})

    def _end(self, status: str) -> None:
        self._record({"end": status, "time": now()})

    def _record(self, record: Record) -> None:
        self._journal.add(record)

    def _relative(self, path: Path) -> str:
        """Return a path as the journal has it: relative to the run folder, which may move."""
        folder = self._journal.folder
        if folder is not None and path.absolute().is_relative_to(folder.absolute()):
            return path.absolute().relative_to(folder.absolute()).as_posix()
        return str(path.absolute())


def now() -> int:
    """Return the time as MLflow counts it, in milliseconds."""
    return time.time_ns() // 1_000_000
