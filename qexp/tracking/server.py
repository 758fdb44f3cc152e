"""Record on a shared MLflow server (tracking=server tracking.uri=https://HOST)."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.errors import InputError
from qexp.tracking.tracking import MlflowTracking


@option("tracking")
@dataclass
class Server(MlflowTracking):
    """Record on a shared MLflow server (tracking=server tracking.uri=https://HOST)."""

    def __post_init__(self) -> None:
        if not self.uri.startswith(("http://", "https://")):
            raise InputError("tracking.uri: tracking=server needs the address of one, http(s)://HOST:PORT")
