"""Record with MLflow, by default in an SQLite file under outputs/."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import MinLen
from omegaconf import DictConfig, OmegaConf
from typing_extensions import Doc

from qexp.config.option import option
from qexp.tracking.environment import EXPERIMENT, store_in_environment
from qexp.tracking.tracking import MlflowTracking


@option("tracking")
@dataclass
class Local(MlflowTracking):
    """Record with MLflow, by default in an SQLite file under outputs/."""

    uri: Annotated[
        str,
        MinLen(1),
        Doc(
            "Where MLflow stores runs: sqlite:///FILE, http(s)://SERVER or the URL of a database, "
            "without a password."
        ),
    ] = "sqlite:///outputs/mlflow.db"


def apply_environment(config: DictConfig, typed: Iterable[str]) -> None:
    """Fill in what the environment says of store and experiment, unless the configuration says it itself.

    It does where the key was typed, or where a preset gave it another value than the one that ships.

    Args:
        config: A run's or a multirun's; changed.
        typed: Its overrides.

    Raises:
        InputError: The environment names a store that runs cannot be recorded in.
    """
    tracking = OmegaConf.select(config, "tracking")
    keys = {override.lstrip("+").partition("=")[0] for override in typed}
    if not isinstance(tracking, DictConfig) or "uri" not in [*tracking]:  # nothing is recorded
        return
    unsaid = OmegaConf.is_missing(tracking, "uri") or tracking.uri == Local.uri
    if unsaid and "tracking.uri" not in keys and (uri := store_in_environment()):
        tracking.uri = uri
    if tracking.experiment == Local.experiment and "tracking.experiment" not in keys:
        tracking.experiment = os.environ.get(EXPERIMENT) or tracking.experiment
