"""Reports to one MLflow run, and does not let the run suffer when its store goes away.

Whatever a journal holds can be delivered: doing it twice leaves the MLflow run as doing it once does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow.entities import Metric, Param, RunTag

from qexp.runfolder import relative
from qexp.tracking import model
from qexp.tracking.environment import patience, quiet
from qexp.tracking.interrupts import uninterrupted
from qexp.tracking.journal import Journal, Record, Tracker, in_words
from qexp.tracking.store import reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

# Sent one by one, the metrics of quick training iterations would cost as much as the iterations.
_FLUSH_SECONDS, _FLUSH_VALUES = 5.0, 1000
# After a failure the store is left alone for a while, and altogether once failures have cost this much time.
_PAUSE_SECONDS, _PATIENCE_SECONDS, _REQUEST_SECONDS = 60.0, 30.0, 15
# MLflow's limits on the length of a parameter and of a tag, and on what one request may hold.
_MAX_PARAM, _MAX_TAG, _MAX_METRICS, _MAX_OTHERS = 6000, 8000, 1000, 100


class MlflowTracker(Tracker):
    """Reports to one MLflow run, metrics a few seconds late.

    Everything is in the journal before it is sent. What cannot be sent is tried again after a while and at
    the end of the run; what has not arrived by then is named in one warning, with the command that delivers
    it.

    Args:
        client: Of the run's store.
        run_id: Of a run that exists.
        journal: The run's journal; what it holds that has not arrived is sent first.
        register_as: See `Tracker`.
    """

    run_id: str

    def __init__(
        self, client: MlflowClient, run_id: str, journal: Journal, register_as: str | None = None
    ) -> None:
        super().__init__(journal, register_as)
        self.run_id = run_id
        self._client = client
        self._sent = self._again = time.monotonic()
        self._lost_seconds = 0.0
        self._failure: Exception | None = None

    def _record(self, record: Record) -> None:
        super()._record(record)
        now = time.monotonic()
        due = "metrics" not in record or now - self._sent > _FLUSH_SECONDS
        if now >= self._again and (due or self._values_pending() >= _FLUSH_VALUES):
            self._send()

    def _values_pending(self) -> int:
        return sum(len(record.get("metrics", ())) for record in self._journal.pending(self.run_id))

    def _end(self, status: str) -> None:
        """End the run; say what has not arrived."""
        super()._end(status)
        if self._journal.pending(self.run_id):
            self._send()
        if pending := self._journal.pending(self.run_id):
            why = "" if self._failure is None else f" ({reason(self._failure)})"
            text = f"not delivered to {self._client.tracking_uri}{why}: {in_words(pending)}"
            if (folder := self._journal.folder) is not None:
                text += f"; deliver it with: python -m qexp.tracking sync {relative(folder.absolute())}"
            log.warning("tracking: %s", text)

    def _send(self) -> None:
        """Send what is held back, unless failures have cost too much time."""
        if self._lost_seconds >= _PATIENCE_SECONDS:
            return
        began = self._sent = time.monotonic()
        try:
            with quiet(), patience(_REQUEST_SECONDS):
                deliver(self._client, self.run_id, self._journal)
        except Exception as error:  # noqa: BLE001 - whatever the store is made of, the run's result comes first
            self._failure = error
            self._lost_seconds += time.monotonic() - began
            self._again = time.monotonic() + _PAUSE_SECONDS
            log.info("tracking: not delivered for now: %s", reason(error))


def deliver(client: MlflowClient, run_id: str, journal: Journal) -> None:
    """Deliver the contents that a run does not have yet, in order, and note after each request what arrived.

    Args:
        client: Of the run's store.
        run_id: The run.
        journal: Of the run folder that relative paths are relative to.

    Raises:
        Exception: Whatever the store, or the way to it, raises; what was noted before has arrived.
    """
    while pending := journal.pending(run_id):
        with uninterrupted(client.tracking_uri):
            count = 1
            if "metrics" in pending[0]:
                count = _deliver_metrics(client, run_id, pending)
            else:
                _deliver_one(client, run_id, pending[0], journal.folder or Path())
            arrived = len(journal.contents) - len(pending) + count
            journal.add({"delivered": arrived, "to": run_id})


def _deliver_metrics(client: MlflowClient, run_id: str, records: Sequence[Record]) -> int:
    """Deliver as many metrics as fit one request; a store keeps of equal points (value, step, time) one."""
    metrics: list[Metric] = []
    count = 0
    for record in records:
        points = record.get("metrics")
        if points is None or (metrics and len(metrics) + len(points) > _MAX_METRICS):
            break
        metrics += [Metric(key, value, record["time"], record["step"]) for key, value in points.items()]
        count += 1
    for batch in _batches(metrics, _MAX_METRICS):
        client.log_batch(run_id, metrics=batch)
    return count


def _deliver_one(client: MlflowClient, run_id: str, record: Record, folder: Path) -> None:
    if "params" in record:
        # A parameter is set once; a run that is continued keeps what it began with.
        known = client.get_run(run_id).data.params
        params = [
            Param(key, value[:_MAX_PARAM]) for key, value in record["params"].items() if key not in known
        ]
        for batch in _batches(params, _MAX_OTHERS):
            client.log_batch(run_id, params=batch)
    elif "tags" in record:
        tags = [RunTag(key, value[:_MAX_TAG]) for key, value in record["tags"].items()]
        for batch in _batches(tags, _MAX_OTHERS):
            client.log_batch(run_id, tags=batch)
    elif "end" in record:
        client.set_terminated(run_id, record["end"], record["time"])
    else:
        path = folder / record["policy" if "policy" in record else "artifacts"]
        if not path.exists():  # one lost file must not keep everything after it from arriving
            log.warning("tracking: %s is not there any more, and was not delivered", path)
        elif "policy" in record:
            example = {key: np.array(v["values"], dtype=v["dtype"]) for key, v in record["example"].items()}
            model.log(client, run_id, path, example, register_as=record["register_as"])
        else:
            put = client.log_artifacts if path.is_dir() else client.log_artifact
            put(run_id, str(path), record["to"])


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
