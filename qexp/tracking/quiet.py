"""MLflow without its noise."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_LEVELS = {
    # Of each attempt at a server that is away it would tell; we say once what came of them.
    "urllib3.connectionpool": logging.ERROR,
    # Where somebody imported MLflow before, it has not read the settings.
    "mlflow": logging.WARNING,
}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's greetings, progress and deprecations off the console, and its usage statistics at home.

    To be entered before MLflow is first imported, which is when it reads most of the settings.
    """
    for key, value in _SETTINGS.items():
        os.environ.setdefault(key, value)
    levels = {name: logging.getLogger(name).level for name in _LEVELS}
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            # A logger without a level was not MLflow's yet: it has set its own meanwhile.
            if name != "mlflow" or level != logging.NOTSET:
                logging.getLogger(name).setLevel(level)
