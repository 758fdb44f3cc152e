"""Tracking on an MLflow server that a group shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qexp.config.option import option
from qexp.errors import InputError
from qexp.tracking.mlflow_tracking import MlflowTracking
from qexp.tracking.tracker import Tracker


@option("tracking")
@dataclass
class Server(MlflowTracking):
    """Record on a shared MLflow server (tracking=server tracking.uri=https://HOST)."""

    @contextmanager
    def start(
        self, name: str | None = None, run_id: str | None = None, folder: Path | None = None
    ) -> Iterator[Tracker]:
        """Begin an MLflow run on the server or continue one, see `MlflowTracking.start`."""
        if not self.uri.startswith(("http://", "https://")):
            raise InputError("tracking.uri: tracking=server needs the address of one, http(s)://HOST:PORT")
        with super().start(name, run_id, folder) as tracker:
            yield tracker
