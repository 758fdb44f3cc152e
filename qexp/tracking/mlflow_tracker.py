"""Reports to one MLflow run."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag

from qexp.tracking import model
from qexp.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from qexp.tracking.tracker import Arrays

# MLflow's limits on the length of a parameter and of a tag, and on the metrics in one request.
_MAX_PARAM, _MAX_TAG, _MAX_METRICS = 6000, 8000, 1000
# Written one by one, the metrics of quick training iterations would cost as much as the iterations.
_FLUSH_SECONDS = 5.0


class MlflowTracker(Tracker):
    """Reports to one MLflow run, metrics a few seconds late.

    Args:
        client: Of the run's store.
        run_id: Of a run that exists.
        model_name: What to register a logged policy as; None to leave it unregistered.
    """

    run_id: str

    def __init__(self, client: MlflowClient, run_id: str, model_name: str | None) -> None:
        self.run_id = run_id
        self._client = client
        self._model_name = model_name
        self._metrics: list[Metric] = []
        self._flushed = time.monotonic()

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Record a configuration, see `Tracker.log_params`; MLflow takes 6000 characters of a value."""
        params = [Param(key, text[:_MAX_PARAM]) for key, text in sorted(_flatten(config).items())]
        self._client.log_batch(self.run_id, params=params)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Record tags, see `Tracker.set_tags`."""
        texts = [RunTag(key, str(value)[:_MAX_TAG]) for key, value in tags.items() if value is not None]
        self._client.log_batch(self.run_id, tags=texts)

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Record figures, see `Tracker.log_metrics`."""
        now = time.time_ns() // 1_000_000
        for key, value in metrics.items():
            if value is not None and math.isfinite(value):
                self._metrics.append(Metric(key, float(value), now, step))
        if len(self._metrics) >= _MAX_METRICS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the metrics that are still held back."""
        self._flushed = time.monotonic()
        metrics, self._metrics = self._metrics, []
        self._client.log_batch(self.run_id, metrics=metrics)

    def log_artifacts(self, path: Path, folder: str | None = None) -> None:
        """Copy files to the run, see `Tracker.log_artifacts`."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        log(self.run_id, str(path), folder)

    def log_policy(self, bundle: Path, example: Arrays) -> None:
        """Record the policy as a model, see `Tracker.log_policy`."""
        self.flush()  # the model is shown with the figures its run has by now
        model.log(self._client, self.run_id, bundle, example, register_as=self._model_name)


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return dotted keys and the values as the command line takes them."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat
