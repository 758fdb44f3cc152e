"""Where a run is recorded: nowhere, in an MLflow store of one's own, or on a server that a group shares."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import MaxLen, MinLen
from typing_extensions import Doc

from qexp.config.option import Configurable, group
from qexp.report.progress import report_console
from qexp.tracking.environment import patience, quiet
from qexp.tracking.interrupts import uninterrupted
from qexp.tracking.journal import JOURNAL, Journal, Tracker

PARENT_RUN = "QEXP_PARENT_RUN_ID"
"""Environment variable: the id of the run that a sweep nests its jobs' runs under."""


@group("tracking")
class Tracking(Configurable, ABC):
    """Where a run is recorded."""

    @abstractmethod
    def start(
        self, name: str | None = None, run_id: str | None = None, folder: Path | None = None
    ) -> AbstractContextManager[Tracker]:
        """Begin a run and give its tracker; leaving the block ends the run.

        Args:
            name: Of the run, unless the configuration names it.
            run_id: MLflow's id of a run to continue instead of creating one.
            folder: The run folder. It gets a journal of everything that is recorded, from which
                ``python -m qexp.tracking sync`` delivers what did not arrive; without it that is lost.

        Raises:
            InputError: The store cannot be used, or has no such run.
        """


@dataclass
class MlflowTracking(Tracking):
    """Record with MLflow; each key is explained in ``conf/tracking/local.yaml``."""

    uri: Annotated[
        str,
        MinLen(1),
        Doc(
            "Address of the server, without a password: that comes from MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD."
        ),
    ]
    experiment: Annotated[str, MinLen(1), MaxLen(500), Doc("MLflow experiment the run belongs to.")] = "qexp"
    run_name: Annotated[str | None, Doc("Name of the run; null makes one of what it does.")] = None
    register: Annotated[
        bool, Doc("Whether to register the trained policy as a model version, with the alias newest.")
    ] = False
    model_name: Annotated[str, MinLen(1), MaxLen(200), Doc("Name of the registered model.")] = "qexp-policy"

    @contextmanager
    def start(
        self, name: str | None = None, run_id: str | None = None, folder: Path | None = None
    ) -> Iterator[Tracker]:
        """Begin an MLflow run or continue one, see `Tracking.start`.

        It ends as its `outcome`, KILLED by an interrupt from the keyboard, or FAILED by another exception.
        """
        with quiet():
            from mlflow.tracking.context.registry import resolve_tags

            from qexp.tracking.mlflow_tracker import MlflowTracker
            from qexp.tracking.store import as_input_error, create_run, open_store, reopen_run

        with ExitStack() as until_end:
            with quiet(), as_input_error(self.uri), patience(seconds=10), uninterrupted(self.uri):
                client, artifacts = open_store(self.uri)
                if run_id is None:
                    tags = resolve_tags({"mlflow.source.name": "qexp"})
                    if parent := os.environ.get(PARENT_RUN):
                        tags["mlflow.parentRunId"] = parent
                    wanted = {"experiment": self.experiment, "name": self.run_name or name, "tags": tags}
                    run = create_run(client, artifacts, wanted | {"start": None})
                    journal = Journal.begin(folder)
                else:
                    run = reopen_run(client, run_id)
                    exists = folder and (folder / JOURNAL).exists()
                    journal = Journal.read(folder) if folder and exists else Journal.begin(folder)
                journal.add({"run": run})
                model_name = self.model_name if self.register else None
                tracker = MlflowTracker(client, run["id"], journal, model_name)
                until_end.enter_context(tracker.until_end())
            where = f"recorded in MLflow at {self.uri}, experiment {run['experiment']}"
            report_console().print(where, markup=False, highlight=False, soft_wrap=True)
            yield tracker
