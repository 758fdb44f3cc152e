"""A store to look into, and the command line with its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import PASSWORD, USER, MlflowServer, postgres

ROOT = Path(__file__).parents[2]
CREDENTIALS = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """An MLflow server on PostgreSQL that asks for a user and a password."""
    with postgres("mlflow", "users") as database:
        folder = tmp_path_factory.mktemp("server")
        server = MlflowServer(folder, f"{database}/mlflow", auth_store=f"{database}/users")
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture
def known_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who the server knows, for MLflow clients of this process and of those it starts."""
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)


@pytest.fixture(scope="session")
def begin() -> Callable[..., subprocess.Popen[str]]:
    """Start ``python -m MODULE ARGUMENTS`` in a fresh process."""

    def call(
        module: str, *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", module, *(str(argument) for argument in arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


@pytest.fixture(scope="session")
def snapshot() -> Callable[[str, str], dict[str, Any]]:
    """Everything that can be seen of a run: what a second delivery must not change."""

    def call(uri: str, run_id: str) -> dict[str, Any]:
        from mlflow import MlflowClient

        from qexp.tracking.model import _default_store

        client = MlflowClient(uri)
        run = client.get_run(run_id)
        experiment = run.info.experiment_id
        with _default_store(uri):  # MLflow looks for a model's files in its process-wide store
            artifacts = sorted(_files(client, run_id))
        models = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
        return {
            "experiment": client.get_experiment(experiment).name,
            "name": run.info.run_name,
            "status": run.info.status,
            "times": (run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": run.data.tags,
            "metrics": {
                key: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, key))
                for key in run.data.metrics
            },
            "artifacts": artifacts,
            "models": [(m.model_id, m.name, m.status.value, m.last_updated_timestamp) for m in models],
            "versions": [
                (v.name, v.version, client.get_model_version(v.name, v.version).aliases)
                for v in client.search_model_versions(f"run_id = '{run_id}'")
            ],
        }

    return call


def _files(client: Any, run_id: str, folder: str | None = None) -> Iterator[tuple[str, int]]:
    for item in client.list_artifacts(run_id, folder):
        if item.is_dir:
            yield from _files(client, run_id, item.path)
        else:
            yield item.path, item.file_size


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a policy with random weights."""
    import torch

    from qexp.placement.policy import PlacementPolicy
    from qexp.problem.bundle import save_policy
    from qexp.problem.network import ScorerNetwork

    torch.manual_seed(0)
    architecture = PlacementPolicy.architecture(hidden=8)
    weights = {
        name: torch.randn_like(value).numpy()
        for name, value in ScorerNetwork(architecture).state_dict().items()
    }
    metadata = {"algorithm": "a2c", "architecture": architecture.as_dict()}
    return save_policy(tmp_path_factory.mktemp("bundle") / "policy", weights, metadata)
