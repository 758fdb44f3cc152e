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

    from qexp.tracking.tracker import Arrays


NAME = "policy"
"""What a run's model is called."""

ALIAS = "newest"
"""What the last registered version goes by besides its number; `latest` is a word of MLflow's own."""


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
        found = client.search_logged_models(
            [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}' AND name = '{NAME}'"
        )
        # Created here, because MLflow would look for the experiment in its process-wide state. An entry
        # without its files is what a store that went away in the middle has.
        entry = (
            found[0]
            if found
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
        columns = _columns(model_input)
        architecture = self._policy.description["architecture"]
        for name, count in (("task", "task_features"), ("nodes", "node_features")):
            if (given := columns[name].shape[-1]) != architecture[count]:
                raise InputError(f"column {name}: {given} features; the policy takes {architecture[count]}")
        _check(columns)
        return self._policy.decide(
            columns["task"], columns["nodes"], columns["action_mask"], columns.get("present")
        )


def _columns(model_input: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Return the columns that decide, by name; raise `InputError` unless they are arrays of numbers."""
    columns = {}
    for name, axes in {"task": 2, "nodes": 3, "action_mask": 2, "present": 2}.items():
        if name not in model_input:
            if name == "present":
                continue
            raise InputError(f"column {name}: it is missing")
        columns[name] = column = np.asarray(model_input[name])
        if column.ndim != axes or column.dtype.kind not in "biuf":
            raise InputError(
                f"column {name}: {column.ndim} axes of {column.dtype}; it takes {axes} axes of numbers"
            )
    return columns


def _check(columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise `InputError` unless every row has finite features and a node that may be chosen."""
    task, mask = columns["task"], columns["action_mask"]
    masks = {name: column for name, column in columns.items() if name in {"action_mask", "present"}}
    for name, column in {"nodes": columns["nodes"][..., 0], **masks}.items():
        if len(column) != len(task) or column.shape != mask.shape:
            raise InputError(
                f"column {name}: {' x '.join(map(str, column.shape))} rows and nodes, but there are "
                f"{len(task)} rows of task and {mask.shape[-1]} nodes in action_mask"
            )
    for name, column in columns.items():
        _refuse_first(name, column, ~np.isfinite(column), "all must be finite")
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

    task, nodes, mask = example["task"], example["nodes"], example["action_mask"]
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(task.dtype, (-1, task.shape[-1]), "task"),
        TensorSpec(nodes.dtype, (-1, -1, nodes.shape[-1]), "nodes"),
        TensorSpec(mask.dtype, (-1, -1), "action_mask"),
    ]
    if "present" in example:  # where nodes are padded
        inputs.append(TensorSpec(example["present"].dtype, (-1, -1), "present"))
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
