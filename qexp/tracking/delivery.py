"""Brings what a journal holds to an MLflow run; doing it twice leaves the run as doing it once does."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag

from qexp.tracking import model
from qexp.tracking.interrupts import uninterrupted
from qexp.tracking.journal import Journal, Record
from qexp.tracking.tracker import example_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

# MLflow's limits on the length of a parameter and of a tag, and on what one request may hold.
_MAX_PARAM, _MAX_TAG, _MAX_METRICS, _MAX_OTHERS = 6000, 8000, 1000, 100


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
            model.log(client, run_id, path, example_of(record), register_as=record["register_as"])
        else:
            put = client.log_artifacts if path.is_dir() else client.log_artifact
            put(run_id, str(path), record["to"])


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
