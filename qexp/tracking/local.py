"""Tracking with MLflow in a file of one's own, or in whatever store `tracking.uri` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MinLen
from typing_extensions import Doc

from qexp.config.option import option
from qexp.tracking.mlflow_tracking import MlflowTracking


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
