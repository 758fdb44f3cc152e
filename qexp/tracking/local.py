"""Tracking with MLflow, in a file of one's own or in whatever store `tracking.uri` names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from qexp.option import option
from qexp.tracking.quiet import quiet
from qexp.tracking.tracker import Tracker
from qexp.tracking.tracking import Tracking

PARENT_RUN = "QEXP_PARENT_RUN_ID"
"""Environment variable: the id of the run that a sweep nests its jobs' runs under."""


@option("tracking")
@dataclass
class Local(Tracking):
    """Record with MLflow; each key is explained in ``conf/tracking/local.yaml``."""

    uri: Annotated[str, Field(min_length=1)] = "sqlite:///outputs/mlflow.db"
    experiment: Annotated[str, Field(min_length=1, max_length=500)] = "qexp"
    run_name: str | None = None
    register: bool = False
    model_name: Annotated[str, Field(min_length=1, max_length=200)] = "qexp-policy"

    @contextmanager
    def start(self, name: str | None = None) -> Iterator[Tracker]:
        """Begin an MLflow run, see `Tracking.start`.

        It ends as FINISHED, as KILLED by an interrupt from the keyboard, or as FAILED by another exception.
        """
        with quiet():
            from mlflow import MlflowException
            from mlflow.tracking.context.registry import resolve_tags

            from qexp.tracking.mlflow_tracker import MlflowTracker
            from qexp.tracking.store import as_input_error, experiment_id, open_store

        with quiet(), as_input_error(self.uri):
            client, artifacts = open_store(self.uri)
            experiment = experiment_id(client, self.experiment, artifacts)
            tags = resolve_tags({"mlflow.source.name": "qexp"})
            if parent := os.environ.get(PARENT_RUN):
                tags["mlflow.parentRunId"] = parent
            run = client.create_run(experiment, tags=tags, run_name=self.run_name or name)
        tracker = MlflowTracker(client, run.info.run_id, self.model_name if self.register else None)
        try:
            yield tracker
            tracker.flush()
        except BaseException as error:
            # What went wrong matters more than a store that has gone away with it.
            with suppress(MlflowException):
                tracker.flush()
            with suppress(MlflowException):
                killed = isinstance(error, KeyboardInterrupt)
                client.set_terminated(tracker.run_id, "KILLED" if killed else "FAILED")
            raise
        client.set_terminated(tracker.run_id, "FINISHED")
