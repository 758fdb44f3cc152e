"""Tracking with MLflow in a file of one's own, or in whatever store `tracking.uri` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from qexp.option import option
from qexp.tracking.mlflow_tracking import MlflowTracking


@option("tracking")
@dataclass
class Local(MlflowTracking):
    """Record with MLflow in a file; each key is explained in ``conf/tracking/local.yaml``."""

    uri: Annotated[str, Field(min_length=1)] = "sqlite:///outputs/mlflow.db"
