"""What a run reports to, so that it need not know where it is recorded."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qexp.config.identity import flat
from qexp.config.option import NAME, TARGET
from qexp.errors import interrupt_behind
from qexp.tracking.journal import Journal, Record

Arrays = Mapping[str, npt.NDArray[Any]]


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


def example_of(record: Record) -> Arrays:
    """Return the batch of observations that was recorded with a policy."""
    return {key: np.array(v["values"], dtype=v["dtype"]) for key, v in record["example"].items()}


def now() -> int:
    """Return the time as MLflow counts it, in milliseconds."""
    return time.time_ns() // 1_000_000
