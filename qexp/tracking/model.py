"""A policy bundle as an MLflow model: listed, loaded and served like any other, and nothing of it pickled.

Of MLflow's ways to log a model this one stores the bundle's files as they are and the name of this module,
whose `_load_pyfunc` MLflow calls to load them. So loading runs the installed qexp and nothing that came
with the model, with all of the bundle's own checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qexp import __version__
from qexp.errors import InputError
from qexp.tracking.environment import quiet
from qexp.tracking.store import already_there

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, TensorSpec

    from qexp.tracking.journal import Arrays


NAME = "policy"
"""Name of a run's model."""

ALIAS = "newest"
"""Name of the last registered version besides its number; `latest` is a word of MLflow's own."""

AXES = {"task": 2, "nodes": 3, "action_mask": 2, "present": 2}
"""Axes of each column that decides; `present` may be left out."""


def log(client: MlflowClient, run_id: str, bundle: Path, example: Arrays, register_as: str | None) -> None:
    """Log a bundle as the model `policy` of a run, and register it, unless the run has it already.

    Args:
        client: Of the run's store.
        run_id: The run.
        bundle: The bundle's folder.
        example: A batch of observations, see `Tracker.log_policy`.
        register_as: Name of the registered model that gets a new version; None registers nothing.
    """
    with quiet(), _default_store(client.tracking_uri):
        import mlflow.pyfunc
        from mlflow.entities import LoggedModelStatus
        from mlflow.models import Model

        run = client.get_run(run_id)
        logged = client.search_logged_models(
            [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}' AND name = '{NAME}'"
        )
        # Created here, because MLflow would look for the experiment in its process-wide state. An entry
        # without its files is what a store that went away in the middle has.
        entry = (
            logged[0]
            if logged
            else client.create_logged_model(
                run.info.experiment_id, name=NAME, source_run_id=run_id, params=run.data.params
            )
        )
        if entry.status != LoggedModelStatus.READY:
            Model.log(
                artifact_path=None,
                flavor=mlflow.pyfunc,
                run_id=run_id,
                model_id=entry.model_id,
                loader_module=__name__,
                data_path=str(bundle),
                signature=_signature(example),
                input_example=dict(example),
                pip_requirements=[f"qexp=={__version__}"],
            )
        if register_as is not None:
            _register(client, run_id, entry, register_as)


def _register(client: MlflowClient, run_id: str, entry: LoggedModel, name: str) -> None:
    """Make a run's model a version of the registered model of that name, and the newest."""
    with already_there():
        client.create_registered_model(name)
    versions = client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'")
    if not versions:
        version = client.create_model_version(name, entry.model_uri, run_id, model_id=entry.model_id)
        client.set_registered_model_alias(name, ALIAS, version.version)


class _ServedPolicy:
    """A policy as MLflow calls a model."""

    def __init__(self, bundle: Path) -> None:
        from qexp.problem.bundle import load_policy

        self._policy = load_policy(bundle)

    def predict(self, model_input: Arrays, params: Mapping[str, Any] | None = None) -> npt.NDArray[np.int64]:
        """Return the index of the chosen node for each observation, shape [B].

        Raises:
            InputError: Observations cannot be decided on: the line names the column and the row.
        """
        columns = {name: np.asarray(model_input[name]) for name in AXES if name in model_input}
        _check_forms(columns, self._policy.description["architecture"])
        _check_values(columns)
        return self._policy.decide(
            columns["task"], columns["nodes"], columns["action_mask"], columns.get("present")
        )


def _check_forms(columns: Arrays, architecture: Mapping[str, int]) -> None:
    """Raise `InputError` unless columns are arrays of numbers, of as many features, rows and nodes each."""
    for name, axes in AXES.items():
        if name not in columns:
            if name != "present":
                raise InputError(f"column {name}: it is missing")
        elif (column := columns[name]).ndim != axes or column.dtype.kind not in "biuf":
            raise InputError(
                f"column {name}: {column.ndim} axes of {column.dtype}; it takes {axes} axes of numbers"
            )
    for name, count in (("task", "task_features"), ("nodes", "node_features")):
        if (given := columns[name].shape[-1]) != architecture[count]:
            raise InputError(f"column {name}: {given} features; the policy takes {architecture[count]}")
    rows, nodes = len(columns["task"]), columns["action_mask"].shape[-1]
    for name in ("nodes", "action_mask", "present"):
        if name in columns and (shape := columns[name].shape[:2]) != (rows, nodes):
            raise InputError(
                f"column {name}: {' x '.join(map(str, shape))} rows and nodes, but there are {rows} rows of "
                f"task and {nodes} nodes in action_mask"
            )


def _check_values(columns: Arrays) -> None:
    """Raise `InputError` unless every row has finite features and a node that may be chosen."""
    for name, column in columns.items():
        _refuse_first(name, column, ~np.isfinite(column), "all must be finite")
    masks = {name: column for name, column in columns.items() if name in {"action_mask", "present"}}
    for name, column in masks.items():
        _refuse_first(name, column, (column != 0) & (column != 1), "it takes 0 and 1")
    allowed = np.logical_and.reduce(list(masks.values()))
    if not (some := allowed.any(axis=-1)).all():
        raise InputError(
            f"column action_mask, row {some.argmin()}: no node may be chosen; it must be 1 for one at least"
        )


def _refuse_first(name: str, column: npt.NDArray[Any], wrong: npt.NDArray[np.bool_], accepted: str) -> None:
    """Raise `InputError` at the first wrong value of a column, if there is one."""
    if wrong.any():
        at = np.argwhere(wrong)[0]
        raise InputError(f"column {name}, row {at[0]}: {column[tuple(at)]} at {at[1:].tolist()}; {accepted}")


def _load_pyfunc(path: str) -> _ServedPolicy:
    """Load a model for MLflow, which prescribes this name."""
    return _ServedPolicy(Path(path))


def _signature(example: Arrays) -> ModelSignature:
    """Return the signature: any batch size, any number of nodes, the policy's numbers of features."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    # Any number of observations and of nodes, but the policy's of features; present where nodes are padded.
    shapes = {name: [-1] * axes for name, axes in AXES.items() if name in example}
    for name in ("task", "nodes"):
        shapes[name][-1] = example[name].shape[-1]
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(example[name].dtype, tuple(shape), name) for name, shape in shapes.items()
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([TensorSpec(np.dtype(np.int64), (-1,))]))


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make a store MLflow's default for a while: logging a model has no argument for it."""
    import mlflow

    chosen = mlflow.is_tracking_uri_set()
    before = mlflow.get_tracking_uri() if chosen else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None unsets it
